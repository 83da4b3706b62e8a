import { percent } from '../page/format';
import type { Answers } from './useAnswers';

interface Props {
  texts: readonly string[];
  answers: Answers | null;
  onPick: (text: string) => void;
}

/** Requests with their answers, which follow the slider. */
export function TrialList({ texts, answers, onPick }: Props) {
  if (texts.length === 0)
    return <p className="route-words">Keep requests here, to see how their answers change as it learns.</p>;
  return (
    <ul className="route-trials" aria-label="Requests with their answers">
      {texts.map((text) => {
        const answer = answers?.byText.get(text);
        return (
          <li key={text}>
            <button type="button" onClick={() => onPick(text)} title="Try this request">
              <span>{text}</span>
              {answer ? (
                <span data-known={answer.label !== null}>
                  {answer.label ?? 'I don’t know'} <em>{percent(answer.probability)}</em>
                </span>
              ) : (
                <span>–</span>
              )}
            </button>
          </li>
        );
      })}
    </ul>
  );
}
