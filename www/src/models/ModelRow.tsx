import type { StoredModel } from 'pilotlight';
import { useId, useRef } from 'react';
import { WEIGHTS } from '../engine/backend-words';
import { megabytes } from '../page/format';
import { DeleteButton } from './DeleteButton';
import { ModelFacts } from './ModelFacts';
import { nameParts, partWords } from './model-words';

/** The present use of a stored model by the page. `arrived` is the share of a download that has arrived, 0 to 1, or null while it is unknown. */
export type Use = 'idle' | 'loaded' | { arrived: number | null };

interface Props {
  model: StoredModel;
  /** The share of this model in the bytes of all stored models, 0 to 1. */
  share: number;
  use: Use;
  onDelete: () => Promise<void>;
  onCancel: () => void;
}

/** A stored model in the list: its name, size, facts, and the button that deletes it or cancels its download. */
export function ModelRow({ model, share, use, onDelete, onCancel }: Props) {
  const id = useId();
  const row = useRef<HTMLLIElement>(null);
  const { part } = model;
  const [owner, name] = nameParts(model.model);
  const size = megabytes(model.bytes);
  const note = noteOf(model, use);

  function cancel() {
    // The button that had the focus disappears with the load.
    row.current?.focus();
    onCancel();
  }

  return (
    <li className="model" ref={row} tabIndex={-1} aria-labelledby={id} data-key={model.key} data-whole={model.whole}>
      <div className="model-head">
        <h3 id={id}>
          <span>{owner}</span>
          {name} {use === 'loaded' && <em>in use</em>}
        </h3>
        <p>
          <strong>{size}</strong>
          {share < 0.995 && <span>{percent(share)} of all</span>}
        </p>
      </div>
      <div className="model-bar" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </div>
      {note && <p className="model-note">{note}</p>}
      <div className="model-foot">
        <ModelFacts model={model} />
        {typeof use === 'object' ? (
          <button type="button" className="button" onClick={cancel}>
            Cancel loading
          </button>
        ) : (
          <DeleteButton
            name={part ? `${name}, which ${partWords(part)}` : name}
            weights={WEIGHTS[model.dtype]}
            size={size}
            words={consequence(model, use)}
            onDelete={onDelete}
          />
        )}
      </div>
    </li>
  );
}

function noteOf({ whole, bytes }: StoredModel, use: Use): string {
  if (typeof use === 'object')
    return use.arrived === null ? 'On its way.' : `On its way: ${percent(use.arrived)} is here.`;
  return whole ? '' : `Half downloaded, ${megabytes(bytes)}; the next load goes on with it.`;
}

function consequence({ whole }: StoredModel, use: Use): string {
  if (use === 'loaded')
    return 'It goes on working in this tab until you close or reload it; after that it has to be fetched again.';
  return whole ? 'To use it again you have to fetch it again.' : 'The next load starts from the beginning.';
}

function percent(share: number): string {
  return share > 0 && share < 0.01 ? 'under 1%' : `${Math.floor(share * 100)}%`;
}
