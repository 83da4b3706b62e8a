/** D1 and R2 of an account, through wrangler's commands, which have the login. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { BlobBody, BlobRange, Blobs, PutOptions, Row, Sql, SqlValue, Statement, StoredBlob } from '../host.ts';
import { ROOT } from '../hosts/storage.ts';

/** The characters that a command's argument may have; longer statements go through a file. */
const ARGUMENT = 60_000;

/** The path of wrangler's program. */
export function wranglerPath(): string {
  const path = createRequire(import.meta.url).resolve('wrangler/package.json');
  return join(dirname(path), 'bin', 'wrangler.js');
}

/**
 * Runs wrangler and gives what it printed.
 * @throws {Error} with its last words, where it failed
 */
export async function wrangler(words: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [wranglerPath(), ...words], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1', NO_COLOR: '1', FORCE_COLOR: '0' },
  });
  let [out, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise((done, fail) => child.once('error', fail).once('close', done));
  if (code === 0) return out;
  throw new Error(`wrangler ${words.slice(0, 3).join(' ')} failed: ${(errors.trim() || out.trim()).slice(-1000)}`);
}

/** A D1 database by `wrangler d1 execute`, which takes no parameters: values are written into the statements. */
export class WranglerSql implements Sql {
  readonly skipLocked = '';
  readonly #database: string;
  readonly #where: readonly string[];

  /** `where`: `--remote`, or `--local` with the folder of a state. */
  constructor(database: string, where: readonly string[] = ['--remote']) {
    this.#database = database;
    this.#where = where;
  }

  async all<R extends Row>(sql: string, params: readonly SqlValue[] = []): Promise<R[]> {
    return (await this.#execute(written(sql, params)))[0] as R[];
  }

  /** D1 runs the statements of one command in one transaction. */
  async batch(statements: readonly Statement[]): Promise<Row[][]> {
    if (statements.length === 0) return [];
    return this.#execute(statements.map(([sql, params = []]) => written(sql, params)).join(';\n'));
  }

  async #execute(text: string): Promise<Row[][]> {
    const words = ['d1', 'execute', this.#database, ...this.#where, '--json', '--yes'];
    if (text.length <= ARGUMENT) return rowsOf(await wrangler([...words, '--command', text]));
    return withFile(async (path) => {
      await writeFile(path, text, { mode: 0o600 });
      return rowsOf(await wrangler([...words, '--file', path]));
    });
  }
}

function rowsOf(json: string): Row[][] {
  const results = JSON.parse(json.slice(json.indexOf('['))) as { results?: Row[] }[];
  return results.map(({ results = [] }) => results);
}

/** A statement with its values in place of the `?` that are in no quotes. */
export function written(sql: string, params: readonly SqlValue[] = []): string {
  let at = 0;
  const text = sql.replace(/'[^']*'|"[^"]*"|\?/g, (token) => (token === '?' ? literal(params[at++]) : token));
  if (at !== params.length) throw new TypeError(`the statement takes ${at} values, and ${params.length} were given`);
  return text;
}

function literal(value: SqlValue | undefined): string {
  if (value === undefined) throw new TypeError('a value of the statement is missing');
  if (value === null) return 'NULL';
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  if (Number.isFinite(value)) return String(value);
  throw new TypeError(`${value} is no number that SQL has`);
}

/** A bucket by `wrangler r2 object`. It cannot list: with S3_BUCKET and its keys, commands use the bucket as S3 has it. */
export class WranglerBlobs implements Blobs {
  readonly #bucket: string;
  readonly #where: readonly string[];

  constructor(bucket: string, where: readonly string[] = ['--remote']) {
    this.#bucket = bucket;
    this.#where = where;
  }

  async get(key: string, range?: BlobRange): Promise<StoredBlob | undefined> {
    return withFile(async (path) => {
      try {
        await wrangler(['r2', 'object', 'get', `${this.#bucket}/${key}`, '--file', path, ...this.#where]);
      } catch (error) {
        if (/does not exist|NoSuchKey|404/.test(String(error))) return undefined;
        throw error;
      }
      const bytes = await readFile(path);
      const part = range ? bytes.subarray(range.offset, range.offset + range.length) : bytes;
      return { body: new Blob([part]).stream(), size: bytes.length, etag: '' };
    });
  }

  async put(key: string, body: BlobBody, options: PutOptions = {}): Promise<{ etag: string } | undefined> {
    if (options.ifNoneMatch && (await this.get(key))) return undefined;
    return withFile(async (path) => {
      await writeFile(path, body instanceof Uint8Array ? body : await new Response(body).bytes());
      await wrangler(['r2', 'object', 'put', `${this.#bucket}/${key}`, '--file', path, ...this.#where]);
      return { etag: '' };
    });
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) await wrangler(['r2', 'object', 'delete', `${this.#bucket}/${key}`, ...this.#where]);
  }

  async list(): Promise<never> {
    throw new Error(
      'wrangler cannot list the objects of a bucket: set S3_ENDPOINT, S3_BUCKET, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which an R2 API token gives',
    );
  }
}

async function withFile<T>(use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-wrangler-'));
  try {
    return await use(join(folder, 'object'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
