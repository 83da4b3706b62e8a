import { spawn } from '#runtime';
import type { Store } from '../../types/index.js';

const rows = new Map<string, Uint8Array>();

/** Models that are kept as long as the page is open, whichever worker has loaded them. */
const memoryStore: Store = {
  get: async (key) => rows.get(key),
  put: async (key, bytes) => void rows.set(key, bytes.slice()),
  delete: async (key) => void rows.delete(key),
  keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
};

/** Options with the store that they name. A core has a memory store of its own, which would end with its worker. */
export function withStore<Options extends { store?: unknown }>(options: Options): Options {
  return spawn && Object(options).store === 'memory' ? { ...options, store: memoryStore } : options;
}
