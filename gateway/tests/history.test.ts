/** The history of predictions and the counts of usage: their contents, their owners, and what they leave out. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { mintKey, type NewKey } from '../src/keys.ts';
import { operation } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { RecordedEvents } from '../src/parts/events.ts';
import { allModels } from './support/all-models.ts';
import { type CallOptions, call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { type TestHost, testHost } from './support/host.ts';
import { deliver, jsonl } from './support/jobs.ts';
import { keepLogs } from './support/logs.ts';

const CANARY = 'canary-2b81';

/** All bytes of all tables. */
async function bytesOf(host: TestHost): Promise<string> {
  const tables = await host.sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
  const rows = await Promise.all(tables.map(({ name }) => host.sql.all(`SELECT * FROM "${name}"`)));
  return JSON.stringify(rows);
}

async function start(settings: Record<string, string> = {}) {
  const host = await testHost({ settings });
  const app = createGateway(host, [...operations, echo]);
  const ask = async (key: string, input: unknown = `${CANARY} text`, headers: HeadersInit = {}) => {
    const response = await call(app, 'POST', '/v1/echo', { key, json: { model: 'stub', input }, headers });
    await host.settled();
    return response;
  };
  const list = async (key: string, query = '') => (await call(app, 'GET', `/v1/history${query}`, { key })).json();
  return { host, app, ask, list };
}

test('off keeps nothing, meta keeps no input, full keeps it, and none keeps vectors', async () => {
  const { host, ask, list } = await start({ LOG_LEVEL: 'info' });
  await using _ = host;
  using logs = keepLogs();
  assert.equal((await ask(await keyFor(host))).status, 200);
  assert.ok(!(await bytesOf(host)).includes(CANARY));
  const meta = await keyFor(host, { history: 'meta' });
  await ask(meta);
  assert.ok(!(await bytesOf(host)).includes(CANARY));
  const [one] = (await list(meta)).data;
  assert.deepEqual([one.object, one.route, one.model, one.input], ['prediction', '/v1/echo', 'stub', null]);
  assert.match(one.digest, /^[0-9a-f]{64}$/);
  assert.equal(one.expires_at - one.at, 30 * 86_400);
  const full = await keyFor(host, { history: 'full' });
  await ask(full);
  const [two] = (await list(full)).data;
  assert.deepEqual(two.input, { model: 'stub', input: `${CANARY} text` });
  assert.equal(two.digest, one.digest);
  assert.deepEqual(two.output, { object: 'list', data: [16, 99, 1, 0.5], model: 'stub', usage: { total_tokens: 4 } });
  // Twenty numbers are a vector.
  await ask(full, ['a', 'b', 'c', 'd', 'e']);
  const [three] = (await list(full)).data;
  assert.deepEqual(three.output, { object: 'list', model: 'stub', usage: { total_tokens: 15 } });
  for (const line of logs.lines) assert.ok(!line.includes(CANARY));
});

