import type { Digits, DrawOptions } from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { paced } from './paced';
import type { Studio } from './studio';

/** The digits as they are after a step of a drawing, of which the last one is the result. */
export interface Frame {
  digits: Digits;
  step: number;
  steps: number;
  done: boolean;
}

/** The time of a drawing in milliseconds, and its numbers of digits and steps. */
export interface DrawingReport {
  ms: number;
  digits: number;
  steps: number;
}

/** The settings of a drawing, which make its handwriting. */
export interface Hand {
  seed: number;
  steps: number;
  guidance: number;
}

type Watch = Pick<DrawOptions, 'signal' | 'onStep'>;

/** The time for which each step is shown, so that a visitor can follow, in milliseconds. */
const HOLD_MS = 90;
/** The longest time for which all steps of a drawing together are shown, in milliseconds. */
const ALL_MS = 1500;

/**
 * Draws digits; a new drawing ends the one in progress.
 * The steps of a drawing are shown more slowly than they are made. A visitor who prefers less motion sees the result alone.
 */
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
      // The last step is left out: the result shows the same.
      const onStep: DrawOptions['onStep'] = ({ step, digits }) =>
        step < steps && !signal.aborted && show.add({ digits, step, steps, done: false });
      const work = () => draw(still ? { signal } : { signal, onStep });
      studio.draw(work, signal).then(
        ({ value, ms }) => {
          if (signal.aborted) return;
          setReport({ ms, digits: value.digits.length, steps });
          show.add({ digits: value, step: steps, steps, done: true });
        },
        (error: unknown) => {
          if (!signal.aborted) onFail(error);
        },
      );
    },
    [studio, onFail],
  );

  /** Ends the drawing in progress and removes what is shown. */
  const clear = useCallback(() => {
    end.current();
    setFrame(null);
  }, []);

  // A drawing ends with its studio.
  useEffect(() => {
    if (studio) return () => end.current();
  }, [studio]);

  return { frame, report, start, clear };
}
