import type { Store } from '../../types/index.js';

const rows = new Map<string, Uint8Array>();

/** Models that are kept as long as the page is open, whichever worker has loaded them. */
const memoryStore: Store = {
  get: async (key) => rows.get(key),
  put: async (key, bytes) => void rows.set(key, bytes.slice()),
  delete: async (key) => void rows.delete(key),
  keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
};

/** Options with the store that they name. In a page, a core's own memory store would end with its worker. */
export function withStore<Options extends { store?: unknown }>(options: Options): Options {
  if (typeof document !== 'object' || typeof Worker !== 'function') return options;
  const { store } = Object(options) as { store?: unknown };
  const isMemory = store === 'memory' || (store === undefined && typeof indexedDB === 'undefined');
  return isMemory ? { ...options, store: memoryStore } : options;
}
