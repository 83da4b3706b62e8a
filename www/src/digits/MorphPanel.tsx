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

const PICTURES = 17;

/** One digit becomes another, as a filmstrip to go through. */
export function MorphPanel({ studio, hand, onFail }: Props) {
  const [ends, setEnds] = useState<Ends>({ from: 3, to: 8 });
  /** Of the pictures on the strip. */
  const [drawn, setDrawn] = useState<Ends>(ends);
  const { frame, report, start } = useDrawing(studio, onFail);
  const { at, playing, go, toggle } = usePlayback(PICTURES);
  const slider = useId();
  const done = frame?.done ?? false;
  const way = wayWords(drawn);

  function morph(event: FormEvent) {
    event.preventDefault();
    if (!studio) return;
    const { seed, steps, guidance } = hand;
    // From a digit to itself it is another hand that it comes to.
    const to = { digit: ends.to, ...(ends.to === ends.from && { seed: seed + 1 }) };
    setDrawn(ends);
    go(0);
    start(steps, (watch) =>
      studio.generator.morph({ from: { digit: ends.from }, to, count: PICTURES, seed, steps, guidance, ...watch }),
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
        count={PICTURES}
        at={at}
        label={frame ? `${PICTURES} pictures ${way}` : 'A filmstrip without pictures'}
        onPick={(to) => done && go(to)}
      />
      <div className="morph-view">
        <DigitCanvas
          data={frame?.digits.data ?? null}
          index={at}
          label={frame ? `Picture ${at + 1} of ${PICTURES} ${way}` : 'No picture yet'}
        />
        <div>
          <label htmlFor={slider}>{frame ? `Picture ${at + 1} of ${PICTURES}` : 'Pictures'}</label>
          <input
            id={slider}
            type="range"
            min={0}
            max={PICTURES - 1}
            value={at}
            disabled={!done}
            aria-valuetext={`Picture ${at + 1} of ${PICTURES}, ${Math.round((at / (PICTURES - 1)) * 100)} percent of the way ${way}`}
            onChange={(event) => go(event.target.valueAsNumber)}
          />
          <button type="button" className="button" disabled={!done} onClick={toggle}>
            {playing ? 'Pause' : 'Play'}
          </button>
        </div>
      </div>
      <p className="panel-words" role="status">
        {done && report
          ? `${PICTURES} pictures ${way}, in ${milliseconds(report.ms)}.`
          : frame
            ? `On the way ${way}…`
            : 'In the hand that is set above. Each picture on the way is written by itself, out of noise that lies between the noise of both ends.'}
      </p>
    </section>
  );
}

function wayWords({ from, to }: Ends): string {
  return from === to ? `from one ${from} to another` : `from ${from} to ${to}`;
}
