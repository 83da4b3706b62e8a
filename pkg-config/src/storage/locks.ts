import { Caller } from '../calls/caller.js';
import { Line } from '../calls/line.js';

/** A turn to write a model into a store. */
export interface LockGuard {
  /** Tells those who wait how far the download is. */
  announce(file: string | undefined, loaded: number, total: number): void;
  end(): void;
}

/** Gives one turn at a time for each name; Rust asks for them. */
export interface Locks {
  take(name: string): Promise<LockGuard>;
  /** `undefined` where somebody has it. */
  tryTake(name: string): Promise<LockGuard | undefined>;
  /** Ends what is still held, by a core that trapped for one. */
  endAll(): void;
}

interface Announcement {
  file?: string;
  loaded: number;
  total: number;
}

/** Whether a store is one for all tabs of the origin. */
export const isShared = (store: unknown): boolean => store === undefined || store === null || store === 'indexeddb';

/** Who has said nothing for so long has hung; going on beside it costs bytes, but cannot do harm. */
const PATIENCE = 120_000;

/**
 * Locks among all tabs of the origin where the store is theirs together, else among the loads of this page.
 * `listener` hears what the holder announces while one waits.
 */
export function locksFor(
  shared: boolean,
  signal: AbortSignal | undefined,
  listener?: (announcement: Announcement) => void,
): Locks {
  const locks = shared ? (globalThis.navigator as Navigator | undefined)?.locks : undefined;
  const held = new Set<LockGuard>();

  function turn(name: string, release: () => void): LockGuard {
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
    async take(name) {
      const patience = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const wait = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => patience.abort(), PATIENCE);
      };
      wait();
      const channel = channelFor(name);
      channel?.addEventListener('message', ({ data }) => {
        wait();
        listener?.(data as Announcement);
      });
      const stop = (): void => patience.abort();
      signal?.addEventListener('abort', stop, { once: true });
      if (signal?.aborted) stop();
      try {
        return turn(name, await (locks ? lock(locks, name, patience.signal) : queue(name, patience.signal)));
      } catch (error) {
        if (signal?.aborted) throw new DOMException('aborted while another load had its turn', 'AbortError');
        if (patience.signal.aborted) return turn(name, () => {});
        throw error;
      } finally {
        clearTimeout(timer);
        channel?.close();
        signal?.removeEventListener('abort', stop);
      }
    },

    async tryTake(name) {
      if (!locks) return lines.has(name) ? undefined : turn(name, await queue(name));
      const release = await lockIfFree(locks, name);
      return release && turn(name, release);
    },

    endAll() {
      for (const taken of held) taken.end();
    },
  };
}

/** Resolves, when the lock is ours, to what gives it back. */
function lock(locks: LockManager, name: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    locks.request(name, { signal }, () => new Promise<void>((release) => resolve(release))).catch(reject);
  });
}

function lockIfFree(locks: LockManager, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const hold = (granted: Lock | null): Promise<void> | undefined => {
      if (granted) return new Promise<void>((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    locks.request(name, { ifAvailable: true }, hold).catch(reject);
  });
}

/** Of this page: who waits, by name. */
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

function channelFor(name: string): BroadcastChannel | undefined {
  return typeof BroadcastChannel === 'function' ? new BroadcastChannel(name) : undefined;
}
