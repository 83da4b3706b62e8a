import type { PilotlightError } from '../error.js';
import { threads } from '../runtime/threads.js';
import { memoryStore } from '../storage/memory-store.js';

interface Options {
  store?: unknown;
  host?: unknown;
  files?: unknown;
}

/** Whether this thread may have models in workers, in this or another copy of the package's scripts. */
const mayHaveWorkers = (): boolean =>
  (typeof document === 'object' && typeof Worker === 'function') || threads() !== undefined;

/** The error of a core that could not open IndexedDB. */
const isDenied = (error: unknown): boolean =>
  error instanceof Error &&
  (error as Partial<PilotlightError>).code === 'BACKEND_UNAVAILABLE' &&
  error.message.includes('IndexedDB');

/** Whether the browser did not open IndexedDB, so that models are kept in memory until the page closes. */
let isWithout = false;

/**
 * Calls `work` with options as all threads of a program understand them: with a host that is no relative address, and where models are kept in
 * memory with the store of this thread, because a core's own would end with its worker.
 */
export async function withShared<T extends Options, R>(options: T, work: (shared: T) => Promise<R>): Promise<R> {
  // The core says what is wrong with options that are no object.
  if (!mayHaveWorkers() || Object(options) !== options) return work(options);
  const shared = { ...options, ...hostOf(options) };
  const inMemory = { ...shared, store: memoryStore };
  const { store, files } = options;
  const isDefault = store === undefined || store === null;
  if (store === 'memory' || (isDefault && (isWithout || typeof indexedDB === 'undefined'))) return work(inMemory);
  // Nothing is stored of the caller's own files.
  if (!isDefault || files) return work(shared);
  try {
    return await work({ ...shared, store: 'indexeddb' });
  } catch (error) {
    if (!isDenied(error)) throw error;
    // Each worker would find it out for itself, and keep its model alone.
    if (!isWithout)
      console.warn(`pilotlight: ${(error as Error).message}, so models are kept in memory until this page closes`);
    isWithout = true;
    return work(inMemory);
  }
}

/** The absolute address of a relative host: a worker would resolve it by that of its own script. Any other stays as it was written. */
function hostOf({ host }: Options): { host?: string } {
  if (typeof host !== 'string' || host === '' || /^[a-z][a-z0-9+.-]*:/i.test(host)) return {};
  if (typeof document !== 'object') return {};
  try {
    return { host: new URL(host, document.baseURI).href };
  } catch {
    return {};
  }
}
