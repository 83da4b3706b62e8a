/** Vectors in answers: as lists of numbers, or as base64 of float32 in little-endian order. */
import * as v from 'valibot';
import { base64Of, fromBase64 } from '../bytes.ts';
import type { Vectors } from './model.ts';

export const embedding = v.object({
  object: v.literal('embedding'),
  index: v.number(),
  embedding: v.union([v.array(v.number()), v.string()]),
});

/** The rows as OpenAI's list of embeddings. */
export function embeddingsOf({ data, dims }: Vectors, encoding: 'float' | 'base64'): v.InferOutput<typeof embedding>[] {
  const [count, width] = dims;
  return Array.from({ length: count }, (_, index) => {
    const row = data.subarray(index * width, (index + 1) * width);
    return {
      object: 'embedding',
      index,
      embedding:
        encoding === 'float' ? Array.from(row) : base64Of(new Uint8Array(row.buffer, row.byteOffset, row.byteLength)),
    };
  });
}

/** The values of a vector in base64; undefined where it is none, or one of them is not finite. */
export function floatsOf(base64: string): Float32Array | undefined {
  const bytes = fromBase64(base64);
  if (!bytes || bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  const floats = new Float32Array(bytes.buffer);
  return floats.every(Number.isFinite) ? floats : undefined;
}

/** The vectors of several calls as those of one. `width`: the values of a vector, also where there is none. */
export function joinedVectors(parts: readonly Part[], width: number): Vectors {
  const [only] = parts;
  if (parts.length === 1 && only?.data instanceof Float32Array) return { ...only, data: only.data };
  const count = parts.reduce((sum, { dims }) => sum + dims[0], 0);
  const data = new Float32Array(count * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return {
    data,
    dims: [count, width],
    tokens: parts.flatMap(({ tokens }) => tokens),
    truncated: parts.flatMap(({ truncated }) => truncated),
  };
}

/** Vectors of one call. The package also has them as small integers. */
type Part = Omit<Vectors, 'data'> & { data: ArrayLike<number> };

/** The indices of the texts that were cut, for the header `x-truncated`; nothing where none was. */
export function truncatedHeader({ truncated }: Vectors): Record<string, string> {
  const cut = truncated.flatMap((one, index) => (one ? [index] : []));
  return cut.length > 0 ? { 'x-truncated': cut.join(',') } : {};
}
