import type { ImageTextEmbedder } from 'pilotlight';
import { useEffect, useMemo, useState } from 'react';
import type { Library, LibraryImage, Scored } from './library';
import { useNearest } from './useNearest';

/** The query of a search: a text that images are to fit, or an image that they are to resemble. */
export type Wanted = { text: string } | { like: LibraryImage };

interface Query {
  library: Library;
  wanted: Wanted;
  nearestTo: Float32Array | LibraryImage;
  /** The milliseconds that the model took for the text; 0 where similar images are searched for. */
  ms: number;
}

/** The result of a search. */
export interface Found {
  wanted: Wanted;
  /** All images, the best first. */
  scored: readonly Scored[];
  /** The milliseconds that the model took for the text. */
  wordsMs: number;
  /** The milliseconds that the search of the index took. */
  searchMs: number;
}

const PAUSE_MS = 120;

/** Searches a moment after the last keystroke, and anew when images come. The last result stays until the next one is there. */
export function useImageSearch(
  library: Library | null,
  images: readonly LibraryImage[],
  embedder: ImageTextEmbedder | null,
  wanted: Wanted,
  onFail: (error: unknown) => void,
): Found | null {
  const [query, setQuery] = useState<Query | null>(null);
  const text = 'text' in wanted ? wanted.text.trim() : '';
  const like = 'like' in wanted ? wanted.like : null;

  useEffect(() => {
    if (library && like) return setQuery({ library, wanted: { like }, nearestTo: like, ms: 0 });
    if (!library || !embedder || !text) return setQuery(null);
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(async () => {
      try {
        const started = performance.now();
        const { data } = await embedder.embedTexts(text, { signal });
        if (!signal.aborted)
          setQuery({ library, wanted: { text }, nearestTo: Float32Array.from(data), ms: performance.now() - started });
      } catch (error) {
        if (!signal.aborted) onFail(error);
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [library, embedder, text, like, onFail]);

  const nearest = useNearest(
    query?.library === library ? library : null,
    images,
    query?.nearestTo ?? null,
    images.length,
    onFail,
  );
  return useMemo(
    () => query && nearest && { wanted: query.wanted, scored: nearest.scored, wordsMs: query.ms, searchMs: nearest.ms },
    [query, nearest],
  );
}
