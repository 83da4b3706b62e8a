/** The one thread of this isolate, which all local models share: a count of the work that waits for it, and slices of long work. */
import { GatewayError } from '../../http/errors.ts';

/** The most tokens of requests that may wait before a further one is refused: a second or two of MiniLM. */
const MAX_QUEUED = 4096;

/** Milliseconds after which work counts no more: the platform has ended its request, and its end was not seen. */
const FORGET_MS = 60_000;

/**
 * Tokens of MiniLM in one slice. Calls of one model run one after another, so a text that arrives beside a batch waits for one slice
 * of it: 128 tokens take 30 to 50 ms. All of a batch takes as long in such slices as in one call.
 */
export const SLICE_TOKENS = 128;

/** Multiply-adds of MiniLM for a token: 12 times the square of its width, six layers. */
const MINILM = 12 * 384 ** 2 * 6;

/** About how many tokens a text has: four letters of ASCII to a token, and a token for any other character. */
export function guessTokens(text: string, most = Number.POSITIVE_INFINITY): number {
  let other = 0;
  // A text far longer than the model reads needs no exact guess.
  const length = Math.min(text.length, most * 8);
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 127) other += 1;
  return Math.min(most, Math.ceil((length - other) / 4) + other + 2);
}

/** The tokens of one slice for a model of this size. */
export function sliceTokens(width: number, layers: number): number {
  if (layers === 0) return 8192;
  const cost = 12 * width ** 2 * layers;
  return Math.max(32, Math.min(1024, Math.round((SLICE_TOKENS * MINILM) / cost)));
}

/** Cuts texts into runs of at most `most` tokens together; a longer text is a run by itself. */
export function slices(tokens: readonly number[], most: number): { start: number; end: number; tokens: number }[] {
  const runs: { start: number; end: number; tokens: number }[] = [];
  let run: { start: number; end: number; tokens: number } | undefined;
  for (const [index, count] of tokens.entries()) {
    if (!run || run.tokens + count > most) {
      run = { start: index, end: index, tokens: 0 };
      runs.push(run);
    }
    run.end = index + 1;
    run.tokens += count;
  }
  return runs;
}

/** The work of one call, in slices. */
export interface Sliced<I> {
  /** The most tokens of one slice. */
  most: number;
  tokensOf(item: I): number;
  /** Whether a job asks: nobody waits for its answer, so it is neither refused nor counted. */
  job?: boolean | undefined;
}

/** Counts the tokens that wait for the thread, and keeps work alive whose client has left. */
export class Compute {
  readonly #hold: (promise: Promise<unknown>) => void;
  readonly #observe: (queuedTokens: number) => void;
  /** The tokens of each call that are not computed yet, the oldest call first. */
  readonly #calls = new Set<{ tokens: number; at: number }>();

  constructor(hold: (promise: Promise<unknown>) => void, observe: (queuedTokens: number) => void = () => {}) {
    this.#hold = hold;
    this.#observe = observe;
  }

  /** The tokens of all calls but the oldest, which is being computed. */
  get queuedTokens(): number {
    const old = Date.now() - FORGET_MS;
    for (const call of this.#calls) if (call.at < old) this.#calls.delete(call);
    const [, ...waiting] = this.#calls;
    return waiting.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /**
   * Runs work of so many tokens in one slice.
   * @throws {GatewayError} `overloaded`
   */
  async run<T>(tokens: number, work: () => Promise<T>, job = false): Promise<T> {
    const [result] = await this.each([tokens], { most: tokens, tokensOf: (count) => count, job }, work);
    return result as T;
  }

  /**
   * Runs items in slices and gives the results of each slice in their order.
   * @throws {GatewayError} `overloaded` where so much waits that a new request would have to wait for seconds
   */
  async each<I, T>(
    items: readonly I[],
    { most, tokensOf, job = false }: Sliced<I>,
    work: (slice: I[]) => Promise<T>,
  ): Promise<T[]> {
    const tokens = items.map(tokensOf);
    const call = { tokens: tokens.reduce((sum, count) => sum + count, 0), at: Date.now() };
    if (!job) this.#admit(call);
    const results: T[] = [];
    try {
      for (const { start, end, tokens: count } of slices(tokens, most)) {
        // The package gives way to no other task within a quick slice, and the continuation of a promise runs before any task.
        if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
        const result = work(items.slice(start, end));
        // In a Worker, work ends with the request that began it, and the calls behind it would wait for an end that never comes.
        this.#hold(result.catch(() => {}));
        results.push(await result);
        call.tokens -= count;
        call.at = Date.now();
      }
      return results;
    } finally {
      if (this.#calls.delete(call)) this.#observe(this.queuedTokens);
    }
  }

  #admit(call: { tokens: number; at: number }): void {
    const queued = this.queuedTokens;
    // Also where the call is refused: that is when the gauge matters.
    this.#observe(queued);
    if (queued > MAX_QUEUED) {
      throw new GatewayError('overloaded', 'Too many requests wait for this model; try again in a second.', {
        headers: { 'retry-after': '1' },
      });
    }
    this.#calls.add(call);
  }
}
