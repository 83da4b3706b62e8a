import { quantileOf } from './statistics.js';
import { type Columns, inColumns } from './vector-head.js';

/** The share of the texts of a fit that the gate keeps out. */
export const OUTSIDE = 0.015;

/** The number of nearest examples that count. */
const NEAREST = 5;

/** The most examples that are kept. */
const MAX_EXAMPLES = 500;

/** Whether a vector is near to examples: the distance is 1 minus the mean cosine of the nearest five. */
export class NearestGate {
  readonly #columns: Columns;
  /** Normalized rows. */
  readonly #examples: Float32Array;
  readonly limit: number;

  constructor(columns: Columns, examples: Float32Array, limit: number) {
    this.#columns = columns;
    this.#examples = examples;
    this.limit = limit;
  }

  /** Keeps examples of a fit, evenly taken, and finds the distance at which `OUTSIDE` of them are from the others. */
  static of(columns: Columns, rows: readonly ArrayLike<number>[]): NearestGate {
    const step = Math.max(1, rows.length / MAX_EXAMPLES);
    const kept = Array.from(
      { length: Math.min(rows.length, MAX_EXAMPLES) },
      (_, i) => rows[Math.floor(i * step)] ?? [],
    );
    const examples = normalized(inColumns(kept, columns), columns.mean.length);
    const open = new NearestGate(columns, examples, Number.POSITIVE_INFINITY);
    const distances = kept.map((_, i) => open.#distance(examples.subarray(i * open.#width, (i + 1) * open.#width), i));
    return new NearestGate(columns, examples, quantileOf(distances, 1 - OUTSIDE));
  }

  get #width(): number {
    return this.#columns.mean.length;
  }

  get examples(): Float32Array {
    return this.#examples;
  }

  distance(row: ArrayLike<number>): number {
    return this.#distance(normalized(inColumns([row], this.#columns), this.#width), -1);
  }

  /** `except` is the index of an example that does not count. */
  #distance(vector: Float32Array, except: number): number {
    const width = this.#width;
    const nearest: number[] = [];
    for (let i = 0; i * width < this.#examples.length; i += 1) {
      if (i === except) continue;
      let dot = 0;
      for (let j = 0; j < width; j += 1) dot += (vector[j] ?? 0) * (this.#examples[i * width + j] ?? 0);
      nearest.push(dot);
      nearest.sort((a, b) => b - a);
      nearest.length = Math.min(nearest.length, NEAREST);
    }
    return 1 - nearest.reduce((sum, cosine) => sum + cosine, 0) / nearest.length;
  }
}

/** Divides each row of `width` values by its length. */
function normalized(rows: Float32Array, width: number): Float32Array {
  for (let at = 0; at < rows.length; at += width) {
    const row = rows.subarray(at, at + width);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let i = 0; i < width; i += 1) row[i] = (row[i] ?? 0) / length;
  }
  return rows;
}
