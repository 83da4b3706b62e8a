import { webLocks } from '../storage/locks.js';
import type { Peer } from './peer.js';

/**
 * Has a worker hold a lock for as long as it lives, and returns a function that waits for its end: no event tells of that in browsers. Returns
 * `undefined` where the worker or this thread gets no locks.
 */
export async function watchLife(peer: Peer): Promise<((signal: AbortSignal) => Promise<void>) | undefined> {
  const locks = webLocks();
  const lock = `pilotlight-worker-${Math.random()}`;
  const isHeld = await peer.call('hold', [locks && lock]);
  if (!locks || !isHeld) return undefined;
  return async (signal) => (await locks.take(lock, signal))();
}
