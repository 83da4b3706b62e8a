import { abortable } from './abort.js';
import { type Caller, watch } from './caller.js';

/** A first-in, first-out mutex for callers. A caller that is gone does not block the others. */
export class Line {
  /** The caller that holds the mutex, then those that wait for it. */
  readonly #callers: Caller[] = [];
  /** Functions that let waiting callers in. */
  readonly #doors = new Map<Caller, () => void>();

  get isEmpty(): boolean {
    return this.#callers.length === 0;
  }

  /** Resolves when all earlier callers have left. Rejects as soon as the signal fires; the caller must call `leave` in any case. */
  enter(caller: Caller, signal?: AbortSignal): Promise<void> {
    this.#callers.push(caller);
    if (this.#callers[0] === caller) return abortable(Promise.resolve(), signal);
    const entered = new Promise<void>((resolve) => {
      const unwatch = watch(
        () => this.#callers.slice(0, this.#callers.indexOf(caller)),
        (gone) => this.leave(gone),
      );
      this.#doors.set(caller, () => {
        unwatch();
        resolve();
      });
    });
    return abortable(entered, signal);
  }

  /** Removes a caller, whether it holds the mutex or waits. */
  leave(caller: Caller): void {
    const place = this.#callers.indexOf(caller);
    if (place < 0) return;
    this.#callers.splice(place, 1);
    // A caller that was still waiting is let in too, so that its watch ends.
    this.#open(caller);
    const [first] = this.#callers;
    if (first) this.#open(first);
  }

  #open(caller: Caller): void {
    const door = this.#doors.get(caller);
    this.#doors.delete(caller);
    door?.();
  }
}
