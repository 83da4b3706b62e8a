import { useEffect, useRef, useState } from 'react';
import type { Remedy } from '../engine/problem';
import { ProblemView } from '../setup/ProblemView';
import { NumberField } from './NumberField';
import { NumberFigures } from './NumberFigures';
import { SaveLink } from './SaveLink';
import { Sheet } from './Sheet';
import { type Frame, type Hand, useDrawing } from './useDrawing';
import type { GeneratorState } from './useGenerator';
import { useReadings } from './useReadings';

interface Props {
  state: GeneratorState;
  hand: Hand;
  onFail: (error: unknown) => void;
  onRemedy: (remedy: Remedy) => void;
}

/** The panel in which the visitor types a number, which the generator writes and the judge reads. */
export function NumberPanel({ state, hand, onFail, onRemedy }: Props) {
  const [text, setText] = useState('2026');
  const studio = state.status === 'ready' ? state.studio : null;
  const { frame, report, start, clear } = useDrawing(studio, onFail);
  const done = frame?.done ? frame.digits : null;
  const { readings, error } = useReadings(studio, done);
  const sheet = useRef<HTMLElement>(null);
  const { seed, steps, guidance } = hand;

  useEffect(() => {
    if (!studio) return;
    if (text === '') clear();
    else start(steps, (watch) => studio.generator.generate({ text, seed, steps, guidance, ...watch }));
  }, [studio, text, seed, steps, guidance, start, clear]);

  function remedy(kind: Remedy) {
    // The button that had the focus disappears with the problem.
    sheet.current?.focus();
    onRemedy(kind);
  }

  return (
    <section className="number-panel" aria-labelledby="number-title">
      <h2 className="unseen" id="number-title">
        Write a number
      </h2>
      <NumberField text={text} onChange={setText} />
      <figure
        className="card sheet"
        ref={sheet}
        tabIndex={-1}
        aria-label="Paper"
        aria-busy={state.status === 'loading' || (frame !== null && !frame.done)}
      >
        {state.status === 'loading' && <Loading />}
        {state.status === 'failed' && <ProblemView problem={state.problem} onRemedy={remedy} />}
        {studio && frame && <Sheet frame={frame} readings={readings} />}
        {studio && text === '' && <p className="sheet-empty">The paper is empty: type a number above.</p>}
        {studio && (
          <div className="sheet-foot">
            <p>{stepWords(frame)}</p>
            {text !== '' && <SaveLink digits={done} />}
          </div>
        )}
      </figure>
      {error !== null && (
        <p className="notice">The judge cannot read it: {error instanceof Error ? error.message : String(error)}</p>
      )}
      <p className="unseen" role="status">
        {done && readings
          ? `${done.digits.join('')} is written. The judge reads ${readings.map(({ digit }) => digit).join(' ')}.`
          : ''}
      </p>
      {studio && <NumberFigures report={report} backend={studio.generator.backend} />}
    </section>
  );
}

function Loading() {
  return (
    <div className="sheet-loading">
      <p role="status">The generator is on its way…</p>
      <div className="bar" data-unknown="true" aria-hidden="true">
        <span />
      </div>
    </div>
  );
}

function stepWords(frame: Frame | null): string {
  if (!frame) return '\u00a0';
  const { done, step, steps, digits } = frame;
  return done
    ? `Seed ${digits.seed}, out of noise in ${steps === 1 ? 'one step' : `${steps} steps`}`
    : `Step ${step} of ${steps}`;
}
