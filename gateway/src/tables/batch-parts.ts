/** Parts of batches. Of several deliveries that work on a part, the answers of one count. */
import type { Row, Sql, Statement } from '../host.ts';
import { int } from '../jobs/ids.ts';

/** Lines of a file that are answered together. `part` is the number of its first request, from 0, so parts sort as the file does. */
export interface PartRow extends Row {
  batch_id: string;
  part: number;
  start_at: number;
  length: number;
  first_line: number;
  lines: number;
  state: 'waiting' | 'done' | 'cancelled';
  run: string | null;
  out_bytes: number;
  err_bytes: number;
  completed: number;
  failed: number;
  /** The time when its state changed, or until when it waits; its message names this time. 0 where none was sent yet. */
  changed_at: number;
}

/** The answers of a part: one object, those that succeeded before those that did not. */
export const runBlob = (batch: string, part: number, run: string): string =>
  `batches/${batch}/${String(part).padStart(6, '0')}.${run}`;

export async function partOf(sql: Sql, batch: string, part: number): Promise<PartRow | undefined> {
  const [row] = await sql.all<PartRow>('SELECT * FROM batch_parts WHERE batch_id = ? AND part = ?', [batch, part]);
  return row;
}

/** All parts of a batch in a state, in the order of the file. */
export function partsOf(sql: Sql, batch: string, state: PartRow['state']): Promise<PartRow[]> {
  return sql.all<PartRow>('SELECT * FROM batch_parts WHERE batch_id = ? AND state = ? ORDER BY part', [batch, state]);
}

/**
 * Takes the next parts of an owner whose messages are to be sent: so many that at most `most` of them are sent and not done. The batches of
 * the owner share this number, and those that have come least far go first.
 */
export async function takeParts(sql: Sql, owner: string, most: number, now: number): Promise<PartRow[]> {
  const waiting = `state = 'waiting' AND batch_id IN (
    SELECT id FROM batches WHERE owner = ? AND state IN ('in_progress', 'expiring'))`;
  const rows = await sql.all<PartRow>(
    `WITH next AS (
       SELECT batch_id, part FROM batch_parts WHERE ${waiting} AND changed_at = 0 ORDER BY part, batch_id
       LIMIT (SELECT CASE WHEN COUNT(*) < ${int(most)} THEN ${int(most)} - COUNT(*) ELSE 0 END
              FROM batch_parts WHERE ${waiting} AND changed_at > 0)
       ${sql.skipLocked}
     )
     UPDATE batch_parts SET changed_at = ? WHERE (batch_id, part) IN (SELECT batch_id, part FROM next) RETURNING *`,
    [owner, owner, now],
  );
  return rows.sort((a, b) => a.part - b.part);
}

/** Parts whose messages were sent before a time, in batches of which no part has been done since, in the order in which they were sent. */
export function staleParts(sql: Sql, before: number): Promise<PartRow[]> {
  return sql.all<PartRow>(
    `SELECT * FROM batch_parts WHERE state = 'waiting' AND changed_at > 0 AND changed_at < ? AND batch_id IN (
       SELECT id FROM batches WHERE state IN ('in_progress', 'expiring') AND NOT EXISTS (
         SELECT 1 FROM batch_parts AS done WHERE done.batch_id = batches.id AND done.state = 'done' AND done.changed_at >= ?))
     ORDER BY part, batch_id`,
    [before, before],
  );
}

/** A run of a part, which has answered all of its lines, or the first of them. */
export interface Run {
  run: string;
  /** Lines and bytes of the file that were answered, and the line where the rest begins. */
  lines: number;
  length: number;
  nextLine: number;
  outBytes: number;
  errBytes: number;
  completed: number;
  failed: number;
}

/**
 * Keeps a run's answers as those of its part. Of several runs of one part only the first is taken, so each line is answered once.
 * Lines that the run left over become a part of their own.
 * @param next the time at which they are to be answered
 * @returns false where the part is done or cancelled
 */
