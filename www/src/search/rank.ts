import type { Embedded } from '../sentences/useSentences';

/** A sentence as the list and the map show it. */
export interface Entry {
  /** Its place in the visitor's list; stable while the list is. */
  id: number;
  text: string;
  embedded: Embedded | null;
  /** Cosine with the query, -1 to 1; null without a query. */
  score: number | null;
}

/** Vectors have length 1, so the product is the cosine. */
function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** The list in its own order, or nearest first when there is a query. */
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
