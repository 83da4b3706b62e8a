/** A meter for one process. Its counts end with the process. */
import type { Lease, Meter, Policy } from '../host.ts';
import { add, type Leases, lease, type Taken, take, type Window } from './windows.ts';

/** The number of keys from which on those whose windows and leases are over are dropped. */
const SWEEP = 10_000;

/** The counts of a key. */
interface Counts {
  windows: Map<string, Window>;
  leases: Leases;
}

export class MemoryMeter implements Meter {
  readonly #keys = new Map<string, Counts>();
  readonly #now: () => number;
  #sweepAt = SWEEP;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The keys that have counts. */
  get size(): number {
    return this.#keys.size;
  }

  async take(key: string, policies: readonly Policy[]): Promise<Taken> {
    return take(this.#counts(key).windows, policies, this.#now());
  }

  async settle(key: string, policy: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void> {
    add(this.#counts(key).windows, policy, extra, this.#now());
  }

  async lease(key: string, wanted: Lease): Promise<boolean> {
    return lease(this.#counts(key).leases, wanted, this.#now());
  }

  async release(key: string, id: string): Promise<void> {
    this.#counts(key).leases.delete(id);
  }

  #counts(key: string): Counts {
    let counts = this.#keys.get(key);
    if (!counts) {
      if (this.#keys.size >= this.#sweepAt) this.#sweep();
      counts = { windows: new Map(), leases: new Map() };
      this.#keys.set(key, counts);
    }
    return counts;
  }

  #sweep(): void {
    const now = this.#now();
    for (const [key, { windows, leases }] of this.#keys) {
      const ends = [...[...windows.values()].map(({ resetsAt }) => resetsAt), ...leases.values()];
      if (ends.every((end) => end <= now)) this.#keys.delete(key);
    }
    this.#sweepAt = Math.max(SWEEP, this.#keys.size * 2);
  }
}
