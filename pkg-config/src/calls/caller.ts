/** Milliseconds between two signs of life. */
const BEAT = 100;

/** A caller without a sign of life for this many milliseconds is gone. A computing thread delays the signs and the watch alike. */
const SILENCE = 1000;

/** Tells whether the runtime ends the timers and fetches of a request with the request. */
const requestsOwnTimers = (): boolean => globalThis.navigator?.userAgent === 'Cloudflare-Workers';

/**
 * The origin of a call. In Cloudflare Workers it is a request, which ends silently when its client leaves, and its calls then never
 * settle; a timer of the request therefore tells others that it is alive. In other runtimes a caller never ends.
 */
export class Caller {
  /** Others have found that the request has ended. */
  gone = false;
  /** Called when they do. */
  readonly whenGone = new Set<() => void>();
  #beats = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    if (!requestsOwnTimers()) return;
    this.#timer = setInterval(() => {
      this.#beats += 1;
    }, BEAT);
  }

  /** The call has settled. */
  end(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** How many signs it has given; `undefined` where it gives none. */
  get beats(): number | undefined {
    return this.#timer === undefined ? undefined : this.#beats;
  }

  /** Ends what its call still holds. */
  leave(): void {
    this.gone = true;
    for (const listener of [...this.whenGone]) listener();
    this.whenGone.clear();
  }
}

/**
 * Looks again and again whether `others` are there, and calls `leave` of those that are not, then `found`. Returns what ends it;
 * it ends with the request that began it, too.
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
