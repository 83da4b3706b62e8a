/** The Cache API of a Worker. It keeps answers per location, and none on workers.dev. */
import type { Cache } from '../host.ts';

/** The API reads `cache-control` for itself; the answer's own is kept under this name meanwhile. */
const OWN = 'x-kept-cache-control';

export class ApiCache implements Cache {
  readonly #caches: Pick<CacheStorage, 'open'>;

  constructor(storage: Pick<CacheStorage, 'open'> = caches) {
    this.#caches = storage;
  }

  async match(digest: string): Promise<Response | undefined> {
    try {
      const hit = await (await this.#caches.open('answers')).match(addressOf(digest));
      if (!hit) return undefined;
      const response = new Response(hit.body, hit);
      const own = response.headers.get(OWN);
      response.headers.delete(OWN);
      if (own === null) response.headers.delete('cache-control');
      else response.headers.set('cache-control', own);
      return response;
    } catch {
      return undefined;
    }
  }

  async put(digest: string, response: Response, seconds: number): Promise<void> {
    if (seconds <= 0) return;
    try {
      const kept = new Response(response.body, response);
      const own = kept.headers.get('cache-control');
      if (own !== null) kept.headers.set(OWN, own);
      kept.headers.set('cache-control', `public, max-age=${Math.ceil(seconds)}`);
      await (await this.#caches.open('answers')).put(addressOf(digest), kept);
    } catch {
      // The API refuses some answers, such as partial ones, and forgets any.
    }
  }
}

function addressOf(digest: string): string {
  return `https://cache.invalid/${digest}`;
}
