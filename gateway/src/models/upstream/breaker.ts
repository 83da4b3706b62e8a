/** Leaves a server alone that fails, and limits the requests to it at the same time. */

export type BreakerState = 'closed' | 'open' | 'half-open';

export class Breaker {
  readonly #most: number;
  readonly #pauseMs: number;
  #failures = 0;
  #openUntil = 0;
  /** The end of the one request that finds out whether the server works again. Where its end is never seen, it blocks no longer than that. */
  #probeUntil = 0;

  constructor({ failures, seconds }: { failures: number; seconds: number }) {
    this.#most = failures;
    this.#pauseMs = seconds * 1000;
  }

  get state(): BreakerState {
    if (this.#failures < this.#most) return 'closed';
    return Date.now() < this.#openUntil ? 'open' : 'half-open';
  }

  /** Milliseconds to wait before the next try; 0 where a request may go now. A probe ends by `deadline`. */
  enter(deadline: number): number {
    const now = Date.now();
    const { state } = this;
    if (state === 'closed') return 0;
    if (state === 'open') return this.#openUntil - now;
    if (now < this.#probeUntil) return Math.min(this.#probeUntil - now, 1000);
    this.#probeUntil = deadline;
    return 0;
  }

  succeed(): void {
    this.#failures = 0;
    this.#probeUntil = 0;
  }

  fail(): void {
    this.#failures += 1;
    this.#probeUntil = 0;
    if (this.#failures >= this.#most) this.#openUntil = Date.now() + this.#pauseMs;
  }

  /** A request ended without telling whether the server works, such as one whose client has left. */
  forget(): void {
    this.#probeUntil = 0;
  }
}

/** Places for requests at the same time. A place comes back at its deadline at the latest, also where its request ended unseen. */
export class Places {
  readonly #most: number;
  readonly #taken = new Set<{ until: number }>();
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits for a place until `until`. Resolves to the function that gives it back, or to `undefined` where there was none in time. */
  async take(until: number, signal: AbortSignal): Promise<(() => void) | undefined> {
    for (;;) {
      const now = Date.now();
      for (const one of this.#taken) if (one.until < now) this.#taken.delete(one);
      if (signal.aborted || now >= until) return undefined;
      if (this.#taken.size < this.#most) {
        const place = { until };
        this.#taken.add(place);
        return () => {
          this.#taken.delete(place);
          const waiting = this.#waiting;
          this.#waiting = [];
          for (const wake of waiting) wake();
        };
      }
      const first = Math.min(...[...this.#taken].map((one) => one.until));
      await this.#freed(Math.min(first, until) - now + 1, signal);
    }
  }

  async #freed(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = (): void => resolve();
    this.#waiting.push(wake);
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
    this.#waiting = this.#waiting.filter((one) => one !== wake);
  }
}
