import { abortable } from './abort.js';

/** Runs calls one after another: Rust borrows a model mutably for the length of a call. */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Starts `call` when all earlier calls have settled, and settles as it does.
   * A signal that fires while the call waits rejects at once, and `call` never starts; a running call watches its signal itself.
   */
  run<T>(call: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const turn = abortable(
      this.#last.then(() => {}),
      signal,
    );
    const result = turn.then(call);
    // A call that was aborted while waiting must not let the next one overtake the one that runs.
    this.#last = Promise.allSettled([this.#last, result]);
    return result;
  }
}
