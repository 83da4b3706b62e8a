import type { LoadOptions, LoadProgress } from '../types/index.js';
import { abortable } from './abort.js';
import { Caller, watch } from './caller.js';
import type { CoreInstance } from './core-instance.js';
import { PilotlightError } from './error.js';
import type { Glue } from './glue.js';
import { isShared, type Locks, locksFor } from './locks.js';
import { byteOptions } from './request.js';

/** Whose loads are under way. */
const callers = new Set<Caller>();

/** One load of a model: whose turn it is, cancelling at once, and what is done when the model has given its first answer. */
export class Load<Options extends LoadOptions> {
  readonly #model: string;
  readonly #options: Options;
  readonly #locks: Locks;
  #cached = false;

  constructor(model: string, options: Options) {
    const listener: unknown = options.onProgress;
    if (listener !== undefined && listener !== null && typeof listener !== 'function') {
      throw new PilotlightError('INVALID_INPUT', `onProgress: expected a function, got ${typeof listener}`);
    }
    this.#model = model;
    this.#options = options;
    const report = ({ file, loaded, total }: Pick<LoadProgress, 'file' | 'loaded' | 'total'>): void =>
      options.onProgress?.({ status: 'download', ...(file !== undefined && { file }), loaded, total, cached: false });
    this.#locks = locksFor(isShared(options.store), options.signal, report);
  }

  /** Rejects as soon as the signal fires; what is under way then ends by itself. */
  async run<T extends { free(): void }>(
    instance: CoreInstance,
    load: (glue: Glue, options: object) => Promise<T>,
  ): Promise<T> {
    const onProgress = (event: LoadProgress): void => {
      this.#cached = event.cached;
      this.#options.onProgress?.(event);
    };
    const { signal } = this.#options;
    const caller = new Caller();
    callers.add(caller);
    // One that nobody waits for any more would keep its part of a model in memory.
    const unwatch = watch(
      () => [...callers].filter((other) => other !== caller),
      (gone) => callers.delete(gone),
    );
    const work = instance.run(
      (glue) =>
        load(glue, { ...this.#options, onProgress, locks: this.#locks, caller, ...byteOptions(this.#options, signal) }),
      caller,
    );
    const ended = work.then(
      // Nobody waits for it any more.
      (model) => signal?.aborted && model.free(),
      () => {},
    );
    void ended.then(() => {
      unwatch();
      caller.end();
      callers.delete(caller);
      // A trap leaves locks behind.
      this.#locks.endAll();
    });
    return abortable(work, signal);
  }

  /** Asks the host, now that the first answer is given, what a stored model's branch stands for; the next load will know. */
  refresh(instance: CoreInstance): void {
    const { store, files, revision } = this.#options;
    if (store === false || files) return;
    const resolved = {
      ...this.#options,
      signal: undefined,
      onProgress: undefined,
      locks: locksFor(isShared(store), undefined),
      ...byteOptions({}, undefined),
    };
    const offline = (globalThis.navigator as { onLine?: boolean } | undefined)?.onLine === false;
    const fixed = /^[0-9a-f]{40}$/.test(revision ?? '');
    const ask = this.#cached && store !== 'memory' && !offline && !fixed;
    void (async () => {
      if (ask) await instance.run(({ refreshModel }) => refreshModel(this.#model, resolved));
      await sweepOnce(instance, store, resolved.locks);
    })().catch(() => {
      // Neither is anything that the caller asked for, and both are tried again at the next visit.
    });
  }
}

/** Stores that were swept since this page opened; a program's own ones are not kept from being collected. */
const swept = { names: new Set<unknown>(), objects: new WeakSet<object>() };

async function sweepOnce(instance: CoreInstance, store: LoadOptions['store'], locks: Locks): Promise<void> {
  if (store === 'memory') return;
  const known = typeof store === 'object' && store !== null ? swept.objects : swept.names;
  if (known.has(store as object)) return;
  known.add(store as object);
  await instance.run(({ sweepModels }) => sweepModels({ store, locks }));
}
