import { useMemo, useState } from 'react';
import { engine } from '../engine/engine';
import type { PageProps } from '../page/page-props';
import { SetupCard } from '../setup/SetupCard';
import { CarefulPanel } from './CarefulPanel';
import { CheckPanel } from './CheckPanel';
import type { Example } from './delimited';
import { ExamplesPanel } from './ExamplesPanel';
import { KeepPanel } from './KeepPanel';
import { lessonOf, placed, rowsOf } from './rows';
import { TryPanel } from './TryPanel';
import { useExamples } from './useExamples';
import { useLearner } from './useLearner';

const CAREFUL_AT_FIRST = 0.05;

/** The page on which a classifier learns from examples what requests ask for, and answers. */
export function RoutePage({ state }: PageProps) {
  const embedder = state.status === 'ready' ? state.embedder : null;
  const examples = useExamples();
  const { rows } = examples;
  const learner = useLearner(embedder, engine.fail);
  const { learned, evaluation } = learner;
  const [unknown, setUnknown] = useState(CAREFUL_AT_FIRST);
  const lesson = useMemo(() => lessonOf(rows), [rows]);

  function teach(example: Example) {
    const next = placed(rowsOf([example]), rows.at(-1)?.id)(rows);
    const known = learned !== null && learned.rows === rows;
    examples.change(() => next);
    void learner.teach(example, known ? next : null);
  }

  async function open(file: File) {
    const saved = await learner.open(file, examples.open);
    if (saved !== undefined) setUnknown(Math.min(saved, 0.5));
  }

  return (
    <>
      <div className="opening">
        <div className="intro">
          <h1 tabIndex={-1}>Sort requests by what they ask for</h1>
          <p>
            Show it examples with their labels. It learns them in a moment, says how sure it is of each answer, and says
            so when it does not know. All of that happens in this tab.
          </p>
        </div>
        <SetupCard state={state} />
      </div>
      <div className="route">
        <ExamplesPanel
          examples={examples}
          lesson={lesson}
          learner={learner}
          ready={embedder !== null}
          onLearn={() => void learner.learn(rows, lesson.examples, unknown)}
        />
        <div className="route-side">
          <TryPanel
            learner={learner}
            set={examples.set}
            trials={examples.trials}
            unknown={unknown}
            onTeach={teach}
            onFail={engine.fail}
          />
          <CarefulPanel evaluation={evaluation} unknown={unknown} onChange={setUnknown} />
        </div>
        <CheckPanel learner={learner} />
        <KeepPanel learner={learner} ready={embedder !== null} unknown={unknown} onOpen={(file) => void open(file)} />
      </div>
    </>
  );
}
