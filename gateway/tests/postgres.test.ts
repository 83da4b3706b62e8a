/** The parts that keep what they have in Postgres, on a real server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RecordedEvents } from '../src/parts/events.ts';
import { openPostgres, type PostgresSql } from '../src/parts/postgres.ts';
import { SqlMeter } from '../src/parts/sql-meter.ts';
import { eventsContract } from './contracts/events.ts';
import { meterContract } from './contracts/meter.ts';
import { queueContract } from './contracts/queue.ts';
import { contract } from './contracts/run.ts';
import { sqlContract } from './contracts/sql.ts';
import { runningSqlQueue, sqlQueueCases } from './contracts/sql-queue.ts';
import { type PostgresServer, startPostgres } from './support/postgres.ts';

const server = await startPostgres();

if (!server) test('Postgres', { skip: 'no Postgres on this machine: apt-get install postgresql' });
else describe('Postgres', () => postgres(server));

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
