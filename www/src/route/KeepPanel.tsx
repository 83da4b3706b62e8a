import { type ChangeEvent, useRef } from 'react';
import { count } from '../page/format';
import { save } from './file';
import type { LearnerState } from './useLearner';

interface Props {
  learner: LearnerState;
  ready: boolean;
  unknown: number;
  onOpen: (file: File) => void;
}

/** The panel that saves the classifier as a file and opens such a file. */
export function KeepPanel({ learner, ready, unknown, onOpen }: Props) {
  const { learned, work } = learner;
  const input = useRef<HTMLInputElement>(null);
  const problem = learner.problem?.kind === 'open' ? learner.problem : null;
  const can = ready && work?.kind !== 'open';

  function onPick({ target }: ChangeEvent<HTMLInputElement>) {
    const [file] = target.files ?? [];
    if (file) onOpen(file);
    // Without this, the same file chosen again would make no event.
    target.value = '';
  }

  return (
    <section className="card route-panel route-keep" aria-labelledby="route-keep-title">
      <div className="route-foot">
        <div>
          <h2 id="route-keep-title">Keep it</h2>
          <p className="route-words">
            What was learned is one JSON file, with the examples. <code>TextClassifier.fromJSON</code> reads it in Node,
            in Workers and on your own page.
          </p>
          <p className="route-words" role="status">
            {learned ? knowsWords(learned.classifier.labels.length, learned.count) : 'There is nothing to save yet.'}
          </p>
        </div>
        <div className="route-buttons">
          <button
            type="button"
            className="button"
            aria-disabled={!learned}
            onClick={() => learned && save(learned.classifier, unknown)}
          >
            Save as a file
          </button>
          <button type="button" className="button" aria-disabled={!can} onClick={() => can && input.current?.click()}>
            Open a file
          </button>
          <input ref={input} type="file" hidden accept=".json,application/json" onChange={onPick} />
        </div>
      </div>
      {learned && learned.classifier.notes.length > 0 && (
        <ul className="notice" aria-label="Notes on the file">
          {learned.classifier.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {problem && (
        <p className="notice" role="alert">
          <strong>{problem.title}</strong> {problem.advice} <span>{problem.detail}</span>
        </p>
      )}
    </section>
  );
}

function knowsWords(labels: number, examples: number): string {
  const from = examples > 0 ? `, learned from ${count(examples, 'example')}` : '';
  return `It knows ${count(labels, 'label')}${from}.`;
}
