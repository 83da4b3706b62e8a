/** Milliseconds between two heartbeats of a caller. */
const BEAT = 100;

/** A caller without a heartbeat for this many milliseconds is gone. A computing thread delays heartbeats and checks alike. */
const SILENCE = 1000;

/** Whether the runtime ends the timers and fetches of a request with the request. */
const requestsOwnTimers = (): boolean => globalThis.navigator?.userAgent === 'Cloudflare-Workers';

/**
 * The origin of a call. In Cloudflare Workers it is a request, which ends silently when its client leaves, and its calls then never
 * settle; a timer of the request therefore counts heartbeats that other callers watch. In other runtimes a caller never ends.
 */
export class Caller {
  /** Whether another caller has found that the request of this one has ended. */
  gone = false;
  /** Listeners that are called when that is found. */
  readonly whenGone = new Set<() => void>();
  #beats = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    if (!requestsOwnTimers()) return;
    this.#timer = setInterval(() => {
      this.#beats += 1;
    }, BEAT);
  }

  /** Stops the heartbeats; to be called when the call has settled. */
  end(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Number of heartbeats so far; `undefined` where there are none. */
  get beats(): number | undefined {
    return this.#timer === undefined ? undefined : this.#beats;
  }

  /** Marks the caller as gone and has its listeners release what its call still holds. */
  leave(): void {
    this.gone = true;
    for (const listener of [...this.whenGone]) listener();
    this.whenGone.clear();
  }
}

/**
 * Checks the heartbeats of `others` every `SILENCE` milliseconds, and calls `leave` of each that is gone, then `found`. Returns a
 * function that stops the checks; they also end with the request that started them.
 */
export function watch(others: () => Iterable<Caller>, found: (gone: Caller) => void): () => void {
  if (!requestsOwnTimers()) return () => {};
  let before = new Map<Caller, number>();
  const look = (): void => {
    const now = new Map<Caller, number>();
    for (const caller of [...others()]) {
      const { beats } = caller;
      if (beats === undefined) continue;
      now.set(caller, beats);
      if (before.get(caller) !== beats) continue;
      caller.leave();
      found(caller);
    }
    before = now;
  };
  look();
  const timer = setInterval(look, SILENCE);
  return () => clearInterval(timer);
}
