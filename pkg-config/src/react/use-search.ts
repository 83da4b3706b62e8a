import { useCallback, useEffect, useMemo, useState } from 'react';
import type {
  Embeddings,
  EmbedOptions,
  ImageTextEmbedder,
  SearchHit,
  TextEmbedder,
  VectorIndex,
} from '../../types/index.js';
import type * as Api from '../../types/react.js';
import { keyOf } from './key.js';

type Vectors = Pick<Embeddings, 'data' | 'dims'>;
type Embedder<E extends Vectors> =
  | Pick<TextEmbedder, 'embed'>
  | Pick<ImageTextEmbedder, 'embedTexts'>
  | Api.EmbedText<E>;

/** The vector of a text, or the error of its embedding. */
interface Answer<E> {
  text: string;
  prompt: string | undefined;
  embedder: unknown;
  attempt: number;
  query?: E;
  error?: Error;
}

const NONE: SearchHit[] = [];

/** Embeds a text a moment after it was last changed, and searches an index. */
export function useSearch<E extends Vectors = Embeddings>(
  embedder: Embedder<E> | null | undefined,
  index: VectorIndex | null | undefined,
  text: string,
  { k = 10, prompt, delay = 120, filter, exact, candidates }: Api.UseSearchOptions = {},
): Api.Search<E> {
  const [answer, setAnswer] = useState<Answer<E>>();
  const [attempt, setAttempt] = useState(0);
  const wanted = text.trim();

  useEffect(() => {
    if (!embedder || !wanted) {
      setAnswer(undefined);
      return;
    }
    const controller = new AbortController();
    const answered = (what: { query: E } | { error: Error }) => {
      if (!controller.signal.aborted) setAnswer({ text: wanted, prompt, embedder, attempt, ...what });
    };
    const timer = setTimeout(() => {
      embed(embedder, wanted, prompt, controller.signal).then(
        (query) => answered({ query }),
        (error: unknown) => answered({ error: asError(error) }),
      );
    }, delay);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [embedder, wanted, prompt, delay, attempt]);

  // A vector of another embedder cannot be compared with those of the index.
  const known = wanted !== '' && answer?.embedder === embedder ? answer : undefined;
  const filterKey = keyOf(filter);
  // Filters are compared by value, and the answer to another attempt is a new one.
  const found = useMemo((): { hits: SearchHit[]; error?: Error } => {
    if (!known?.query || !index) return { hits: NONE };
    try {
      const options = { ...(filter && { filter }), ...(exact && { exact }), ...(candidates && { candidates }) };
      return { hits: index.search(known.query, k, options) };
    } catch (error) {
      return { hits: NONE, error: asError(error) };
    }
  }, [known, index, k, filterKey, exact, candidates]);

  const retry = useCallback(() => setAttempt((n) => n + 1), []);
  const isNow = known?.text === wanted && known.prompt === prompt && known.attempt === attempt;
  const error = known?.error ?? found.error;
  const status = !wanted ? 'idle' : !isNow || index === undefined ? 'loading' : error ? 'failed' : 'ready';
  return {
    status,
    progress: undefined,
    error: status === 'failed' ? error : undefined,
    retry,
    hits: found.hits,
    text: known?.text,
    query: known?.query,
  };
}

async function embed<E extends Vectors>(
  embedder: Embedder<E>,
  text: string,
  prompt: string | undefined,
  signal: AbortSignal,
): Promise<E> {
  const options: EmbedOptions & { prompt?: string } = { signal, ...(prompt !== undefined && { prompt }) };
  if (typeof embedder === 'function') return embedder(text, options);
  // Both give `Embeddings`, which E is for them.
  const embeddings = 'embed' in embedder ? embedder.embed(text, options) : embedder.embedTexts(text, options);
  return (await embeddings) as unknown as E;
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
