/** The parts that keep what they have in Postgres, on a real server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import postgresJs from 'postgres';
import { migrate } from '../src/migrate.ts';
import { RecordedEvents } from '../src/parts/events.ts';
import { openPostgres, type PostgresSql } from '../src/parts/postgres.ts';
import { SqlMeter } from '../src/parts/sql-meter.ts';
import { SqlQueue } from '../src/parts/sql-queue.ts';
import { sleep } from './contracts/contract.ts';
import { eventsContract } from './contracts/events.ts';
import { meterContract } from './contracts/meter.ts';
import { queueContract } from './contracts/queue.ts';
import { contract } from './contracts/run.ts';
import { sqlContract } from './contracts/sql.ts';
import { runningSqlQueue, sqlQueueCases } from './contracts/sql-queue.ts';
import { lacking } from './support/needs.ts';
import { type PostgresServer, readMigrations, startPostgres } from './support/postgres.ts';

const never = async () => assert.fail('a dead letter');

const skip = lacking('postgres');
const server = skip === false ? await startPostgres() : undefined;
describe('Postgres', { skip }, () => postgres(server as PostgresServer));

function postgres(server: PostgresServer) {
  after(() => server.stop());

  contract('Sql: Postgres', sqlContract, async (context) => {
    const sql = await server.newSql();
    context.after(() => sql.close());
    return sql;
  });

  contract('Queue: Postgres', queueContract, async (context) => {
    const sql = await server.newSql();
    context.after(() => sql.close());
    return runningSqlQueue(context, sql);
  });

  contract('Queue in a table: Postgres', sqlQueueCases, async (context) => {
    const sql = await server.newSql();
    context.after(() => sql.close());
    return sql;
  });

  contract('Events: Postgres', eventsContract, async (context) => {
    const sql = await server.newSql();
    context.after(() => sql.close());
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
