/** The one thread of this isolate, which all local models share: a count of the work that waits for it, and slices of long work. */
import { GatewayError } from '../../http/errors.ts';

/** The most tokens that may wait before a request is refused: a second or two of MiniLM. */
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

/** Counts the tokens that wait for the thread, and keeps work alive whose client has left. */
export class Compute {
  readonly #hold: (promise: Promise<unknown>) => void;
  readonly #waiting = new Set<{ tokens: number; at: number }>();

  constructor(hold: (promise: Promise<unknown>) => void) {
    this.#hold = hold;
  }

  get queuedTokens(): number {
    const old = Date.now() - FORGET_MS;
    let sum = 0;
    for (const one of this.#waiting) {
      if (one.at < old) this.#waiting.delete(one);
      else sum += one.tokens;
    }
    return sum;
  }

  /** @throws {GatewayError} `overloaded` where so much waits that a new request would have to wait for seconds */
  admit(): void {
    if (this.queuedTokens <= MAX_QUEUED) return;
    throw new GatewayError('overloaded', 'Too many requests wait for this model; try again in a second.', {
      headers: { 'retry-after': '1' },
    });
  }

  /** Runs one slice. */
  async run<T>(tokens: number, work: () => Promise<T>): Promise<T> {
    const waiting = { tokens, at: Date.now() };
    this.#waiting.add(waiting);
    try {
      const result = work();
      // In a Worker, work ends with the request that began it, and the calls behind it would wait for an end that never comes.
      this.#hold(result.catch(() => {}));
      return await result;
    } finally {
      this.#waiting.delete(waiting);
    }
  }

  /** Runs texts in slices and gives the results of each in their order. */
  async each<T>(
    texts: readonly string[],
    { most, maxTokens }: { most: number; maxTokens: number },
    work: (slice: string[]) => Promise<T>,
  ): Promise<T[]> {
    const results: T[] = [];
    const tokens = texts.map((text) => guessTokens(text, maxTokens));
    for (const { start, end, tokens: count } of slices(tokens, most)) {
      // The package gives way to no other task within a quick slice, and the continuation of a promise runs before any task.
      if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      results.push(await this.run(count, () => work(texts.slice(start, end))));
    }
    return results;
  }
}
