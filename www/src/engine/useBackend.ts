import type { BackendReport } from 'pilotlight';
import { useCallback, useSyncExternalStore } from 'react';

/** Milliseconds between two looks at what a model runs on. */
const LOOK_MS = 1000;

/** The report of what a model runs on. It is another one once the GPU has failed, of which no event tells. */
export function useBackend(model: { readonly backend: BackendReport }): BackendReport {
  return useSyncExternalStore(
    watch,
    useCallback(() => model.backend, [model]),
  );
}

function watch(look: () => void) {
  const timer = setInterval(look, LOOK_MS);
  return () => clearInterval(timer);
}
