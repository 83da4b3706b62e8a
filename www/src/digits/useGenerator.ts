import { useDigitGenerator } from 'pilotlight/react';
import { useCallback, useEffect, useMemo, useState } from 'react';
import type { Problem } from '../engine/problem';
import { keepUsedFiles } from '../page/offline';
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
  const { generator, error, retry: reload } = useDigitGenerator();
  const [broken, setBroken] = useState<{ problem: Problem } | null>(null);
  const studio = useMemo(() => generator && openStudio(generator), [generator]);
  useEffect(() => {
    if (!generator || !studio) return;
    void keepUsedFiles(generator.backend);
    return () => studio.close();
  }, [generator, studio]);

  const state = useMemo((): GeneratorState => {
    if (broken) return { status: 'failed', problem: broken.problem };
    if (error) return { status: 'failed', problem: digitProblem(error) };
    return studio ? { status: 'ready', studio } : LOADING;
  }, [studio, error, broken]);

  const retry = useCallback(() => {
    setBroken(null);
    reload();
  }, [reload]);
  /** Records that a drawing failed in a way that leaves the generator unusable. */
  const fail = useCallback((error: unknown) => setBroken({ problem: digitProblem(error) }), []);
  return { state, retry, fail };
}
