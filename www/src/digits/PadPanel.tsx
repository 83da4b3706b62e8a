import { useEffect, useRef, useState } from 'react';
import { ProblemView } from '../setup/ProblemView';
import { DigitCanvas } from './DigitCanvas';
import { digitProblem } from './digit-problem';
import { Pad, type PadHandle } from './Pad';
import { ReadingView } from './ReadingView';
import type { Studio } from './studio';
import { type Hand, useDrawing } from './useDrawing';
import { useJudged } from './useJudged';
import { Verdict } from './Verdict';

interface Props {
  studio: Studio | null;
  hand: Hand;
  onFail: (error: unknown) => void;
}

/** The author of the drawing that is on the pad. */
type By = 'nobody' | 'visitor' | 'generator';

const LABELS: Record<By, string> = {
  nobody: 'Pad to draw a digit on, empty',
  visitor: 'Pad with your drawing',
  generator: 'Pad with a digit that the generator drew',
};

/** The panel in which the visitor draws a digit, which the judge reads. */
export function PadPanel({ studio, hand, onFail }: Props) {
  const pad = useRef<PadHandle>(null);
  const [by, setBy] = useState<By>('nobody');
  const { judged, error, look } = useJudged(studio, pad);
  const { frame, start, clear } = useDrawing(studio, onFail);

  useEffect(() => {
    if (!frame) return;
    pad.current?.stamp(frame.digits.data);
    if (frame.done) void look();
  }, [frame, look]);

  function letDraw() {
    if (!studio) return;
    const { steps, guidance } = hand;
    const digit = Math.floor(Math.random() * 10);
    setBy('generator');
    start(steps, (watch) => studio.generator.generate({ digit, steps, guidance, ...watch }));
  }

  function wipe() {
    clear();
    pad.current?.clear();
    setBy('nobody');
    void look();
  }

  function begin() {
    // A digit that the generator has not finished is taken away, not drawn on.
    if (frame && !frame.done) pad.current?.clear();
    clear();
    setBy('visitor');
  }

  return (
    <section className="card pad-panel" aria-labelledby="pad-title">
      <h2 id="pad-title">Draw one yourself</h2>
      <Pad ref={pad} label={LABELS[by]} onBegin={begin} onDraw={look} />
      <div className="pad-actions">
        <button type="button" className="button" aria-disabled={!studio} onClick={letDraw}>
          Let the generator draw one
        </button>
        <button type="button" className="button" onClick={wipe}>
          Clear
        </button>
      </div>
      <div className="judged">
        <div className="verdict">
          <DigitCanvas
            data={judged?.pixels ?? null}
            scale={1}
            label={judged ? 'The drawing as the judge sees it, 28 by 28 pixels' : 'What the judge sees: nothing yet'}
          />
          <Verdict judged={judged} />
        </div>
        {error === null ? (
          <ReadingView reading={judged?.reading ?? null} />
        ) : (
          <ProblemView
            problem={digitProblem(error)}
            onRemedy={(kind) => (kind === 'reload' ? location.reload() : void look())}
          />
        )}
      </div>
    </section>
  );
}
