import type { ClassifierHandle } from '#core/cpu.js';
import type { HeadOptions } from '../../types/index.js';
import { Caller } from '../calls/caller.js';
import { headOptions } from '../classifier/options.js';
import { decodeBase64 } from '../core/base64.js';
import type { CoreInstance } from '../core/instance.js';
import { PilotlightError } from '../error.js';

/** The means and the divisors by which columns are standardized; each example has one value in each column. */
export interface Columns {
  mean: number[];
  scale: number[];
}

/** The means and deviations of the columns of `[n, width]` values; a constant column is divided by 1. */
export function columnsOf(rows: readonly ArrayLike<number>[]): Columns {
  const width = rows[0]?.length ?? 0;
  const column = (i: number): number[] => rows.map((row) => row[i] ?? 0);
  const mean: number[] = [];
  const scale: number[] = [];
  for (let i = 0; i < width; i += 1) {
    const values = column(i);
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
    mean.push(middle);
    scale.push(Math.sqrt(squares / values.length) || 1);
  }
  return { mean, scale };
}

/** Puts rows one after the other, each value in deviations from the mean of its column. */
export function inColumns(rows: readonly ArrayLike<number>[], { mean, scale }: Columns): Float32Array {
  const width = mean.length;
  const all = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries())
    for (let i = 0; i < width; i += 1) all[at * width + i] = ((row[i] ?? 0) - (mean[i] ?? 0)) / (scale[i] ?? 1);
  return all;
}

/** The values before the probabilities of an answer of the core. */
const FIELDS = 4;

/** A probability of exactly 0 or 1 has no odds. */
const LEAST = 1e-12;

/** A head of `TextClassifier` on standardized columns, which tells machine from human. */
export class VectorHead {
  readonly columns: Columns;
  readonly #instance: CoreInstance;
  readonly #handle: ClassifierHandle;

  private constructor(instance: CoreInstance, handle: ClassifierHandle, columns: Columns) {
    this.#instance = instance;
    this.#handle = handle;
    this.columns = columns;
  }

  /** Fits a head to rows; `isMachine` has an entry for each. The rows are standardized by their own columns unless others are given. */
  static async fit(
    instance: CoreInstance,
    rows: readonly ArrayLike<number>[],
    isMachine: readonly boolean[],
    options: HeadOptions,
    { signal, columns = columnsOf(rows) }: { signal?: AbortSignal | undefined; columns?: Columns } = {},
  ): Promise<VectorHead> {
    const request = {
      ...headOptions(options),
      vectors: inColumns(rows, columns),
      dimensions: columns.mean.length,
      classes: Uint32Array.from(isMachine, Number),
      classCount: 2,
      normalize: false,
      ...(signal && { signal }),
    };
    const handle = await work(instance, ({ ClassifierHandle }, caller) => ClassifierHandle.fit({ ...request, caller }));
    return new VectorHead(instance, handle, columns);
  }

  /** Reads what `toJSON` wrote. */
  static async fromJSON(
    instance: CoreInstance,
    { head, columns }: { head: object; columns: Columns },
  ): Promise<VectorHead> {
    const handle = await instance.run(({ ClassifierHandle }) => ClassifierHandle.fromJSON({ classCount: 2, head }));
    if (handle.dimensions === undefined || handle.dimensions === columns.mean.length)
      return new VectorHead(instance, handle, columns);
    const got = `${columns.mean.length} columns`;
    await instance.run(() => handle.free());
    throw new PilotlightError(
      'INVALID_INPUT',
      `json: the head takes ${handle.dimensions} values, and there are ${got}`,
    );
  }

  /** The logarithm of the odds that each row is a machine's. */
  async scores(rows: readonly ArrayLike<number>[], signal?: AbortSignal): Promise<number[]> {
    const { columns } = this;
    const call = signal ? { signal } : {};
    const vectors = inColumns(rows, columns);
    const answers = await work(this.#instance, (_, caller) =>
      this.#handle.classify(vectors, columns.mean.length, { ...call, caller }),
    );
    return rows.map((_, i) => oddsOf(answers[i * (FIELDS + 2) + FIELDS + 1] ?? 0.5));
  }

  /** Platt's numbers: a score is `-(a · decision + b)`; `undefined` where the decision is calibrated otherwise. */
  get platt(): { a: number; b: number } | undefined {
    const calibrator = this.toJSON().head.members?.[0]?.calibrators?.[0];
    const { type, a = 0, b = 0 } = calibrator ?? {};
    return type === 'sigmoid' ? { a, b } : undefined;
  }

  /** The weights and the intercept of a linear head, whose sum is the same logarithm; `undefined` for another kind. */
  linear(): { weights: number[]; intercept: number } | undefined {
    const linear = this.toJSON().head.members?.[0]?.head;
    const weights = linear?.coefficients && numbersOf(linear.coefficients);
    const { platt } = this;
    if (!platt || !weights) return undefined;
    const { a, b } = platt;
    const intercept = -a * (linear?.intercepts?.[0] ?? 0) - b;
    return { weights: weights.map((weight) => -a * weight), intercept };
  }

  toJSON(): { head: CalibratedJson; columns: Columns } {
    const { head } = this.#instance.now(() => this.#handle.toJSON());
    return { head: head as CalibratedJson, columns: this.columns };
  }

  free(): void {
    void this.#instance.run(() => this.#handle.free()).catch(() => {});
  }
}

/** The part of a head's JSON that is read here; the core writes it. */
interface CalibratedJson {
  members?: {
    head: { coefficients?: Matrix; intercepts?: number[] };
    calibrators: { type: string; a?: number; b?: number }[];
  }[];
}

/** Numbers as base64 of their little-endian bytes. */
interface Matrix {
  f32?: string;
  f64?: string;
}

function numbersOf({ f32, f64 }: Matrix): number[] {
  if (f32 !== undefined) return Array.from(new Float32Array(decodeBase64(f32).buffer));
  return Array.from(new Float64Array(decodeBase64(f64 ?? '').buffer));
}

/** The logarithm of the odds of a probability. */
export const oddsOf = (probability: number): number => {
  const inside = Math.min(Math.max(probability, LEAST), 1 - LEAST);
  return Math.log(inside / (1 - inside));
};

/** Runs long work of a core for a caller; the core can check that the caller is still alive. */
async function work<T>(
  instance: CoreInstance,
  call: (glue: CoreInstance['glue'], caller: Caller) => Promise<T>,
): Promise<T> {
  const caller = new Caller();
  try {
    return await instance.run((glue) => call(glue, caller), caller);
  } finally {
    caller.end();
  }
}
