import { type LoadPlan, models } from 'pilotlight';
import { useEffect, useState } from 'react';
import { type Choice, isModelOf, optionsFor } from '../engine/choice';
import { useStoreChanges } from '../models/stored';

const PAUSE_MS = 500;

/** What loading would take, a moment after the last change; null while that is not known, also where it cannot be. */
export function usePlan({ model, host, device, dtype, revision }: Choice): LoadPlan | null {
  const changes = useStoreChanges();
  const [plan, setPlan] = useState<LoadPlan | null>(null);

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
        // The load itself will say what is wrong.
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [model, host, device, dtype, revision, changes]);

  return plan;
}

/** Then planning asks nobody. */
async function isStored(choice: Choice): Promise<boolean> {
  return (await models.list()).some((stored) => stored.whole && isModelOf(choice, stored));
}
