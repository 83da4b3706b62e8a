import type { Embeddings, TextEmbedder } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';

/** The part of an embedder that the adapters call. */
export type Embedder = Pick<TextEmbedder, 'embed'>;

/** The options of a call of an embedder, without those that were not given. */
export function embedOptions({
  prompt,
  dimensions,
  signal,
}: {
  prompt?: string | undefined;
  dimensions?: number | undefined;
  signal?: AbortSignal | undefined;
}): { prompt?: string; dimensions?: number; signal?: AbortSignal } {
  return {
    ...(prompt !== undefined && { prompt }),
    ...(dimensions !== undefined && { dimensions }),
    ...(signal && { signal }),
  };
}

/** Returns `embedder` after a check that it is one. */
export function checkEmbedder(embedder: Embedder): Embedder {
  if (typeof Object(embedder).embed === 'function') return embedder;
  throw new PilotlightError('INVALID_INPUT', `embedder: expected a loaded TextEmbedder, got ${shown(embedder)}`);
}

/** The vectors as arrays of numbers, the form in which the libraries store them. */
export function rowsOf({ data, dims: [rows, width] }: Pick<Embeddings, 'data' | 'dims'>): number[][] {
  return Array.from({ length: rows }, (_, row) => Array.from(data.subarray(row * width, (row + 1) * width)));
}
