/** The deployed script in a workerd of its own, with all bindings that `wrangler.jsonc` names. */
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { Miniflare, type MiniflareOptions, type WorkerOptions } from 'miniflare';
import { readMigrations, readWorkerConfig } from '../../src/cli/place.ts';
import type { NewKey } from '../../src/keys.ts';
import { migrate } from '../../src/migrate.ts';
import { D1Sql } from '../../src/parts/d1.ts';
import { minted } from './app.ts';
import type { Bundle } from './bundle.ts';
import { checkLines } from './logs.ts';
import { MODEL, packedMiniLm } from './packed.ts';

export interface WorkerSetup {
  bundle: Bundle;
  /** Variables of the environment. */
  vars?: Record<string, string>;
  /** A folder for what the bindings hold, which a second workerd then finds. */
  state?: string;
  /** Whether packed MiniLM is put into the bucket. */
  model?: boolean;
  /** Whether `GET /test/memory` collects garbage, and tells the bytes of the memories of WebAssembly. */
  memories?: boolean;
  /** Options of miniflare beside those of the Worker, such as the port of the inspector. */
  options?: Partial<MiniflareOptions>;
  /** More options of the Worker, such as more bindings. */
  worker?: Partial<WorkerOptions>;
  /** Workers beside it, such as one in front. The first of them takes the requests. */
  front?: WorkerOptions[];
}

export interface RunningWorker extends AsyncDisposable {
  url: URL;
  miniflare: Miniflare;
  sql: D1Sql;
  /** The process id of workerd. */
  pid: number;
  key(options?: Partial<NewKey>): Promise<string>;
}

/** The name of the gateway's Worker among several. */
export const NAME = 'gateway';

/** Starts a workerd. `await using` ends it. */
export async function startWorker(setup: WorkerSetup): Promise<RunningWorker> {
  const { vars = {}, state, front = [], options = {} } = setup;
  const before = new Set(workerds());
  const gateway = { ...(await optionsOf(setup.bundle, vars, setup.memories)), ...setup.worker } as WorkerOptions;
  const persist = state === undefined ? {} : persisted(state);
  // Read when workerd is started; `gc` is in no isolate without it.
  if (setup.memories) process.env.MINIFLARE_WORKERD_V8_FLAGS = '--expose-gc';
  let said = '';
  const miniflare = new Miniflare({
    cf: false,
    handleRuntimeStdio: (...streams: Readable[]) => {
      for (const stream of streams) {
        stream.setEncoding('utf8').on('data', (data: string) => {
          said += data;
        });
      }
    },
    ...persist,
    ...options,
    workers: [...front, gateway],
  } as MiniflareOptions);
  try {
    const url = await miniflare.ready;
    delete process.env.MINIFLARE_WORKERD_V8_FLAGS;
    const pid = workerds().find((one) => !before.has(one)) ?? 0;
    const sql = new D1Sql((await miniflare.getD1Database('DB', NAME)) as never);
    await migrate(sql, await readMigrations());
    if (setup.model) await putModel(miniflare);
    return {
      url,
      miniflare,
      sql,
      pid,
      key: (given) => minted(sql, given),
      async [Symbol.asyncDispose]() {
        await miniflare.dispose();
        checkLines(said);
      },
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

/** A module before the script, which remembers the memories of WebAssembly that are made. */
const HOOK = `export const memories = [];
const { Instance, instantiate } = WebAssembly;
const remember = (instance) => {
  for (const each of Object.values(instance.exports)) if (each instanceof WebAssembly.Memory) memories.push(each);
  return instance;
};
WebAssembly.Instance = function (...given) { return remember(new Instance(...given)); };
WebAssembly.Instance.prototype = Instance.prototype;
WebAssembly.instantiate = async (...given) => {
  const made = await instantiate(...given);
  remember(made.instance ?? made);
  return made;
};`;

const hooked = (script: string) => `import { memories } from './hook.js';
import worker from './${script}';
export { KeyMeter, Metrics } from './${script}';
export default {
  ...worker,
  fetch(request, env, context) {
    if (!request.url.endsWith('/test/memory')) return worker.fetch(request, env, context);
    gc();
    return Response.json(memories.map(({ buffer }) => buffer.byteLength));
  },
};`;

async function optionsOf(
  { folder, script }: Bundle,
  vars: Record<string, string>,
  memories = false,
): Promise<WorkerOptions> {
  const config = await readWorkerConfig();
  const kinds = { '.js': 'ESModule', '.wasm': 'CompiledWasm', '.jsonc': 'Text', '.bin': 'Data' } as const;
  const kindOf = (name: string) => kinds[extname(name) as keyof typeof kinds];
  // The script is first: it is what is run.
  const names = [script, ...(await readdir(folder)).filter((name) => name !== script && kindOf(name) !== undefined)];
  const files = names.map((name) => ({ type: kindOf(name), path: join(folder, name) }));
  const module = (name: string, contents: string) => ({
    type: 'ESModule' as const,
    path: join(folder, name),
    contents,
  });
  const modules = memories ? [module('entry.js', hooked(script)), module('hook.js', HOOK), ...files] : files;
  return {
    name: NAME,
    modules,
    modulesRoot: folder,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    bindings: { LOG_LEVEL: 'info', MODEL_PATH: 'blobs:models', ...vars },
    d1Databases: { DB: 'db' },
    r2Buckets: { R2: 'models' },
    queueProducers: { WORK: { queueName: 'work' } },
    queueConsumers: {
      work: { maxBatchSize: 4, maxBatchTimeout: 0.05, maxRetries: 2, deadLetterQueue: 'dead' },
      dead: { maxBatchTimeout: 0.05 },
    },
    durableObjects: {
      METER: { className: 'KeyMeter', useSQLite: true },
      METRICS: { className: 'Metrics', useSQLite: true },
    },
    ratelimits: { AUTH_RL: { namespace_id: '1001', simple: { limit: 20, period: 60 } } },
    analyticsEngineDatasets: { AE: { dataset: 'usage' } },
  };
}

function persisted(state: string): Partial<MiniflareOptions> {
  return {
    d1Persist: join(state, 'd1'),
    r2Persist: join(state, 'r2'),
    durableObjectsPersist: join(state, 'do'),
    cachePersist: join(state, 'cache'),
  };
}

/** Puts packed MiniLM where `MODEL_PATH` looks for it. */
export async function putModel(miniflare: Miniflare, prefix = `models/${MODEL}/`): Promise<void> {
  const folder = join(await packedMiniLm(), MODEL, 'resolve/main');
  const bucket = await miniflare.getR2Bucket('R2', NAME);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  for (const file of files) {
    const path = join(file.parentPath, file.name);
    await bucket.put(prefix + relative(folder, path).split(sep).join('/'), await readFile(path));
  }
}

/** The workerd processes that this process has started. */
function workerds(): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, program, , parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'latin1')) ?? [];
      return program?.startsWith('workerd') && Number(parent) === process.pid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

/** Milliseconds of CPU that a process has taken, and its resident memory in MiB. */
export function usageOf(pid: number): { cpuMs: number; rssMiB: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  // Behind the name: utime and stime, in hundredths of a second, are the 12th and 13th.
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * 10;
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { cpuMs, rssMiB: Number(rss ?? 0) / 1024 };
}
