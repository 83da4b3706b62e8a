/** Statements on the table of usage, which has a row for each hour, key, route, model and status. */
import type { Sql } from '../host.ts';
import { DAY_MS, HOUR_MS } from '../time.ts';

export interface UsageRow {
  /** The begin of the hour or day, milliseconds since 1970. */
  start: number;
  keyId: string;
  route: string;
  model: string;
  requests: number;
  /** Those of the requests that were answered by an error. */
  errors: number;
  items: number;
  tokens: number;
  cached: number;
  ms: number;
}

/** Usage from `from` until before `to`, of one key, or of all where `keyId` is undefined, in the order of time. */
export async function readUsage(
  sql: Sql,
  {
    keyId,
    from,
    to,
    by,
    limit,
  }: { keyId?: string | undefined; from: number; to: number; by: 'hour' | 'day'; limit: number },
): Promise<UsageRow[]> {
  // The length stands in the statement and not in a parameter, so that Postgres sees the same expression in all three places.
  const length = by === 'hour' ? HOUR_MS : DAY_MS;
  const start = `hour - hour % ${length}`;
  const rows = await sql.all(
    `SELECT ${start} AS start, key_id, route, model, SUM(requests) AS requests,
      SUM(CASE WHEN status >= 400 THEN requests ELSE 0 END) AS errors, SUM(items) AS items, SUM(tokens) AS tokens,
      SUM(cached) AS cached, SUM(ms) AS ms
    FROM usage WHERE hour >= ? AND hour < ?${keyId === undefined ? '' : ' AND key_id = ?'}
    GROUP BY ${start}, key_id, route, model ORDER BY start, key_id, route, model LIMIT ?`,
    [from, to, ...(keyId === undefined ? [] : [keyId]), limit],
  );
  return rows.map((row) => ({
    start: Number(row.start),
    keyId: String(row.key_id),
    route: String(row.route),
    model: String(row.model),
    requests: Number(row.requests),
    errors: Number(row.errors),
    items: Number(row.items),
    tokens: Number(row.tokens),
    cached: Number(row.cached),
    ms: Number(row.ms),
  }));
}
