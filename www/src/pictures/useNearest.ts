import { useEffect, useMemo } from 'react';
import type { Library, Picture, Scored } from './library';

export interface Nearest {
  /** The best first. */
  scored: readonly Scored[];
  /** Milliseconds of the search. */
  ms: number;
}

/** What is nearest to a vector or a picture, as pictures come and go. Null where nothing is wanted, and where the index is lost, of which `onFail` hears. */
export function useNearest(
  library: Library | null,
  pictures: readonly Picture[],
  wanted: Float32Array | Picture | null,
  most: number,
  onFail: (error: unknown) => void,
): Nearest | null {
  const answer = useMemo((): Nearest | { error: unknown } | null => {
    if (!library || !wanted) return null;
    const started = performance.now();
    try {
      return { scored: library.search(wanted, most), ms: performance.now() - started };
    } catch (error) {
      // Thrown while the page is drawn, it would take the page away.
      return { error };
    }
  }, [library, pictures, wanted, most]);

  useEffect(() => {
    if (answer && 'error' in answer) onFail(answer.error);
  }, [answer, onFail]);

  return answer && 'scored' in answer ? answer : null;
}
