import type { LoadOptions, LoadProgress } from '../../types/index.js';
import type { Glue } from '../core/glue.js';
import type { Instance } from '../core/instance.js';
import { isReadOnce } from '../inputs/byte-sources.js';
import { byteOptions } from '../inputs/request.js';
import { isShared, type Locks, locksFor } from '../storage/locks.js';
import { isMemoryStore } from '../storage/memory-store.js';
import { abortable } from './abort.js';
import { Caller, watch } from './caller.js';
import { checkListener } from './check.js';
import { withShared } from './shared-options.js';

/** The options of a load, and what the package adds. */
export type LoadRequest = LoadOptions & {
  /**
   * Called with a clause about the times of the model on the GPU and on the CPU. Where it is given, a model is not loaded on a GPU unless it is faster
   * there.
   */
  onTimed?(times: string, isFaster: boolean): void;
};

/** Callers with a load under way. */
const callers = new Set<Caller>();

/** One load of a model: its locks, its cancellation, and the refresh of the store after the model's first answer. */
export class Load<Options extends LoadRequest> {
  readonly #model: string;
  #options: Options;
  #cached = false;

  constructor(model: string, options: Options) {
    checkListener(options);
    this.#model = model;
    this.#options = options;
  }

  /** Runs `load`. Rejects as soon as the signal fires; a step that is under way then ends by itself. */
  run<T extends { free(): void }>(instance: Instance, load: (glue: Glue, options: object) => Promise<T>): Promise<T> {
    return withShared(this.#options, (options) => {
      this.#options = options;
      return this.#run(instance, load);
    });
  }

  async #run<T extends { free(): void }>(
    instance: Instance,
    load: (glue: Glue, options: object) => Promise<T>,
  ): Promise<T> {
    const { signal, store } = this.#options;
    const report = ({ file, loaded, total }: Pick<LoadProgress, 'file' | 'loaded' | 'total'>): void =>
      this.#options.onProgress?.({
        status: 'download',
        ...(file !== undefined && { file }),
        loaded,
        total,
        cached: false,
      });
    const caller = new Caller();
    callers.add(caller);
    // A load whose caller is gone would keep its part of a model in memory.
    const unwatch = watch(
      () => [...callers].filter((other) => other !== caller),
      (gone) => callers.delete(gone),
    );
    const locks = instance.remote ? undefined : locksFor(isShared(store), signal, report);
    const own = locks && { locks, caller, ...byteOptions(this.#options, signal) };
    const work = this.#loadAndTest(instance, (options) =>
      instance.run((glue) => load(glue, { ...options, ...own }), caller),
    );
    const ended = work.then(
      // After an abort nobody receives the model.
      (model) => signal?.aborted && model.free(),
      () => {},
    );
    void ended.then(() => {
      unwatch();
      caller.end();
      callers.delete(caller);
      // A core that trapped has not released its locks.
      locks?.endAll();
    });
    return abortable(work, signal);
  }

  /** Loads, on a GPU beside its self-test: kernels are compiled while the weights arrive. A GPU that is timed is tested only after that, if it is faster. */
  async #loadAndTest<T extends { free(): void }>(
    instance: Instance,
    load: (options: object) => Promise<T>,
  ): Promise<T> {
    const { device, dtype, files, signal, onTimed } = this.#options;
    let ready: LoadProgress | undefined;
    const onProgress = (event: LoadProgress): void => {
      // A worker may still report when the load was given up.
      if (signal?.aborted) return;
      this.#cached = event.cached;
      if (test && event.status === 'ready') ready = event;
      else this.#options.onProgress?.(event);
    };
    const test = device === 'webgpu' && dtype ? () => instance.testGpu(dtype) : undefined;
    // If the GPU does not pass, what can be read once is left for the CPU.
    if (Object.values(files ?? {}).some(isReadOnce)) await test?.();
    let start = (): void => {};
    const timed =
      onTimed &&
      new Promise<void>((resolve) => {
        start = resolve;
      });
    const report: LoadRequest['onTimed'] = (times, isFaster) => {
      onTimed?.(times, isFaster);
      if (isFaster) start();
    };
    const loading = load({ ...this.#options, onProgress, ...(onTimed && { onTimed: report }) });
    const tested = timed ? timed.then(test) : test?.();
    tested?.catch(() => {});
    const model = await loading;
    start();
    try {
      await tested;
    } catch (error) {
      // The weights are in the store, for the load on the CPU.
      await instance.run(() => model.free()).catch(() => {});
      throw error;
    }
    try {
      if (ready && !signal?.aborted) this.#options.onProgress?.(ready);
    } catch {
      // An error of the listener does not fail the load.
    }
    return model;
  }

  /**
   * Asks the host for the commit of a stored model's branch, so that the next load knows it. To be called after the first answer. Nobody need wait for
   * it, and it never rejects.
   */
  async refresh(instance: Instance): Promise<void> {
    const { store, files, revision } = this.#options;
    // A worker does it by itself.
    if (store === false || files || instance.remote) return;
    const resolved = {
      ...this.#options,
      signal: undefined,
      onProgress: undefined,
      locks: locksFor(isShared(store), undefined),
      ...byteOptions({ host: this.#options.host }, undefined),
    };
    const offline = (globalThis.navigator as { onLine?: boolean } | undefined)?.onLine === false;
    const fixed = /^[0-9a-f]{40}$/.test(revision ?? '');
    const ask = this.#cached && !isMemoryStore(store) && !offline && !fixed;
    try {
      if (ask) await instance.run(({ refreshModel }) => refreshModel(this.#model, resolved));
      await sweepOnce(instance, store, resolved.locks);
    } catch {
      // The caller asked for neither, and both are tried again at the next visit.
    }
  }
}

/** Stores that were swept since this page opened. A program's own store is referenced weakly, so that it can be collected. */
const swept = { names: new Set<unknown>(), objects: new WeakSet<object>() };

async function sweepOnce(instance: Instance, store: LoadOptions['store'], locks: Locks): Promise<void> {
  if (isMemoryStore(store)) return;
  const known = typeof store === 'object' && store !== null ? swept.objects : swept.names;
  if (known.has(store as object)) return;
  known.add(store as object);
  await instance.run(({ sweepModels }) => sweepModels({ store, locks }));
}
