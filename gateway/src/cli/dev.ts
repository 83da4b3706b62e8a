/** `dev`: the Worker in workerd on this machine, with a database, a bucket and queues that live in a folder. */
import { spawn } from 'node:child_process';
import { ROOT, readModels } from '../hosts/storage.ts';
import { migrate } from '../migrate.ts';
import { newKey } from './keys.ts';
import { pack, upload } from './pack.ts';
import { openPlace, type Place, readMigrations } from './place.ts';
import { wranglerPath } from './wrangler.ts';

/** Names of the bucket's objects that are models begin with this; `MODEL_PATH` of `wrangler.jsonc` says the same. */
export const MODELS = 'models/';

export interface DevOptions {
  port: string;
  /** The folder or the host that models are read from; default the hub. */
  from?: string | undefined;
  say(line: string): void;
}

/** Fills the local state, and gives the first key where there was none. */
export async function prepare(place: Place, { from, say }: Omit<DevOptions, 'port'>): Promise<string | undefined> {
  const applied = await migrate(place.sql, await readMigrations());
  if (applied.length > 0) say(`database: applied ${applied.join(', ')}`);
  for (const { source, dtype, revision } of await sources()) {
    await fill(place, source, { from, dtype, revision, say });
  }
  const keys = await place.sql.all('SELECT id FROM api_keys LIMIT 1');
  if (keys.length > 0) return undefined;
  const { key, statement } = await newKey({ name: 'first key', scopes: 'all' });
  await place.sql.batch([statement]);
  return key;
}

/** The repositories of local models that the bucket is to have. */
async function sources(): Promise<{ source: string; dtype: string | undefined; revision: string | undefined }[]> {
  const { models } = await readModels();
  return Object.values(models).flatMap((entry) => {
    if (entry.run !== 'local' || entry.source === undefined || entry.source.includes(':')) return [];
    return [{ source: entry.source, dtype: entry.dtype, revision: entry.revision }];
  });
}

async function fill(
  place: Place,
  source: string,
  {
    say,
    ...options
  }: { from?: string | undefined; dtype: string | undefined; revision: string | undefined; say(line: string): void },
): Promise<void> {
  const prefix = `${MODELS}${source}/`;
  if ((await place.blobs.list(prefix)).objects.length > 0) return;
  say(`bucket: packing ${source} from ${options.from ?? 'the hub'}`);
  const { folder, remove } = await pack(source, options).catch((error: Error) => {
    throw new Error(
      `${source} cannot be read: ${error.message}\n` +
        'A machine without the hub takes a folder: MODEL_PATH=../.models/all-MiniLM-L6-v2 npm run dev',
    );
  });
  try {
    const { files, bytes } = await upload(place.blobs, prefix, folder);
    say(`bucket: ${files} files, ${(bytes / 1e6).toFixed(1)} MB at ${prefix}`);
  } finally {
    await remove();
  }
}

/** Runs `wrangler dev` until it ends, and gives its exit code. */
export async function dev(options: DevOptions): Promise<number> {
  const place = await openPlace('local');
  let key: string | undefined;
  try {
    key = await prepare(place, options);
  } finally {
    await place.close();
  }
  const url = `http://localhost:${options.port}`;
  options.say(
    key === undefined
      ? 'keys: there is one already; `npm run gateway mint` makes another'
      : `\nThe first key, with all scopes. It is shown this once:\n\n  ${key}\n\n` +
          `  curl ${url}/v1/embeddings -H "authorization: Bearer ${key}" \\\n` +
          `    -H 'content-type: application/json' -d '{"model": "all-MiniLM-L6-v2", "input": "A cat sits on the mat."}'\n`,
  );
  const child = spawn(process.execPath, [wranglerPath(), 'dev', '--port', options.port], {
    cwd: ROOT,
    stdio: 'inherit',
    // Nothing of the platform is asked for: neither figures of use nor a place for `request.cf`.
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CLOUDFLARE_CF_FETCH_ENABLED: 'false' },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => signal === 'SIGTERM' && child.kill(signal));
  return new Promise((done, fail) => child.once('error', fail).once('close', (code) => done(code ?? 1)));
}
