/** A cache in Redis: status and headers as a line of JSON, then the bytes. */
import type { Redis } from 'ioredis';
import type { Cache } from '../host.ts';
import { keep, restore } from './kept-response.ts';

const NEWLINE = 10;

export class RedisCache implements Cache {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix = 'pilotlight:cache:') {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  async match(digest: string): Promise<Response | undefined> {
    try {
      const kept = await this.#redis.getBuffer(this.#prefix + digest);
      if (!kept) return undefined;
      const end = kept.indexOf(NEWLINE);
      const { status, headers } = JSON.parse(kept.toString('utf8', 0, end));
      return restore({ status, headers, bytes: new Uint8Array(kept.subarray(end + 1)) });
    } catch {
      // A cache that does not answer is a cache that has forgotten.
      return undefined;
    }
  }

  async put(digest: string, response: Response, seconds: number): Promise<void> {
    if (seconds <= 0) return;
    try {
      const { status, headers, bytes } = await keep(response);
      const kept = Buffer.concat([Buffer.from(`${JSON.stringify({ status, headers })}\n`), bytes]);
      await this.#redis.set(this.#prefix + digest, kept, 'PX', Math.ceil(seconds * 1000));
    } catch {
      // The answer is computed anew next time.
    }
  }
}
