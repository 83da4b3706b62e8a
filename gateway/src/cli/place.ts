/** The database and the blobs that a command works on: those of `wrangler dev`, of the account, or of a server. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { R2Bucket } from '@cloudflare/workers-types';
import type { BlobBody, BlobPage, BlobRange, Blobs, PutOptions, Sql, StoredBlob } from '../host.ts';
import { openBlobs, openSql, ROOT } from '../hosts/storage.ts';
import { parseJsonc } from '../models/jsonc.ts';
import { readSettings } from '../settings.ts';
import { WranglerBlobs, WranglerSql } from './wrangler.ts';

export { readMigrations } from '../hosts/storage.ts';

/** The folder in which `wrangler dev` keeps the data of its bindings. */
export const STATE = join(ROOT, '.wrangler', 'state', 'v3');

export type PlaceName = 'local' | 'remote' | 'server';

export interface Place {
  name: PlaceName;
  sql: Sql;
  blobs: Blobs;
  close(): Promise<void>;
}

/** The part of `wrangler.jsonc` that commands use. */
export interface WorkerConfig {
  compatibility_date: string;
  compatibility_flags: string[];
  d1_databases: [{ binding: string; database_id: string; database_name: string }];
  r2_buckets: [{ binding: string; bucket_name: string }];
}

export async function readWorkerConfig(): Promise<WorkerConfig> {
  return parseJsonc(await readFile(join(ROOT, 'wrangler.jsonc'), 'utf8')) as WorkerConfig;
}

export async function openPlace(name: PlaceName): Promise<Place> {
  if (name === 'local') return openLocal();
  const settings = readSettings(process.env);
  if (name === 'server') {
    const sql = await openSql(settings);
    return { name, sql, blobs: await openBlobs(settings, process.env), close: async () => sql.close() };
  }
  const config = await readWorkerConfig();
  const blobs =
    settings.S3_BUCKET === undefined
      ? new WranglerBlobs(config.r2_buckets[0].bucket_name)
      : await openBlobs(settings, process.env);
  return { name, sql: new WranglerSql(config.d1_databases[0].database_name), blobs, close: async () => {} };
}

/** The state of `wrangler dev`, which must not run meanwhile: both would write the same files. */
async function openLocal(state = STATE): Promise<Place> {
  const { Miniflare } = await import('miniflare');
  const { D1Sql } = await import('../parts/d1.ts');
  const config = await readWorkerConfig();
  await mkdir(state, { recursive: true });
  const miniflare = new Miniflare({
    modules: true,
    script: 'export default {}',
    compatibilityDate: '2026-07-01',
    cf: false,
    d1Databases: { DB: config.d1_databases[0].database_id },
    r2Buckets: { R2: config.r2_buckets[0].bucket_name },
    d1Persist: join(state, 'd1'),
    r2Persist: join(state, 'r2'),
  });
  await miniflare.ready;
  const sql = new D1Sql((await miniflare.getD1Database('DB')) as never);
  const blobs = new BucketBlobs((await miniflare.getR2Bucket('R2')) as unknown as R2Bucket);
  return { name: 'local', sql, blobs, close: () => miniflare.dispose() };
}

/** A bucket of a local workerd, as a program outside of it reaches it: objects go over whole. */
class BucketBlobs implements Blobs {
  readonly #bucket: R2Bucket;

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
  }

  async get(key: string, range?: BlobRange): Promise<StoredBlob | undefined> {
    const object = await this.#bucket.get(key, range ? { range } : {});
    if (!object) return undefined;
    const bytes = new Uint8Array(await object.arrayBuffer());
    return { body: new Blob([bytes]).stream(), size: object.size, etag: object.etag };
  }

  async put(key: string, body: BlobBody, options: PutOptions = {}): Promise<{ etag: string } | undefined> {
    const bytes = body instanceof Uint8Array ? body : await new Response(body).bytes();
    const condition = options.ifNoneMatch ? { onlyIf: { etagDoesNotMatch: '*' } } : {};
    const object = (await this.#bucket.put(key, bytes, condition)) as { etag: string } | null;
    return object ? { etag: object.etag } : undefined;
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#bucket.delete([...keys]);
  }

  async list(prefix: string, cursor?: string): Promise<BlobPage> {
    const page = await this.#bucket.list({ prefix, ...(cursor === undefined ? {} : { cursor }) });
    const objects = page.objects.map(({ key, size }) => ({ key, size }));
    return page.truncated ? { objects, cursor: page.cursor } : { objects };
  }
}

/** Whether `make package` has made the package that the gateway runs on. */
export const hasPackage = (): boolean => existsSync(join(ROOT, 'node_modules', 'pilotlight', 'package.json'));
