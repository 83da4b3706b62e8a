/** Indexes of owners: a row says which object holds the vectors, and from what they are built anew. */
import type { Row, Sql, SqlValue } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { seconds } from '../time.ts';

/** The order of a build. It is kept as JSON in the column `source`, whose text also tells one build from the next. */
export interface Source {
  /** The name of this build. */
  build: string;
  /** The file that is read: JSONL of items, or the output of a batch. */
  file: string;
  kind: 'items' | 'answers';
  batch?: string;
  /** The key that ordered it, for the embedding of texts. */
  keyId: string;
  caller: string;
  /** The model of texts; that of answers is read from them. */
  model?: string;
  /** The model that embeds the texts of queries, where it is another: the text tower beside an image tower. */
  queryModel?: string;
  dimensions?: number;
  precision: 'float32' | 'int8' | 'binary';
  metric: 'cosine' | 'dot';
  prefilter: boolean;
}

export interface IndexRow extends Row {
  owner: string;
  name: string;
  /** Empty where only vectors were given, without a model. */
  model: string;
  dimensions: number;
  /** `ready` or `failed` tell of the last build; an index that was ready before answers queries throughout. */
  state: 'building' | 'ready' | 'failed';
  source: string;
  object: string | null;
  etag: string | null;
  items: number;
  error: string | null;
  created_at: number;
  changed_at: number;
}

/** The name of the object that keeps a build up to a byte of its file. */
export const stepBlob = (build: string, offset: number): string =>
  `indexes/${build}.${String(offset).padStart(12, '0')}`;

/** Begins to build an index, for the first time or anew. */
export async function startBuild(
  sql: Sql,
  owner: string,
  name: string,
  source: Source,
  now: number,
): Promise<IndexRow> {
  const [row] = await sql.all<IndexRow>(
    `INSERT INTO indexes (owner, name, model, dimensions, state, source, items, created_at, changed_at)
     VALUES (?, ?, ?, 0, 'building', ?, 0, ?, ?)
     ON CONFLICT (owner, name) DO UPDATE SET state = 'building', source = excluded.source, error = NULL, changed_at = excluded.changed_at
     RETURNING *`,
    [owner, name, source.model ?? '', JSON.stringify(source), now, now],
  );
  return row as IndexRow;
}

export async function findIndex(sql: Sql, owner: string, name: string): Promise<IndexRow | undefined> {
  const [row] = await sql.all<IndexRow>('SELECT * FROM indexes WHERE owner = ? AND name = ?', [owner, name]);
  return row;
}

/**
 * The index of an owner.
 * @throws {GatewayError} `not_found`
 */
export async function indexOf(sql: Sql, owner: string, name: string): Promise<IndexRow> {
  const row = await findIndex(sql, owner, name);
  if (!row) throw new GatewayError('not_found', `no such index: ${name.slice(0, 128)}`);
  return row;
}

export function listIndexes(sql: Sql, owner: string, limit: number, after: string): Promise<IndexRow[]> {
  return sql.all<IndexRow>('SELECT * FROM indexes WHERE owner = ? AND name > ? ORDER BY name LIMIT ?', [
    owner,
    after,
    limit + 1,
  ]);
}

/**
 * Puts a build off until a time. Its messages name the time that they were sent for, so all messages of before are void; of several
 * deliveries that ask, one is told so.
 */
export async function deferBuild(sql: Sql, row: IndexRow, until: number): Promise<number | undefined> {
  const at = Math.max(until, row.changed_at + 1);
  const rows = await sql.all(
    `UPDATE indexes SET changed_at = ? WHERE owner = ? AND name = ? AND source = ? AND state = 'building' AND changed_at = ?
     RETURNING name`,
    [at, row.owner, row.name, row.source, row.changed_at],
  );
  return rows.length === 1 ? at : undefined;
}

/** Puts the object of a build in the place of the one before. False where another build has begun since. */
export async function endBuild(
  sql: Sql,
  row: IndexRow,
  built: Pick<IndexRow, 'model' | 'dimensions' | 'object' | 'etag' | 'items'>,
  now: number,
): Promise<boolean> {
  const rows = await sql.all(
    `UPDATE indexes SET state = 'ready', model = ?, dimensions = ?, object = ?, etag = ?, items = ?, error = NULL, changed_at = ?
     WHERE owner = ? AND name = ? AND source = ? AND state = 'building' RETURNING name`,
    [built.model, built.dimensions, built.object, built.etag, built.items, now, row.owner, row.name, row.source],
  );
  return rows.length === 1;
}

export async function failBuild(sql: Sql, row: IndexRow, error: string, now: number): Promise<void> {
  await sql.all(
    `UPDATE indexes SET state = 'failed', error = ?, changed_at = ?
     WHERE owner = ? AND name = ? AND source = ? AND state = 'building'`,
    [error, now, row.owner, row.name, row.source],
  );
}

/** Puts a changed object in the place of the one that it was made from. False where that one is no longer the index's. */
export async function replaceObject(
  sql: Sql,
  row: IndexRow,
  changed: Pick<IndexRow, 'object' | 'etag' | 'items'>,
  now: number,
): Promise<boolean> {
  const rows = await sql.all(
    `UPDATE indexes SET object = ?, etag = ?, items = ?, changed_at = CASE state WHEN 'building' THEN changed_at ELSE ? END
     WHERE owner = ? AND name = ? AND object = ? RETURNING name`,
    [changed.object, changed.etag, changed.items, now, row.owner, row.name, row.object],
  );
  return rows.length === 1;
}

export async function deleteIndex(sql: Sql, owner: string, name: string): Promise<IndexRow | undefined> {
  const [row] = await sql.all<IndexRow>('DELETE FROM indexes WHERE owner = ? AND name = ? RETURNING *', [owner, name]);
  return row;
}

/** Builds in which nothing has happened since a time. */
export function staleBuilds(sql: Sql, before: SqlValue): Promise<IndexRow[]> {
  return sql.all<IndexRow>(`SELECT * FROM indexes WHERE state = 'building' AND changed_at < ? LIMIT 100`, [before]);
}

/** An index as clients see it. */
export function indexAnswer(row: IndexRow): object {
  const source = JSON.parse(row.source) as Source;
  return {
    object: 'index',
    name: row.name,
    state: row.state,
    model: row.model || null,
    query_model: source.queryModel ?? (row.model || null),
    dimensions: row.object === null ? null : row.dimensions,
    items: row.items,
    etag: row.etag,
    job: source.build,
    source: source.batch === undefined ? { file_id: source.file } : { batch_id: source.batch },
    precision: source.precision,
    metric: source.metric,
    prefilter: source.prefilter,
    error: row.error,
    created_at: seconds(row.created_at),
    updated_at: seconds(row.changed_at),
  };
}
