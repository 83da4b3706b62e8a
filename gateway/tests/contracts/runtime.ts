/** Runs contracts in Bun and in Deno, and prints a list of `{ title, error? }`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../src/migrate.ts';
import { FolderBlobs } from '../../src/parts/folder.ts';
import { LruCache } from '../../src/parts/lru.ts';
import { SqlMeter } from '../../src/parts/sql-meter.ts';
import { SqlQueue } from '../../src/parts/sql-queue.ts';
import { openSqlite, type SqliteDatabase, SqliteSql } from '../../src/parts/sqlite.ts';
import { blobsContract } from './blobs.ts';
import { cacheContract } from './cache.ts';
import type { Contract, Make } from './contract.ts';
import { meterContract, meterTimes } from './meter.ts';
import { queueContract } from './queue.ts';
import { sqlContract } from './sql.ts';

const stop = new AbortController();
const root = mkdtempSync(join(tmpdir(), 'pl-'));
const folder = new URL('../../migrations/', import.meta.url);
const migrations = readdirSync(folder).map((name) => ({ name, sql: readFileSync(new URL(name, folder), 'utf8') }));

async function migrated(sql: SqliteSql): Promise<SqliteSql> {
  await migrate(sql, migrations);
  return sql;
}

const newSql = () => migrated(openSqlite(':memory:'));

/** The cases of a body, each of which tells how it went. */
function body<T>(name: string, contract: Contract<T>, make: Make<T>) {
  return Object.entries(contract).map(([title, run]) =>
    run(make).then(
      () => ({ title: `${name}: ${title}` }),
      (error) => ({ title: `${name}: ${title}`, error: String(error instanceof Error ? error.stack : error) }),
    ),
  );
}

const running = [
  ...body('Sql: node:sqlite', sqlContract, newSql),
  ...body('Meter: SQLite', { ...meterContract, ...meterTimes }, async () => new SqlMeter(await newSql())),
  ...body('Queue: SQLite', queueContract, async () => {
    const queue = new SqlQueue(await newSql(), { tries: 3, retrySeconds: 0.05, pollMs: 50 });
    return { queue, consume: (consumer) => void queue.run(consumer, stop.signal) };
  }),
  ...body('Blobs: folder', blobsContract, async () => new FolderBlobs(mkdtempSync(join(root, 'b-')))),
  ...body('Cache: lru-cache', cacheContract, async () => new LruCache(32 * 1024 * 1024)),
];
if ('Bun' in globalThis) {
  // The module exists in Bun alone.
  const name = 'bun:sqlite';
  const { Database } = (await import(name)) as { Database: new (path: string) => SqliteDatabase };
  running.push(...body('Sql: bun:sqlite', sqlContract, () => migrated(new SqliteSql(new Database(':memory:')))));
}

const results = await Promise.all(running);
stop.abort();
rmSync(root, { recursive: true, force: true });
console.log(JSON.stringify(results));
