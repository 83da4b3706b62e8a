import type { ClassifierEvaluation } from 'pilotlight';
import { useState } from 'react';
import { percent } from '../page/format';
import { mistakesWords } from './route-words';
import type { LearnerState } from './useLearner';
import { WorkView } from './WorkView';

interface Props {
  learner: LearnerState & { check: () => void; stop: () => void };
}

/** The number of confused pairs of labels that are shown at first. */
const FIRST = 8;

/** The result of a cross-validation of the classifier: figures, and the labels that it confuses. */
export function CheckPanel({ learner }: Props) {
  const { learned, evaluation, work, stopped } = learner;
  const checking = work?.kind === 'check' ? work : null;
  const problem = learner.problem?.kind === 'check' ? learner.problem : null;
  const can = learned !== null && learned.count > 0 && !work;
  return (
    <section className="card route-panel route-check" aria-labelledby="route-check-title">
      <h2 id="route-check-title">What it mixes up</h2>
      <p className="route-words">
        A check learns five times, each time from four fifths of the examples, and tests itself on the rest.
      </p>
      <Figures evaluation={evaluation} />
      <div className="route-foot">
        <WorkView label="Check" work={checking} idle={idleWords(learner, stopped === 'check')} />
        <div className="route-buttons">
          {checking ? (
            <button type="button" className="button" onClick={learner.stop}>
              Stop
            </button>
          ) : (
            <button type="button" className="button" aria-disabled={!can} onClick={() => can && learner.check()}>
              Check it
            </button>
          )}
        </div>
      </div>
      {problem && (
        <p className="notice" role="status">
          <strong>{problem.title}</strong> {problem.advice} <span>{problem.detail}</span>
        </p>
      )}
      {evaluation && evaluation.confusions.length > 0 && <Confusions evaluation={evaluation} />}
    </section>
  );
}

function idleWords({ learned, evaluation }: LearnerState, stopped: boolean): string {
  if (!learned) return 'It has not learned anything yet.';
  if (learned.count === 0) return 'It came without its examples, so it cannot be checked here.';
  if (evaluation) return mistakesWords(evaluation);
  return stopped ? 'The check was stopped.' : 'It has not been checked yet.';
}

function Figures({ evaluation }: { evaluation: ClassifierEvaluation | null }) {
  const figure = (share: number | undefined) => (share === undefined ? '–' : percent(share));
  return (
    <dl className="figures" aria-label="What the check found">
      <div>
        <dt>Right</dt>
        <dd>{figure(evaluation?.accuracy)}</dd>
        <dd className="figures-note">of all examples</dd>
      </div>
      <div>
        <dt>Macro F1</dt>
        <dd>{figure(evaluation?.macroF1)}</dd>
        <dd className="figures-note">each label counts the same</dd>
      </div>
      <div>
        <dt>Calibration error</dt>
        <dd>{evaluation ? `${(evaluation.calibrationError * 100).toFixed(1)}%` : '–'}</dd>
        <dd className="figures-note">how far off its percentages are</dd>
      </div>
    </dl>
  );
}

function Confusions({ evaluation: { confusions } }: { evaluation: ClassifierEvaluation }) {
  const [all, setAll] = useState(false);
  return (
    <div className="route-confusions">
      <ol aria-label="Labels that were taken for another">
        {(all ? confusions : confusions.slice(0, FIRST)).map(({ label, predicted, texts }) => (
          <li key={`${label}\n${predicted}`}>
            <p>
              <strong>{label}</strong> taken for <strong>{predicted}</strong>
              {texts.length > 1 && <span> {texts.length} times</span>}
            </p>
            <ul>
              {/* Examples of a file may have come without their texts. */}
              {[...new Set(texts.filter(Boolean))].map((text) => (
                <li key={text}>“{text}”</li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
      {confusions.length > FIRST && (
        <button type="button" className="button more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${confusions.length}`}
        </button>
      )}
    </div>
  );
}
