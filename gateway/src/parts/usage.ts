/** Usage by hour, key, route, model and status: counted in memory, and added to the table `usage` when it is flushed. */
import type { RequestEvent, Row, Sql, Statement } from '../host.ts';
import { HOUR_MS } from '../time.ts';

/** Rows of one statement: D1 takes 100 parameters. */
const ROWS = 10;
/**
 * Rows in memory after which further models of a key and a route are counted together, and twice as many after which all further requests of
 * an hour are, so that no client can fill the memory while the database does not answer.
 */
const MOST = 5000;
const OTHER = 'other';

const KEYS = ['hour', 'key_id', 'route', 'model', 'status'] as const;
const SUMS = ['requests', 'items', 'tokens', 'cached', 'ms'] as const;

type UsageRow = Row & Record<(typeof SUMS)[number], number>;

export class Usage {
  #rows = new Map<string, UsageRow>();

  /** Counts a request. Those without a key are in the metrics alone. */
  record(event: RequestEvent): void {
    if (event.key === undefined) return;
    this.#add({
      hour: Math.floor(event.at / HOUR_MS) * HOUR_MS,
      key_id: event.key,
      route: event.route,
      model: event.model ?? '',
      status: event.status,
      requests: 1,
      items: event.items,
      tokens: event.tokens,
      cached: event.cache === 'HIT' ? 1 : 0,
      ms: event.ms,
    });
  }

  /** Adds the rows to the table, all or none. Those that could not be written are kept for the next time. */
  async flush(sql: Sql): Promise<void> {
    const rows = [...this.#rows.values()];
    this.#rows = new Map();
    const statements: Statement[] = [];
    // Two processes that write the same rows must lock them in the same order.
    const sorted = rows.map((row) => ({ row, id: idOf(row) })).sort((a, b) => (a.id < b.id ? -1 : 1));
    for (let at = 0; at < sorted.length; at += ROWS)
      statements.push(upsert(sorted.slice(at, at + ROWS).map(({ row }) => row)));
    try {
      if (statements.length > 0) await sql.batch(statements);
    } catch (error) {
      for (const row of rows) this.#add(row);
      throw error;
    }
  }

  #add(row: UsageRow): void {
    let counted = row;
    const isKnown = () => this.#rows.has(idOf(counted));
    if (!isKnown() && this.#rows.size >= MOST) counted = { ...row, model: OTHER };
    if (!isKnown() && this.#rows.size >= 2 * MOST)
      counted = { ...row, key_id: OTHER, route: OTHER, model: OTHER, status: 0 };
    const id = idOf(counted);
    const known = this.#rows.get(id);
    if (known) for (const name of SUMS) known[name] += counted[name];
    else this.#rows.set(id, counted);
  }
}

function idOf(row: UsageRow): string {
  return JSON.stringify(KEYS.map((name) => row[name]));
}

function upsert(rows: readonly UsageRow[]): Statement {
  const columns = [...KEYS, ...SUMS];
  const marks = rows.map(() => `(${columns.map(() => '?').join(', ')})`).join(', ');
  const sums = SUMS.map((name) => `${name} = usage.${name} + excluded.${name}`).join(', ');
  return [
    `INSERT INTO usage (${columns.join(', ')}) VALUES ${marks} ON CONFLICT (${KEYS.join(', ')}) DO UPDATE SET ${sums}`,
    rows.flatMap((row) => columns.map((name) => (name === 'ms' ? Math.round(row.ms) : (row[name] ?? null)))),
  ];
}
