/** Files of owners. Their bytes are the object `files/{id}`. */
import type { Row, Sql, SqlValue, Statement } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { int } from '../jobs/ids.ts';
import { seconds } from '../time.ts';

export interface FileRow extends Row {
  id: string;
  owner: string;
  filename: string;
  purpose: string;
  bytes: number;
  created_at: number;
  expires_at: number | null;
}

/** The purposes of files that clients upload. A batch writes files of the purpose `batch_output`. */
export const PURPOSES = ['batch', 'vision', 'user_data'] as const;

/** The object that has the bytes of a file. */
export const blobOf = (id: string): string => `files/${id}`;

/** A page of a list, by the last item of the page before. */
export interface Page {
  limit: number;
  after?: string | undefined;
  order: 'asc' | 'desc';
}

export function insertFile(file: FileRow): Statement {
  return [
    `INSERT INTO files (id, owner, filename, purpose, bytes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING`,
    [file.id, file.owner, file.filename, file.purpose, file.bytes, file.created_at, file.expires_at],
  ];
}

/**
 * The file of an owner.
 * @throws {GatewayError} `not_found` where there is none, or it is another's, or its time is over
 */
export async function fileOf(sql: Sql, owner: string, id: string, param?: string): Promise<FileRow> {
  const [row] = await sql.all<FileRow>('SELECT * FROM files WHERE id = ? AND owner = ?', [id, owner]);
  if (!row || (row.expires_at !== null && row.expires_at <= Date.now())) {
    throw new GatewayError('not_found', `no such file: ${id.slice(0, 80)}`, param === undefined ? {} : { param });
  }
  return row;
}

/**
 * The file of an owner, for a job that reads it until a time: it is kept at least as long. The cron job deletes files whose time is over, so
 * either this statement comes first, and it leaves the file alone, or the file is gone before a job has begun.
 * @throws {GatewayError} `not_found`, as of `fileOf`
 */
export async function takeFile(sql: Sql, owner: string, id: string, until: number, param: string): Promise<FileRow> {
  const [row] = await sql.all<FileRow>(
    `UPDATE files SET expires_at = CASE WHEN expires_at < ? THEN ? ELSE expires_at END
     WHERE id = ? AND owner = ? AND (expires_at IS NULL OR expires_at > ?) RETURNING *`,
    [until, until, id, owner, Date.now()],
  );
  if (!row) throw new GatewayError('not_found', `no such file: ${id.slice(0, 80)}`, { param });
  return row;
}

/** A batch that has not ended and reads the file of the row. */
const READER = 'SELECT 1 FROM batches WHERE batches.input_file = files.id AND batches.ended_at IS NULL';

/** Deletes files whose time is over, but those that a batch reads, `limit` of them at most, and gives their ids. */
export async function deleteExpired(sql: Sql, now: number, limit: number): Promise<string[]> {
  // The time stands in it twice: Postgres looks again at the outer condition alone where a job has just taken a file.
  const rows = await sql.all(
    `DELETE FROM files WHERE expires_at <= ? AND id IN (
       SELECT id FROM files WHERE expires_at <= ? AND NOT EXISTS (${READER}) ORDER BY expires_at LIMIT ${int(limit)})
     RETURNING id`,
    [now, now],
  );
  return rows.map(({ id }) => id as string);
}

/** Deletes a file of an owner. False where there is none, or a batch that has not ended reads it. */
export async function deleteFile(sql: Sql, owner: string, id: string): Promise<boolean> {
  const rows = await sql.all(`DELETE FROM files WHERE id = ? AND owner = ? AND NOT EXISTS (${READER}) RETURNING id`, [
    id,
    owner,
  ]);
  return rows.length === 1;
}

/** Files of an owner, the newest first unless asked otherwise; one more than the limit where there are more. */
export async function listFiles(
  sql: Sql,
  owner: string,
  { limit, after, order }: Page,
  purpose: string | undefined,
): Promise<FileRow[]> {
  const where: string[] = ['owner = ?', '(expires_at IS NULL OR expires_at > ?)'];
  const params: SqlValue[] = [owner, Date.now()];
  if (purpose !== undefined) {
    where.push('purpose = ?');
    params.push(purpose);
  }
  if (after !== undefined) {
    const last = await fileOf(sql, owner, after, 'after');
    where.push(`(created_at, id) ${order === 'asc' ? '>' : '<'} (?, ?)`);
    params.push(last.created_at, last.id);
  }
  return sql.all<FileRow>(
    `SELECT * FROM files WHERE ${where.join(' AND ')} ORDER BY created_at ${order}, id ${order} LIMIT ?`,
    [...params, limit + 1],
  );
}

/** A file as OpenAI's clients know it. */
export function fileAnswer(file: FileRow): object {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: seconds(file.created_at),
    expires_at: seconds(file.expires_at),
    filename: file.filename,
    purpose: file.purpose,
    status: 'processed',
  };
}
