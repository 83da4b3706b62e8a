/** Commands of the gateway: `node cli.ts --help`. */
import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { hasPackage, openPlace, type Place, type PlaceName, readMigrations } from './src/cli/place.ts';
import { UsageError } from './src/cli/usage-error.ts';
import { wrangler, wranglerPath } from './src/cli/wrangler.ts';
import { ROOT, readModels } from './src/hosts/storage.ts';

const HELP = `npm run gateway COMMAND, or node cli.ts COMMAND

  dev                     the Worker on this machine, with a database, a bucket and queues in .wrangler/state
      --port NUMBER       (8787)
      --from FOLDER|HOST  where models are read from (the environment's MODEL_PATH, else the hub)
  check                   reads models.jsonc, and plans the memory of each model that runs here
      --from FOLDER|HOST, --memory MIB (112: an isolate's 128 without what JavaScript takes)
  deploy                  check, migrate --remote, wrangler deploy
  migrate                 brings the database to the newest schema
  upload MODEL            packs a model and puts it into the bucket at models/MODEL/
      --from FOLDER|HOST, --dtype q8|q4|f32 (q8), --revision REVISION (main)
  mint                    makes an API key and prints it, this once
      --scopes A,B|all (all but admin and metrics), --name, --owner (the key itself), --models A,B, --days NUMBER,
      --rpm, --tpm, --tpd, --concurrency NUMBER, --history off|meta|full, --sql (only prints the statement)
  rotate ID               gives a key another secret; the old one holds for --hours NUMBER (24) more
  revoke ID               ends a key; every isolate has noticed after 30 seconds
  backup FILE             writes the database and the bucket's objects, but models, into a tar file
      --with-models       and models too
  restore FILE            and back, into an empty database

Where they work:  --local   what \`dev\` keeps in .wrangler/state, while it does not run (the default)
                  --remote  the account of \`wrangler login\`
                  --server  what DATABASE_URL or DATA_PATH, and S3_BUCKET, name (the default where one of them is set)
Exit code: 0 done, 1 failed or something is wrong, 2 wrong usage.
`;

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  local: flag,
  remote: flag,
  server: flag,
  sql: flag,
  'with-models': flag,
  port: text,
  from: text,
  memory: text,
  dtype: text,
  revision: text,
  hours: text,
  scopes: text,
  name: text,
  owner: text,
  models: text,
  days: text,
  history: text,
  rpm: text,
  tpm: text,
  tpd: text,
  concurrency: text,
} as const;
type Values = ReturnType<typeof parse>['values'];

/** The options that each command knows, beside `--local`, `--remote` and `--server`. */
const KNOWN: Record<string, readonly string[]> = {
  dev: ['port', 'from'],
  check: ['from', 'memory'],
  deploy: ['from', 'memory'],
  migrate: [],
  upload: ['from', 'dtype', 'revision'],
  mint: ['scopes', 'name', 'owner', 'models', 'days', 'history', 'rpm', 'tpm', 'tpd', 'concurrency', 'sql'],
  rotate: ['hours'],
  revoke: [],
  backup: ['with-models'],
  restore: [],
};
const PLACED = ['migrate', 'upload', 'mint', 'rotate', 'revoke', 'backup', 'restore'];
/** Commands that load the package. */
const PACKAGED = ['dev', 'check', 'deploy', 'upload'];

/** The database of each place, in words. */
const WHERE: Record<PlaceName, string> = {
  local: 'the local database of `dev` (.wrangler/state)',
  remote: 'the D1 database of the account',
  server: 'the database of the server (DATABASE_URL, or below DATA_PATH)',
};

const say = (line: string) => void process.stdout.write(`${line}\n`);

