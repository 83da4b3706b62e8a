import type { LoadOptions } from '../../types/index.js';
import { checkCount } from '../calls/check.js';
import { hasRelaxedSimd } from '../core/simd.js';
import { webLocks } from '../storage/locks.js';

/** More threads than this gain nothing: a call has not that many parts. */
const MOST = 64;

/** The most threads that are taken unasked: short texts have few parts, and each thread is a worker that has to start. */
const UNASKED = 4;

/** The threads that a worker is started with. */
export interface ThreadPlan {
  /** The number of threads; 0 for a core that has none. */
  count: number;
  /** The reason for a single thread, if the program asked for several or the page is isolated. */
  why?: string;
}

/** @throws {PilotlightError} `INVALID_INPUT` where `threads` is neither 'auto' nor a whole number from 1 to 64 */
export function checkThreads({ threads = 'auto' }: { threads?: unknown }): void {
  checkCount('threads', threads, MOST);
}

/** Whether a program asks for several threads itself. */
export const asksForThreads = ({ threads }: LoadOptions): boolean => typeof threads === 'number' && threads > 1;

/** The threads of a call in a page's worker, on a device with so many processors. `given` is the program's own core. */
export function planThreads(options: LoadOptions, cores: number, given: unknown): ThreadPlan {
  const { threads = 'auto' } = options;
  if (threads === 1) return { count: 0 };
  const isIsolated = globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function';
  if (!isIsolated) {
    return asksForThreads(options) ? { count: 0, why: 'the page is not cross-origin isolated' } : { count: 0 };
  }
  const missing = [
    cores < 2 && 'the device has only one processor',
    given !== undefined && 'init was given a core, which has no threads',
    !hasRelaxedSimd() && 'this engine has no relaxed SIMD',
    !webLocks() && 'this page has no web locks',
  ].find((why) => why !== false);
  if (missing) return { count: 0, why: missing };
  return { count: Math.min(cores, threads === 'auto' ? UNASKED : threads) };
}

/** The threads of each of several workers that divide a list: workers times threads are never more than processors. */
export const threadsOfEach = (threads: number, cores: number, workers: number): number =>
  Math.max(1, Math.min(threads, Math.floor(cores / workers)));
