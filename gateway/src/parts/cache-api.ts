/** The Cache API of a Worker. It keeps answers per location, and none on workers.dev. */
import type { Cache } from '../host.ts';

/** The API reads some headers for itself, and sets others. The answer's own are kept as JSON in this one. */
const KEPT = 'x-kept-headers';

export class ApiCache implements Cache {
  readonly #caches: Pick<CacheStorage, 'open'>;

  constructor(storage: Pick<CacheStorage, 'open'> = caches) {
    this.#caches = storage;
  }

  async match(digest: string): Promise<Response | undefined> {
    try {
      const hit = await (await this.#caches.open('answers')).match(addressOf(digest));
      if (!hit) return undefined;
      return new Response(hit.body, { status: hit.status, headers: JSON.parse(hit.headers.get(KEPT) ?? '[]') });
    } catch {
      return undefined;
    }
  }

  async put(digest: string, response: Response, seconds: number): Promise<void> {
    if (seconds <= 0) return;
    try {
      const headers = {
        [KEPT]: JSON.stringify([...response.headers]),
        'cache-control': `public, max-age=${Math.ceil(seconds)}`,
      };
      const kept = new Response(response.body, { status: response.status, headers });
      await (await this.#caches.open('answers')).put(addressOf(digest), kept);
    } catch {
      // The API refuses some answers, such as partial ones, and forgets any.
    }
  }
}

function addressOf(digest: string): string {
  return `https://cache.invalid/${digest}`;
}
