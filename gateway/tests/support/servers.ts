/** The gateway as processes of Node, Deno and Bun, each with a folder of its own. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintKey, type NewKey } from '../../src/keys.ts';
import { SCOPES } from '../../src/operation.ts';
import { openSqlite } from '../../src/parts/sqlite.ts';
import { packedMiniLm } from './packed.ts';
import { freePort, type Program, start, untilOk } from './process.ts';

const GATEWAY = join(import.meta.dirname, '../..');
const MODULES = join(import.meta.dirname, '../node_modules');

/** How each runtime is started; undefined where it is not installed. */
export const RUNTIMES: Record<string, readonly string[] | undefined> = {
  node: [process.execPath, '--max-semi-space-size=4', 'src/hosts/node.ts'],
  deno: command(
    [join(MODULES, '@deno/linux-x64-glibc/deno')],
    [
      'run',
      '--unstable-no-legacy-abort',
      ...['--allow-net', '--allow-read', '--allow-write', '--allow-env', '--allow-sys'],
      'src/hosts/deno.ts',
    ],
  ),
  // Its install script, where it ran, has moved the program.
  bun: command([join(MODULES, '@oven/bun-linux-x64/bin/bun'), join(MODULES, 'bun/bin/bun.exe')], ['src/hosts/bun.ts']),
};

function command(paths: readonly string[], words: readonly string[]): readonly string[] | undefined {
  const path = paths.find((one) => existsSync(one));
  return path === undefined ? undefined : [path, ...words];
}

export interface RunningServer extends AsyncDisposable {
  url: string;
  program: Program;
  /** The folder of its data. */
  data: string;
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
      ...{ PORT: String(port), DATA_PATH: data, LOG_LEVEL: 'error', MODEL_PATH: await packedMiniLm() },
      ...env,
    },
  });
  const url = `http://127.0.0.1:${port}`;
  const end = async () => {
    await program[Symbol.asyncDispose]();
    await rm(own, { recursive: true, force: true });
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
    async key(options = {}) {
      const sql = openSqlite(join(data, 'gateway.sqlite'));
      try {
        return (await mintKey(sql, { name: 'test', owner: 'owner', scopes: SCOPES, ...options })).key;
      } finally {
        sql.close();
      }
    },
    [Symbol.asyncDispose]: end,
  };
}
