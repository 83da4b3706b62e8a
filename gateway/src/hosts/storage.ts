/** The database and the blobs of a server, as its settings name them, and the files of its folder. Commands of `cli.ts` read the same. */
import { mkdirSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Blobs, Sql } from '../host.ts';
import type { Migration } from '../migrate.ts';
import { type ModelsConfig, readConfig } from '../models/config.ts';
import { FolderBlobs } from '../parts/folder.ts';
import type { Settings } from '../settings.ts';

/** The folder of the gateway's package. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The files of `migrations/`. */
export async function readMigrations(): Promise<Migration[]> {
  const folder = join(ROOT, 'migrations');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(names.map(async (name) => ({ name, sql: await readFile(join(folder, name), 'utf8') })));
}

/** The models of `models.jsonc`, or of another file. */
export async function readModels(path = join(ROOT, 'models.jsonc')): Promise<ModelsConfig> {
  return readConfig(await readFile(path, 'utf8'));
}

/** A database that is closed at the end. */
export type OpenSql = Sql & { close(): void | Promise<void> };

/** Postgres where `DATABASE_URL` is set, else a file of SQLite in the folder of data. */
export async function openSql(settings: Settings): Promise<OpenSql> {
  if (settings.DATABASE_URL !== undefined) {
    const { openPostgres } = await import('../parts/postgres.ts');
    return openPostgres(settings.DATABASE_URL);
  }
  mkdirSync(settings.DATA_PATH, { recursive: true });
  const { openSqlite } = await import('../parts/sqlite.ts');
  return openSqlite(join(settings.DATA_PATH, 'gateway.sqlite'));
}

/**
 * A bucket where `S3_BUCKET` is set, else a folder in the folder of data.
 * @throws {Error} where the bucket's keys are missing
 */
export async function openBlobs(settings: Settings, environment: Record<string, string | undefined>): Promise<Blobs> {
  if (settings.S3_BUCKET === undefined) return new FolderBlobs(join(settings.DATA_PATH, 'blobs'));
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  if (!accessKeyId || !secretAccessKey) {
    throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: needed beside S3_BUCKET');
  }
  const { S3Blobs } = await import('../parts/s3.ts');
  const bucket = `${settings.S3_ENDPOINT?.replace(/\/$/, '')}/${settings.S3_BUCKET}`;
  return new S3Blobs({ bucket, accessKeyId, secretAccessKey, region: settings.S3_REGION });
}
