import type * as Api from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { floatsOf, tagOf } from './foreign.js';

/** A lone surrogate. UTF-8 would replace it by another character, so that two ids could become one. */
const LONE = /\p{Surrogate}/u;

/** Checks that `ids` is an array of strings and safe integers. */
export function checkIds(ids: unknown): readonly Api.VectorId[] {
  if (!Array.isArray(ids)) throw wrong('ids', 'an array of strings and integers', ids);
  for (let i = 0; i < ids.length; i += 1) checkId(`ids[${i}]`, ids[i]);
  return ids;
}

export function checkId(name: string, id: unknown): Api.VectorId {
  if (Number.isSafeInteger(id)) return id as number;
  if (typeof id !== 'string') throw wrong(name, 'a string or a safe integer', id);
  if (LONE.test(id))
    throw new PilotlightError('INVALID_INPUT', `${name}: expected text, got half of a surrogate pair in it`);
  return id;
}

/** Checks tags: one list for all rows, or a list for each. */
export function checkTags(tags: unknown): unknown {
  if (tags === undefined || tags === null || Array.isArray(tags)) return tags ?? undefined;
  throw wrong('tags', 'an array of strings, or one for each id', tags);
}

/** Brings vectors into one array, row by row. */
export function toFloats(vectors: unknown, rows: number, dimensions: number): Float32Array {
  const floats = floatsOf(vectors);
  if (floats) {
    if (floats.length === rows * dimensions) return floats;
    throw new PilotlightError(
      'INVALID_INPUT',
      `vectors: expected ${rows} x ${dimensions} values for ${rows} ids, got ${floats.length}`,
    );
  }
  if (isEmbeddings(vectors)) return ofEmbeddings('vectors', vectors, rows, dimensions);
  if (!Array.isArray(vectors)) throw wrong('vectors', 'a Float32Array, an array of vectors or Embeddings', vectors);
  if (vectors.length !== rows)
    throw new PilotlightError('INVALID_INPUT', `vectors: expected ${rows}, one for each id, got ${vectors.length}`);
  let all: Float32Array;
  try {
    all = new Float32Array(rows * dimensions);
  } catch (error) {
    throw new PilotlightError('RESOURCE_LIMIT', `there is no memory for ${rows} x ${dimensions} values`, error);
  }
  vectors.forEach((vector: unknown, i) => {
    all.set(toVector(`vectors[${i}]`, vector, dimensions), i * dimensions);
  });
  return all;
}

/** Brings a query into one vector. */
export function toQuery(query: unknown, dimensions: number): Float32Array {
  if (isEmbeddings(query)) return ofEmbeddings('query', query, 1, dimensions);
  const vector = toVector('query', query, dimensions);
  return floatsOf(vector) ?? new Float32Array(vector);
}

export function toWhole(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new PilotlightError(
    'INVALID_INPUT',
    `${name}: expected a whole number from 1, got ${typeof value === 'number' ? value : typeof value}`,
  );
}

function toVector(name: string, value: unknown, dimensions: number): ArrayLike<number> {
  if (!Array.isArray(value) && !TYPED.has(tagOf(value))) {
    throw wrong(name, 'a Float32Array or an array of numbers', value);
  }
  const vector = value as ArrayLike<number>;
  if (vector.length !== dimensions)
    throw new PilotlightError('INVALID_INPUT', `${name}: expected ${dimensions} values, got ${vector.length}`);
  if (Array.isArray(vector)) {
    for (let i = 0; i < dimensions; i += 1) {
      // Without this check null and '' would become zeros.
      if (typeof vector[i] !== 'number') throw wrong(`${name}[${i}]`, 'a number', vector[i]);
    }
  }
  return vector;
}

const TYPED = new Set(['Float32Array', 'Float64Array']);

function isEmbeddings(value: unknown): value is Api.Embeddings {
  return typeof value === 'object' && value !== null && 'data' in value && 'dims' in value && Array.isArray(value.dims);
}

function ofEmbeddings(
  name: string,
  { data, dims }: Pick<Api.Embeddings, 'data' | 'dims'>,
  rows: number,
  dimensions: number,
): Float32Array {
  const floats = floatsOf(data);
  if (!floats) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: expected embeddings of precision 'float32', from which the index makes its own, got other ones`,
    );
  }
  if (dims[0] === rows && dims[1] === dimensions && floats.length === rows * dimensions) return floats;
  throw new PilotlightError(
    'INVALID_INPUT',
    `${name}: expected embeddings of ${rows} x ${dimensions}, got ${dims.join(' x ')}`,
  );
}

function wrong(name: string, expected: string, value: unknown): PilotlightError {
  const got =
    value === null
      ? 'null'
      : Array.isArray(value)
        ? 'an array'
        : typeof value === 'number'
          ? String(value)
          : typeof value;
  return new PilotlightError('INVALID_INPUT', `${name}: expected ${expected}, got ${got}`);
}
