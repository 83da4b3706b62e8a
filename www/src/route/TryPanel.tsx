import { type FormEvent, useMemo, useRef, useState } from 'react';
import { AnswerView } from './AnswerView';
import type { Example } from './delimited';
import { answerWords } from './route-words';
import { TeachForm } from './TeachForm';
import { TrialList } from './TrialList';
import { useAnswers } from './useAnswers';
import { useDelayed } from './useDelayed';
import type { SetName } from './useExamples';
import type { LearnerState } from './useLearner';
import { WorkView } from './WorkView';

interface Props {
  learner: LearnerState & { stop: () => void };
  set: SetName;
  trials: readonly string[];
  unknown: number;
  onTeach: (example: Example) => void;
  onFail: (error: unknown) => void;
}

const PAUSE_MS = 120;
const MOST = 12;

/** The panel in which requests are tried: one as it is typed, and a list of others. */
export function TryPanel({ learner, set, trials, unknown, onTeach, onFail }: Props) {
  const { learned, work } = learner;
  const request = useRef<HTMLInputElement>(null);
  const [text, setText] = useState('');
  const [tried, setTried] = useState<Partial<Record<SetName, readonly string[]>>>({});
  const list = tried[set] ?? trials;
  const typed = useDelayed(text.trim(), PAUSE_MS);
  const asked = useMemo(() => (typed ? [typed] : []), [typed]);
  const one = useAnswers(learned, asked, unknown, onFail);
  const all = useAnswers(learned, list, unknown, onFail);
  // The last answer stays while the next request is typed.
  const [answered] = one?.byText.keys() ?? [];
  const answer = (text.trim() && answered && one?.byText.get(answered)) || null;
  const teaching = work?.kind === 'teach' ? work : null;
  const problem = learner.problem?.kind === 'teach' ? learner.problem : null;

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    const kept = text.trim();
    if (kept) setTried({ ...tried, [set]: [kept, ...list.filter((other) => other !== kept)].slice(0, MOST) });
  }

  function teach(example: Example) {
    // The form goes away while it learns, and the focus with it.
    request.current?.focus();
    onTeach(example);
  }

  return (
    <section className="card route-panel" aria-labelledby="route-try-title">
      <h2 id="route-try-title">Try a request</h2>
      <form className="route-try" onSubmit={onSubmit}>
        <input
          ref={request}
          id="route-request"
          type="text"
          aria-label="A request to try"
          placeholder={learned ? 'Type a request' : 'It has to learn the examples first'}
          autoComplete="off"
          enterKeyHint="done"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="button" disabled={!text.trim()}>
          Keep
        </button>
      </form>
      <p className="unseen" role="status">
        {answer ? answerWords(answer) : ''}
      </p>
      <AnswerView request={answered} answer={answer} learned={learned !== null} />
      {teaching ? (
        <div className="route-foot">
          <WorkView label="Learning one more" work={teaching} idle="" />
          <button type="button" className="button" onClick={learner.stop}>
            Cancel
          </button>
        </div>
      ) : (
        <TeachForm
          request={answer && learned && learned.count > 0 && answered ? answered : null}
          labels={learned?.classifier.labels ?? []}
          onTeach={teach}
        />
      )}
      {problem && (
        <p className="notice" role="alert">
          <strong>{problem.title}</strong> {problem.advice} <span>{problem.detail}</span>
        </p>
      )}
      <TrialList texts={list} answers={all} onPick={setText} />
    </section>
  );
}
