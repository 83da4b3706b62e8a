import type { BackendReport, LoadOptions } from '../../types/index.js';
import { CPU_ASKED, clauseOf, nameOf, TO_BE_COMPARED } from '../core/backend.js';
import type { Glue } from '../core/glue.js';
import type { Instance } from '../core/instance.js';
import { isCoreGone, PilotlightError, toPilotlightError } from '../error.js';
import { isReadOnce } from '../inputs/byte-sources.js';
import type { Place } from '../worker/beside.js';
import { abortable, signalOf } from './abort.js';
import { CallQueue } from './call-queue.js';
import type { Caller } from './caller.js';
import { checkObject } from './check.js';
import { Load, type LoadRequest } from './load.js';
import { noteRestarts } from './restarts.js';

/** The way to load a model, the first time and again where the GPU has failed. */
export interface Recipe<Handle> {
  /** The name of the model's class, for messages. */
  readonly name: string;
  /** The repository of the model, or a name for what comes from none. */
  readonly model: string;
  /** The options of the load, as the program gave them. */
  readonly options: LoadOptions;
  /** Chooses where the model runs. */
  place(options: LoadOptions): Promise<Place>;
  /** Gets the files of a model that comes from no repository, while its place is chosen. */
  files?(): Promise<NonNullable<LoadOptions['files']>>;
  /** Loads the model in a core. */
  load(glue: Glue, options: object): Promise<Handle>;
  /** Whether the store is not refreshed after the first answer: it is removed when the model is disposed of. */
  readonly isTemporary?: boolean;
}

/** A model in a core's memory. */
interface Running<Handle> {
  instance: Instance;
  report: BackendReport;
  handle: Handle;
  /** The commit of the model's files, where they come from one. */
  commit: string | undefined;
  load: Load<LoadOptions>;
}

/** The devices on which a model is loaded after a failure, one after the other: the one that the program asked for, then the CPU. */
const AGAIN = ['asked', 'cpu'] as const;
type Attempts = readonly (typeof AGAIN)[number][];

/** The code of a GPU that did not pass its self-test. It is not tried again, and goes on with models in formats in which it passed. */
const UNFIT = 'BACKEND_UNAVAILABLE';

/** The codes of failures after which a model that was to be compared on both devices is loaded on the CPU. Others have to do with its files. */
const UNCOMPARED: readonly string[] = ['BACKEND_UNAVAILABLE', 'RESOURCE_LIMIT', 'INTERNAL'];

/**
 * A loaded model. Its calls run one after another until it is disposed of. If the GPU fails, the model is loaded again on a new one, else on the CPU, and
 * the call under way is computed once more.
 */
export class ModelHandle<Handle extends { free(): void }> {
  readonly #recipe: Recipe<Handle>;
  readonly #queue = new CallQueue();
  #running: Running<Handle>;
  /** The load after a failure, while it is under way. A call that was aborted does not stop it. */
  #coming: Promise<void> | undefined;
  #restarts = 0;
  /** The devices on which the model is loaded after the next failure. */
  #attempts: Attempts = AGAIN;
  #answered = false;
  #disposed = false;

  private constructor(recipe: Recipe<Handle>, running: Running<Handle>, restarts: number) {
    this.#recipe = recipe;
    this.#running = running;
    this.#restarts = restarts;
  }

  /** Loads a model. Where the GPU fails meanwhile, it is loaded once more on a new one, and then on the CPU. */
  static async load<Handle extends { free(): void }>(recipe: Recipe<Handle>): Promise<ModelHandle<Handle>> {
    // The caller may change its objects afterwards, and the model comes back as it was.
    const { files } = recipe.options;
    // Wrong ones are left as they are, for the check of the load.
    const isRecord = files && Object.getPrototypeOf(files) === Object.prototype;
    const options = { ...recipe.options, ...(isRecord && { files: { ...files } }) };
    const { running, restarts } = await loadOn(['asked', ...AGAIN], recipe, options, 0);
    noteRestarts(restarts, running.report.reason);
    return new ModelHandle({ ...recipe, options }, running, restarts);
  }

