import type { ImageTextEmbedder } from 'pilotlight';
import { useEffect, useMemo, useState } from 'react';
import type { Library, Picture, Scored } from './library';
import { useNearest } from './useNearest';

/** What is searched for: words, or what looks like a picture. */
export type Wanted = { text: string } | { like: Picture };

interface Query {
  library: Library;
  wanted: Wanted;
  nearestTo: Float32Array | Picture;
  /** That the words took the model; 0 where a picture is searched for. */
  ms: number;
}

export interface Found {
  wanted: Wanted;
  /** All pictures, the best first. */
  scored: readonly Scored[];
  /** Milliseconds of the words through the model, and of the search itself. */
  wordsMs: number;
  searchMs: number;
}

const PAUSE_MS = 120;

/** Searches a moment after the last keystroke, and again when pictures come. The last answer stays until the next one is there. */
export function usePictureSearch(
  library: Library | null,
  pictures: readonly Picture[],
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
    pictures,
    query?.nearestTo ?? null,
    pictures.length,
    onFail,
  );
  return useMemo(
    () => query && nearest && { wanted: query.wanted, scored: nearest.scored, wordsMs: query.ms, searchMs: nearest.ms },
    [query, nearest],
  );
}
