/**
 * Cold starts: the time and the processor's time from the first request that a fresh workerd, or a fresh server, gets to its answer, for each
 * place that a model's files can be in.
 *
 *   node benches/cold.ts [ROUNDS]
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import type { Miniflare, WorkerOptions } from 'miniflare';
import { type Bundle, bundle, deployed } from '../tests/support/bundle.ts';
import { MODEL, packedMiniLm } from '../tests/support/packed.ts';
import { commandOf, startServer } from '../tests/support/servers.ts';
import { NAME, putModel, startWorker, usageOf } from '../tests/support/worker.ts';
import { keep, median, round } from './measure.ts';

const ID = 'all-MiniLM-L6-v2';

export interface ColdStart {
  /** Milliseconds from the first request to its answer. */
  ms: number;
  /** Milliseconds of the processor in that time. */
  cpuMs: number;
  /** MiB that the process has more after it. */
  rssMiB: number;
}

export type Placement = 'r2' | 'r2 store' | 'assets' | 'kv' | 'module' | 'hub';
export const PLACEMENTS: readonly Placement[] = ['r2', 'r2 store', 'assets', 'kv', 'module', 'hub'];

/** The packed files on a host of the hub's layout, on this machine. */
async function startHost(): Promise<{ url: string; close(): Promise<void> }> {
  // The path is a value, as the hub is JavaScript without types.
  const hub = join(import.meta.dirname, '../../tests/hub/hub.mjs');
  const { startHub } = await import(hub);
  return startHub({ models: { [MODEL]: join(await packedMiniLm(), MODEL, 'resolve/main') } });
}

const modelsOf = (entry: object) => JSON.stringify({ models: { [ID]: { task: 'embed', run: 'local', ...entry } } });

/** Starts a workerd for each round, with the model at one placement, and asks each once. */
export async function coldStarts(placement: Placement, rounds: number): Promise<ColdStart[]> {
  const state = await mkdtemp(join(tmpdir(), 'gateway-cold-'));
  const host = await startHost();
  const own = placement === 'module' ? await bundleWithModel() : undefined;
  const files = join(await packedMiniLm(), MODEL, 'resolve/main');
  const settings: Record<Placement, { vars?: Record<string, string>; worker?: Partial<WorkerOptions> }> = {
    r2: {},
    'r2 store': { vars: { MODELS: modelsOf({ source: `${host.url}/${MODEL}`, keep: true }) } },
    assets: {
      vars: { MODELS: modelsOf({ source: 'assets:', repository: MODEL }) },
      worker: {
        assets: {
          directory: files,
          binding: 'ASSETS',
          routerConfig: { invoke_user_worker_ahead_of_assets: true, has_user_worker: true },
        },
      },
    },
    kv: { vars: { MODELS: modelsOf({ source: 'kv:', repository: MODEL }) }, worker: { kvNamespaces: ['KV'] } },
    module: { vars: { MODELS: modelsOf({ source: 'module:', repository: MODEL }) } },
    hub: { vars: { MODELS: modelsOf({ source: `${host.url}/${MODEL}` }) } },
  };
  const { vars, worker: more } = settings[placement];
  const setup = {
    bundle: own ?? (await deployed()),
    state,
    vars: { LOG_LEVEL: 'silent', ...vars },
    ...(more ? { worker: more } : {}),
  };
  const starts: ColdStart[] = [];
  try {
    // The first round puts the model where it belongs; `r2 store` is filled by its first load.
    for (let round = -1; round < rounds; round += 1) {
      await using worker = await startWorker({ ...setup, options: { kvPersist: join(state, 'kv') } });
      if (round === -1 && placement === 'r2') await putModel(worker.miniflare);
      if (round === -1 && placement === 'kv') await putValues(worker.miniflare, files);
      const key = await worker.key();
      const before = usageOf(worker.pid);
      const started = performance.now();
      const response = await embed(worker.url, key);
      const ms = performance.now() - started;
      const after = usageOf(worker.pid);
      if (response.status !== 200) throw new Error(`${placement}: ${await response.text()}`);
      await response.body?.cancel();
      if (round >= 0) starts.push({ ms, cpuMs: after.cpuMs - before.cpuMs, rssMiB: after.rssMiB - before.rssMiB });
    }
  } finally {
    await host.close();
    if (own) await rm(own.folder, { recursive: true, force: true });
    await rm(state, { recursive: true, force: true });
  }
  return starts;
}

