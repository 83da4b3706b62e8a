/** The connection to Redis, of version 6 or newer, or Valkey. */
import type { Redis } from 'ioredis';

/**
 * Connects to `redis://…`, or to a socket by its path. While the server is away each command fails at once, and the connection is tried
 * again by itself.
 * @throws {Error} where no server answers
 */
export async function openRedis(url: string): Promise<Redis> {
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
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
    throw new Error('Redis: no server answers at the address of REDIS_URL', { cause: error });
  }
  return redis;
}
