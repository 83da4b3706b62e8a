import { aborted } from '../calls/abort.js';
import { PilotlightError } from '../error.js';
import { DIVISIONS, type Division, type Part, piecesOf, renamed } from './divide.js';

/** A model in a worker. */
export interface Member {
  call(method: string, args: readonly unknown[]): Promise<unknown>;
  free(): void;
}

/** Milliseconds after which a further worker that has nothing to do is ended. */
const IDLE = 10_000;

/** Errors whose message names an item by its index, which is another one in a part of the list. */
const NAMING = ['INVALID_INPUT', 'INVALID_WEIGHTS', 'RESOURCE_LIMIT'];

/** The same model in several workers, which divide long lists among them. Only the first is there before a list is long enough. */
export class Pool implements Member {
  readonly #name: string;
  readonly #first: Member;
  readonly #limit: number;
  readonly #hire: () => Promise<Member>;
  #others: Member[] = [];
  /** Workers that are being started. */
  #coming = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #freed = false;

  /** `name` is the class of the handle, and `hire` starts a further worker with the same model. */
  constructor(name: string, first: Member, limit: number, hire: () => Promise<Member>) {
    this.#name = name;
    this.#first = first;
    this.#limit = limit;
    this.#hire = hire;
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    const division = DIVISIONS[`${this.#name}.${method}`];
    const weights = division?.weigh(args);
    const pieces = division && weights ? piecesOf(weights, division.least) : [];
    if (!division || pieces.length < 2 || this.#limit < 2) return this.#first.call(method, args);
    return this.#divide(division, method, args, pieces);
  }

  free(): void {
    this.#freed = true;
    clearTimeout(this.#timer);
    for (const member of [this.#first, ...this.#others]) member.free();
  }

  async #divide(
    division: Division,
    method: string,
    args: readonly unknown[],
    pieces: [number, number][],
  ): Promise<unknown> {
    clearTimeout(this.#timer);
    const { signal } = Object(args.at(-1)) as { signal?: AbortSignal };
    const parts: Part[] = [];
    /** Pieces that workers compute. */
    const active = new Set<Promise<void>>();
    let next = 0;
    let failed = false;
    const compute = async (member: Member, index: number): Promise<void> => {
      const [from, to] = pieces[index] as [number, number];
      try {
        parts[index] = { from, value: await member.call(method, division.part(args, from, to)) };
      } catch (error) {
        failed = true;
        throw method === 'embedImages' ? renamed(error, from) : error;
      }
    };
    /** Has a worker take one piece after another until none is left. */
    const work = async (member: Member): Promise<void> => {
      while (next < pieces.length && !failed) {
        // A piece may be over before its worker hears of the signal.
        if (signal?.aborted) throw aborted(signal);
        const piece = compute(member, next);
        next += 1;
        active.add(piece);
        await piece.finally(() => active.delete(piece));
      }
    };
    const wanted = Math.min(this.#limit, pieces.length) - 1 - this.#others.length - this.#coming;
    for (let i = 0; i < wanted; i += 1) void this.#grow().then((member) => member && work(member).catch(() => {}));
    try {
      await Promise.all([this.#first, ...this.#others].map(work));
      // Workers that came in the meantime may still compute.
      while (active.size > 0) await Promise.all(active);
    } catch (error) {
      // Asked for the whole list, the core names the item as the caller does.
      if (error instanceof PilotlightError && NAMING.includes(error.code) && method !== 'embedImages')
        return await this.#first.call(method, args);
      throw error;
    } finally {
      this.#timer = setTimeout(() => this.#shrink(), IDLE);
    }
    return division.join(parts);
  }

  /** Starts a further worker. One that cannot be started is no error: the others do its work. */
  async #grow(): Promise<Member | undefined> {
    this.#coming += 1;
    try {
      const member = await this.#hire();
      if (this.#freed) {
        member.free();
        return undefined;
      }
      this.#others.push(member);
      return member;
    } catch {
      return undefined;
    } finally {
      this.#coming -= 1;
    }
  }

  #shrink(): void {
    for (const member of this.#others) member.free();
    this.#others = [];
  }
}
