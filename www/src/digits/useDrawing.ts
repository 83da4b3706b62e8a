import type { Digits, DrawOptions } from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { paced } from './paced';
import type { Studio } from './studio';

/** What is on the paper: a step of a drawing, or its end. */
export interface Frame {
  digits: Digits;
  step: number;
  steps: number;
  done: boolean;
}

/** What a drawing took. */
export interface DrawingReport {
  ms: number;
  pictures: number;
  steps: number;
}

/** How a drawing is seeded and drawn. */
export interface Hand {
  seed: number;
  steps: number;
  guidance: number;
}

type Watch = Pick<DrawOptions, 'signal' | 'onStep'>;

/** Each step is held so long that eyes can follow, but all of them together no longer than this. */
const HOLD_MS = 90;
const ALL_MS = 1500;

/** Drawings, of which a new one ends the one under way. Its steps are shown slower than they are made; where less motion is wished, only its end. */
export function useDrawing(studio: Studio | null, onFail: (error: unknown) => void) {
  const [frame, setFrame] = useState<Frame | null>(null);
  const [report, setReport] = useState<DrawingReport | null>(null);
  const end = useRef<() => void>(() => {});

  const start = useCallback(
    (steps: number, draw: (watch: Watch) => Promise<Digits>) => {
      end.current();
      if (!studio) return;
      const controller = new AbortController();
      const { signal } = controller;
      const show = paced(setFrame, Math.min(HOLD_MS, ALL_MS / steps));
      end.current = () => {
        controller.abort();
        show.stop();
      };
      const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
      // The last step is the result, which comes in a moment.
      const onStep: DrawOptions['onStep'] = ({ step, digits }) =>
        step < steps && !signal.aborted && show.add({ digits, step, steps, done: false });
      const work = () => draw(still ? { signal } : { signal, onStep });
      studio.draw(work, signal).then(
        ({ value, ms }) => {
          if (signal.aborted) return;
          setReport({ ms, pictures: value.digits.length, steps });
          show.add({ digits: value, step: steps, steps, done: true });
        },
        (error: unknown) => {
          if (!signal.aborted) onFail(error);
        },
      );
    },
    [studio, onFail],
  );

  /** Ends what is under way and takes the paper away. */
  const clear = useCallback(() => {
    end.current();
    setFrame(null);
  }, []);

  useEffect(() => () => end.current(), [studio]);

  return { frame, report, start, clear };
}
