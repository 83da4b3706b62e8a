import type { Problem, Remedy } from '../engine/problem';
import { href } from '../page/routes';

const LABELS: Record<Remedy, string> = {
  retry: 'Try again',
  'without-store': 'Load without keeping it',
  models: 'See what is stored',
  'on-cpu': 'Use the CPU',
  settings: 'Change settings',
  reload: 'Reload the page',
};

/** A problem in words, with buttons for the remedies. */
export function ProblemView({ problem, onRemedy }: { problem: Problem; onRemedy: (remedy: Remedy) => void }) {
  return (
    <div className="problem" data-calm={problem.calm} data-code={problem.code}>
      <div role="alert">
        <h2>{problem.title}</h2>
        <p>{problem.advice}</p>
      </div>
      <div className="problem-actions">
        {problem.remedies.map((remedy, i) =>
          remedy === 'models' ? (
            <a key={remedy} className="button" href={href('/models')}>
              {LABELS[remedy]}
            </a>
          ) : (
            <button
              key={remedy}
              type="button"
              className={i === 0 ? 'button primary' : 'button'}
              onClick={() => onRemedy(remedy)}
            >
              {LABELS[remedy]}
            </button>
          ),
        )}
      </div>
      {!problem.calm && (
        <details>
          <summary>What the library says</summary>
          <p>
            <code>{problem.code}</code> {problem.detail}
          </p>
        </details>
      )}
    </div>
  );
}
