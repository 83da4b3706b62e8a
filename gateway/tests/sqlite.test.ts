/** The parts that keep what they have in SQLite: by `node:sqlite` here, and by `bun:sqlite` in Bun. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { migrate } from '../src/migrate.ts';
import { RecordedEvents } from '../src/parts/events.ts';
import { SqlMeter } from '../src/parts/sql-meter.ts';
import { SqlQueue } from '../src/parts/sql-queue.ts';
import { openSqlite, type SqliteSql } from '../src/parts/sqlite.ts';
import { event, eventsContract } from './contracts/events.ts';
import { meterContract, meterTimes } from './contracts/meter.ts';
import { queueContract } from './contracts/queue.ts';
import { contract } from './contracts/run.ts';
import { sqlContract } from './contracts/sql.ts';
import { runningSqlQueue, sqlQueueCases } from './contracts/sql-queue.ts';
import { tablesContract } from './contracts/tables.ts';
import { lacking, pathOf } from './support/needs.ts';
import { readMigrations } from './support/postgres.ts';
import { newFolder } from './support/server.ts';

const here = import.meta.dirname;

/** The path of a database in a folder that is removed after the test. */
function newPath(context: TestContext): string {
  const folder = newFolder();
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'database.sqlite');
}

async function newSqlite(context: TestContext, path = newPath(context)): Promise<SqliteSql> {
  const sql = openSqlite(path);
  await migrate(sql, readMigrations());
  context.after(() => sql.close());
  return sql;
}

contract('Sql: node:sqlite', sqlContract, (context) => newSqlite(context));
contract('Tables: SQLite', tablesContract, (context) => newSqlite(context));
contract('Queue: SQLite', queueContract, async (context) => runningSqlQueue(context, await newSqlite(context)));
contract('Queue in a table: SQLite', sqlQueueCases, (context) => newSqlite(context));
const newMeter = async (context: TestContext) => new SqlMeter(await newSqlite(context));
contract('Meter: SQLite', meterContract, newMeter);
contract('Meter: SQLite, by time', meterTimes, newMeter, { concurrency: true });
contract('Events: SQLite', eventsContract, async (context) => {
  const sql = await newSqlite(context);
  return { sql, events: [new RecordedEvents(sql), new RecordedEvents(sql)] as const };
});

describe('a database in a file', () => {
  test('messages, budgets and rows are there after a restart', async (context) => {
    const path = newPath(context);
    const tpd = { name: 'tpd', limit: 10, seconds: 86_400, cost: 10 } as const;
    const first = openSqlite(path);
    await migrate(first, readMigrations());
    await new SqlQueue(first).send([{ topic: 'retrain', body: { n: 1 } }]);
    assert.equal((await new SqlMeter(first).take('k', [tpd])).allowed, true);
    first.close();

    const second = openSqlite(path);
    context.after(() => second.close());
    assert.deepEqual(await migrate(second, readMigrations()), []);
    assert.equal((await new SqlMeter(second).take('k', [tpd])).allowed, false);
    const seen: unknown[] = [];
    await new SqlQueue(second).handle({ consume: async ({ body }) => void seen.push(body), bury: async () => {} });
    assert.deepEqual(seen, [{ n: 1 }]);
  });

  test('two connections that write at the same time wait for each other', async (context) => {
    const path = newPath(context);
    const connections = [await newSqlite(context, path), await newSqlite(context, path)];
    const rpm = { name: 'rpm', limit: 100, seconds: 60, cost: 1 } as const;
    const takes = connections.flatMap((sql) => Array.from({ length: 250 }, () => new SqlMeter(sql).take('k', [rpm])));
    assert.equal((await Promise.all(takes)).filter(({ allowed }) => allowed).length, 100);
  });

  test('a write waits for that of another process', async (context) => {
    const path = newPath(context);
    const sql = await newSqlite(context, path);
    const script = `
      const { DatabaseSync } = require('node:sqlite');
      const database = new DatabaseSync(process.argv[1]);
      database.exec("BEGIN IMMEDIATE; INSERT INTO meters VALUES ('other', 1, 1)");
      console.log('locked');
      setTimeout(() => database.exec('COMMIT'), 500);`;
    const child = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    await sql.batch([["INSERT INTO meters VALUES ('mine', 1, 1)"]]);
    assert.deepEqual(await ended, [0, null]);
    assert.equal((await sql.all('SELECT id FROM meters')).length, 2);
  });

  test('usage that could not be written is written the next time', async (context) => {
    const sql = await newSqlite(context);
    const events = new RecordedEvents(sql);
    events.record(event());
    await sql.all('ALTER TABLE usage RENAME TO away');
    await assert.rejects(events.flush(), /usage/);
    events.record(event());
    await sql.all('ALTER TABLE away RENAME TO usage');
    await events.flush();
    assert.deepEqual(await sql.all('SELECT requests FROM usage'), [{ requests: 2 }]);
  });
});

test('rows of a meter whose windows are long over are deleted', async (context) => {
  const sql = await newSqlite(context);
  let now = 1_000_000_000;
  const meter = new SqlMeter(sql, () => now);
  const rpm = { name: 'rpm', limit: 1, seconds: 60, cost: 1 } as const;
  for (let key = 0; key < 500; key++) await meter.take(`address-${key}`, [rpm]);
  now += 2 * 86_400_000;
  for (let take = 0; take < 600; take++) await meter.take('one', [rpm]);
  assert.deepEqual(await sql.all('SELECT id FROM meters'), [{ id: 'one:rpm' }]);
});

const FEWEST = [sqlContract, meterContract, meterTimes, queueContract].reduce(
  (sum, each) => sum + Object.keys(each).length,
  0,
);

for (const [program, ...words] of [['bun'], ['deno', 'run', '--allow-all', '--no-lock']] as const) {
  test(`the contracts in ${program}`, { skip: lacking(program) }, async () => {
    const { stdout } = await promisify(execFile)(pathOf(program), [...words, join(here, 'contracts/runtime.ts')]);
    const results: { title: string; error?: string }[] = JSON.parse(stdout);
    assert.deepEqual(
      results.filter(({ error }) => error !== undefined),
      [],
    );
    assert.ok(results.length > FEWEST + (program === 'bun' ? Object.keys(sqlContract).length : 0));
  });
}
