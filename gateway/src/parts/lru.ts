/** A cache in memory, for one process, bounded by bytes: the answers that were not used for the longest time go first. */
import { LRUCache } from 'lru-cache';
import type { Cache } from '../host.ts';
import { type KeptResponse, keep, restore } from './kept-response.ts';

/** Bytes that an entry takes beside its body, about. */
const OVERHEAD = 1024;

export class LruCache implements Cache {
  readonly #entries: LRUCache<string, KeptResponse>;

  /** `maxBytes`: of all answers together; one of more than an eighth of it is not kept. */
  constructor(maxBytes: number) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      maxEntrySize: Math.ceil(maxBytes / 8),
      sizeCalculation: ({ bytes }) => bytes.length + OVERHEAD,
    });
  }

  async match(digest: string): Promise<Response | undefined> {
    const kept = this.#entries.get(digest);
    return kept && restore(kept);
  }

  async put(digest: string, response: Response, seconds: number): Promise<void> {
    if (seconds <= 0) return;
    try {
      this.#entries.set(digest, await keep(response), { ttl: seconds * 1000 });
    } catch {
      // A body that was read already, or that failed, is not kept.
    }
  }
}
