import { type Grants, ownLocks } from './locks.js';

/** The functions by which a thread takes the locks of the one that has started it. Locks are known by numbers. */
export interface LentFunctions {
  take(name: string, signal: AbortSignal | undefined): Promise<number>;
  takeIfFree(name: string): Promise<number | undefined>;
  release(lock: number): void;
}

/** Locks of this thread that another one takes: threads of one process have stores in common, and not every runtime has web locks. */
export class LentLocks {
  readonly #releases = new Map<number, () => void>();
  #last = 0;
  #ended = false;

  readonly functions: LentFunctions = {
    take: async (name, signal) => this.#keep(await ownLocks.take(name, signal)),
    takeIfFree: async (name) => {
      const release = await ownLocks.takeIfFree(name);
      return release && this.#keep(release);
    },
    release: (lock) => {
      this.#releases.get(lock)?.();
      this.#releases.delete(lock);
    },
  };

  /** Releases all: the other thread is gone. */
  end(): void {
    this.#ended = true;
    for (const release of this.#releases.values()) release();
    this.#releases.clear();
  }

  #keep(release: () => void): number {
    this.#last += 1;
    // The other thread may have ended while it waited.
    if (this.#ended) release();
    else this.#releases.set(this.#last, release);
    return this.#last;
  }
}

/** The locks of the other thread, as this one takes them. */
export function grantsOf({ take, takeIfFree, release }: LentFunctions): Grants {
  const released = (lock: number) => () => release(lock);
  return {
    take: async (name, signal) => released(await take(name, signal)),
    async takeIfFree(name) {
      const lock = await takeIfFree(name);
      return lock === undefined ? undefined : released(lock);
    },
  };
}
