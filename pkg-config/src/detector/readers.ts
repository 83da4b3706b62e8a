import type { DetectorDecoder, Likelihoods } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { featuresOf, type Tokens } from './features.js';
import type { Span } from './sentences.js';
import { type Window, windowsOf } from './windows.js';

/** The most tokens of a window that a model reads; English windows have about 220. */
const MAX_TOKENS = 400;

/** Windows that are given to a model at once. */
const BATCH = 16;

/** The options of one call of a model. */
export interface Reading {
  signal?: AbortSignal | undefined;
  /** Called with the number of windows that were read, and the number of all. */
  onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** A window with the likelihoods of its tokens; `starts` are indices of the window's text. */
interface Piece {
  window: Window;
  tokens: Likelihoods;
}

/** The likelihoods of a text. */
export class LikelihoodReading {
  readonly #pieces: readonly Piece[];
  /** The number of tokens, those that two windows have counted once. */
  readonly tokens: number;
  /** Whether the model left out tokens of a window. */
  readonly isCut: boolean;
  /** The statistics of the text; `undefined` where it has no tokens. */
  readonly features: Float64Array | undefined;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.tokens = pieces.reduce((sum, { window, tokens }) => sum + countFrom(tokens.starts, window), 0);
    this.isCut = pieces.some(({ tokens }) => tokens.truncated);
    this.features = this.without(undefined);
  }

  /**
   * The statistics without the tokens of a sentence; `undefined` where none are left. Those of several windows are averaged, because
   * a statistic such as a curvature grows with the number of tokens; a window counts by the tokens that no window before has.
   */
  without(sentence: Span | undefined): Float64Array | undefined {
    let weights = 0;
    let sums: Float64Array | undefined;
    for (const { window, tokens } of this.#pieces) {
      const kept = sentence ? others(tokens, window, sentence) : tokens;
      const weight = countFrom(kept.starts, window);
      if (weight === 0) continue;
      const own = featuresOf(kept);
      weights += weight;
      sums = own.map((value, i) => value * weight + (sums?.[i] ?? 0));
    }
    return sums?.map((sum) => sum / weights);
  }
}

/** The number of tokens that begin where no window before has been. */
const countFrom = (starts: Uint32Array, { start, fresh }: Window): number =>
  starts.reduce((count, at) => count + Number(start + at >= fresh), 0);

/** The tokens of a window that are not of a sentence. A word's token begins with the space before it, which is in no sentence. */
function others(tokens: Likelihoods, window: Window, { start, end }: Span): Tokens & { starts: Uint32Array } {
  const keep = (_: number, i: number): boolean => {
    const at = window.start + (tokens.starts[i] ?? 0);
    return at < start - 1 || at >= end;
  };
  return {
    starts: tokens.starts.filter(keep),
    logProbabilities: tokens.logProbabilities.filter(keep),
    entropies: tokens.entropies.filter(keep),
    variances: tokens.variances.filter(keep),
    ranks: tokens.ranks.filter(keep),
  };
}

/** The windows of texts, each with the index of its text. */
function cut(texts: readonly string[]): { text: number; part: string; window: Window }[] {
  return texts.flatMap((one, text) =>
    windowsOf(one).windows.map((window) => ({ text, part: one.slice(window.start, window.end), window })),
  );
}

/** Reads the likelihoods of normalized texts. */
export async function readLikelihoods(
  decoder: Pick<DetectorDecoder, 'likelihoods'>,
  texts: readonly string[],
  { signal, onProgress }: Reading,
): Promise<LikelihoodReading[]> {
  if (!decoder.likelihoods) throw wrong('likelihoods', 'a function', 'none');
  const windows = cut(texts);
  const pieces: Piece[][] = texts.map(() => []);
  for (let first = 0; first < windows.length; first += BATCH) {
    const batch = windows.slice(first, first + BATCH);
    const parts = batch.map(({ part }) => part);
    const answers = await decoder.likelihoods(parts, { maxTokens: MAX_TOKENS, ...(signal && { signal }) });
    if (answers?.length !== batch.length)
      throw wrong('likelihoods', `${batch.length} answers`, `${answers?.length ?? 'none'}`);
    for (const [i, { text, window }] of batch.entries()) {
      const tokens = answers[i];
      if (!tokens || tokens.ranks?.length !== tokens.starts?.length)
        throw wrong('likelihoods', 'as many ranks as starts', `${tokens?.ranks?.length} and ${tokens?.starts?.length}`);
      pieces[text]?.push({ window, tokens });
    }
    onProgress?.(Math.min(first + BATCH, windows.length), windows.length);
  }
  return pieces.map((list) => new LikelihoodReading(list));
}

/** The mean hidden state of a text, and the number of its tokens. */
export interface HiddenReading {
  tokens: number;
  /** Whether the model left out tokens of a window. */
  isCut: boolean;
  vector: Float32Array | undefined;
}

/** Reads the pooled hidden states of normalized texts; those of several windows are averaged like statistics. */
export async function readHidden(
  decoder: Pick<DetectorDecoder, 'hiddenStates'>,
  texts: readonly string[],
  { layer, pool }: { layer?: number | undefined; pool: 'mean' | 'last' },
  { signal, onProgress }: Reading,
): Promise<HiddenReading[]> {
  if (!decoder.hiddenStates) throw wrong('hiddenStates', 'a function', 'none');
  const windows = cut(texts);
  const sums = texts.map(() => ({ weights: 0, tokens: 0, isCut: false, sum: undefined as Float64Array | undefined }));
  for (let first = 0; first < windows.length; first += BATCH) {
    const batch = windows.slice(first, first + BATCH);
    const parts = batch.map(({ part }) => part);
    const options = { pool, ...(layer !== undefined && { layer }), ...(signal && { signal }) };
    const { data, dims, tokens, truncated } = await decoder.hiddenStates(parts, options);
    const width = dims?.at(-1) ?? 0;
    if (!width || data?.length !== width * batch.length)
      throw wrong('hiddenStates', `${batch.length} vectors`, `${data?.length ?? 'no'} values`);
    for (const [i, { text, window }] of batch.entries()) {
      const own = sums[text];
      if (!own) continue;
      const weight = (window.end - Math.max(window.fresh, window.start)) / (window.end - window.start);
      const row = data.subarray(i * width, (i + 1) * width);
      own.sum = Float64Array.from(row, (value, at) => value * weight + (own.sum?.[at] ?? 0));
      own.weights += weight;
      own.tokens += (tokens[i] ?? 0) * weight;
      own.isCut ||= truncated?.[i] ?? false;
    }
    onProgress?.(Math.min(first + BATCH, windows.length), windows.length);
  }
  return sums.map(({ weights, tokens, isCut, sum }) => ({
    tokens: Math.round(tokens),
    isCut,
    vector: sum && Float32Array.from(sum, (value) => value / weights),
  }));
}

const wrong = (method: string, expected: string, got: string): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `decoder.${method}: expected ${expected}, got ${got}`);
