/** Vectors in answers: as lists of numbers, or as base64 of float32 in little-endian order. */
import * as v from 'valibot';
import type { Vectors } from './model.ts';

interface WithBase64 {
  toBase64?(): string;
}

/** Base64 of bytes. */
export function base64Of(bytes: Uint8Array): string {
  const own = (bytes as WithBase64).toBase64;
  if (own) return own.call(bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

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

/** The indices of the texts that were cut, for the header `x-truncated`; nothing where none was. */
export function truncatedHeader({ truncated }: Vectors): Record<string, string> {
  const cut = truncated.flatMap((one, index) => (one ? [index] : []));
  return cut.length > 0 ? { 'x-truncated': cut.join(',') } : {};
}
