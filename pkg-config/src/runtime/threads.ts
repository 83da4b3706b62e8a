/** The part of `node:worker_threads` that is used; Deno and Bun have it too. */
export interface Threads {
  Worker: new (script: string, options: object) => Thread;
  /** The port to the thread that has started this one; null in the first one. */
  parentPort: Pick<Thread, 'postMessage' | 'on'> | null;
}

/** A started thread. */
export interface Thread {
  postMessage(message: unknown, transfer: readonly Transferable[]): void;
  on(event: string, listener: (value: never) => void): unknown;
  terminate(): unknown;
  ref(): void;
  unref(): void;
}

interface Host {
  process?: {
    getBuiltinModule?(name: string): unknown;
    availableMemory?(): number;
  };
}

/** Returns a module of Node, or `undefined`. It is not imported, because bundlers for browsers would stop. */
export const builtin = (name: string): unknown => known(() => (globalThis as Host).process?.getBuiltinModule?.(name));

/** Threads of this runtime; `undefined` where there are none. Cloudflare Workers may have the module, which starts none. */
export const threads = (): Threads | undefined =>
  globalThis.navigator?.userAgent === 'Cloudflare-Workers'
    ? undefined
    : (builtin('node:worker_threads') as Threads | undefined);

/** The number of processors that this process may use, and half of the memory that it may still take. */
export function deviceOfProcess(): { cores: number; memory: number } {
  const os = builtin('node:os') as { availableParallelism?(): number; freemem(): number } | undefined;
  const cores = known(() => os?.availableParallelism?.()) ?? globalThis.navigator?.hardwareConcurrency ?? 1;
  // It heeds the limit of a container, as `freemem` does not.
  const memory = known(() => (globalThis as Host).process?.availableMemory?.()) ?? known(() => os?.freemem());
  return { cores, memory: (memory ?? 2 ** 31) / 2 };
}

/** Returns what `ask` returns, or `undefined` where it throws, as in Deno without permission and in the Edge Runtime of Next.js. */
function known<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
