import type { Store } from '../../types/index.js';

const rows = new Map<string, Uint8Array>();

/** Stores that end with the page, whose models nobody asks the host about again. */
const memoryStores = new WeakSet<object>();

export const isMemoryStore = (store: unknown): boolean =>
  store === 'memory' || (typeof store === 'object' && store !== null && memoryStores.has(store));

/** Marks a store as one that ends with the page, and returns it. */
export function markMemoryStore<T extends object>(store: T): T {
  memoryStores.add(store);
  return store;
}

/** Keeps models as long as the page is open, whichever worker has loaded them. */
export const memoryStore: Store = {
  get: async (key) => rows.get(key),
  put: async (key, bytes) => void rows.set(key, bytes.slice()),
  delete: async (key) => void rows.delete(key),
  keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
};
memoryStores.add(memoryStore);
