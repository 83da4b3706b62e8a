/** Migrations by wrangler and by the gateway itself are the same to each other. */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { wrangler } from '../src/cli/wrangler.ts';
import { migrate, statementsOf } from '../src/migrate.ts';
import { openSqlite } from '../src/parts/sqlite.ts';
import { readMigrations } from './support/postgres.ts';
import { newFolder } from './support/server.ts';

test('what wrangler applied is not applied again, and the other way round', async (context) => {
  const folder = newFolder();
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'wrangler.json');
  const database = { binding: 'DB', database_name: 'db', database_id: 'db', migrations_dir: 'migrations' };
  writeFileSync(config, JSON.stringify({ name: 'w', compatibility_date: '2026-04-01', d1_databases: [database] }));
  cpSync(new URL('../migrations', import.meta.url), join(folder, 'migrations'), { recursive: true });
  const apply = () =>
    wrangler(['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', folder, '--config', config]);
  await apply();

  const state = join(folder, 'v3/d1/miniflare-D1DatabaseObject');
  const file = readdirSync(state).find((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite');
  const sql = openSqlite(join(state, file ?? ''));
  const next = { name: '9999_next.sql', sql: 'CREATE TABLE next_one (a INTEGER);\n' };
  try {
    assert.deepEqual(await migrate(sql, readMigrations()), []);
    assert.deepEqual(await migrate(sql, [...readMigrations(), next]), [next.name]);
  } finally {
    sql.close();
  }

  writeFileSync(join(folder, 'migrations', next.name), next.sql);
  assert.match(await apply(), /No migrations to apply/);
});

test('a file is cut at the ends of its statements', () => {
  const text = `-- first; with a semicolon\nCREATE TABLE a (\n  -- a comment;\n  x TEXT DEFAULT ';'\n);\r\nINSERT INTO a VALUES ('b');\n\n;\n-- last`;
  assert.deepEqual(statementsOf(text), [`CREATE TABLE a (\n\n  x TEXT DEFAULT ';'\n)`, `INSERT INTO a VALUES ('b')`]);
});
