import type { ImageTextEmbedder } from 'pilotlight';
import { useId, useState } from 'react';
import type { ImageModel, LabelSet } from './image-models';
import type { LibraryImage } from './library';
import { useLabels } from './useLabels';

interface Props {
  image: LibraryImage;
  embedder: ImageTextEmbedder | null;
  model: ImageModel;
  onFail: (error: unknown) => void;
}

/** Zero-shot classification: how well each of some labels, which the visitor can change, fits an image. */
export function LabelPanel({ image, embedder, model, onFail }: Props) {
  const [first] = model.labelSets;
  const [list, setList] = useState(first.labels.join(', '));
  const [template, setTemplate] = useState(first.template);
  const id = useId();
  const { scores, problem } = useLabels(embedder, image.preview, list, template, onFail);

  function choose(set: LabelSet) {
    setList(set.labels.join(', '));
    setTemplate(set.template);
  }

  return (
    <section className="labels" aria-labelledby={`${id}-title`}>
      <h3 id={`${id}-title`}>What does it show?</h3>
      <ul className="suggestions" aria-label="Sets of labels">
        {model.labelSets.map((set) => (
          <li key={set.name}>
            <button
              type="button"
              aria-pressed={list === set.labels.join(', ') && template === set.template}
              onClick={() => choose(set)}
            >
              {set.name}
            </button>
          </li>
        ))}
      </ul>
      <ol className="bars" aria-label="How likely each label is">
        {scores.map(({ label, score }, i) => (
          <li key={label} data-best={i === 0}>
            <span>{label}</span>
            <span className="bars-bar" aria-hidden="true">
              <span style={{ transform: `translateX(${(score - 1) * 100}%)` }} />
            </span>
            <span>{percent(score)}</span>
          </li>
        ))}
      </ol>
      <p className="labels-words" role="status" data-refused={problem !== ''}>
        {problem || (scores[0] ? '' : embedder ? 'One moment…' : 'Load the model to label images.')}
      </p>
      <div className="labels-fields">
        <label className="field">
          <span>Labels, with commas between them</span>
          <textarea rows={2} spellCheck={false} value={list} onChange={(event) => setList(event.target.value)} />
        </label>
        <label className="field">
          <span>Caption that each is put into, at {'{}'}</span>
          <input
            type="text"
            spellCheck={false}
            value={template}
            onChange={(event) => setTemplate(event.target.value)}
          />
        </label>
      </div>
    </section>
  );
}

function percent(share: number): string {
  return share > 0 && share < 0.005 ? '<1%' : `${Math.round(share * 100)}%`;
}
