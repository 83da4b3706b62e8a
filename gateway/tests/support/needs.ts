/**
 * The servers, runtimes and weights that tests need, and the commands that install them. Where one is missing, a test that is run by hand is
 * skipped, and the reason names the command. Under make, which has installed everything, its file fails.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const GATEWAY = join(import.meta.dirname, '../..');
const ROOT = join(GATEWAY, '..');
const MODULES = join(GATEWAY, 'tests/node_modules');

/** The folder of the real weights of MiniLM, and that of SmolLM2. */
export const MINILM = process.env.PILOTLIGHT_MINILM ?? join(ROOT, '.models/all-MiniLM-L6-v2');
export const SMOLLM2 = process.env.PILOTLIGHT_SMOLLM2 ?? join(ROOT, '.models/SmolLM2-135M-Instruct-GGUF');

/** Whether the long tests run too, and the others in full length: `make test-gateway` says so. */
export const isFull = process.env.GATEWAY_FULL === '1';

/** Registers a test that takes long. Without `GATEWAY_FULL=1` there is no such test, not even a skipped one. */
export const longTest: typeof test = isFull ? test : (((): void => {}) as unknown as typeof test);

interface Need {
  name: string;
  /** The path of the program or file; undefined where it is missing. */
  path: string | undefined;
  /** The command that installs it. */
  install: string;
}

/** The path of a program, from `PATH` or one of the folders. */
function find(program: string, ...folders: string[]): string | undefined {
  return [...(process.env.PATH ?? '').split(':'), ...folders]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

const file = (...parts: string[]): string | undefined => [join(...parts)].find((path) => existsSync(path));

/** Debian has each version of Postgres in a folder of its own, which is not in `PATH`. */
const POSTGRES = '/usr/lib/postgresql';
const postgresFolders = existsSync(POSTGRES)
  ? readdirSync(POSTGRES).map((version) => join(POSTGRES, version, 'bin'))
  : [];

/** A program of `requirements.txt`: from the folder that make installs them into, else from `PATH`. */
function ofPython(name: string, program: string): Need {
  const path = file(ROOT, '.tools/gateway-python/bin', program) ?? (program === 'python' ? undefined : find(program));
  return { name, path, install: 'make gateway-servers' };
}

const gguf = existsSync(SMOLLM2) ? readdirSync(SMOLLM2).find((name) => name.endsWith('.gguf')) : undefined;

const needs = {
  minilm: { name: `MiniLM at ${MINILM}`, path: file(MINILM, 'model.safetensors'), install: 'make minilm' },
  smollm2: { name: `SmolLM2 at ${SMOLLM2}`, path: gguf && join(SMOLLM2, gguf), install: 'make smollm2' },
  initdb: { name: 'Postgres', path: find('initdb', ...postgresFolders), install: 'apt-get install postgresql' },
  postgres: { name: 'Postgres', path: find('postgres', ...postgresFolders), install: 'apt-get install postgresql' },
  pgbouncer: { name: 'pgbouncer', path: find('pgbouncer', '/usr/sbin'), install: 'apt-get install pgbouncer' },
  redis: {
    name: 'Redis',
    path: find('redis-server') ?? find('valkey-server'),
    install: 'apt-get install redis-server',
  },
  moto: ofPython('moto, a simulator of S3,', 'moto_server'),
  gcs: ofPython('gcp-storage-emulator', 'gcp-storage-emulator'),
  openaiPython: ofPython('a Python with the package openai', 'python'),
  schemathesis: ofPython('schemathesis', 'schemathesis'),
  azurite: {
    name: 'azurite, a simulator of Azure,',
    path: file(MODULES, 'azurite/dist/src/blob/main.js'),
    install: 'make gateway',
  },
  deno: { name: 'Deno', path: file(MODULES, '@deno/linux-x64-glibc/deno') ?? find('deno'), install: 'make gateway' },
  bun: {
    name: 'Bun',
    // Its install script, where it ran, has moved the program.
    path: file(MODULES, '@oven/bun-linux-x64/bin/bun') ?? file(MODULES, 'bun/bin/bun.exe') ?? find('bun'),
    install: 'make gateway',
  },
} as const satisfies Record<string, Need>;

export type NeedName = keyof typeof needs;

const missing = ({ name, install }: Need): string => `there is no ${name} on this machine: ${install}`;

/**
 * The option `skip` of a test: the reason where something that it needs is missing, else false.
 * @throws {Error} with the reason where `GATEWAY_SKIPS` is `never`
 */
export function lacking(...names: NeedName[]): string | false {
  const reasons = names.map((name): Need => needs[name]).filter(({ path }) => path === undefined);
  if (reasons.length === 0) return false;
  const reason = reasons.map(missing).join('; ');
  if (process.env.GATEWAY_SKIPS === 'never') throw new Error(reason);
  return `SKIPPED: ${reason}`;
}

/** The path of what a test needs. @throws {Error} with the command that installs it, where it is missing */
export function pathOf(name: NeedName): string {
  const need: Need = needs[name];
  if (need.path === undefined) throw new Error(missing(need));
  return need.path;
}
