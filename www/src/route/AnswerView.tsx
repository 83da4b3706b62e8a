import type { Classification } from 'pilotlight';
import { percent } from '../page/format';
import { marginWords, refusalWords } from './route-words';

interface Props {
  /** The request that is answered. */
  request: string | undefined;
  answer: Classification | null;
  /** Whether there is a classifier that can answer. */
  learned: boolean;
}

/** The answer to a request: its label and probability, the second label and the nearest example. */
export function AnswerView({ request, answer, learned }: Props) {
  const share = answer?.probability ?? 0;
  const known = answer !== null && answer.label !== null;
  return (
    <div className="route-answer" data-known={known} data-request={answer ? request : undefined}>
      <p className="route-label">
        {answer ? (
          <>
            <strong>{answer.label ?? 'I don’t know'}</strong> <span>{percent(share)}</span>
          </>
        ) : (
          <span>{learned ? 'The answer comes as you type.' : 'Answers come here once it has learned.'}</span>
        )}
      </p>
      <div className="bar" aria-hidden="true">
        <span style={{ transform: `translateX(${(share - 1) * 100}%)` }} />
      </div>
      <p>{answer && (known ? marginWords(answer) : refusalWords(answer))}</p>
      <p>{answer?.nearest && nearestWords(answer.nearest)}</p>
    </div>
  );
}

function nearestWords({ text, label, cosine }: NonNullable<Classification['nearest']>): string {
  const near = `cosine ${cosine.toFixed(2)}`;
  if (text === undefined) return `The nearest example is of “${label}”, ${near}.`;
  return text === label
    ? `Nearest is the label “${label}” itself, ${near}.`
    : `The nearest example is “${text}” (${label}), ${near}.`;
}
