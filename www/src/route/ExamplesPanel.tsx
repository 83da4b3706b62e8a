import { useEffect, useRef } from 'react';
import { count } from '../page/format';
import { Segments } from '../setup/Segments';
import { FEW } from './banking';
import { ExampleTable } from './ExampleTable';
import type { Lesson } from './rows';
import type { Examples, SetName } from './useExamples';
import type { LearnerState } from './useLearner';
import { WorkView } from './WorkView';

interface Props {
  examples: Examples;
  lesson: Lesson;
  learner: LearnerState & { stop: () => void };
  ready: boolean;
  onLearn: () => void;
}

/** The sets that can be chosen; the size of banking77 is chosen afterwards. */
const SETS = [
  { value: 'intents', label: '12 intents' },
  { value: 'banking-few', label: 'Banking' },
  { value: 'own', label: 'My own' },
  { value: 'file', label: 'From a file' },
] as const satisfies readonly { value: SetName; label: string }[];

const SIZES = [
  { value: 'banking-few', label: `${FEW} of each` },
  { value: 'banking-all', label: 'All 10,003' },
] as const satisfies readonly { value: SetName; label: string }[];

const WORDS: Record<SetName, string> = {
  intents: 'What people ask the assistant on their phone. We wrote these.',
  'banking-few': 'Banking: 77 intents, 10,003 examples. It is PolyAI’s banking77, under CC BY 4.0.',
  'banking-all': 'Banking: 77 intents, 10,003 examples. It is PolyAI’s banking77, under CC BY 4.0.',
  own: 'Type requests with their labels, or paste rows of a spreadsheet into any field.',
  file: 'The examples of the classifier that you opened.',
};

/** The panel with the examples and the button that makes the classifier learn them. */
export function ExamplesPanel({ examples, lesson, learner, ready, onLearn }: Props) {
  const { set, available, fetching, choose } = examples;
  const { work, learned, stopped } = learner;
  const banking = set === 'banking-few' || set === 'banking-all';
  const learning = work?.kind === 'learn';
  const problem = learner.problem?.kind === 'learn' ? learner.problem : null;
  const can = ready && lesson.labels >= 2 && !learning;
  const learn = useRef<HTMLButtonElement>(null);
  const before = useRef(learning);

  // The button that cancels is gone: the one beside it takes the focus, so that a keyboard user stays there.
  useEffect(() => {
    if (before.current && !learning && document.activeElement === document.body) learn.current?.focus();
    before.current = learning;
  }, [learning]);

  return (
    <section className="card route-panel route-examples" aria-labelledby="route-examples-title">
      <h2 id="route-examples-title">Examples</h2>
      <div className="route-sets">
        <Segments
          label="Which ones"
          options={SETS.filter(({ value }) => available.has(value))}
          value={banking ? 'banking-few' : set}
          onChange={choose}
        />
        {banking && <Segments label="How many" options={SIZES} value={set} onChange={choose} />}
        <p className="route-words">{WORDS[set]}</p>
        {fetching.status === 'busy' && <p role="status">Fetching the examples…</p>}
        {fetching.status === 'failed' && (
          <p className="notice" role="alert">
            The examples could not be fetched. {fetching.reason}{' '}
            <button type="button" className="button quiet" onClick={() => choose(fetching.set)}>
              Try again
            </button>
          </p>
        )}
      </div>
      <div className="route-foot">
        <WorkView
          label="Learning"
          work={learning ? work : null}
          idle={lessonWords(lesson, ready, stopped === 'learn', learned !== null && learned.rows !== examples.rows)}
        />
        <div className="route-buttons">
          {learning && (
            <button type="button" className="button" onClick={learner.stop}>
              Cancel
            </button>
          )}
          <button
            type="button"
            id="route-learn"
            className="button primary"
            ref={learn}
            aria-disabled={!can}
            onClick={() => can && onLearn()}
          >
            {learned ? 'Learn again' : 'Learn'}
          </button>
        </div>
      </div>
      {problem && (
        <p className="notice" role="alert">
          <strong>{problem.title}</strong> {problem.advice} <span>{problem.detail}</span>
        </p>
      )}
      {/* Another set begins with its own first rows. */}
      <ExampleTable key={set} rows={examples.rows} onChange={examples.change} />
    </section>
  );
}

function lessonWords(
  { examples, labels, unfinished }: Lesson,
  ready: boolean,
  stopped: boolean,
  changed: boolean,
): string {
  const have = `${count(examples.length, 'example')}, ${count(labels, 'label')}`;
  const rest =
    unfinished > 0
      ? `. ${count(unfinished, 'row')} without a request or a label ${unfinished === 1 ? 'is' : 'are'} left out`
      : '';
  if (labels < 2) return `${have}${rest}. It needs at least two labels.`;
  if (!ready) return `${have}${rest}. Load the model to learn them.`;
  if (stopped) return `${have}${rest}. Cancelled: nothing was learned from them.`;
  return changed ? `${have}${rest}. They have changed since it learned.` : `${have}${rest}.`;
}
