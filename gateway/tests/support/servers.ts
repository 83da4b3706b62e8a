/** The gateway as processes of Node, Deno and Bun, each with a folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NewKey } from '../../src/keys.ts';
import { openPostgres } from '../../src/parts/postgres.ts';
import { openSqlite } from '../../src/parts/sqlite.ts';
import { minted } from './app.ts';
import { checkLines } from './logs.ts';
import { pathOf } from './needs.ts';
import { packedMiniLm } from './packed.ts';
import { freePort, type Program, start, untilOk } from './process.ts';

const GATEWAY = join(import.meta.dirname, '../..');

type Runtime = 'node' | 'deno' | 'bun';

/** The command that starts the gateway in a runtime. */
export function commandOf(runtime: Runtime): readonly string[] {
  if (runtime === 'node') return [process.execPath, '--max-semi-space-size=4', 'src/hosts/node.ts'];
  if (runtime === 'bun') return [pathOf('bun'), 'src/hosts/bun.ts'];
  const allowed = ['--allow-net', '--allow-read', '--allow-write', '--allow-env', '--allow-sys'];
  return [pathOf('deno'), 'run', '--unstable-no-legacy-abort', ...allowed, 'src/hosts/deno.ts'];
}

export interface RunningServer extends AsyncDisposable {
  url: string;
  program: Program;
  /** The folder of its data. */
  data: string;
  /** Its output but the lines of the level `info`. */
  faults(): string[];
  key(options?: Partial<NewKey>): Promise<string>;
}

/** Starts a server, and waits until it answers. */
export async function startServer(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<RunningServer> {
  const own = await mkdtemp(join(tmpdir(), 'gateway-data-'));
  const data = env.DATA_PATH ?? own;
  const port = await freePort();
  const program = start(command, {
    cwd: GATEWAY,
    env: {
      ...{ PORT: String(port), DATA_PATH: data, LOG_LEVEL: 'info', MODEL_PATH: await packedMiniLm() },
      ...env,
    },
  });
  const url = `http://127.0.0.1:${port}`;
  const end = async () => {
    await program[Symbol.asyncDispose]();
    await rm(own, { recursive: true, force: true });
    checkLines(program.said());
  };
  try {
    await (await untilOk(`${url}/healthz`, program)).body?.cancel();
  } catch (error) {
    await end();
    throw error;
  }
  return {
    url,
    program,
    data,
    faults: () =>
      program
        .said()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('{"level":"info"')),
    async key(options = {}) {
      const { DATABASE_URL: url } = env;
      const sql = url === undefined ? openSqlite(join(data, 'gateway.sqlite')) : await openPostgres(url);
      try {
        return await minted(sql, options);
      } finally {
        await sql.close();
      }
    },
    [Symbol.asyncDispose]: end,
  };
}
