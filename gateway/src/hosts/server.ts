/** The host of a server in Node, Deno or Bun, with the parts that its settings name. */
import { Cron } from 'croner';
import { createGateway } from '../app.ts';
import type { Host } from '../host.ts';
import { FAILURES } from '../http/auth.ts';
import { report } from '../http/log.ts';
import { bury, consume } from '../jobs/consume.ts';
import { migrate } from '../migrate.ts';
import { allLoaders } from '../models/local/all.ts';
import { createModels } from '../models/registry.ts';
import { RecordedEvents } from '../parts/events.ts';
import { FolderBlobs } from '../parts/folder.ts';
import { LruCache } from '../parts/lru.ts';
import { MemoryMeter } from '../parts/memory-meter.ts';
import { SqlMeter } from '../parts/sql-meter.ts';
import { SqlQueue } from '../parts/sql-queue.ts';
import { retention } from '../retention.ts';
import type { Settings } from '../settings.ts';
import { compileCore } from './core.ts';
import { type Running, within } from './serve.ts';
import { openBlobs, openSql, readMigrations, readModels } from './storage.ts';

/** Milliseconds between writes of usage and metrics that no request causes. */
const FLUSH_MS = 10_000;

/** Opens the parts that the settings name, brings the database to the newest schema, and begins to handle the queue. */
export async function openServer(settings: Settings): Promise<Running> {
  await compileCore();
  const sql = await openSql(settings);
  await migrate(sql, await readMigrations());
  const meter = settings.REDIS_URL === undefined ? undefined : await redisMeter(settings.REDIS_URL);
  const cache = settings.CACHE_REDIS_URL === undefined ? undefined : await redisCache(settings.CACHE_REDIS_URL);
  const addresses = new WeakMap<Request, string>();
  const held = new Set<Promise<unknown>>();
  const hold = (promise: Promise<unknown>) => {
    const settled = promise.catch((error) => report(settings, 'held', error)).finally(() => held.delete(settled));
    held.add(settled);
  };
  const common = {
    settings,
    sql,
    blobs: await openBlobs(settings, process.env),
    events: new RecordedEvents(sql),
    hold,
    secret: async (name: string) => process.env[name] || undefined,
  };
  const failures = new MemoryMeter();
  const queue = new SqlQueue(sql, { report: (error, { topic }) => report(settings, topic, error) });
  const host: Host = {
    ...common,
    queue,
    // Counts of one process would not hold among several, which Postgres is for; budgets of a day outlive the process in SQL.
    meter: meter?.part ?? new SqlMeter(sql),
    cache: cache?.part ?? new LruCache(settings.CACHE_MB * 2 ** 20),
    models: createModels(await readModels(process.env.MODELS_FILE || undefined), {
      ...common,
      loaders: allLoaders,
      places: { folder: (path) => ({ place: new FolderBlobs(path || '.'), prefix: '' }) },
    }),
    clientAddress: (request) => addressIn(settings, request) ?? addresses.get(request) ?? '',
    // It is counted in memory: whoever guesses keys must not make the database work.
    allowFailure: async (address) => (await failures.take(address, [FAILURES])).allowed,
  };
  const app = createGateway(host);
  const stop = new AbortController();
  const working = queue.run(
    {
      consume: (message, attempt) => consume(host, message, attempt, stop.signal),
      bury: (message) => bury(host, message),
    },
    stop.signal,
  );
  const flush = () => hold(host.events.flush());
  const timer = setInterval(flush, FLUSH_MS);
  const cron = new Cron(
    '*/5 * * * *',
    // One run at a time, however long it takes.
    { protect: true, catch: (error) => report(settings, 'cron', error) },
    async () => void (await retention(host)),
  );

  return {
    async fetch(request, address) {
      addresses.set(request, address);
      return app.fetch(request);
    },
    async close(drainMs) {
      cron.stop();
      clearInterval(timer);
      stop.abort();
      await within(drainMs, Promise.all([working, ...held]));
      await host.events.flush().catch((error) => report(settings, 'flush', error));
      meter?.close();
      cache?.close();
      await sql.close();
    },
  };
}

async function redisMeter(url: string) {
  const { checkKeepsAll, openRedis } = await import('../parts/redis.ts');
  const { RedisMeter } = await import('../parts/redis-meter.ts');
  const redis = await openRedis(url);
  try {
    await checkKeepsAll(redis);
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  return { part: new RedisMeter(redis), close: () => redis.disconnect() };
}

async function redisCache(url: string) {
  const { openRedis } = await import('../parts/redis.ts');
  const { RedisCache } = await import('../parts/redis-cache.ts');
  const redis = await openRedis(url, 'CACHE_REDIS_URL');
  return { part: new RedisCache(redis), close: () => redis.disconnect() };
}

/** The client's address as the proxy tells it: the last one of the list, which is the one that the proxy itself has seen. */
function addressIn({ ADDRESS_HEADER }: Settings, request: Request): string | undefined {
  if (ADDRESS_HEADER === undefined) return undefined;
  return request.headers.get(ADDRESS_HEADER)?.split(',').at(-1)?.trim() || undefined;
}
