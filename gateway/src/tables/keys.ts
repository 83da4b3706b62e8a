/** Statements on the table of API keys. */
import type { Row, Sql, SqlValue, Statement } from '../host.ts';
import type { KeyRecord } from '../keys.ts';

/** The columns that an administrator may change, as far as both statements below have them: `name` to `history`. */
const changeable = ({ name, owner, scopes, limits, models, history }: KeyRecord): SqlValue[] => [
  name,
  owner,
  JSON.stringify(scopes),
  JSON.stringify(limits),
  models === null ? null : JSON.stringify(models),
  history,
];

export function insertKey(record: KeyRecord): Statement {
  return [
    `INSERT INTO api_keys (id, hash, old_hash, old_hash_until, name, owner, scopes, limits, models, history, created_at, expires_at,
 revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`.replaceAll('\n', ''),
    [
      record.id,
      record.hash,
      record.oldHash,
      record.oldHashUntil,
      ...changeable(record),
      record.createdAt,
      record.expiresAt,
      record.revokedAt,
    ],
  ];
}

/** Postgres gives 64-bit integers as text in some drivers. */
const time = (value: Row[string] | undefined) => (value === null || value === undefined ? null : Number(value));

function read(row: Row): KeyRecord {
  return {
    id: String(row.id),
    hash: String(row.hash),
    oldHash: row.old_hash === null ? null : String(row.old_hash),
    oldHashUntil: time(row.old_hash_until),
    name: String(row.name),
    owner: String(row.owner),
    scopes: JSON.parse(String(row.scopes)),
    limits: JSON.parse(String(row.limits)),
    models: row.models === null ? null : JSON.parse(String(row.models)),
    history: String(row.history) as KeyRecord['history'],
    createdAt: Number(row.created_at),
    expiresAt: time(row.expires_at),
    revokedAt: time(row.revoked_at),
  };
}

export async function findKey(sql: Sql, id: string): Promise<KeyRecord | undefined> {
  const [row] = await sql.all('SELECT * FROM api_keys WHERE id = ?', [id]);
  return row && read(row);
}

/** Keys in the order of their ids, `limit` of them after `after`. */
export async function listKeys(
  sql: Sql,
  { owner, after, limit }: { owner?: string | undefined; after?: string | undefined; limit: number },
): Promise<KeyRecord[]> {
  const where = ['id > ?', ...(owner === undefined ? [] : ['owner = ?'])].join(' AND ');
  const rows = await sql.all(`SELECT * FROM api_keys WHERE ${where} ORDER BY id LIMIT ?`, [
    after ?? '',
    ...(owner === undefined ? [] : [owner]),
    limit,
  ]);
  return rows.map(read);
}

/** Writes what an administrator may change. */
export async function changeKey(sql: Sql, record: KeyRecord): Promise<void> {
  await sql.all(
    'UPDATE api_keys SET name = ?, owner = ?, scopes = ?, limits = ?, models = ?, history = ?, expires_at = ? WHERE id = ?',
    [...changeable(record), record.expiresAt, record.id],
  );
}

/** Gives a key another secret; the one before holds until `until`. Returns false where the key is unknown or revoked. */
export async function rotateKey(sql: Sql, id: string, hash: string, until: number): Promise<boolean> {
  const rows = await sql.all(
    'UPDATE api_keys SET old_hash = hash, old_hash_until = ?, hash = ? WHERE id = ? AND revoked_at IS NULL RETURNING id',
    [until, hash, id],
  );
  return rows.length > 0;
}

/** Revokes a key; the time of a first revocation stays. Returns false where there is no such key. */
export async function revokeKey(sql: Sql, id: string, now: number): Promise<boolean> {
  const rows = await sql.all(
    'UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?), old_hash = NULL WHERE id = ? RETURNING id',
    [now, id],
  );
  return rows.length > 0;
}
