import { Caller } from './caller.js';
import { Line } from './line.js';

/** Runs calls one after another: a model computes on one thread, and each call has memory of its own while it runs. */
export class CallQueue {
  readonly #line = new Line();

  /**
   * Starts `call` when all earlier calls have settled or their callers are gone, and settles as it does.
   * A signal that fires while the call waits rejects at once, and `call` never starts; a running call watches its signal itself.
   */
  async run<T>(call: (caller: Caller) => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const caller = new Caller();
    try {
      await this.#line.enter(caller, signal);
      return await call(caller);
    } finally {
      caller.end();
      this.#line.leave(caller);
    }
  }
}
