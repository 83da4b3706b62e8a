/** Postgres, of version 15 or newer. */
import type { Sql as Connection, TransactionSql } from 'postgres';
import type { Row, Sql, SqlValue, Statement } from '../host.ts';

/** Errors of two transactions that met: a deadlock, and a failed serialization. The loser is to try again. */
const MET = new Set(['40P01', '40001']);
const TRIES = 5;

export class PostgresSql implements Sql {
  readonly skipLocked = 'FOR UPDATE SKIP LOCKED';
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async all<R extends Row>(sql: string, params: readonly SqlValue[] = []): Promise<R[]> {
    return (await run(this.#connection, sql, params)) as R[];
  }

  async batch(statements: readonly Statement[]): Promise<Row[][]> {
    for (let tries = 1; ; tries++) {
      try {
        return (await this.#connection.begin((transaction) =>
          // All are sent at once, and run in order: one connection serves the transaction.
          Promise.all(statements.map(([sql, params = []]) => run(transaction, sql, params))),
        )) as Row[][];
      } catch (error) {
        if (!MET.has(String((error as { code?: unknown }).code)) || tries === TRIES) throw error;
      }
    }
  }

  async close(): Promise<void> {
    await this.#connection.end({ timeout: 5 });
  }
}

async function run(connection: Connection | TransactionSql, sql: string, params: readonly SqlValue[]): Promise<Row[]> {
  const rows = await connection.unsafe(numbered(sql), [...params]);
  return rows.map((row) => ({ ...row }) as Row);
}

const texts = new Map<string, string>();

/** The statement with `$1`, `$2` … for each `?` that is in no quotes. */
function numbered(sql: string): string {
  let text = texts.get(sql);
  if (text === undefined) {
    let count = 0;
    text = sql.replace(/'[^']*'|"[^"]*"|\?/g, (token) => (token === '?' ? `$${++count}` : token));
    if (texts.size >= 256) texts.clear();
    texts.set(sql, text);
  }
  return text;
}

/**
 * Connects to `postgres://user:password@host/database`, or to a socket by `?host=/its/folder`.
 * `max`: connections at most.
 */
export async function openPostgres(url: string, { max = 8 }: { max?: number } = {}): Promise<PostgresSql> {
  const { default: postgres } = await import('postgres');
  const address = new URL(url);
  const socket = address.searchParams.get('host');
  address.searchParams.delete('host');
  const connection = postgres(address.href, {
    ...(socket ? { host: socket } : {}),
    max,
    connect_timeout: 10,
    // No statement has a name in the server's session: behind a pool of transactions, such as pgbouncer's, the next one may run in another.
    prepare: false,
    // Arrays, of which there are none, would be asked for at each connection.
    fetch_types: false,
    onnotice: () => {},
    // BIGINT and the sums of it, which are NUMERIC, come as text otherwise.
    types: { integers: { to: 20, from: [20, 1700], parse: Number, serialize: String } },
  });
  return new PostgresSql(connection as unknown as Connection);
}