  /** The model in the core. After a failure of the GPU it is another object, with the same properties. */
  get handle(): Handle {
    return this.#running.handle;
  }

  get backend(): BackendReport {
    return this.#running.report;
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  /** Calls into the model when all earlier calls have settled. `options.signal` cancels the call; `work` passes `caller` to the core. */
  async call<T>(options: object, work: (handle: Handle, caller: Caller) => T | Promise<T>): Promise<T> {
    try {
      if (this.#disposed)
        throw new PilotlightError('DISPOSED', `this ${this.#recipe.name} was disposed; load it again`);
      const signal = signalOf(checkObject('options', options));
      return await this.#queue.run((caller) => this.#compute(work, caller, signal), signal);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async #compute<T>(
    work: (handle: Handle, caller: Caller) => T | Promise<T>,
    caller: Caller,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    await this.#revive(this.#attempts, signal);
    for (let losses = 0; ; losses += 1) {
      const { instance, handle, load, report } = this.#running;
      try {
        const result = await instance.run(() => work(handle, caller), caller);
        if (!this.#answered && !this.#recipe.isTemporary) void load.refresh(instance);
        this.#answered = true;
        return result;
      } catch (error) {
        if (report.device === 'cpu' || !instance.gone || losses === AGAIN.length) throw error;
        if (losses > 0 && instance.hasTrapped) {
          // A call that traps twice may trap on the CPU as well, in a core with other models; later calls compute there.
          this.#attempts = ['cpu'];
          throw error;
        }
        await this.#revive(AGAIN.slice(losses), signal);
      }
    }
  }

  /** Waits until the model runs: it is loaded again where the GPU has failed, also under another model in the same core. */
  async #revive(attempts: Attempts, signal: AbortSignal | undefined): Promise<void> {
    const { instance, report } = this.#running;
    if (report.device === 'webgpu' && instance.gone)
      this.#coming ??= this.#loadAgain(attempts, instance.gone).finally(() => {
        this.#coming = undefined;
      });
    if (this.#coming) await abortable(this.#coming, signal);
  }

  async #loadAgain(attempts: Attempts, failure: PilotlightError): Promise<void> {
    const { name, options } = this.#recipe;
    const { instance, handle, commit } = this.#running;
    // Where several workers had the model, the others end too.
    if (instance.remote) handle.free();
    // The branch may have moved meanwhile, and then vectors would be others.
    const fixed = { ...quiet(options), ...(commit && { revision: commit }) };
    try {
      if (Object.values(options.files ?? {}).some(isReadOnce))
        throw new PilotlightError('BACKEND_UNAVAILABLE', 'its files can be read once only');
      const { running, restarts } = await loadOn(attempts, this.#recipe, fixed, this.#restarts, failure);
      noteRestarts(restarts - this.#restarts, running.report.reason);
      this.#running = running;
      this.#restarts = restarts;
    } catch (error) {
      const own = toPilotlightError(error);
      const { code, message } = own;
      throw new PilotlightError(
        // No argument of the call is wrong.
        code === 'INVALID_INPUT' ? 'BACKEND_UNAVAILABLE' : code,
        `${clauseOf(failure)}, and this ${name} could not be loaded again: ${message}`,
        error,
        own,
      );
    }
  }

  /** The place of this model, for another model beside it; once this one was disposed of, a place of the same kind that the other one has for itself. */
  async place(device: LoadOptions['device']): Promise<Place> {
    return this.#queue.run(async () => {
      // To load this model again would take memory that nobody frees.
      if (this.#disposed) return this.#recipe.place({ ...quiet(this.#recipe.options), ...(device && { device }) });
      await this.#revive(device === 'cpu' ? ['cpu'] : AGAIN, undefined);
      const { instance, report } = this.#running;
      // The restarts of the other model are its own.
      return { instance, report: { ...report, restarts: 0 } };
    });
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // The memory is freed after the calls that were made before; that of a core that is gone is freed already.
    void this.#queue
      .run(async () => {
        await this.#coming?.catch(() => {});
        const { instance, handle } = this.#running;
        await instance.run(() => handle.free());
      })
      .catch(() => {});
  }
}

/**
 * Loads on one device after the other until the GPU does not fail. `restarts` is the number before, `failure` the reason for this load, and `slower` a
 * clause that says why a GPU that was found for a device of `'auto'` is not taken.
 */
async function loadOn<Handle extends { free(): void }>(
  attempts: Attempts,
  recipe: Recipe<Handle>,
  options: LoadOptions,
  restarts: number,
  failure?: PilotlightError,
  slower?: string,
): Promise<{ running: Running<Handle>; restarts: number }> {
  const [attempt, ...others] = attempts;
  const signal = signalOf(options);
  const { device: wanted = 'auto', files: given } = options;
  const onCpu = (why: string, before = restarts) => loadOn(['cpu'], recipe, options, before, failure, why);
  if (attempt !== 'cpu' && wanted === 'auto' && Object.values(given ?? {}).some(isReadOnce))
    return onCpu("the model's files can be read once only, and a comparison with a GPU would read them");
  const asked = attempt === 'cpu' ? { ...options, device: 'cpu' as const } : options;
  const { model, place, files, load } = recipe;
  const placing = place(asked);
  const fetching = files?.();
  // A worker that was started in vain is ended.
  void fetching?.catch(async () => (await placing).instance.abandon()).catch(() => {});
  const [{ instance, report }, own] = await abortable(Promise.all([placing, fetching]), signal);
  const { isCompared, ...chosen } = report;
  const { device, dtype, adapter } = chosen;
  const count = restarts + chosen.restarts + (failure ? 1 : 0);
  let compared: { times: string; isFaster: boolean } | undefined;
  const onTimed: LoadRequest['onTimed'] = (times, isFaster) => {
    compared = { times, isFaster };
  };
  const request: LoadRequest = { ...asked, device, dtype, ...(own && { files: own }), ...(isCompared && { onTimed }) };
  const loading = new Load(model, request);
  try {
    const handle = await loading.run(instance, load);
    const { commit } = handle as { commit?: string };
    // Other hosts have a stand-in for it.
    const known = commit && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
    const reason = reasonOf(chosen.reason, { failure, slower, times: compared?.times });
    const running = { instance, report: { ...chosen, restarts: count, reason }, handle, commit: known, load: loading };
    return { running, restarts: count };
  } catch (error) {
    if (device === 'cpu' || signal?.aborted) throw error;
    const cause = toPilotlightError(error);
    const before = restarts + chosen.restarts;
    const name = nameOf(adapter);
    if (compared?.isFaster === false) return onCpu(`the GPU (${name}) is no faster: ${compared.times}`, before);
    if (isCompared && !compared && UNCOMPARED.includes(cause.code) && !isCoreGone(error))
      return onCpu(`it could not be compared with the GPU (${name}): ${clauseOf(cause)}`, before);
    if (others.length === 0) throw error;
    if (cause.code === UNFIT) return loadOn(['cpu'], recipe, options, count, cause);
    if (!isCoreGone(error)) throw error;
    return loadOn(others, recipe, options, count, error);
  }
}

/** The options for another load: nobody waits for its progress, and the signal was that of the first. */
function quiet({ signal: _, onProgress: __, ...options }: LoadOptions): LoadOptions {
  return options;
}

/** Completes the reason of a backend: by the failure before, by why the GPU is not taken, or by the times for which it is. */
function reasonOf(
  reason: string,
  {
    failure,
    slower,
    times,
  }: { failure: PilotlightError | undefined; slower: string | undefined; times: string | undefined },
): string {
  const taken = times === undefined ? reason : reason.replace(TO_BE_COMPARED, `WebGPU was taken because ${times}.`);
  const chosen = slower === undefined ? taken : taken.replace(CPU_ASKED, `The CPU was taken because ${slower}.`);
  if (!failure) return chosen;
  const why = clauseOf(failure);
  const failed = failure.code === UNFIT ? 'could not be used' : 'failed twice';
  return chosen.startsWith(CPU_ASKED)
    ? chosen.replace(CPU_ASKED, `The CPU was taken because WebGPU ${failed}: ${why}.`)
    : `${chosen} The model was loaded again because ${why}.`;
}
