/** A meter for one process. Its counts end with the process. */
import type { Meter, Policy } from '../host.ts';
import { add, type Taken, take, type Window } from './windows.ts';

/** The number of keys from which on those whose windows are over are dropped. */
const SWEEP = 10_000;

export class MemoryMeter implements Meter {
  readonly #keys = new Map<string, Map<string, Window>>();
  readonly #now: () => number;
  #sweepAt = SWEEP;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The keys that have windows. */
  get size(): number {
    return this.#keys.size;
  }

  async take(key: string, policies: readonly Policy[]): Promise<Taken> {
    return take(this.#windows(key), policies, this.#now());
  }

  async settle(key: string, policy: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void> {
    add(this.#windows(key), policy, extra, this.#now());
  }

  #windows(key: string): Map<string, Window> {
    let windows = this.#keys.get(key);
    if (!windows) {
      if (this.#keys.size >= this.#sweepAt) this.#sweep();
      windows = new Map();
      this.#keys.set(key, windows);
    }
    return windows;
  }

  #sweep(): void {
    const now = this.#now();
    for (const [key, windows] of this.#keys) {
      if ([...windows.values()].every(({ resetsAt }) => resetsAt <= now)) this.#keys.delete(key);
    }
    this.#sweepAt = Math.max(SWEEP, this.#keys.size * 2);
  }
}
