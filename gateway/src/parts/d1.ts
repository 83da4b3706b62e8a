/** Cloudflare's D1. A statement takes 100 parameters at most. */
import type { D1Database, D1PreparedStatement } from '@cloudflare/workers-types';
import type { Row, Sql, SqlValue, Statement } from '../host.ts';

export class D1Sql implements Sql {
  readonly skipLocked = '';
  readonly #database: D1Database;

  constructor(database: D1Database) {
    this.#database = database;
  }

  async all<R extends Row>(sql: string, params: readonly SqlValue[] = []): Promise<R[]> {
    return (await this.#prepare(sql, params).all<R>()).results;
  }

  async batch(statements: readonly Statement[]): Promise<Row[][]> {
    if (statements.length === 0) return [];
    const results = await this.#database.batch<Row>(statements.map(([sql, params = []]) => this.#prepare(sql, params)));
    return results.map(({ results }) => results);
  }

  #prepare(sql: string, params: readonly SqlValue[]): D1PreparedStatement {
    return this.#database.prepare(sql).bind(...params);
  }
}
