import type { ImageTextEmbedder } from 'pilotlight';
import { useId, useState } from 'react';
import type { Picture } from './library';
import type { PictureModel } from './picture-models';
import { useLabels } from './useLabels';

interface Props {
  picture: Picture;
  embedder: ImageTextEmbedder | null;
  model: PictureModel;
  onFail: (error: unknown) => void;
}

/** How well each of some labels fits: no training, the labels are the visitor's. */
export function LabelPanel({ picture, embedder, model, onFail }: Props) {
  const [first] = model.labelSets;
  const [list, setList] = useState(first.labels.join(', '));
  const [template, setTemplate] = useState(first.template);
  const id = useId();
  const { scores, problem } = useLabels(embedder, picture.preview, list, template, onFail);

  return (
    <section className="labels" aria-labelledby={`${id}-title`}>
      <h3 id={`${id}-title`}>What does it show?</h3>
      <ul className="suggestions" aria-label="Sets of labels">
        {model.labelSets.map((set) => (
          <li key={set.name}>
            <button
              type="button"
              aria-pressed={list === set.labels.join(', ') && template === set.template}
              onClick={() => (setList(set.labels.join(', ')), setTemplate(set.template))}
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
        {problem || (scores[0] ? '' : embedder ? 'One moment…' : 'Load the model to label pictures.')}
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
