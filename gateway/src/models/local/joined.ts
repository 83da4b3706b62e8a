/** The results of slices as one. */
import type { Embeddings } from 'pilotlight';
import type { Vectors } from '../model.ts';

/** `width`: the values of a row, also where there is none. */
export function joined(parts: Embeddings[], width: number): Vectors {
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
