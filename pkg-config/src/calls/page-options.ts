import { memoryStore } from '../storage/memory-store.js';

/** Whether this is a page that may have workers; a core's own memory store would end with its worker. */
const isPage = (): boolean => typeof document === 'object' && typeof Worker === 'function';

/** Options as all threads of a page understand them: with the store that `'memory'` names, and a host without a base. */
export function forPage<Options extends { store?: unknown; host?: unknown }>(options: Options): Options {
  if (!isPage()) return options;
  const { store, host } = Object(options) as { store?: unknown; host?: unknown };
  const isMemory = store === 'memory' || (store === undefined && typeof indexedDB === 'undefined');
  // A worker would resolve a relative address by that of its own script.
  const absolute = typeof host === 'string' ? resolved(host) : undefined;
  if (!isMemory && absolute === undefined) return options;
  return { ...options, ...(isMemory && { store: memoryStore }), ...(absolute !== undefined && { host: absolute }) };
}

/** The address of a relative host; undefined for any other, which stays as it was written. */
function resolved(host: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(host) || host === '') return undefined;
  try {
    return new URL(host, document.baseURI).href;
  } catch {
    return undefined;
  }
}
