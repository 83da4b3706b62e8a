import type { Dtype } from '../../types/index.js';
import type { Caller } from '../calls/caller.js';
import { coreGone, PilotlightError, toPilotlightError } from '../error.js';
import type { Glue } from './glue.js';

/** A core that models run in: one on this thread, or one in a worker. */
export interface Instance {
  run<T>(call: (glue: Glue) => T | Promise<T>, caller?: Caller): Promise<T>;
  /** Whether it is in a worker, which itself makes of options what its core needs. */
  readonly remote: boolean;
  /** Why it can run nothing any more, once that is so. */
  readonly gone: PilotlightError | undefined;
  /** Whether it trapped on this thread, which its other models are on too. */
  readonly hasTrapped: boolean;
  /** Compares the results of the GPU with the CPU's, once for each format of weights. */
  testGpu(dtype: Dtype): Promise<unknown>;
  /** Ends the worker where it has no model: the load that it was started for has failed. */
  abandon(): void;
}

/**
 * One instance of a core. A trap leaves its memory in an unknown state, and a GPU that has failed cannot be opened again in the same instance: from then
 * on every call is refused.
 */
export class CoreInstance implements Instance {
  readonly glue: Glue;
  readonly remote = false;
  readonly #tests = new Map<Dtype, Promise<unknown>>();
  #gone: PilotlightError | undefined;
  /** Functions that reject the calls under way: a trap inside one of Rust's futures leaves its promise pending for ever. */
  #underWay = new Set<(error: PilotlightError) => void>();

  constructor(glue: Glue) {
    this.glue = glue;
    glue.onTrap((error) => {
      this.#gone ??= coreGone('INTERNAL', 'the WebAssembly instance trapped; load again', error);
      for (const reject of this.#underWay) reject(this.#gone);
      this.#underWay.clear();
    });
  }

  abandon(): void {}

  get gone(): PilotlightError | undefined {
    return this.#gone;
  }

  get hasTrapped(): boolean {
    return this.#gone?.cause instanceof Error && isTrap(this.#gone.cause);
  }

  /** Calls into Rust; rejects when the instance traps or its GPU fails, in this call or another. The call of a `caller` that is gone is forgotten. */
  run<T>(call: (glue: Glue) => T | Promise<T>, caller?: Caller): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#gone) throw this.#gone;
      this.#underWay.add(reject);
      const settle = (): void => void this.#underWay.delete(reject);
      caller?.whenGone.add(settle);
      try {
        const failed = (error: unknown): void => {
          if (isGpuFailure(error)) this.#loseGpu(error);
          reject(error);
        };
        void Promise.resolve(call(this.glue)).then(resolve, failed).finally(settle);
      } catch (error) {
        if (isTrap(error)) this.glue.trapped(error);
        settle();
        reject(this.#gone ?? error);
      }
    });
  }

  /** Calls into Rust synchronously; otherwise like `run`, but it throws. */
  now<T>(call: (glue: Glue) => T): T {
    if (this.#gone) throw this.#gone;
    try {
      return call(this.glue);
    } catch (error) {
      if (isTrap(error)) this.glue.trapped(error);
      throw this.#gone ?? error;
    }
  }

  /** Rejects all calls, of all models here: their weights were in the memory of the GPU. */
  #loseGpu(error: unknown): void {
    if (this.#gone) return;
    const { code, message } = toPilotlightError(error);
    this.#gone = coreGone(code, message, error);
    try {
      this.glue.closeGpu?.();
    } catch {
      // The memory is freed when the instance is collected.
    }
    this.glue.trapped(this.#gone);
  }

  /** Opens the GPU; later calls do nothing. */
  openGpu(): Promise<void> {
    return this.run(({ openGpu }) => (openGpu ?? noGpu)());
  }

  testGpu(dtype: Dtype): Promise<unknown> {
    return once(this.#tests, dtype, () => this.run(({ testGpu }) => (testGpu ?? noGpu)(dtype)));
  }
}

/** The value of a key, which is made the first time; after a failure the next call tries again. */
function once<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const found = known.get(key);
  if (found) return found;
  const made = make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}

function noGpu(): never {
  throw new PilotlightError('INTERNAL', 'this core was built without WebGPU');
}

/** Whether Rust has marked an error as a failure of the GPU. */
const isGpuFailure = (error: unknown): boolean => (Object(error) as { gpuFailed?: unknown }).gpuFailed === true;

/** A stack overflow is a RangeError in V8 and JavaScriptCore, an InternalError in SpiderMonkey. */
function isTrap(error: unknown): boolean {
  return (
    error instanceof WebAssembly.RuntimeError || error instanceof RangeError || Object(error).name === 'InternalError'
  );
}
