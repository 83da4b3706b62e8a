/** The parts that keep what they have in Postgres, on a real server. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import postgresJs from 'postgres';
import type { Statement } from '../src/host.ts';
import { migrate } from '../src/migrate.ts';
import { RecordedEvents } from '../src/parts/events.ts';
import { openPostgres, type PostgresSql } from '../src/parts/postgres.ts';
import { SqlMeter } from '../src/parts/sql-meter.ts';
import { SqlQueue } from '../src/parts/sql-queue.ts';
import { sleep } from './contracts/contract.ts';
import { eventsContract } from './contracts/events.ts';
import { meterContract, meterTimes } from './contracts/meter.ts';
import { queueContract } from './contracts/queue.ts';
import { contract } from './contracts/run.ts';
import { sqlContract } from './contracts/sql.ts';
import { runningSqlQueue, sqlQueueCases } from './contracts/sql-queue.ts';
import { tablesContract } from './contracts/tables.ts';
import { lacking } from './support/needs.ts';
import { type PostgresServer, readMigrations, startPool, startPostgres } from './support/postgres.ts';

const never = async () => assert.fail('a dead letter');

const skip = lacking('postgres');
const server = skip === false ? await startPostgres() : undefined;
describe('Postgres', { skip }, () => postgres(server as PostgresServer));

function postgres(server: PostgresServer) {
  after(() => server.stop());

  const newSql = async (context: TestContext) => {
    const sql = await server.newSql();
    context.after(() => sql.close());
    return sql;
  };
  contract('Sql: Postgres', sqlContract, newSql);
  contract('Tables: Postgres', tablesContract, newSql);

  contract('Queue: Postgres', queueContract, async (context) => runningSqlQueue(context, await newSql(context)));
  contract('Queue in a table: Postgres', sqlQueueCases, newSql);
  contract('Events: Postgres', eventsContract, async (context) => {
    const sql = await newSql(context);
    return { sql, events: [new RecordedEvents(sql), new RecordedEvents(sql)] as const };
  });

  test('a claim does not wait for a message that another claim holds', async () => {
    const url = await server.newSchema();
    const sql = await openPostgres(url);
    await migrate(sql, readMigrations());
    await new SqlQueue(sql).send([1, 2].map((n) => ({ topic: 'retrain', body: { n } })));
    const address = new URL(url);
    const other = postgresJs({ host: address.searchParams.get('host') ?? '', user: 'postgres', max: 1 });
    const seen: unknown[] = [];
    try {
      await other.begin(async (transaction) => {
        await transaction.unsafe(`SET search_path = ${address.searchParams.get('search_path')}`);
        await transaction.unsafe('SELECT id FROM queue ORDER BY ready_at, id LIMIT 1 FOR UPDATE');
        const claim = new SqlQueue(sql).handle({ consume: async ({ body }) => void seen.push(body.n), bury: never });
        assert.equal(await Promise.race([claim, sleep(5000)]), 1);
      });
      assert.deepEqual(seen, [2]);
    } finally {
      await other.end();
      await sql.close();
    }
  });

  test('no statement keeps its name in a session, and numbers come back as numbers', async () => {
    const sql = await openPostgres(await server.newSchema(), { max: 1 });
    try {
      await sql.all('CREATE TABLE typed (big BIGINT, small INTEGER, words TEXT)');
      for (let time = 0; time < 3; time += 1) {
        await sql.all('INSERT INTO typed VALUES (?, ?, ?)', [Number.MAX_SAFE_INTEGER, 7, '7']);
        await sql.batch([['UPDATE typed SET small = small + ? WHERE big > ? OR words = ?', [1, 2 ** 40, '7']]]);
      }
      assert.deepEqual(await sql.all('SELECT * FROM pg_prepared_statements'), []);
      const [row] = await sql.all('SELECT *, CAST(? AS BIGINT) AS given FROM typed ORDER BY small DESC', [2 ** 50]);
      assert.deepEqual(row, { big: Number.MAX_SAFE_INTEGER, small: 10, words: '7', given: 2 ** 50 });
      const [sum] = await sql.all('SELECT SUM(small) AS small, COUNT(*) AS rows FROM typed WHERE words = ?', ['7']);
      assert.deepEqual(sum, { small: 27, rows: 3 });
    } finally {
      await sql.close();
    }
  });

  test('behind a pool of transactions, statements of many run at once on two connections', {
    skip: lacking('pgbouncer'),
  }, async (t) => {
    const pool = await startPool(server);
    t.after(() => pool.stop());
    const sql = await openPostgres(pool.url, { max: 8 });
    try {
      await migrate(sql, readMigrations());
      const count = (id: string): Statement => [
        'INSERT INTO meters (id, used, resets_at) VALUES (?, ?, 0) ON CONFLICT (id) DO UPDATE SET used = meters.used + excluded.used',
        [id, 1],
      ];
      const process = async () => {
        for (let time = 0; time < 20; time += 1) {
          await sql.batch([count('a'), count('b')]);
          await sql.all('SELECT used FROM meters WHERE id = ?', ['a']);
        }
      };
      await Promise.all(Array.from({ length: 8 }, process));
      assert.deepEqual(await sql.all('SELECT id, used FROM meters ORDER BY id'), [
        { id: 'a', used: 160 },
        { id: 'b', used: 160 },
      ]);
    } finally {
      await sql.close();
    }
  });

  describe('the meter', () => {
    let sql: PostgresSql;
    let url: string;
    before(async () => {
      sql = await server.newSql();
      const [{ schema }] = (await sql.all('SELECT current_schema() AS schema')) as [{ schema: string }];
      url = `${await server.newSchema()}`.replace(/search_path=.*/, `search_path=${schema}`);
    });
    after(() => sql.close());

    contract('Meter: Postgres', meterContract, async () => new SqlMeter(sql));
    contract('Meter: Postgres, by time', meterTimes, async () => new SqlMeter(sql), { concurrency: true });

    test('of 500 takes of four processes exactly 100 have the limit, and another process goes on', async () => {
      const connections = await Promise.all([1, 2, 3, 4].map(() => openPostgres(url, { max: 3 })));
      try {
        const rpm = { name: 'rpm', limit: 100, seconds: 60, cost: 1 } as const;
        const takes = connections.flatMap((connection) => {
          const meter = new SqlMeter(connection);
          return Array.from({ length: 125 }, () => meter.take('shared', [rpm]));
        });
        assert.equal((await Promise.all(takes)).filter(({ allowed }) => allowed).length, 100);
        assert.equal((await new SqlMeter(sql).take('shared', [rpm])).allowed, false);
      } finally {
        await Promise.all(connections.map((connection) => connection.close()));
      }
    });
  });
}