export async function saveRun(sql: Sql, part: PartRow, run: Run, now: number, next: number): Promise<boolean> {
  const statements: Statement[] = [
    [
      `UPDATE batch_parts SET state = 'done', run = ?, lines = ?, length = ?, out_bytes = ?, err_bytes = ?, completed = ?, failed = ?,
         changed_at = ? WHERE batch_id = ? AND part = ? AND state = 'waiting' RETURNING part`,
      [
        run.run,
        run.lines,
        run.length,
        run.outBytes,
        run.errBytes,
        run.completed,
        run.failed,
        now,
        part.batch_id,
        part.part,
      ],
    ],
  ];
  if (run.lines < part.lines) {
    const rest = [
      part.part + run.lines,
      part.start_at + run.length,
      part.length - run.length,
      run.nextLine,
      part.lines - run.lines,
    ];
    statements.push([
      `INSERT INTO batch_parts (batch_id, part, start_at, length, first_line, lines, state, out_bytes, err_bytes, completed, failed,
         changed_at)
       SELECT batch_id, ${rest.map(int).join(', ')}, 'waiting', 0, 0, 0, 0, ${int(next)}
       FROM batch_parts WHERE batch_id = ? AND part = ? AND run = ?`,
      [part.batch_id, part.part, run.run],
    ]);
  }
  const [saved] = await sql.batch(statements);
  return saved?.length === 1;
}

/**
 * Puts a waiting part off until a time, so that the cron job leaves it alone until then. Messages name the time that they were sent
 * for, so all messages of before are void; of several deliveries that ask, one is told yes.
 */
export async function deferPart(sql: Sql, part: PartRow, until: number): Promise<PartRow | undefined> {
  const changed_at = Math.max(until, part.changed_at + 1);
  const rows = await sql.all(
    `UPDATE batch_parts SET changed_at = ? WHERE batch_id = ? AND part = ? AND state = 'waiting' AND changed_at = ? RETURNING part`,
    [changed_at, part.batch_id, part.part, part.changed_at],
  );
  return rows.length === 1 ? { ...part, changed_at } : undefined;
}

/** Gives up the parts of a cancelled batch that are not done. Runs that are under way will find that they do not count. */
export async function cancelParts(sql: Sql, id: string): Promise<void> {
  await sql.all(`UPDATE batch_parts SET state = 'cancelled' WHERE batch_id = ? AND state = 'waiting'`, [id]);
}

/** Makes one part of several, whose answers a run has. False where another delivery has done that. */
export async function mergeParts(sql: Sql, parts: readonly PartRow[], run: string): Promise<boolean> {
  const [first, last] = [parts[0], parts.at(-1)] as [PartRow, PartRow];
  const sum = (field: 'lines' | 'length' | 'out_bytes' | 'err_bytes' | 'completed' | 'failed') =>
    parts.reduce((total, part) => total + part[field], 0);
  const [merged] = await sql.batch([
    [
      `UPDATE batch_parts SET run = ?, lines = ?, length = ?, out_bytes = ?, err_bytes = ?, completed = ?, failed = ?
       WHERE batch_id = ? AND part = ? AND run = ? RETURNING part`,
      [
        run,
        sum('lines'),
        sum('length'),
        sum('out_bytes'),
        sum('err_bytes'),
        sum('completed'),
        sum('failed'),
        first.batch_id,
        first.part,
        first.run,
      ],
    ],
    [
      `DELETE FROM batch_parts WHERE batch_id = ? AND part > ? AND part <= ? AND EXISTS (
         SELECT 1 FROM batch_parts AS merged WHERE merged.batch_id = ? AND merged.part = ? AND merged.run = ?)`,
      [first.batch_id, first.part, last.part, first.batch_id, first.part, run],
    ],
  ]);
  return merged?.length === 1;
}
