/** SQLite in a file or in memory, by `node:sqlite`, which Node, Deno and Bun have. */
import { DatabaseSync } from 'node:sqlite';
import type { Row, Sql, SqlValue, Statement } from '../host.ts';

/** The methods of a database that are used here; `bun:sqlite` has the same. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): { all(...params: SqlValue[]): unknown[] };
  close(): void;
}

/** The statements that are kept prepared. */
const PREPARED = 256;

export class SqliteSql implements Sql {
  readonly skipLocked = '';
  readonly #database: SqliteDatabase;
  readonly #prepared = new Map<string, ReturnType<SqliteDatabase['prepare']>>();

  constructor(database: SqliteDatabase) {
    this.#database = database;
    // Readers do not wait for the writer; a second process waits up to five seconds.
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = NORMAL');
    database.exec('PRAGMA busy_timeout = 5000');
  }

  async all<R extends Row>(sql: string, params: readonly SqlValue[] = []): Promise<R[]> {
    return this.#run(sql, params) as R[];
  }

  async batch(statements: readonly Statement[]): Promise<Row[][]> {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const rows = statements.map(([sql, params = []]) => this.#run(sql, params));
      this.#database.exec('COMMIT');
      return rows;
    } catch (error) {
      try {
        this.#database.exec('ROLLBACK');
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      throw error;
    }
  }

  close(): void {
    this.#prepared.clear();
    this.#database.close();
  }

  #run(sql: string, params: readonly SqlValue[]): Row[] {
    let statement = this.#prepared.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      const [oldest] = this.#prepared.keys();
      if (this.#prepared.size >= PREPARED && oldest !== undefined) this.#prepared.delete(oldest);
      this.#prepared.set(sql, statement);
    }
    // The rows have no prototype in Node, unlike those of the other databases.
    return statement.all(...params).map((row) => ({ ...(row as Row) }));
  }
}

/** Opens a database, and makes it where there is none; `:memory:` is one that lives as long as the process. */
export function openSqlite(path: string): SqliteSql {
  return new SqliteSql(new DatabaseSync(path));
}
