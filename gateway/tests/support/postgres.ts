/** A Postgres of the test's own. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Migration, migrate } from '../../src/migrate.ts';
import { openPostgres, type PostgresSql } from '../../src/parts/postgres.ts';
import { pathOf } from './needs.ts';
import { newFolder, run, type Server, serve } from './server.ts';

const MIGRATIONS = new URL('../../migrations/', import.meta.url);

/** All migrations of the gateway. */
export function readMigrations(): Migration[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .map((name) => ({ name, sql: readFileSync(new URL(name, MIGRATIONS), 'utf8') }));
}

export interface PostgresServer extends Server {
  /** The address of a new, empty schema. */
  newSchema(): Promise<string>;
  /** The folder of its socket. */
  folder: string;
  /** A connection to a new schema with the tables of the gateway. */
  newSql(): Promise<PostgresSql>;
}

/** Starts a server. */
export async function startPostgres(): Promise<PostgresServer> {
  const [initdb, postgres] = [pathOf('initdb'), pathOf('postgres')];
  const folder = newFolder();
  const data = join(folder, 'data');
  mkdirSync(data);
  // The server refuses to run as root.
  const asUser = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
  if (asUser.length > 0) run(['chown', '-R', 'postgres', folder]);
  run([...asUser, initdb, '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync']);
  const url = `postgres://postgres@localhost/postgres?host=${folder}`;
  const server = await serve(
    [
      ...asUser,
      postgres,
      '-D',
      data,
      '-k',
      folder,
      '-c',
      'listen_addresses=',
      '-c',
      'fsync=off',
      '-c',
      'shared_buffers=16MB',
    ],
    async () => {
      const sql = await openPostgres(url, { max: 1 });
      return sql.all('SELECT 1').then(
        () => sql.close().then(() => true),
        () => sql.close().then(() => false),
      );
    },
    { folder },
  );
  let schemas = 0;
  const newSchema = async () => {
    const name = `test${++schemas}`;
    const sql = await openPostgres(url, { max: 1 });
    await sql.all(`CREATE SCHEMA ${name}`);
    await sql.close();
    return `${url}&search_path=${name}`;
  };
  const newSql = async () => {
    const sql = await openPostgres(await newSchema());
    await migrate(sql, readMigrations());
    return sql;
  };
  return { ...server, folder, newSchema, newSql };
}

/** Starts pgbouncer before a server, with a pool of transactions on two connections. */
export async function startPool(server: PostgresServer): Promise<Server & { url: string }> {
  const pgbouncer = pathOf('pgbouncer');
  const folder = newFolder();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
postgres = host=${server.folder} user=postgres
[pgbouncer]
unix_socket_dir = ${folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 2
`,
  );
  // It refuses to run as root, as the server does.
  const asUser = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
  if (asUser.length > 0) run(['chown', '-R', 'postgres', folder]);
  const url = `postgres://postgres@localhost:6432/postgres?host=${folder}`;
  const ready = async () => {
    const sql = await openPostgres(url, { max: 1 });
    return sql
      .all('SELECT 1')
      .then(
        () => true,
        () => false,
      )
      .finally(() => sql.close());
  };
  const running = await serve([...asUser, pgbouncer, file], ready, { folder });
  return { ...running, url };
}
