import type { LoadPlan } from 'pilotlight';

/** The plan of a load that waits for the visitor's answer. */
export interface Question {
  plan: LoadPlan;
  /** Ends the wait; false cancels the load. */
  answer: (yes: boolean) => void;
}

let question: Question | null = null;
const listeners = new Set<() => void>();

function become(next: Question | null) {
  question = next;
  for (const listener of listeners) listener();
}

/** The question whether a model may be fetched, a store for `useSyncExternalStore`. */
export const consent = {
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },

  question: () => question,

  /** Shows a plan, and waits for the answer to it; false if the load is cancelled. */
  ask(plan: LoadPlan, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const mine: Question = {
        plan,
        answer(yes) {
          if (question === mine) become(null);
          resolve(yes);
        },
      };
      signal?.addEventListener('abort', () => mine.answer(false));
      become(mine);
    });
  },
};
