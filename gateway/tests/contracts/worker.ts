/** Runs contracts in workerd, over the parts of Cloudflare: `POST /{body}/{case}` answers `{}`, or `{ error }`. */
import type { D1Database, MessageBatch, Queue, R2Bucket } from '@cloudflare/workers-types';
import { type Migration, migrate } from '../../src/migrate.ts';
import { ApiCache } from '../../src/parts/cache-api.ts';
import { CloudflareQueue, deliver } from '../../src/parts/cloudflare-queue.ts';
import { D1Sql } from '../../src/parts/d1.ts';
import { type Collector, RecordedEvents } from '../../src/parts/events.ts';
import { type KeyMeterNamespace, ObjectMeter } from '../../src/parts/key-meter.ts';
import { R2Blobs } from '../../src/parts/r2.ts';
import type { Consumer } from '../../src/parts/sql-queue.ts';
import { blobsContract } from './blobs.ts';
import { cacheContract } from './cache.ts';
import type { Contract } from './contract.ts';
import { event, eventsContract } from './events.ts';
import { meterContract, meterTimes } from './meter.ts';
import { queueContract } from './queue.ts';
import { sqlContract } from './sql.ts';
import { tablesContract } from './tables.ts';

export { KeyMeter } from '../../src/parts/key-meter.ts';
export { Metrics } from '../../src/parts/metrics-object.ts';

interface Env {
  DB: D1Database;
  R2: R2Bucket;
  WORK: Queue;
  METER: KeyMeterNamespace;
  METRICS: { getByName(name: string): Collector };
  MIGRATIONS: Migration[];
}

/** The handler of the messages of the test that runs. */
let consumer: Consumer | undefined;

function body<T>(contract: Contract<T>, make: (env: Env) => Promise<T>) {
  return Object.fromEntries(
    Object.entries(contract).map(([title, run]) => [title, (env: Env) => run(() => make(env))] as const),
  );
}

/** D1 without rows, and without tables that a test made. */
async function newSql({ DB, MIGRATIONS }: Env): Promise<D1Sql> {
  const sql = new D1Sql(DB);
  const tables = await sql.all<{ name: string }>(
    `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '%cf%'`,
  );
  await sql.batch(tables.map(({ name }) => [`DROP TABLE "${name}"`] as const));
  await migrate(sql, MIGRATIONS);
  return sql;
}

async function newBlobs({ R2 }: Env): Promise<R2Blobs> {
  for (;;) {
    const { objects } = await R2.list();
    if (objects.length === 0) return new R2Blobs(R2);
    await R2.delete(objects.map(({ key }) => key));
  }
}

const newMeter = async ({ METER }: Env) => new ObjectMeter(METER);

const tpd = { name: 'tpd', limit: 10, seconds: 86_400, cost: 10 } as const;

/** Checks what is kept over a restart: the first run takes and counts, the second finds it. */
const kept = {
  first: async ({ METER, METRICS }: Env) => {
    const { allowed } = await new ObjectMeter(METER).take('kept', [tpd]);
    const events = new RecordedEvents(new D1Sql({} as D1Database), { collector: METRICS.getByName('kept') });
    const { key: _key, ...anonymous } = event();
    events.record(anonymous);
    await events.flush();
    if (!allowed) throw new Error('the budget was taken before');
  },
  second: async ({ METER, METRICS }: Env) => {
    const { allowed } = await new ObjectMeter(METER).take('kept', [tpd]);
    const text = await METRICS.getByName('kept').render();
    if (allowed || !/^pilotlight_requests_total\{.*\} 1$/m.test(text)) throw new Error(`${allowed} ${text}`);
  },
};

/** The metrics of two isolates, whose sums the object renders. */
async function addedUp({ DB, METRICS }: Env): Promise<void> {
  const [one, two] = [1, 2].map(
    () => new RecordedEvents(new D1Sql(DB), { collector: METRICS.getByName('added up') }),
  ) as [RecordedEvents, RecordedEvents];
  const { key: _key, ...anonymous } = event();
  for (let times = 0; times < 5; times++) one.record(anonymous);
  two.record(anonymous);
  await one.flush();
  const text = await two.render();
  if (!/^pilotlight_requests_total\{.*\} 6$/m.test(text)) throw new Error(text);
}

export const bodies: Record<string, Record<string, (env: Env) => Promise<void>>> = {
  'Sql: D1': body(sqlContract, newSql),
  'Tables: D1': body(tablesContract, newSql),
  'Blobs: R2': body(blobsContract, newBlobs),
  'Meter: Durable Object': body(meterContract, newMeter),
  'Meter: Durable Object, by time': body(meterTimes, newMeter),
  'Cache: Cache API': body(cacheContract, async () => new ApiCache()),
  'Queue: Cloudflare Queues': body(queueContract, async ({ WORK }) => ({
    queue: new CloudflareQueue(WORK),
    consume: (given) => {
      consumer = given;
    },
  })),
  'Events: D1 and a Durable Object': body(eventsContract, async (env) => {
    const sql = await newSql(env);
    const collector = env.METRICS.getByName(crypto.randomUUID());
    return { sql, events: [new RecordedEvents(sql, { collector }), new RecordedEvents(sql, { collector })] as const };
  }),
  metrics: { 'the object adds up what isolates count': addedUp },
  kept,
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method === 'GET') {
      return Response.json(Object.entries(bodies).map(([name, cases]) => [name, Object.keys(cases)]));
    }
    const [name = '', title = ''] = new URL(request.url).pathname.slice(1).split('/').map(decodeURIComponent);
    try {
      const run = bodies[name]?.[title];
      if (!run) throw new Error(`there is no ${name}: ${title}`);
      await run(env);
      return Response.json({});
    } catch (error) {
      return Response.json({ error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
    }
  },

  async queue(batch: MessageBatch<unknown>): Promise<void> {
    const { consume, bury } = consumer as Consumer;
    await deliver(batch, batch.queue === 'dead' ? bury : consume, { retrySeconds: 0 });
  },
};