function parse(words: string[]) {
  try {
    return parseArgs({ args: words, allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function main(words: string[]): Promise<number> {
  const { values, positionals } = parse(words);
  const [command = '', word, ...more] = positionals;
  if (values.help || words.length === 0) {
    process.stdout.write(HELP);
    return words.length === 0 ? 2 : 0;
  }
  const known = KNOWN[command];
  if (!known) throw new UsageError(`there is no command ${command}`);
  const foreign = Object.keys(values).find(
    (name) => !known.includes(name) && !(PLACED.includes(command) && ['local', 'remote', 'server'].includes(name)),
  );
  if (foreign) throw new UsageError(`${command} has no --${foreign}`);
  const takesWord = ['upload', 'rotate', 'revoke', 'backup', 'restore'].includes(command);
  if (takesWord ? word === undefined || more.length > 0 : word !== undefined) {
    throw new UsageError(takesWord ? `${command} takes one word` : `${command} takes no ${word}`);
  }
  if (PACKAGED.includes(command) && !hasPackage()) {
    throw new Error(
      'The package that runs the models is not built: dist/package is missing.\n' +
        "Run `make package` in the repository's root (it needs Rust, and about five minutes), then this command again.",
    );
  }
  if (command === 'dev') return dev(values);
  if (command === 'check') return check(values);
  if (command === 'deploy') return deploy(values);
  const name = placeOf(values);
  if (command === 'mint' && values.sql) return mint(values);
  if (command === 'migrate' && name === 'remote') return migrateRemote();
  const place = await openPlace(name);
  try {
    return await withPlace(place, command, word ?? '', values);
  } catch (error) {
    // SQLite, D1 and Postgres, in this order.
    if (!/no such table|relation ".*" does not exist/.test(String(error))) throw error;
    throw new Error(
      `There are no tables yet in ${WHERE[name]}: \`node cli.ts migrate --${name}\` makes them, and so does the first start.`,
      { cause: error },
    );
  } finally {
    await place.close();
  }
}

async function withPlace(place: Place, command: string, word: string, values: Values): Promise<number> {
  switch (command) {
    case 'migrate':
      return migrateHere(place);
    case 'upload':
      return uploadModel(place, word, values);
    case 'mint':
      process.stderr.write(`in ${WHERE[place.name]}; --local, --remote or --server for another\n`);
      return mint(values, place);
    case 'rotate': {
      const { idOf, rotate } = await import('./src/cli/keys.ts');
      say(await rotate(place.sql, idOf(word), values.hours));
      return 0;
    }
    case 'revoke': {
      const { idOf, revoke } = await import('./src/cli/keys.ts');
      await revoke(place.sql, idOf(word));
      say('revoked');
      return 0;
    }
    case 'backup': {
      const { backup } = await import('./src/backup.ts');
      const archive = Readable.fromWeb(backup(place, { models: values['with-models'] === true }) as never);
      // The archive has the hashes of keys, and the histories.
      await pipeline(archive, createWriteStream(word, { mode: 0o600 }));
      return 0;
    }
    case 'restore': {
      const { restore } = await import('./src/backup.ts');
      await migrateHere(place);
      const { rows, objects } = await restore(place, createReadStream(word));
      say(`${rows} rows and ${objects} objects`);
      return 0;
    }
    default:
      throw new UsageError(`there is no command ${command}`);
  }
}

function placeOf({ local, remote, server }: Values): PlaceName {
  const given = Object.entries({ local, remote, server }).filter(([, value]) => value);
  if (given.length > 1) throw new UsageError('--local, --remote or --server: one of them');
  const [name] = given[0] ?? [process.env.DATABASE_URL || process.env.DATA_PATH ? 'server' : 'local'];
  return name as PlaceName;
}

async function dev({ port = '8787', from = process.env.MODEL_PATH }: Values): Promise<number> {
  if (!/^\d{1,5}$/.test(port)) throw new UsageError(`--port is a number, not ${port}`);
  return (await import('./src/cli/dev.ts')).dev({ port, from, say });
}

async function check({ from = process.env.MODEL_PATH, memory }: Values): Promise<number> {
  if (memory !== undefined && !/^\d{1,6}$/.test(memory)) throw new UsageError('--memory is a number of MiB');
  const { checkModels } = await import('./src/cli/check.ts');
  const checked = await checkModels(await readModels(), {
    from,
    ...(memory === undefined ? {} : { limit: Number(memory) }),
  });
  for (const { id, memory, problem } of checked) {
    say(`${id}: ${problem ?? (memory === null ? 'runs elsewhere' : `${memory} MiB of memory`)}`);
  }
  return checked.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

async function deploy(values: Values): Promise<number> {
  const code = await check(values);
  if (code !== 0) return code;
  await migrateRemote();
  const child = spawn(process.execPath, [wranglerPath(), 'deploy'], { cwd: ROOT, stdio: 'inherit' });
  return new Promise((done, fail) => child.once('error', fail).once('close', (code) => done(code ?? 1)));
}

async function migrateRemote(): Promise<number> {
  const { readWorkerConfig } = await import('./src/cli/place.ts');
  const { d1_databases } = await readWorkerConfig();
  if (/^[0-]+$/.test(d1_databases[0].database_id)) {
    throw new Error(
      'wrangler.jsonc: database_id is to be filled in: `npx wrangler d1 create pilotlight-gateway` prints it',
    );
  }
  say((await wrangler(['d1', 'migrations', 'apply', d1_databases[0].database_name, '--remote'])).trim());
  return 0;
}

async function migrateHere(place: Place): Promise<number> {
  const { migrate } = await import('./src/migrate.ts');
  const applied = await migrate(place.sql, await readMigrations());
  say(applied.length === 0 ? 'the database has the newest schema' : `applied ${applied.join(', ')}`);
  return 0;
}

async function uploadModel(place: Place, model: string, { from, dtype, revision }: Values): Promise<number> {
  const { pack, upload } = await import('./src/cli/pack.ts');
  const { MODELS } = await import('./src/cli/dev.ts');
  if (!/^\w[\w.-]*(\/\w[\w.-]*)?$/.test(model))
    throw new UsageError(`${model} is no name of a repository, such as org/name`);
  const { folder, remove } = await pack(model, { from: from ?? process.env.MODEL_PATH, dtype, revision });
  try {
    const { files, bytes } = await upload(place.blobs, `${MODELS}${model}/`, folder);
    say(`${files} files, ${(bytes / 1e6).toFixed(1)} MB at ${MODELS}${model}/`);
    return 0;
  } finally {
    await remove();
  }
}

async function mint(values: Values, place?: Place): Promise<number> {
  const { newKey } = await import('./src/cli/keys.ts');
  const { key, statement } = await newKey(values);
  if (place) await place.sql.batch([statement]);
  say(key);
  if (values.sql) {
    const { written } = await import('./src/cli/wrangler.ts');
    say(`${written(...statement)};`);
  }
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof UsageError) process.stderr.write('`node cli.ts --help` lists the commands.\n');
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
