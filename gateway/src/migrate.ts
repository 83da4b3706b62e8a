/**
 * Brings a database to the newest schema. The table of what was applied is wrangler's, `d1_migrations`, on all databases, so that
 * `wrangler d1 migrations apply` and this agree on D1.
 */
import type { Sql } from './host.ts';

export interface Migration {
  /** The name of the file, such as `0001_init.sql`; the order of the names is that of the migrations. */
  name: string;
  sql: string;
}

/**
 * Applies the migrations that were not applied yet, each whole or not at all, and gives their names. Another process may do the same at
 * the same time.
 * @throws {Error} naming the migration that failed
 */
export async function migrate(sql: Sql, migrations: readonly Migration[]): Promise<string[]> {
  const sorted = [...migrations].sort((a, b) => (a.name < b.name ? -1 : 1));
  let applied = await readApplied(sql);
  const done: string[] = [];
  for (const { name, sql: text } of sorted) {
    if (applied.has(name)) continue;
    try {
      await sql.batch([
        ...statementsOf(text).map((statement) => [statement] as const),
        [
          `INSERT INTO d1_migrations (id, name, applied_at)
           SELECT COALESCE(MAX(id), 0) + 1, CAST(? AS TEXT), CURRENT_TIMESTAMP FROM d1_migrations`,
          [name],
        ],
      ]);
      done.push(name);
    } catch (error) {
      // Another process may have been first.
      applied = await readApplied(sql);
      if (!applied.has(name)) throw new Error(`migration ${name} failed: ${message(error)}`, { cause: error });
    }
  }
  return done;
}

/** The statements of a file: each ends with `;` at a line's end, and comments have lines of their own. */
export function statementsOf(text: string): string[] {
  return text
    .replace(/^\s*--.*$/gm, '')
    .split(/;[ \t\r]*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

async function readApplied(sql: Sql): Promise<Set<string>> {
  const create = `CREATE TABLE IF NOT EXISTS d1_migrations (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
  )`;
  // Two processes that make the table at the same time can fail in Postgres in spite of IF NOT EXISTS; the second try finds it.
  await sql.all(create).catch(() => sql.all(create));
  const rows = await sql.all<{ name: string }>('SELECT name FROM d1_migrations');
  return new Set(rows.map(({ name }) => name));
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
