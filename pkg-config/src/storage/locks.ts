import { stoppedBy } from '../calls/abort.js';
import { Caller } from '../calls/caller.js';
import { Line } from '../calls/line.js';

/** A held lock: its holder alone writes what the lock is named after, such as a model in a store. */
export interface LockGuard {
  /** Sends the progress of the download to the tabs that wait for the lock. */
  announce(file: string | undefined, loaded: number, total: number): void;
  /** Releases the lock. */
  end(): void;
}

/** Exclusive locks by name. The core takes them; it calls these methods by their names. */
export interface Locks {
  /** Waits for the lock, or takes it over from a holder that has been silent for `HOLDER_TIMEOUT`. */
  take(name: string): Promise<LockGuard>;
  /** Resolves to `undefined` where the lock is held. */
  tryTake(name: string): Promise<LockGuard | undefined>;
  /** Releases every lock that is still held: a core that trapped releases none. */
  endAll(): void;
}

/** A holder's progress, as sent to the tabs that wait. */
interface Announcement {
  file?: string;
  loaded: number;
  total: number;
}

/** A place where locks are granted. Both functions resolve to the function that releases the lock. */
export interface Grants {
  take(name: string, signal?: AbortSignal): Promise<() => void>;
  /** Resolves to `undefined` where the lock is held. */
  takeIfFree(name: string): Promise<(() => void) | undefined>;
}

/**
 * `prefix` is the beginning of the names of locks on stores that one page alone has. Its workers take the same; elsewhere it is empty, and such locks
 * are kept on this thread, or on the one that has started it: `lent`.
 */
export const pageLocks: { prefix: string; lent: Grants | undefined } = {
  prefix: typeof document === 'object' ? `pilotlight-page-${Math.random()}-` : '',
  lent: undefined,
};

/** Whether all tabs of the origin share a store. */
export const isShared = (store: unknown): boolean => store === undefined || store === null || store === 'indexeddb';

/** Milliseconds without an announcement after which a lock's holder counts as hung. Loading in parallel with it costs bytes, but does no harm. */
const HOLDER_TIMEOUT = 120_000;

/**
 * Locks among all tabs of the origin where they share the store, else among the loads of this page and its workers.
 * `listener` gets what the holder announces while `take` waits.
 */
export function locksFor(
  shared: boolean,
  signal: AbortSignal | undefined,
  listener?: (announcement: Announcement) => void,
): Locks {
  const isPage = pageLocks.prefix !== '';
  const grants = pageLocks.lent ?? (shared || isPage ? webOrOwnLocks() : ownLocks);
  const named = (name: string): string => (shared || !isPage ? name : pageLocks.prefix + name);
  const held = new Set<LockGuard>();

  function guard(name: string, release: () => void): LockGuard {
    const channel = channelFor(name);
    const taken: LockGuard = {
      announce: (file, loaded, total) =>
        channel?.postMessage({ ...(file !== undefined && { file }), loaded, total } satisfies Announcement),
      end() {
        if (!held.delete(taken)) return;
        channel?.close();
        release();
      },
    };
    held.add(taken);
    return taken;
  }

  return {
    async take(key) {
      const name = named(key);
      const waiting = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const restartTimer = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => waiting.abort(), HOLDER_TIMEOUT);
      };
      restartTimer();
      const channel = channelFor(name);
      channel?.addEventListener('message', ({ data }) => {
        restartTimer();
        listener?.(data as Announcement);
      });
      try {
        const stop = (): void => waiting.abort();
        const release = await stoppedBy(signal, stop, () => grants.take(name, waiting.signal));
        return guard(name, release);
      } catch (error) {
        if (signal?.aborted)
          throw new DOMException('aborted while waiting for another load of the same model', 'AbortError');
        if (waiting.signal.aborted) return guard(name, () => {});
        throw error;
      } finally {
        clearTimeout(timer);
        channel?.close();
      }
    },

    async tryTake(key) {
      const name = named(key);
      const release = await grants.takeIfFree(name);
      return release && guard(name, release);
    },

    endAll() {
      for (const taken of held) taken.end();
    },
  };
}

/** The locks of the browser, or of this thread where the browser has none or denies them, as it does to a frame in a sandbox. */
function webOrOwnLocks(): Grants {
  const locks = webLocks();
  if (!locks) return ownLocks;
  const unlessDenied =
    <T>(own: () => Promise<T>) =>
    (error: unknown): Promise<T> => {
      if (Object(error).name !== 'SecurityError') throw error;
      return own();
    };
  return {
    take: (name, signal) => locks.take(name, signal).catch(unlessDenied(() => ownLocks.take(name, signal))),
    takeIfFree: (name) => locks.takeIfFree(name).catch(unlessDenied(() => ownLocks.takeIfFree(name))),
  };
}

/** The locks of the browser; `undefined` where there are none, as in pages without HTTPS. */
export function webLocks(): Grants | undefined {
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  return (
    locks && {
      take: (name, signal) =>
        new Promise((resolve, reject) => {
          const hold = () => new Promise<void>((release) => resolve(release));
          locks.request(name, signal ? { signal } : {}, hold).catch(reject);
        }),

      takeIfFree: (name) =>
        new Promise((resolve, reject) => {
          const hold = (granted: Lock | null): Promise<void> | undefined => {
            if (granted) return new Promise<void>((release) => resolve(release));
            resolve(undefined);
            return undefined;
          };
          locks.request(name, { ifAvailable: true }, hold).catch(reject);
        }),
    }
  );
}

/** The loads of this thread, and of those it has started, that hold or wait for a lock, by the lock's name. */
const lines = new Map<string, Line>();

async function queue(name: string, signal?: AbortSignal): Promise<() => void> {
  const line = lines.get(name) ?? new Line();
  lines.set(name, line);
  const caller = new Caller();
  const release = (): void => {
    caller.end();
    line.leave(caller);
    if (line.isEmpty && lines.get(name) === line) lines.delete(name);
  };
  try {
    await line.enter(caller, signal);
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

/** Locks of this thread. */
export const ownLocks: Grants = {
  take: queue,
  takeIfFree: async (name) => (lines.has(name) ? undefined : queue(name)),
};

function channelFor(name: string): BroadcastChannel | undefined {
  return typeof BroadcastChannel === 'function' ? new BroadcastChannel(name) : undefined;
}
