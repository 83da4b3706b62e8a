/** Runs contracts in Bun, which has a SQLite of its own, and prints a list of `{ title, error? }`. */
import { readdirSync, readFileSync } from 'node:fs';
import { migrate } from '../../src/migrate.ts';
import { SqlMeter } from '../../src/parts/sql-meter.ts';
import { openSqlite, type SqliteDatabase, SqliteSql } from '../../src/parts/sqlite.ts';
import { meterContract } from './meter.ts';
import { sqlContract } from './sql.ts';

// The module exists in Bun alone.
const name = 'bun:sqlite';
const { Database } = (await import(name)) as { Database: new (path: string) => SqliteDatabase };

const folder = new URL('../../migrations/', import.meta.url);
const migrations = readdirSync(folder).map((name) => ({ name, sql: readFileSync(new URL(name, folder), 'utf8') }));
const bodies = {
  'bun:sqlite': () => new SqliteSql(new Database(':memory:')),
  'node:sqlite': () => openSqlite(':memory:'),
};

const results: { title: string; error?: string }[] = [];
for (const [body, open] of Object.entries(bodies)) {
  const make = async () => {
    const sql = open();
    await migrate(sql, migrations);
    return sql;
  };
  const cases = [
    ...Object.entries(sqlContract).map(([title, run]) => ({ title, run: () => run(make) })),
    ...Object.entries(meterContract).map(([title, run]) => ({
      title,
      run: () => run(async () => new SqlMeter(await make())),
    })),
  ];
  await Promise.all(
    cases.map(async ({ title, run }) => {
      try {
        await run();
        results.push({ title: `${body}: ${title}` });
      } catch (error) {
        results.push({ title: `${body}: ${title}`, error: String(error instanceof Error ? error.stack : error) });
      }
    }),
  );
}
console.log(JSON.stringify(results));
