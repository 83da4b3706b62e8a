/** A meter in a table, of SQLite or Postgres: exact among processes, and its counts outlive them. */
import type { Lease, Meter, Policy, Sql, Statement } from '../host.ts';
import { DAY_MS } from '../time.ts';
import { answer, type Taken } from './windows.ts';

/** The number of takes between deletions of rows whose windows are over. */
const SWEEP = 1000;

export class SqlMeter implements Meter {
  readonly #sql: Sql;
  readonly #now: () => number;
  #takes = 0;

  constructor(sql: Sql, now: () => number = Date.now) {
    this.#sql = sql;
    this.#now = now;
  }

  async take(key: string, policies: readonly Policy[]): Promise<Taken> {
    if (policies.length === 0) return { allowed: true, reports: [] };
    const now = this.#now();
    const id = ({ name }: Policy) => `${key}:${name}`;
    const ids = policies.map(id);
    const marks = ids.map(() => '?').join(', ');
    const costs = policies.map(() => 'WHEN ? THEN CAST(? AS BIGINT)').join(' ');
    const tooMany = policies
      .map(() => '(other.id = ? AND other.used + CAST(? AS BIGINT) > CAST(? AS BIGINT))')
      .join(' OR ');
    const statements: Statement[] = [
      // The same order everywhere, as each row is locked from here on until the end.
      ...[...policies]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((policy) => open(id(policy), policy.seconds, now)),
      [
        `UPDATE meters SET used = used + CASE id ${costs} ELSE 0 END WHERE id IN (${marks})
           AND NOT EXISTS (SELECT 1 FROM meters AS other WHERE ${tooMany}) RETURNING id`,
        [
          ...policies.flatMap((policy) => [id(policy), policy.cost]),
          ...ids,
          ...policies.flatMap((policy) => [id(policy), policy.cost, policy.limit]),
        ],
      ],
      [`SELECT id, used, resets_at FROM meters WHERE id IN (${marks})`, ids],
    ];
    if (++this.#takes % SWEEP === 0) statements.push(['DELETE FROM meters WHERE resets_at < ?', [now - DAY_MS]]);
    const results = await this.#sql.batch(statements);
    const allowed = (results[policies.length]?.length ?? 0) > 0;
    const rows = new Map(results[policies.length + 1]?.map((row) => [row.id, row]));
    const windows = ids.map((each) => {
      const row = rows.get(each);
      return row && Number(row.used) > 0 ? { used: Number(row.used), resetsAt: Number(row.resets_at) } : undefined;
    });
    return answer(policies, windows, now, allowed);
  }

  async settle(key: string, { name, seconds }: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void> {
    const id = `${key}:${name}`;
    await this.#sql.batch([
      open(id, seconds, this.#now()),
      [
        `UPDATE meters SET used = CASE WHEN used + CAST(? AS BIGINT) > 0 THEN used + CAST(? AS BIGINT) ELSE 0 END
           WHERE id = ?`,
        [extra, extra, id],
      ],
    ]);
  }

  async lease(key: string, { id, limit, seconds }: Lease): Promise<boolean> {
    const now = this.#now();
    const results = await this.#sql.batch([
      // Locks a row, so that two who come at the same time do not both take the last place.
      open(`${key}:leases`, seconds, now),
      ['DELETE FROM leases WHERE meter = ? AND ends_at <= ?', [key, now]],
      [
        `INSERT INTO leases (meter, id, ends_at) SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT)
           WHERE (SELECT COUNT(*) FROM leases WHERE meter = ? AND id <> ?) < CAST(? AS BIGINT)
           ON CONFLICT (meter, id) DO UPDATE SET ends_at = excluded.ends_at RETURNING id`,
        [key, id, now + seconds * 1000, key, id, limit],
      ],
    ]);
    return (results[2]?.length ?? 0) > 0;
  }

  async release(key: string, id: string): Promise<void> {
    await this.#sql.all('DELETE FROM leases WHERE meter = ? AND id = ?', [key, id]);
  }
}

/** Begins a window where there is none, or none with units, or it is over; and locks its row. */
function open(id: string, seconds: number, now: number): Statement {
  return [
    `INSERT INTO meters (id, used, resets_at) VALUES (?, 0, ?) ON CONFLICT (id) DO UPDATE SET
       used = CASE WHEN meters.resets_at <= ? THEN 0 ELSE meters.used END,
       resets_at = CASE WHEN meters.resets_at <= ? OR meters.used = 0 THEN excluded.resets_at ELSE meters.resets_at END`,
    [id, now + seconds * 1000, now, now],
  ];
}
