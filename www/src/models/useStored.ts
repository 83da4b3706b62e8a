import { useCallback, useEffect, useState } from 'react';
import { readStore, type Stored, useStoreChanges } from './stored';

/** While a download is under way its row grows. */
const EVERY_MS = 1000;

export interface StoredState {
  /** What was read last; null before that. */
  stored: Stored | null;
  error: unknown;
  reread: () => void;
}

/** What is stored, read anew when it may have changed, as long as the page is looked at. */
export function useStored(shown: boolean, loading: boolean): StoredState {
  const changes = useStoreChanges();
  const [asked, setAsked] = useState(0);
  const [state, setState] = useState<{ stored: Stored | null; error: unknown }>({ stored: null, error: null });

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
