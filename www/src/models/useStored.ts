import { useCallback, useEffect, useState } from 'react';
import { readStore, type Stored, useStoreChanges } from './stored';

/** The interval at which the store is read during a download, whose row grows meanwhile. */
const EVERY_MS = 1000;

export interface StoredState {
  /** The last reading; null before the first. */
  stored: Stored | null;
  error: unknown;
  reread: () => void;
}

/** The content of the store, which is read again whenever it may have changed, as long as the page is shown. */
export function useStored(shown: boolean, loading: boolean): StoredState {
  const changes = useStoreChanges();
  const [asked, setAsked] = useState(0);
  const [state, setState] = useState<{ stored: Stored | null; error: unknown }>({ stored: null, error: null });

  // biome-ignore lint/correctness/useExhaustiveDependencies: `changes` and `asked` are what tells that the store has to be read again
  useEffect(() => {
    if (!shown) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      try {
        const stored = await readStore();
        if (!over) setState({ stored, error: null });
      } catch (error) {
        if (!over) setState((last) => ({ ...last, error }));
      }
      if (!over && loading) timer = setTimeout(read, EVERY_MS);
    };
    void read();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [shown, loading, changes, asked]);

  return { ...state, reread: useCallback(() => setAsked((n) => n + 1), []) };
}
