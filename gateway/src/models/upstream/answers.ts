/** Reads answers of servers, which may be anything. Each function gives what was asked for, or `undefined`. */
import { floatsOf } from '../vectors.ts';

type Json = Record<string, unknown>;

export const objectOf = (value: unknown): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;

export const isProbability = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1;

/** A vector as a list of numbers, or as base64 of float32 in little-endian order. Every value is finite. */
export function vectorOf(value: unknown): Float32Array | undefined {
  if (typeof value === 'string') return floatsOf(value);
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'number')) return undefined;
  const vector = Float32Array.from(value);
  return vector.length > 0 && vector.every(Number.isFinite) ? vector : undefined;
}

/** Vectors of one length as rows. */
export function rowsOf(vectors: Float32Array[], dimensions: number | undefined): Float32Array | undefined {
  const width = dimensions ?? vectors[0]?.length ?? 0;
  if (width === 0 || vectors.some(({ length }) => length !== width)) return undefined;
  const rows = new Float32Array(vectors.length * width);
  for (const [index, vector] of vectors.entries()) rows.set(vector, index * width);
  return rows;
}

/** Items that name their place by `index`, in the order of their places: all of 0 to `count` - 1, each once. */
export function byIndex(list: unknown, count: number): Json[] | undefined {
  if (!Array.isArray(list) || list.length !== count) return undefined;
  const ordered: Json[] = [];
  for (const one of list) {
    const item = objectOf(one);
    const index = item?.index;
    if (!item || typeof index !== 'number' || !(index in list) || index in ordered) return undefined;
    ordered[index] = item;
  }
  return ordered;
}

/** All members as `read` has them, or `undefined` where one is not as it should be. */
export function eachOf<T>(list: unknown, read: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const all: T[] = [];
  for (const item of list) {
    const one = read(item);
    if (one === undefined) return undefined;
    all.push(one);
  }
  return all;
}

/** The tokens that an answer says it took; 0 where it does not say. */
export function tokensOf(json: unknown): number {
  const usage = objectOf(objectOf(json)?.usage);
  const tokens = usage?.prompt_tokens ?? usage?.total_tokens;
  return typeof tokens === 'number' && tokens >= 0 && Number.isFinite(tokens) ? Math.round(tokens) : 0;
}