test('no route brings a vector into the database, of its question or of its answer', async () => {
  const host = await testHost({ models: allModels });
  await using _ = host;
  const app = createGateway(host);
  const key = await keyFor(host, { history: 'full' });
  const post = async (path: string, options: CallOptions) => {
    const response = await call(app, 'POST', path, { key, ...options });
    assert.equal(response.status, 200, path);
    return response.json();
  };
  const query = Array.from({ length: 8 }, (_, at) => Math.fround(Math.sin(at + 1)));
  const base64 = Buffer.from(new Float32Array(query).buffer).toString('base64');
  const items = Array.from({ length: 3 }, (_, at) => ({ id: at, vector: query.map((x) => x * (at + 1)) }));
  const { id } = await post('/v1/files', {
    body: form({ purpose: 'user_data', file: new File([jsonl(items)], 'items.jsonl') }),
  });
  assert.equal((await call(app, 'PUT', '/v1/indexes/items', { key, json: { file_id: id } })).status, 202);
  await deliver(host);
  const answers: unknown[] = [query, base64];
  for (const encoding_format of ['float', 'base64']) {
    const asked = { encoding_format, input: ['one text', 'another text'], model: 'stub-embed' };
    answers.push(await post('/v1/embeddings', { json: asked }));
    const image = `data:image/png;base64,${Buffer.from(`image in ${encoding_format}`).toString('base64')}`;
    answers.push(await post('/v1/images/embeddings', { json: { ...asked, model: 'stub-embed-image', input: image } }));
    const file = new File(['an image'], 'a.png');
    answers.push(
      await post('/v1/images/embeddings', { body: form({ model: 'stub-embed-image', encoding_format, file }) }),
    );
  }
  answers.push(await post('/api/embed', { json: { model: 'stub-embed', input: 'a text' } }));
  await post('/v1/similarity', { json: { model: 'stub-embed', source: 'a text', sentences: ['one', 'two'] } });
  await post('/v1/indexes/items/query', { json: { vector: query } });
  await post('/v1/indexes/items/query', { json: { vector: base64, top_k: 2 } });
  await host.settled();
  const { data } = await (await call(app, 'GET', '/v1/history?limit=100', { key })).json();
  assert.equal(data.length, 10);
  const ofIndex = data.filter(({ route }: { route: string }) => route.startsWith('/v1/indexes'));
  assert.deepEqual(
    ofIndex.map(({ input, output }: { input: unknown; output: { hits: unknown[] } }) => [input, output.hits.length]),
    [
      [{ top_k: 2 }, 2],
      [{ top_k: 10 }, 3],
    ],
  );

  const folder = mkdtempSync(join(tmpdir(), 'gateway-history-'));
  try {
    const path = join(folder, 'copy.sqlite');
    await host.sql.all('VACUUM INTO ?', [path]);
    const bytes = readFileSync(path);
    assert.ok(bytes.includes('another text'), 'inputs are kept');
    const vectors = answers.flatMap(vectorsIn);
    assert.equal(vectors.length, 2 + 2 * (2 + 1 + 1) + 1);
    for (const vector of vectors) {
      const floats = new Float32Array(vector);
      for (const number of floats.slice(0, 4)) {
        assert.ok(!bytes.includes(String(number).slice(0, 9)), String(number));
        assert.ok(!bytes.includes(String(Math.fround(number)).slice(0, 9)), String(number));
      }
      assert.ok(!bytes.includes(Buffer.from(floats.buffer)));
      assert.ok(!bytes.includes(Buffer.from(floats.buffer).toString('base64').slice(0, 20)));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The vectors in an answer, as lists of numbers and in base64. */
function vectorsIn(value: unknown): number[][] {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.length !== 32) return [];
    return [Array.from(new Float32Array(new Uint8Array(bytes).buffer))];
  }
  if (Array.isArray(value) && typeof value[0] === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(vectorsIn) : [];
}

function form(fields: Record<string, string | File>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return made;
}

test('a kept answer of the cache is a prediction too, and an error is none', async () => {
  const { host, ask, list, app } = await start();
  await using _ = host;
  const key = await keyFor(host, { history: 'meta' });
  await ask(key);
  assert.equal((await ask(key)).headers.get('x-cache'), 'HIT');
  assert.equal((await ask(key, 5)).status, 400);
  await call(app, 'GET', '/v1/models', { key });
  await host.settled();
  assert.equal((await list(key)).data.length, 2);
});

test('long answers are shortened to 4 KiB, long inputs are not kept, and images are told by their size', async () => {
  await using host = await testHost();
  const long = operation({
    method: 'POST',
    path: '/v1/long',
    scope: 'embed',
    summary: 'Answers at length.',
    predicts: true,
    async handle({ event, headers }) {
      event.model = 'long';
      if (headers.get('accept') === 'image/png') {
        return new Response(new Uint8Array(300), { headers: { 'content-type': 'image/png' } });
      }
      const results = Array.from({ length: 500 }, (_, index) => ({ index, label: 'a label' }));
      return Response.json({ object: 'list', model: 'long', results, image: 'x'.repeat(5000) });
    },
  });
  const app = createGateway(host, [...operations, long, echo]);
  const key = await keyFor(host, { history: 'full' });
  const whole = await call(app, 'POST', '/v1/long', { key });
  assert.equal((await whole.json()).results.length, 500);
  const png = await call(app, 'POST', '/v1/long', { key, headers: { accept: 'image/png' } });
  assert.equal((await png.arrayBuffer()).byteLength, 300);
  await call(app, 'POST', '/v1/echo', { key, json: { model: 'stub', input: 'x'.repeat(70_000) } });
  await host.settled();
  const { data } = await (await call(app, 'GET', '/v1/history', { key })).json();
  const of = (route: string) => data.filter((one: { route: string }) => one.route === route);
  const outputs = of('/v1/long').map(({ output }: { output: unknown }) => output);
  assert.deepEqual(
    new Set(outputs.map((one: unknown) => JSON.stringify(one))),
    new Set(['{"type":"image/png","bytes":300}', '{"object":"list","model":"long","shortened":true}']),
  );
  assert.equal(of('/v1/echo')[0].input, null);
});

test('pages follow each other without gaps, own alone are seen, and an administrator sees all', async () => {
  const { host, app, ask, list } = await start();
  await using _ = host;
  const own = { history: 'full', scopes: ['embed', 'history'] } as const;
  const key = await keyFor(host, own);
  const other = await keyFor(host, { ...own, owner: 'another' });
  for (let at = 0; at < 7; at += 1) await ask(key, `text ${at}`);
  await ask(other, 'of the other');
  const inputs: string[] = [];
  let query = '?limit=3';
  for (let pages = 0; pages < 5; pages += 1) {
    const page = await list(key, query);
    inputs.push(...page.data.map(({ input }: { input: { input: string } }) => input.input));
    if (!page.has_more) break;
    query = `?limit=3&before=${page.data.at(-1).id}`;
  }
  assert.deepEqual(inputs, ['text 6', 'text 5', 'text 4', 'text 3', 'text 2', 'text 1', 'text 0']);
  assert.equal((await list(other)).data.length, 1);
  const admin = await keyFor(host, { scopes: ['history', 'admin'] });
  assert.equal((await list(admin)).data.length, 8);
  const [theirs] = (await list(other)).data;
  const remove = (by: string) => call(app, 'DELETE', `/v1/history/${theirs.id}`, { key: by });
  assert.equal((await remove(key)).status, 404);
  assert.equal((await remove(other)).status, 200);
  assert.equal((await remove(other)).status, 404);
  assert.equal((await list(other)).data.length, 0);
  for (const wrong of ['?limit=0', '?limit=101', '?limit=x', '?before=x', '?after=1', '?limit=1&limit=2']) {
    assert.equal((await call(app, 'GET', `/v1/history${wrong}`, { key })).status, 400, wrong);
  }
});

test('the sums of usage are the requests that were sent, by hour and by day', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 2, 1, 22, 30) });
  const { host } = await start();
  host.events = new RecordedEvents(host.sql) as unknown as TestHost['events'];
  const app = createGateway(host, [...operations, echo]);
  const make = async (options: Partial<NewKey> = {}) =>
    mintKey(host.sql, { name: 'a', owner: 'a', scopes: ['embed', 'history'], ...options });
  const [one, two, admin] = [await make(), await make(), await make({ scopes: ['admin'] })];
  const ask = (key: string, json: unknown) => call(app, 'POST', '/v1/echo', { key, json });
  const json = { model: 'stub', input: ['a b', 'c'] };
  // At 22:30, at 23:30 and at 0:30 of the next day.
  for (let hour = 0; hour < 3; hour += 1) {
    for (let at = 0; at < 4; at += 1) {
      await ask(one.key, json);
      await host.settled();
    }
    await ask(one.key, { model: 'stub' });
    await ask(two.key, json);
    await ask('nobody', json);
    t.mock.timers.tick(3_600_000);
  }
  await host.events.flush();
  const get = async (key: string, query: string) => {
    const response = await call(app, 'GET', `/v1/usage${query}`, { key });
    return { status: response.status, ...(await response.json()) };
  };
  const sum = (rows: Record<string, number>[], name: string) => rows.reduce((all, row) => all + (row[name] ?? 0), 0);
  const days = await get(one.key, '?by=day');
  const of = (data: { route: string }[]) => data.filter(({ route }) => route === '/v1/echo') as never[];
  assert.deepEqual(
    [sum(of(days.data), 'requests'), sum(of(days.data), 'errors'), sum(of(days.data), 'cached')],
    [15, 3, 11],
  );
  // The first computes 4 + 3 tokens, the rest is kept. The other key has the same owner, so its answers are kept too.
  assert.deepEqual([sum(of(days.data), 'tokens'), sum(of(days.data), 'items')], [7, 24]);
  assert.deepEqual(
    new Set(days.data.map(({ start }: { start: number }) => new Date(start * 1000).toISOString())),
    new Set(['2026-03-01T00:00:00.000Z', '2026-03-02T00:00:00.000Z']),
  );
  const hours = await get(one.key, '?by=hour');
  assert.equal(new Set(of(hours.data).map(({ start }: { start: number }) => start)).size, 3);
  const from = Date.UTC(2026, 2, 1, 23) / 1000;
  assert.equal(sum(of((await get(one.key, `?by=hour&from=${from}&to=${from + 3600}`)).data), 'requests'), 5);
  const all = await get(admin.key, '');
  assert.equal(sum(of(all.data), 'requests'), 18);
  assert.equal(sum(of((await get(admin.key, `?key_id=${two.record.id}`)).data), 'requests'), 3);
  assert.equal((await get(one.key, `?key_id=${two.record.id}`)).status, 403);
  assert.equal((await get(one.key, '?from=yesterday')).status, 400);
  t.mock.timers.reset();
  await host[Symbol.asyncDispose]();
});

