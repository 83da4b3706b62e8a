import { useCallback, useEffect, useState } from 'react';
import type { Problem } from '../engine/problem';
import { digitProblem } from './digit-problem';
import { openStudio, type Studio } from './studio';

/** The state of the generator's load. */
export type GeneratorState =
  | { status: 'loading' }
  | { status: 'ready'; studio: Studio }
  | { status: 'failed'; problem: Problem };

const LOADING: GeneratorState = { status: 'loading' };

/** Loads the generator when the page of the digits is mounted. */
export function useGenerator() {
  const [state, setState] = useState(LOADING);
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each attempt loads the generator anew
  useEffect(() => {
    const controller = new AbortController();
    let opened: Studio | undefined;
    setState(LOADING);
    openStudio(controller.signal).then(
      (studio) => {
        if (controller.signal.aborted) return studio.close();
        opened = studio;
        setState({ status: 'ready', studio });
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setState({ status: 'failed', problem: digitProblem(error) });
      },
    );
    return () => {
      controller.abort();
      opened?.close();
    };
  }, [attempt]);

  const retry = useCallback(() => setAttempt((n) => n + 1), []);
  /** Records that a drawing failed in a way that leaves the generator unusable. */
  const fail = useCallback((error: unknown) => setState({ status: 'failed', problem: digitProblem(error) }), []);
  return { state, retry, fail };
}
