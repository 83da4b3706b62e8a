import { aborted } from '../calls/abort.js';
import { isCoreGone, toPilotlightError } from '../error.js';
import { DIVISIONS, type Division, type Part, piecesOf, renamed } from './divide.js';

/** A model in a worker. */
export interface Member {
  /** `threads` is the most that may compute it; all where it is absent. */
  call(method: string, args: readonly unknown[], threads?: number): Promise<unknown>;
  free(): void;
}

/** Milliseconds after which a further worker that has nothing to do is ended. */
const IDLE = 10_000;

/** The number of starts in a row that may fail: a worker may be ended while it starts, but where none can be started the others do its work. */
const TRIES = 3;

/** Divides long lists among several workers that have the same model. Only the first is there before a list is long enough. */
export class Pool implements Member {
  readonly #name: string;
  readonly #first: Member;
  readonly #hire: (signal: AbortSignal) => Promise<Member>;
  #limit: number;
  /** The threads of each worker while a list is divided. */
  readonly #threads: number;
  #others: Member[] = [];
  /** The number of workers that are being started. */
  #coming = 0;
  /** The number of starts in a row that failed. */
  #failures = 0;
  /** The number of lists that are divided at the moment. */
  #running = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Fires when the model is freed, which ends the workers that are being started. */
  readonly #freed = new AbortController();

  /**
   * `name` is the class of the handle, `threads` is the number that each worker has while a list is divided, and `hire` starts a further worker
   * with the same model.
   */
  constructor(
    name: string,
    first: Member,
    limit: number,
    threads: number,
    hire: (signal: AbortSignal) => Promise<Member>,
  ) {
    this.#name = name;
    this.#first = first;
    this.#limit = limit;
    this.#threads = threads;
    this.#hire = hire;
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    const division = DIVISIONS[`${this.#name}.${method}`];
    const weights = this.#limit > 1 ? division?.weigh(args) : undefined;
    const pieces = division && weights ? piecesOf(weights, division.least) : [];
    if (!division || pieces.length < 2) return this.#first.call(method, args);
    return this.#divide(division, method, args, pieces);
  }

  free(): void {
    this.#freed.abort();
    clearTimeout(this.#timer);
    for (const member of [this.#first, ...this.#others]) member.free();
  }

  async #divide(
    division: Division,
    method: string,
    args: readonly unknown[],
    pieces: readonly [from: number, to: number][],
  ): Promise<unknown> {
    clearTimeout(this.#timer);
    this.#running += 1;
    const { signal } = Object(args.at(-1)) as { signal?: AbortSignal };
    const parts: Part[] = [];
    const left = [...pieces.keys()];
    /** Pieces that workers compute; these promises never reject. */
    const active = new Set<Promise<void>>();
    let failure: { error: unknown } | undefined;

    const compute = async (member: Member, index: number): Promise<void> => {
      const [from, to] = pieces[index] as [number, number];
      try {
        parts[index] = { from, value: await member.call(method, division.part(args, from, to), this.#threads) };
      } catch (error) {
        if (member !== this.#first && (isCoreGone(error) || toPilotlightError(error).code === 'INTERNAL')) {
          // Its worker is gone; another one does the piece.
          this.#drop(member);
          left.unshift(index);
        } else failure ??= { error: renamed(error, from) };
      }
    };
    /** Has a worker take one piece after another until none is left. */
    const work = async (member: Member): Promise<void> => {
      while (left.length > 0 && !failure && (member === this.#first || this.#others.includes(member))) {
        // A piece may be over before its worker hears of the signal.
        if (signal?.aborted) {
          failure = { error: aborted(signal) };
          return;
        }
        const piece = compute(member, left.shift() as number);
        active.add(piece);
        await piece;
        active.delete(piece);
      }
    };

    const wanted = Math.min(this.#limit, pieces.length) - 1 - this.#others.length - this.#coming;
    for (let i = 0; i < wanted; i += 1) void this.#grow().then((member) => member && work(member));
    await Promise.all([this.#first, ...this.#others].map(work));
    // Workers that came in the meantime may still compute, and one that is gone leaves a piece.
    while (!failure && (active.size > 0 || left.length > 0)) {
      await Promise.all(active);
      await work(this.#first);
    }
    this.#running -= 1;
    this.#rest();
    if (failure) throw failure.error;
    return division.join(parts);
  }

  /** Starts a further worker. One that cannot be started is no error: the others do its work. */
  async #grow(): Promise<Member | undefined> {
    this.#coming += 1;
    try {
      const member = await this.#hire(this.#freed.signal);
      if (this.#freed.signal.aborted) {
        member.free();
        return undefined;
      }
      this.#failures = 0;
      this.#others.push(member);
      this.#rest();
      return member;
    } catch {
      this.#failures += 1;
      if (this.#failures >= TRIES) this.#limit = 1 + this.#others.length;
      return undefined;
    } finally {
      this.#coming -= 1;
    }
  }

  #drop(member: Member): void {
    this.#others = this.#others.filter((other) => other !== member);
    member.free();
  }

  /** Ends further workers after a while in which no list comes. */
  #rest(): void {
    clearTimeout(this.#timer);
    if (this.#running > 0 || this.#freed.signal.aborted) return;
    this.#timer = setTimeout(() => {
      for (const member of [...this.#others]) this.#drop(member);
    }, IDLE);
    // A process need not wait for it.
    (this.#timer as { unref?(): void }).unref?.();
  }
}
