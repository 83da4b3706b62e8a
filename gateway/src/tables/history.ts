/** Statements on the table of predictions. */
import type { Row, Sql, Statement } from '../host.ts';

export interface Prediction {
  id: string;
  at: number;
  keyId: string;
  route: string;
  model: string;
  /** SHA-256 of the input. */
  digest: string;
  input: string | null;
  output: string;
  ms: number;
  expiresAt: number;
}

export function insertPrediction(one: Prediction): Statement {
  return [
    'INSERT INTO predictions (id, at, key_id, route, model, digest, input, output, ms, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    [
      one.id,
      one.at,
      one.keyId,
      one.route,
      one.model,
      one.digest,
      one.input,
      one.output,
      Math.round(one.ms),
      one.expiresAt,
    ],
  ];
}

function read(row: Row): Prediction {
  return {
    id: String(row.id),
    at: Number(row.at),
    keyId: String(row.key_id),
    route: String(row.route),
    model: String(row.model),
    digest: String(row.digest),
    input: row.input === null ? null : String(row.input),
    output: String(row.output),
    ms: Number(row.ms),
    expiresAt: Number(row.expires_at),
  };
}

/** Predictions, the latest first: those of one key, or of all where `keyId` is undefined. `before` is an id. */
export async function listPredictions(
  sql: Sql,
  {
    keyId,
    before,
    limit,
  }: { keyId?: string | undefined; before?: { at: number; id: string } | undefined; limit: number },
): Promise<Prediction[]> {
  const where: string[] = [];
  const params: (string | number)[] = [];
  if (keyId !== undefined) {
    where.push('key_id = ?');
    params.push(keyId);
  }
  if (before) {
    where.push('(at < ? OR (at = ? AND id < ?))');
    params.push(before.at, before.at, before.id);
  }
  const filter = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
  const rows = await sql.all(`SELECT * FROM predictions ${filter} ORDER BY at DESC, id DESC LIMIT ?`, [
    ...params,
    limit,
  ]);
  return rows.map(read);
}

/** Deletes a prediction of a key, or of any key where `keyId` is undefined. Returns false where there is none. */
export async function deletePrediction(sql: Sql, id: string, keyId?: string): Promise<boolean> {
  const rows =
    keyId === undefined
      ? await sql.all('DELETE FROM predictions WHERE id = ? RETURNING id', [id])
      : await sql.all('DELETE FROM predictions WHERE id = ? AND key_id = ? RETURNING id', [id, keyId]);
  return rows.length > 0;
}