test('each request has a line in the log, with its model, tokens and trace, and nothing else of it', async () => {
  const { host, app, ask } = await start({ LOG_LEVEL: 'info' });
  await using _ = host;
  using logs = keepLogs();
  const { key, record } = await mintKey(host.sql, { name: 'a', owner: 'team', scopes: ['embed'] });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  await ask(key, CANARY, { traceparent: `00-${trace}-b7ad6b7169203331-01` });
  await ask(key, CANARY, { traceparent: 'nonsense' });
  await call(app, 'GET', `/nothing/${CANARY}?${CANARY}=1`, { key, headers: { 'user-agent': CANARY } });
  const lines = logs.lines.map((line) => JSON.parse(line));
  assert.equal(lines.length, 3);
  const { id, at, ms, ...rest } = lines[0];
  assert.ok(id && at && ms >= 0);
  assert.deepEqual(rest, {
    level: 'info',
    route: '/v1/echo',
    method: 'POST',
    status: 200,
    items: 1,
    tokens: 3,
    key: record.id,
    owner: 'team',
    model: 'stub',
    run: 'local',
    cache: 'MISS',
    trace,
  });
  assert.equal(lines[1].trace, undefined);
  assert.deepEqual([lines[2].route, lines[2].status, lines[2].error], ['unmatched', 404, 'not_found']);
  for (const line of logs.lines) assert.ok(!line.includes(CANARY), line);
});
