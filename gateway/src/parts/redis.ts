/** The connection to Redis, of version 6 or newer, or Valkey. */
import type { Redis } from 'ioredis';

/** Connects to `redis://…`, or to a socket by its path. A command fails within a second when the server does not answer. */
export async function openRedis(url: string): Promise<Redis> {
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, { commandTimeout: 1000, maxRetriesPerRequest: 1, connectTimeout: 2000 });
  // Each command that fails says so to its caller; the connection is tried again by itself.
  redis.on('error', () => {});
  return redis;
}
