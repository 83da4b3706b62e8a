/** Models in the memory of this isolate: each is loaded once, and those that were used least make room for others. */
import { notLoaded } from './errors.ts';
import type { Loaded } from './local/loader.ts';

/** Milliseconds without progress after which a load is known to have ended with the request that began it. */
const SILENT_MS = 60_000;

/** Milliseconds after which a call counts no more: the platform has ended its request, and its end was not seen. */
const FORGET_MS = 60_000;

/** The bytes that the generator of digits takes, whose weights are in the package, with a few digits. */
export const DIGITS_BYTES = 8 << 20;

export interface Slot {
  readonly key: string;
  readonly loading: Promise<Loaded>;
  loaded?: Loaded;
  bytes: number;
  running: number;
  usedAt: number;
  /** The time at which the load last told of progress. */
  aliveAt: number;
  /** The slot that this one needs, as that of a head needs its decoder; the load sets it. */
  under: Slot | undefined;
}

export interface LoadPlan {
  /** The bytes that the model will take. */
  memory(): Promise<number>;
  load(alive: () => void, slot: Slot): Promise<Loaded>;
}

export class Slots {
  readonly #slots = new Map<string, Slot>();
  readonly #mostBytes: number;
  readonly #hold: (promise: Promise<unknown>) => void;

  constructor(mostBytes: number, hold: (promise: Promise<unknown>) => void) {
    this.#mostBytes = mostBytes;
    this.#hold = hold;
  }

  isLoaded(key: string): boolean {
    return this.#slots.get(key)?.loaded !== undefined;
  }

  loaded(key: string): Loaded | undefined {
    return this.#slots.get(key)?.loaded;
  }

  /** The slot of a model, which may still be loading: await its `loading`. A load that fails leaves no slot. */
  open(key: string, plan: LoadPlan): Slot {
    const now = Date.now();
    const there = this.#slots.get(key);
    if (there && (there.loaded || now - there.aliveAt < SILENT_MS)) {
      there.usedAt = now;
      // Each request that waits for the load keeps it alive.
      if (!there.loaded) this.#hold(there.loading.catch(() => {}));
      return there;
    }
    const { promise, resolve, reject } = Promise.withResolvers<Loaded>();
    const slot: Slot = {
      key,
      loading: promise,
      bytes: 0,
      running: 0,
      usedAt: now,
      aliveAt: now,
      under: undefined,
    };
    this.#slots.set(key, slot);
    this.#fill(slot, plan).then(resolve, reject);
    this.#hold(promise.catch(() => {}));
    return slot;
  }

  async #fill(slot: Slot, plan: LoadPlan): Promise<Loaded> {
    try {
      const bytes = await plan.memory();
      this.#makeRoom(slot, bytes);
      slot.bytes = bytes;
      const alive = (): void => {
        slot.aliveAt = Date.now();
      };
      const loaded = await plan.load(alive, slot);
      if (this.#slots.get(slot.key) !== slot) {
        loaded.dispose();
        throw notLoaded('The model was changed while it was loaded; try again.');
      }
      slot.loaded = loaded;
      return loaded;
    } catch (error) {
      if (this.#slots.get(slot.key) === slot) this.#slots.delete(slot.key);
      throw error;
    }
  }

  /** @throws {GatewayError} `model_not_loaded` where the models that are in use leave too little memory */
  #makeRoom(slot: Slot, bytes: number): void {
    const mib = (count: number): number => Math.ceil(count / 2 ** 20);
    if (bytes > this.#mostBytes)
      throw notLoaded(
        `The model takes ${mib(bytes)} MiB, and MAX_MEMORY_MB is ${mib(this.#mostBytes)}: it has to run elsewhere.`,
      );
    for (;;) {
      const others = [...this.#slots.values()].filter((other) => other !== slot);
      const used = others.reduce((sum, other) => sum + other.bytes, 0);
      if (used + bytes <= this.#mostBytes) return;
      const idle = others
        .filter((other) => other.bytes > 0 && this.#isIdle(other) && other !== slot.under)
        .sort((a, b) => a.usedAt - b.usedAt);
      const [oldest] = idle;
      if (!oldest)
        throw notLoaded(
          `The model takes ${mib(bytes)} MiB, and those that are in use leave ${mib(this.#mostBytes - used)}; try again.`,
        );
      this.drop(oldest);
    }
  }

  #isIdle(slot: Slot): boolean {
    if (!slot.loaded) return false;
    return slot.running === 0 || Date.now() - slot.usedAt > FORGET_MS;
  }

  /** Runs a call of a model, which stays in memory meanwhile, and what it needs as well. */
  async use<T>(slot: Slot, call: (loaded: Loaded) => Promise<T>): Promise<T> {
    const loaded = await slot.loading;
    const chain: Slot[] = [];
    for (let one: Slot | undefined = slot; one; one = one.under) chain.push(one);
    for (const one of chain) {
      one.running += 1;
      one.usedAt = Date.now();
    }
    try {
      return await call(loaded);
    } finally {
      for (const one of chain) {
        one.running -= 1;
        one.usedAt = Date.now();
      }
    }
  }

  /** Forgets a model, and frees its memory when its calls have ended; the next request loads it anew. */
  drop(slot: Slot): void {
    if (this.#slots.get(slot.key) === slot) this.#slots.delete(slot.key);
    slot.loaded?.dispose();
    for (const other of [...this.#slots.values()]) if (other.under === slot) this.drop(other);
  }

  /** Forgets all models whose key has this start. */
  dropAll(start: string): void {
    for (const slot of [...this.#slots.values()]) if (slot.key.startsWith(start)) this.drop(slot);
  }
}
