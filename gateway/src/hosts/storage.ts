/** The database and the blobs of a server, as its settings name them. Commands of `cli.ts` open the same. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Blobs, Sql } from '../host.ts';
import { FolderBlobs } from '../parts/folder.ts';
import type { Settings } from '../settings.ts';

/** A database that is let go of at the end. */
export type OpenSql = Sql & { close(): Promise<void> };

/** Postgres where `DATABASE_URL` is set, else a file of SQLite in the folder of data. */
export async function openSql(settings: Settings): Promise<OpenSql> {
  if (settings.DATABASE_URL !== undefined) {
    const { openPostgres } = await import('../parts/postgres.ts');
    return openPostgres(settings.DATABASE_URL);
  }
  mkdirSync(settings.DATA_PATH, { recursive: true });
  const { openSqlite } = await import('../parts/sqlite.ts');
  const sql = openSqlite(join(settings.DATA_PATH, 'gateway.sqlite'));
  return {
    skipLocked: sql.skipLocked,
    all: (text, params) => sql.all(text, params),
    batch: (statements) => sql.batch(statements),
    close: async () => sql.close(),
  };
}

/** A bucket where `S3_BUCKET` is set, else a folder in the folder of data. */
export async function openBlobs(settings: Settings, _environment: Record<string, string | undefined>): Promise<Blobs> {
  return new FolderBlobs(join(settings.DATA_PATH, 'blobs'));
}
