import { useEffect, useMemo } from 'react';
import type { Library, LibraryImage, Scored } from './library';

/** The result of a search of the index. */
export interface Nearest {
  /** The found images, the best first. */
  scored: readonly Scored[];
  /** The milliseconds that the search took. */
  ms: number;
}

/**
 * Finds the images nearest to a vector or an image, and finds them anew as images come and go.
 * It is null without a query, and if the index has trapped: `onFail` is called then.
 */
export function useNearest(
  library: Library | null,
  images: readonly LibraryImage[],
  wanted: Float32Array | LibraryImage | null,
  most: number,
  onFail: (error: unknown) => void,
): Nearest | null {
  // biome-ignore lint/correctness/useExhaustiveDependencies: `images` tells that the content of the library, which is mutable, has changed
  const answer = useMemo((): Nearest | { error: unknown } | null => {
    if (!library || !wanted) return null;
    const started = performance.now();
    try {
      return { scored: library.search(wanted, most), ms: performance.now() - started };
    } catch (error) {
      // An error that is thrown during a render would unmount the page.
      return { error };
    }
  }, [library, images, wanted, most]);

  useEffect(() => {
    if (answer && 'error' in answer) onFail(answer.error);
  }, [answer, onFail]);

  return answer && 'scored' in answer ? answer : null;
}
