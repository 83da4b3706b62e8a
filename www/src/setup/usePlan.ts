import { type LoadPlan, models } from 'pilotlight';
import { useEffect, useState } from 'react';
import { type Choice, isModelOf, optionsFor } from '../engine/choice';
import { useStoreChanges } from '../models/stored';

const PAUSE_MS = 500;

/** Returns the plan of loading a choice, computed a moment after its last change; null while it is unknown, and if it cannot be known. */
export function usePlan({ model, host, device, dtype, revision }: Choice): LoadPlan | null {
  const changes = useStoreChanges();
  const [plan, setPlan] = useState<LoadPlan | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `changes` tells that the store has changed, and with it the plan
  useEffect(() => {
    setPlan(null);
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(async () => {
      try {
        const choice = { model, host, device, dtype, ...(revision !== undefined && { revision }) };
        if (!navigator.onLine && !(await isStored(choice))) return;
        const answer = await models.plan(model.trim(), { ...optionsFor(choice), signal });
        if (!signal.aborted) setPlan(answer);
      } catch {
        // The load itself reports the error.
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [model, host, device, dtype, revision, changes]);

  return plan;
}

/** Whether a choice is stored whole: to plan its load needs no network then. */
async function isStored(choice: Choice): Promise<boolean> {
  return (await models.list()).some((stored) => stored.whole && isModelOf(choice, stored));
}
