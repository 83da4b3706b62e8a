import { type FormEvent, useId, useState } from 'react';
import { milliseconds } from '../page/format';
import { DigitCanvas } from './DigitCanvas';
import { DigitChoice } from './DigitChoice';
import { Filmstrip } from './Filmstrip';
import type { Studio } from './studio';
import { type Hand, useDrawing } from './useDrawing';
import { usePlayback } from './usePlayback';

interface Props {
  studio: Studio | null;
  hand: Hand;
  onFail: (error: unknown) => void;
}

interface Ends {
  from: number;
  to: number;
}

const FRAMES = 17;

/** The panel that morphs one digit into another, and shows the frames between them as a filmstrip. */
export function MorphPanel({ studio, hand, onFail }: Props) {
  const [ends, setEnds] = useState<Ends>({ from: 3, to: 8 });
  /** The ends of the morph that the strip shows, which may differ from those in the form. */
  const [drawn, setDrawn] = useState<Ends>(ends);
  const { frame, report, start } = useDrawing(studio, onFail);
  const { at, playing, go, toggle } = usePlayback(FRAMES);
  const slider = useId();
  const done = frame?.done ?? false;
  const way = wayWords(drawn);

  function morph(event: FormEvent) {
    event.preventDefault();
    if (!studio) return;
    const { seed, steps, guidance } = hand;
    // A morph from a digit to itself ends in the handwriting of another seed.
    const to = { digit: ends.to, ...(ends.to === ends.from && { seed: seed + 1 }) };
    setDrawn(ends);
    go(0);
    start(steps, (watch) =>
      studio.generator.morph({ from: { digit: ends.from }, to, count: FRAMES, seed, steps, guidance, ...watch }),
    );
  }

  return (
    <section className="card morph" aria-labelledby="morph-title" aria-busy={frame !== null && !done}>
      <h2 id="morph-title">From one digit to another</h2>
      <form className="morph-form" onSubmit={morph}>
        <DigitChoice label="From" value={ends.from} onChange={(from) => setEnds({ ...ends, from })} />
        <DigitChoice label="to" value={ends.to} onChange={(to) => setEnds({ ...ends, to })} />
        <button type="submit" className="button primary" aria-disabled={!studio}>
          Morph
        </button>
      </form>
      <Filmstrip
        digits={frame?.digits ?? null}
        count={FRAMES}
        at={at}
        label={frame ? `${FRAMES} digits ${way}` : 'An empty filmstrip'}
        onPick={(to) => done && go(to)}
      />
      <div className="morph-view">
        <DigitCanvas
          data={frame?.digits.data ?? null}
          index={at}
          label={frame ? `Digit ${at + 1} of ${FRAMES} ${way}` : 'No digit yet'}
        />
        <div>
          <label htmlFor={slider}>{frame ? `Digit ${at + 1} of ${FRAMES}` : 'Digits'}</label>
          <input
            id={slider}
            type="range"
            min={0}
            max={FRAMES - 1}
            value={at}
            disabled={!done}
            aria-valuetext={`Digit ${at + 1} of ${FRAMES}, ${Math.round((at / (FRAMES - 1)) * 100)} percent of the way ${way}`}
            onChange={(event) => go(event.target.valueAsNumber)}
          />
          <button type="button" className="button" disabled={!done} onClick={toggle}>
            {playing ? 'Pause' : 'Play'}
          </button>
        </div>
      </div>
      <p className="panel-words" role="status">
        {done && report
          ? `${FRAMES} digits ${way}, in ${milliseconds(report.ms)}.`
          : frame
            ? `On the way ${way}…`
            : 'In the hand that is set above. Each digit on the way is written by itself, out of noise that lies between the noise of both ends.'}
      </p>
    </section>
  );
}

function wayWords({ from, to }: Ends): string {
  return from === to ? `from one ${from} to another` : `from ${from} to ${to}`;
}
