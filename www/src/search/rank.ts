import type { Embedded } from '../sentences/useSentences';

/** A sentence with the values that the list and the map show. */
export interface Entry {
  /** The position of the sentence in the visitor's list, which changes only when the list is edited. */
  id: number;
  text: string;
  embedded: Embedded | null;
  /** Cosine with the query, -1 to 1; null without a query. */
  score: number | null;
}

/** The cosine of two vectors of length 1, which is their inner product. */
function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** Pairs each sentence with its vector and score; the nearest come first when there is a query, else the order stays. */
export function rank(
  texts: readonly string[],
  vectors: ReadonlyMap<string, Embedded>,
  query: Float32Array | null,
): Entry[] {
  const entries = texts.map((text, id): Entry => {
    const embedded = vectors.get(text) ?? null;
    const comparable = query && embedded && embedded.vector.length === query.length;
    return { id, text, embedded, score: comparable ? cosine(embedded.vector, query) : null };
  });
  return query ? entries.sort((a, b) => (b.score ?? -2) - (a.score ?? -2) || a.id - b.id) : entries;
}
