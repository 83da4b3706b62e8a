/** The connection to Redis, of version 6 or newer, or Valkey. */
import type { Redis } from 'ioredis';

/**
 * Connects to `redis://…`, or to a socket by its path or as `unix://…`. While the server is away each command fails at once, and the
 * connection is tried again by itself. `variable`: the setting that has the address.
 * @throws {Error} where no server answers
 */
export async function openRedis(url: string, variable = 'REDIS_URL'): Promise<Redis> {
  const { Redis } = await import('ioredis');
  const redis = new Redis(url.replace(/^unix:\/\//, ''), {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 1000,
    connectTimeout: 5000,
  });
  // Commands that fail say so to their callers.
  redis.on('error', () => {});
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    // The address has the password in it.
    throw new Error(`Redis: no server answers at the address of ${variable}`, { cause: error });
  }
  return redis;
}

/**
 * Checks that a server which keeps limits forgets nothing where its memory is full: a key whose budget was forgotten has it again.
 * @throws {Error} where its `maxmemory-policy` is another than `noeviction`
 */
export async function checkKeepsAll(redis: Redis): Promise<void> {
  // Managed servers refuse CONFIG, and answer this.
  const policy = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1];
  if (policy === undefined || policy === 'noeviction') return;
  throw new Error(
    `REDIS_URL: expected a server with maxmemory-policy noeviction, got ${policy}, which forgets limits; cached answers have a server of their own (CACHE_REDIS_URL)`,
  );
}
