/** Statements on the table of batches. Each change of a batch's state happens once, however often it is asked for. */
import type { Row, Sql, SqlValue, Statement } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { int } from '../jobs/ids.ts';
import { seconds } from '../time.ts';
import type { PartRow } from './batch-parts.ts';
import type { Page } from './files.ts';

/** The state of a batch. `expiring`: its time is over, and its waiting lines get errors; clients see `finalizing`. The others are OpenAI's. */
export type BatchState =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expiring'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** A fault of a batch's file. */
export interface FileError {
  code: string;
  message: string;
  line: number | null;
  param: string | null;
}

export interface BatchRow extends Row {
  id: string;
  owner: string;
  key_id: string;
  caller: string;
  idempotency_key: string | null;
  endpoint: string;
  input_file: string;
  output_file: string | null;
  error_file: string | null;
  state: BatchState;
  metadata: string | null;
  errors: string | null;
  parts: number;
  total: number;
  completed: number;
  failed: number;
  created_at: number;
  started_at: number | null;
  finalizing_at: number | null;
  ended_at: number | null;
  cancelling_at: number | null;
  expires_at: number;
}

/** Makes a batch, or gives the one that was made by the same idempotency key. */
export async function createBatch(
  sql: Sql,
  batch: Pick<
    BatchRow,
    | 'id'
    | 'owner'
    | 'key_id'
    | 'caller'
    | 'idempotency_key'
    | 'endpoint'
    | 'input_file'
    | 'metadata'
    | 'created_at'
    | 'expires_at'
  >,
): Promise<{ row: BatchRow; made: boolean }> {
  const [made] = await sql.all<BatchRow>(
    `INSERT INTO batches (id, owner, key_id, caller, idempotency_key, endpoint, input_file, state, metadata, parts, total, completed,
       failed, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'validating', ?, 0, 0, 0, 0, ?, ?) ON CONFLICT DO NOTHING RETURNING *`,
    [
      batch.id,
      batch.owner,
      batch.key_id,
      batch.caller,
      batch.idempotency_key,
      batch.endpoint,
      batch.input_file,
      batch.metadata,
      batch.created_at,
      batch.expires_at,
    ],
  );
  if (made) return { row: made, made: true };
  const row = batch.idempotency_key === null ? undefined : await batchOnce(sql, batch.owner, batch.idempotency_key);
  if (!row) throw new Error('a batch was neither made nor found');
  return { row, made: false };
}

/** The batch that an owner has made by an idempotency key. */
export async function batchOnce(sql: Sql, owner: string, key: string): Promise<BatchRow | undefined> {
  const [row] = await sql.all<BatchRow>('SELECT * FROM batches WHERE owner = ? AND idempotency_key = ?', [owner, key]);
  return row;
}

export async function batchById(sql: Sql, id: string): Promise<BatchRow | undefined> {
  const [row] = await sql.all<BatchRow>('SELECT * FROM batches WHERE id = ?', [id]);
  return row;
}

/**
 * The batch of an owner, with its counts as they are now.
 * @throws {GatewayError} `not_found` where there is none, or it is another's
 */
export async function batchOf(sql: Sql, owner: string, id: string, param?: string): Promise<BatchRow> {
  const [row] = await sql.all<BatchRow>('SELECT * FROM batches WHERE id = ? AND owner = ?', [id, owner]);
  if (!row) {
    throw new GatewayError('not_found', `no such batch: ${id.slice(0, 80)}`, param === undefined ? {} : { param });
  }
  const [counted] = await withCounts(sql, [row]);
  return counted as BatchRow;
}

/** Batches of an owner, the newest first; one more than the limit where there are more. */
export async function listBatches(sql: Sql, owner: string, { limit, after }: Page): Promise<BatchRow[]> {
  const params: SqlValue[] = [owner];
  let where = 'owner = ?';
  if (after !== undefined) {
    const last = await batchOf(sql, owner, after, 'after');
    where += ' AND (created_at, id) < (?, ?)';
    params.push(last.created_at, last.id);
  }
  const rows = await sql.all<BatchRow>(
    `SELECT * FROM batches WHERE ${where} ORDER BY created_at DESC, id DESC LIMIT ?`,
    [...params, limit + 1],
  );
  return withCounts(sql, rows);
}

/** Puts the counts of parts into batches that have not ended; those that have keep their own. */
async function withCounts(sql: Sql, rows: readonly BatchRow[]): Promise<BatchRow[]> {
  const active = rows.filter(({ ended_at, total }) => ended_at === null && total > 0).map(({ id }) => id);
  const counts = new Map<SqlValue, Row>();
  for (let at = 0; at < active.length; at += 90) {
    const some = active.slice(at, at + 90);
    const sums = await sql.all(
      `SELECT batch_id, CAST(SUM(completed) AS BIGINT) AS completed, CAST(SUM(failed) AS BIGINT) AS failed
       FROM batch_parts WHERE batch_id IN (${some.map(() => '?').join(', ')}) GROUP BY batch_id`,
      some,
    );
    for (const sum of sums) counts.set(sum.batch_id as SqlValue, sum);
  }
  return rows.map((row) => {
    const sum = counts.get(row.id);
    return sum ? { ...row, completed: sum.completed as number, failed: sum.failed as number } : row;
  });
}

/** Rows of parts in one statement stay under the 100 KB that D1 takes. */
const ROWS = 500;