function embed(url: string | URL, key: string): Promise<Response> {
  return fetch(new URL('/v1/embeddings', url), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify({ model: ID, input: 'A cat sits on the mat.', encoding_format: 'base64' }),
  });
}

async function putValues(miniflare: Miniflare, folder: string): Promise<void> {
  const namespace = await miniflare.getKVNamespace('KV', NAME);
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    const bytes = await readFile(path);
    const value = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    await namespace.put(relative(folder, path).split(sep).join('/'), value);
  }
}

/** The script with the model's files as modules of it. */
async function bundleWithModel(): Promise<Bundle> {
  const files = join(await packedMiniLm(), MODEL, 'resolve/main');
  const folder = join(import.meta.dirname, '../.dev', `module-${process.pid}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const names: string[] = [];
  for (const file of await readdir(files, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    await cp(path, join(folder, `${names.length}.bin`));
    names.push(relative(files, path).split(sep).join('/'));
  }
  const entry = [
    ...names.map((_, at) => `import file${at} from './${at}.bin';`),
    `import { modulePlace } from '../../src/hosts/places.ts';`,
    `import { createWorker } from '../../src/hosts/worker.ts';`,
    `import { textLoaders } from '../../src/models/local/text.ts';`,
    `export { KeyMeter } from '../../src/parts/key-meter.ts';`,
    `export { Metrics } from '../../src/parts/metrics-object.ts';`,
    `const place = modulePlace({ ${names.map((name, at) => `${JSON.stringify(name)}: file${at}`).join(', ')} });`,
    `export default createWorker(textLoaders, { module: (path) => ({ place, prefix: path }) });`,
  ];
  await writeFile(join(folder, 'worker.ts'), entry.join('\n'));
  try {
    return await bundle(relative(join(import.meta.dirname, '..'), join(folder, 'worker.ts')));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export type ServerPlacement = 'folder' | 'volume' | 'host';

export interface ServerStart {
  /** Milliseconds from the start of the process to `/healthz`, and to the first vector. */
  healthMs: number;
  ms: number;
  rssMiB: number;
}

/** Starts a server of Node for each round, and asks each once. */
export async function serverStarts(placement: ServerPlacement, rounds: number): Promise<ServerStart[]> {
  const host = await startHost();
  const folder = await mkdtemp(join(tmpdir(), 'gateway-cold-'));
  const env: Record<ServerPlacement, Record<string, string>> = {
    folder: {},
    volume: { MODELS_FILE: join(folder, 'models.jsonc'), DATA_PATH: join(folder, 'data') },
    host: { MODEL_PATH: host.url },
  };
  await writeFile(join(folder, 'models.jsonc'), modelsOf({ source: `${host.url}/${MODEL}`, keep: true }));
  const starts: ServerStart[] = [];
  try {
    for (let round = -1; round < rounds; round += 1) {
      const started = performance.now();
      await using server = await startServer(commandOf('node'), { LOG_LEVEL: 'error', ...env[placement] });
      const healthMs = performance.now() - started;
      const key = await server.key();
      const response = await embed(server.url, key);
      if (response.status !== 200) throw new Error(`${placement}: ${await response.text()}`);
      await response.body?.cancel();
      const ms = performance.now() - started;
      if (round >= 0) starts.push({ healthMs, ms, rssMiB: usageOf(server.program.child.pid ?? 0).rssMiB });
    }
  } finally {
    await host.close();
    await rm(folder, { recursive: true, force: true });
  }
  return starts;
}

/** The medians of each column. */
export function medians<T extends object>(rows: readonly T[]): Record<keyof T, number> {
  const [first] = rows;
  const names = Object.keys(first ?? {}) as (keyof T)[];
  return Object.fromEntries(
    names.map((name) => [name, round(median(rows.map((row) => Number(row[name]))), 0)]),
  ) as never;
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 5);
  const [workerd, server]: [Record<string, object>, Record<string, object>] = [{}, {}];
  for (const placement of PLACEMENTS) {
    workerd[placement] = medians(await coldStarts(placement, rounds));
    console.log(placement, workerd[placement]);
  }
  for (const placement of ['folder', 'volume', 'host'] as const) {
    server[placement] = medians(await serverStarts(placement, rounds));
    console.log(placement, server[placement]);
  }
  keep('cold.json', 'node benches/cold.ts', { rounds, workerd, server });
}
