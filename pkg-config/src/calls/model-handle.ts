import type { Instance } from '../core/instance.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { signalOf } from './abort.js';
import { CallQueue } from './call-queue.js';
import type { Caller } from './caller.js';
import { checkObject } from './check.js';

/** A loaded model in a core's memory. Its calls run one after another until it is disposed of. */
export class ModelHandle<Handle extends { free(): void }> {
  readonly instance: Instance;
  readonly #name: string;
  readonly #handle: Handle;
  readonly #queue = new CallQueue();
  #disposed = false;

  /** `name` is the name of the model's class, for messages. */
  constructor(name: string, instance: Instance, handle: Handle) {
    this.instance = instance;
    this.#name = name;
    this.#handle = handle;
  }

  /** Calls into the model when all earlier calls have settled. `options.signal` cancels the call; `work` passes `caller` to the core. */
  async call<T>(options: object, work: (handle: Handle, caller: Caller) => T | Promise<T>): Promise<T> {
    try {
      if (this.#disposed) throw new PilotlightError('DISPOSED', `this ${this.#name} was disposed; load it again`);
      const signal = signalOf(checkObject('options', options));
      return await this.#queue.run((caller) => this.instance.run(() => work(this.#handle, caller), caller), signal);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // The memory is freed after the calls that were made before. A trapped instance is gone with all its memory.
    void this.#queue.run(() => this.instance.run(() => this.#handle.free())).catch(() => {});
  }
}