/** Starts a batch with all of its parts. False where it has been started, cancelled or ended meanwhile. */
export async function startBatch(
  sql: Sql,
  id: string,
  parts: readonly Pick<PartRow, 'part' | 'start_at' | 'length' | 'first_line' | 'lines'>[],
  now: number,
): Promise<boolean> {
  const total = parts.reduce((sum, { lines }) => sum + lines, 0);
  const statements: Statement[] = [
    [
      `UPDATE batches SET state = 'in_progress', started_at = ?, parts = ?, total = ? WHERE id = ? AND state = 'validating' RETURNING id`,
      [now, parts.length, total, id],
    ],
  ];
  for (let at = 0; at < parts.length; at += ROWS) {
    const values = parts
      .slice(at, at + ROWS)
      .map((part) => `(${[part.part, part.start_at, part.length, part.first_line, part.lines].map(int).join(', ')})`);
    statements.push([
      // Without the batch's new state, which no second start gets, there is nothing to select from.
      `INSERT INTO batch_parts (batch_id, part, start_at, length, first_line, lines, state, out_bytes, err_bytes, completed, failed,
         changed_at)
       SELECT b.id, v.column1, v.column2, v.column3, v.column4, v.column5, 'waiting', 0, 0, 0, 0, 0
       FROM (VALUES ${values.join(', ')}) AS v, batches AS b WHERE b.id = ? AND b.state = 'in_progress'
       ON CONFLICT DO NOTHING`,
      [id],
    ]);
  }
  const [started] = await sql.batch(statements);
  return started?.length === 1;
}

/** Ends a batch whose file cannot be worked on. One that has been started has parts, whose answers count. */
export async function failBatch(sql: Sql, id: string, errors: readonly FileError[], now: number): Promise<void> {
  await sql.all(`UPDATE batches SET state = 'failed', errors = ?, ended_at = ? WHERE id = ? AND state = 'validating'`, [
    JSON.stringify(errors),
    now,
    id,
  ]);
}

/** The owners of batches that have parts to be done. */
export async function busyOwners(sql: Sql): Promise<string[]> {
  const rows = await sql.all(`SELECT DISTINCT owner FROM batches WHERE state IN ('in_progress', 'expiring')`);
  return rows.map(({ owner }) => owner as string);
}

/** Begins to end a batch of which no part waits. Of several callers exactly one is told true. */
export async function startFinish(sql: Sql, id: string, now: number): Promise<boolean> {
  // It is a statement of its own, after the part was saved: two transactions would not see each other's part in Postgres.
  const rows = await sql.all(
    `UPDATE batches SET state = CASE state WHEN 'in_progress' THEN 'finalizing' ELSE state END, finalizing_at = ?
     WHERE id = ? AND finalizing_at IS NULL AND state IN ('in_progress', 'expiring')
       AND NOT EXISTS (SELECT 1 FROM batch_parts WHERE batch_id = ? AND state = 'waiting') RETURNING id`,
    [now, id, id],
  );
  return rows.length === 1;
}

/** Begins to cancel a batch; undefined where it is too late for that. */
export async function startCancel(sql: Sql, owner: string, id: string, now: number): Promise<BatchRow | undefined> {
  const [row] = await sql.all<BatchRow>(
    `UPDATE batches SET state = 'cancelling', cancelling_at = ?
     WHERE id = ? AND owner = ? AND state IN ('validating', 'in_progress') RETURNING *`,
    [now, id, owner],
  );
  return row;
}

const ENDS = { finalizing: 'completed', expiring: 'expired', cancelling: 'cancelled' } as const;
export type Ending = keyof typeof ENDS;

/** The statements that end a batch: they name its files and delete its parts. */
export function endBatch(
  batch: BatchRow & { state: Ending },
  end: { output: string | null; error: string | null; completed: number; failed: number; now: number },
): Statement[] {
  return [
    [
      `UPDATE batches SET state = ?, output_file = ?, error_file = ?, completed = ?, failed = ?, ended_at = ?,
         finalizing_at = COALESCE(finalizing_at, ?) WHERE id = ? AND state = ? RETURNING id`,
      [
        ENDS[batch.state],
        end.output,
        end.error,
        end.completed,
        end.failed,
        end.now,
        batch.state === 'cancelling' ? null : end.now,
        batch.id,
        batch.state,
      ],
    ],
    ['DELETE FROM batch_parts WHERE batch_id = ?', [batch.id]],
  ];
}

/** A batch as OpenAI's clients know it. */
export function batchAnswer(row: BatchRow): object {
  const status = row.state === 'expiring' ? 'finalizing' : row.state;
  const ended = (state: BatchState) => (row.state === state ? seconds(row.ended_at) : null);
  return {
    id: row.id,
    object: 'batch',
    endpoint: row.endpoint,
    errors: row.errors === null ? null : { object: 'list', data: JSON.parse(row.errors) },
    input_file_id: row.input_file,
    completion_window: '24h',
    status,
    output_file_id: row.output_file,
    error_file_id: row.error_file,
    created_at: seconds(row.created_at),
    in_progress_at: seconds(row.started_at),
    expires_at: seconds(row.expires_at),
    finalizing_at: seconds(row.finalizing_at),
    completed_at: ended('completed'),
    failed_at: ended('failed'),
    expired_at: ended('expired'),
    cancelling_at: seconds(row.cancelling_at),
    cancelled_at: ended('cancelled'),
    request_counts: { total: row.total, completed: row.completed, failed: row.failed },
    metadata: row.metadata === null ? null : JSON.parse(row.metadata),
  };
}
