import { useCallback, useSyncExternalStore } from 'react';
import { keyOf } from './key.js';
import { IDLE, LOADING, type Open, Shared, type State } from './shared.js';

/** The state of a loaded object, from which each hook makes its result; there the value has the hook's own name. */
export type Loaded<T> = State<T> & { retry: () => void };

/**
 * Shares the object that `open` loads with all components that give the same kind and arguments; without arguments there is none. Nothing
 * happens before the component is mounted, unless it suspends.
 */
export function useShared<T extends { dispose(): void }>(
  kind: string,
  given: readonly unknown[] | undefined,
  open: Open<T>,
  suspense = false,
): Loaded<T> {
  const key = given && `${kind}${keyOf(given)}`;
  // For the same key, one `open` is as good as another.
  const subscribe = useCallback(
    (listener: () => void) => (key === undefined ? () => {} : Shared.of(key, open).use(listener)),
    [key],
  );
  const now = (): State<T> => (key === undefined ? IDLE : (Shared.find<T>(key)?.state ?? LOADING));
  const state = useSyncExternalStore(subscribe, now, () => onServer(key, suspense));
  const retry = useCallback(() => {
    if (key !== undefined) Shared.find(key)?.retry();
  }, [key]);

  if (suspense && key !== undefined) {
    const shared = Shared.of(key, open);
    if (shared.state.status === 'failed') throw shared.state.error;
    if (shared.state.status === 'loading') throw shared.settled;
    return { ...shared.state, retry };
  }
  return { ...state, retry };
}

function onServer(key: string | undefined, suspense: boolean): State<never> {
  if (key === undefined) return IDLE;
  // After an error in a Suspense boundary, React's server leaves the component to the browser.
  if (suspense)
    throw new Error('Pilotlight loads nothing on a server: the fallback is rendered, and the browser goes on');
  return LOADING;
}
