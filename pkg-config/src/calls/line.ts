import { abortable } from './abort.js';
import { type Caller, watch } from './caller.js';

/** Lets one caller in at a time, in the order in which they came. Who is gone does not keep the others waiting. */
export class Line {
  /** The one that is in, then those that wait. */
  readonly #callers: Caller[] = [];
  /** How those that wait are let in. */
  readonly #doors = new Map<Caller, () => void>();

  get isEmpty(): boolean {
    return this.#callers.length === 0;
  }

  /** Resolves when all that came before have left. Rejects as soon as the signal fires; the caller must leave in any case. */
  enter(caller: Caller, signal?: AbortSignal): Promise<void> {
    this.#callers.push(caller);
    if (this.#callers[0] === caller) return abortable(Promise.resolve(), signal);
    const turn = new Promise<void>((resolve) => {
      const unwatch = watch(
        () => this.#callers.slice(0, this.#callers.indexOf(caller)),
        (gone) => this.leave(gone),
      );
      this.#doors.set(caller, () => {
        unwatch();
        resolve();
      });
    });
    return abortable(turn, signal);
  }

  /** Gives up the place, wherever it is. */
  leave(caller: Caller): void {
    const place = this.#callers.indexOf(caller);
    if (place < 0) return;
    this.#callers.splice(place, 1);
    // Also where it never came to its turn: nobody watches for one that has left.
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
