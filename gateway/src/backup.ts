/**
 * A backup is one tar archive: rows as `sql/{table}/{page}.jsonl`, then objects as `blobs/{name}`. Tables are read before objects, so that
 * every row's object was there when its row was read; what is uploaded meanwhile is in the next backup. Messages of the queue and counts of
 * limits are left out: the cron job sends the messages that are missing. Keys are in it by the digests of their secrets alone.
 */
import { pagesOf } from './blobs.ts';
import { streamFrom } from './bytes.ts';
import type { Host, Row, SqlValue, Statement } from './host.ts';
import { readTar, type TarEntry, writeTar } from './tar.ts';

/** Each table with its primary key, in whose order it is read. */
const TABLES = {
  api_keys: ['id'],
  usage: ['hour', 'key_id', 'route', 'model', 'status'],
  predictions: ['id'],
  files: ['id'],
  batches: ['id'],
  batch_parts: ['batch_id', 'part'],
  indexes: ['owner', 'name'],
  heads: ['name'],
} as const;

const ROWS = 500;
/** D1 takes 100 parameters a statement. */
const PARAMETERS = 100;
const STATEMENTS = 50;
const FORMAT = { format: 'pilotlight-gateway-backup', version: 1 };
/** The prefixes of models that were uploaded and of those that were read from a host: they are large, and can be had again. */
const MODELS = ['models/', 'store/'];

/** The parts of a host that a backup copies; commands have these two without a host. */
export type Kept = Pick<Host, 'sql' | 'blobs'>;

export interface BackupOptions {
  /** Whether the objects under `models/` and `store/` are in it too. */
  models?: boolean;
}

export interface RestoreReport {
  rows: number;
  objects: number;
}

/** Makes a backup, as a stream of a tar archive. */
export function backup(host: Kept, { models = false }: BackupOptions = {}): ReadableStream<Uint8Array> {
  return streamFrom(writeTar(entries(host, models)));
}

async function* entries(host: Kept, models: boolean): AsyncGenerator<TarEntry> {
  yield text('manifest.json', `${JSON.stringify({ ...FORMAT, at: new Date().toISOString() })}\n`);
  for (const [table, key] of Object.entries(TABLES)) yield* pages(host, table, key);
  for await (const objects of pagesOf(host.blobs, '')) {
    for (const { key } of objects) {
      if (!models && MODELS.some((prefix) => key.startsWith(prefix))) continue;
      const blob = await host.blobs.get(key);
      // One that was deleted since it was listed has lost its row too.
      if (blob)
        yield { name: `blobs/${key}`, size: blob.size, body: blob.body as unknown as AsyncIterable<Uint8Array> };
    }
  }
}

async function* pages(host: Kept, table: string, key: readonly string[]): AsyncGenerator<TarEntry> {
  const columns = key.join(', ');
  let last: SqlValue[] | undefined;
  for (let page = 0; ; page += 1) {
    const where = last ? `WHERE (${columns}) > (${key.map(() => '?').join(', ')})` : '';
    const rows = await host.sql.all(`SELECT * FROM ${table} ${where} ORDER BY ${columns} LIMIT ${ROWS}`, last ?? []);
    if (rows.length > 0) {
      yield text(
        `sql/${table}/${String(page).padStart(6, '0')}.jsonl`,
        rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
      );
    }
    if (rows.length < ROWS) return;
    const end = rows.at(-1) as Row;
    last = key.map((name) => end[name] as SqlValue);
  }
}

function text(name: string, content: string): TarEntry {
  const bytes = new TextEncoder().encode(content);
  async function* body() {
    yield bytes;
  }
  return { name, size: bytes.length, body: body() };
}

/**
 * Puts a backup into a host whose tables are there and empty.
 * @throws {Error} where a table has rows, or the archive is none of ours, or damaged; what was restored by then stays
 */
export async function restore(host: Kept, stream: AsyncIterable<Uint8Array>): Promise<RestoreReport> {
  for (const table of Object.keys(TABLES)) {
    const rows = await host.sql.all(`SELECT * FROM ${table} LIMIT 1`);
    if (rows.length > 0) throw new Error(`the table ${table} has rows: restore into an empty database`);
  }
  const report = { rows: 0, objects: 0 };
  let known = false;
  for await (const entry of readTar(stream)) {
    if (entry.name === 'manifest.json') {
      const { format, version } = JSON.parse(await textOf(entry));
      if (format !== FORMAT.format || version !== FORMAT.version)
        throw new Error('this is no backup of this version: restore it with the version of the gateway that made it');
      known = true;
    } else if (!known) {
      throw new Error('this is no backup of a gateway: its first entry is to be manifest.json');
    } else if (entry.name.startsWith('sql/')) {
      report.rows += await restoreRows(host, entry);
    } else if (entry.name.startsWith('blobs/')) {
      await host.blobs.put(entry.name.slice('blobs/'.length), streamFrom(entry.body), { size: entry.size });
      report.objects += 1;
    }
  }
  return report;
}

async function restoreRows(host: Kept, entry: TarEntry): Promise<number> {
  const table = entry.name.split('/')[1] ?? '';
  if (!Object.hasOwn(TABLES, table)) throw new Error(`${entry.name}: there is no such table`);
  const rows = (await textOf(entry))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row);
  const statements = rows.length === 0 ? [] : inserts(table, rows);
  for (let at = 0; at < statements.length; at += STATEMENTS)
    await host.sql.batch(statements.slice(at, at + STATEMENTS));
  return rows.length;
}

function inserts(table: string, rows: readonly Row[]): Statement[] {
  const columns = Object.keys(rows[0] as Row);
  if (!columns.every((name) => /^[a-z_]+$/.test(name))) throw new Error(`${table}: a name of a column is none`);
  const together = Math.max(1, Math.floor(PARAMETERS / columns.length));
  const statements: Statement[] = [];
  for (let at = 0; at < rows.length; at += together) {
    const some = rows.slice(at, at + together);
    const marks = `(${columns.map(() => '?').join(', ')})`;
    statements.push([
      `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${some.map(() => marks).join(', ')}`,
      some.flatMap((row) => columns.map((name) => row[name] ?? null)),
    ]);
  }
  return statements;
}

async function textOf({ body }: TarEntry): Promise<string> {
  const decoder = new TextDecoder();
  let whole = '';
  for await (const piece of body) whole += decoder.decode(piece, { stream: true });
  return whole + decoder.decode();
}
