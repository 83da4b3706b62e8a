// Indexes: built by a job from items, texts or a batch, searched, changed and built anew; what is wrong with a file, an order or a query.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import type { Host, Message } from '../src/host.ts';
import { GatewayError } from '../src/http/errors.ts';
import { consume } from '../src/jobs/consume.ts';
import { loadedIndexes } from '../src/jobs/loaded-indexes.ts';
import type { Model } from '../src/models/model.ts';
import { retention } from '../src/retention.ts';
import { type App, call, keyFor } from './support/app.ts';
import { StubModels, testHost } from './support/host.ts';
import { deliver, Expected, jsonl, openai } from './support/jobs.ts';

const HOUR = 3_600_000;

/** Vectors that turn around a circle, so that the nearest of any is known. */
class CircleModels extends StubModels {
  fault: (() => Error) | undefined;

  override async get(name: string, task: string): Promise<Model> {
    const model = await super.get(name, task);
    return {
      ...model,
      embed: async (texts) => {
        if (this.fault) throw this.fault();
        this.embedded.push(...texts);
        const angles = texts.map((text) => (Number(/\d+/.exec(text)?.[0]) * Math.PI) / 500);
        return {
          data: Float32Array.from(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle), 0, 0])),
          dims: [texts.length, 4],
          tokens: texts.map((text) => text.split(' ').length + 2),
          truncated: texts.map(() => false),
        };
      },
    };
  }
}

interface IndexAnswer {
  state: string;
  model: string | null;
  items: number;
  dimensions: number | null;
  error: string | null;
  etag: string | null;
  job: string;
}
interface QueryAnswer {
  hits: { id: string | number; score: number }[];
  index: { size: number; etag: string };
  usage: { total_tokens: number };
}

async function opened(settings: Record<string, string> = {}) {
  const models = new CircleModels();
  const host = await testHost({ models, settings });
  const app = createGateway(host);
  const key = await keyFor(host);
  const client = openai(app, key);
  const ask = async <T>(method: string, path: string, json?: object, as = key): Promise<T> => {
    const response = await call(app, method, path, { key: as, ...(json ? { json } : {}) });
    const body = (await response.json()) as T & { error?: { message: string } };
    if (body.error && typeof body.error === 'object')
      throw Object.assign(new Error(body.error.message), { status: response.status });
    return body;
  };
  const upload = async (content: string) =>
    (await client.files.create({ file: new File([content], 'items.jsonl'), purpose: 'user_data' })).id;
  const build = async (name: string, content: string, options: object = {}) => {
    await ask('PUT', `/v1/indexes/${name}`, { file_id: await upload(content), ...options });
    await deliver(host, { times: 2 });
    return ask<IndexAnswer>('GET', `/v1/indexes/${name}`);
  };
  const query = (name: string, json: object) => ask<QueryAnswer>('POST', `/v1/indexes/${name}/query`, json);
  return { host, app, key, client, models, ask, upload, build, query };
}

const items = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    id: `t${at}`,
    text: `number ${at}`,
    tags: at % 2 ? ['odd'] : ['even', 'two'],
  }));
const ids = ({ hits }: QueryAnswer) => hits.map(({ id }) => id);
const fails = (status: number, message: RegExp) => ({ status, message });

test('an index of texts is built by a job and finds the nearest, by text, by vector and by tags', async () => {
  const { host, app, key, upload, ask, query, models } = await opened();
  await using _ = host;
  const json = { file_id: await upload(jsonl(items(300))), model: 'stub', precision: 'float32' };
  const response = await call(app, 'PUT', '/v1/indexes/texts', { key, json });
  const { job, index } = (await response.json()) as { job: string; index: IndexAnswer };
  assert.deepEqual([response.status, index.state, index.job], [202, 'building', job]);
  await assert.rejects(query('texts', { input: 'number 1' }), fails(409, /is being built/));
  await deliver(host, { times: 2 });
  const made = await ask<IndexAnswer>('GET', '/v1/indexes/texts');
  assert.deepEqual([made.state, made.model, made.items, made.dimensions, made.error], ['ready', 'stub', 300, 4, null]);
  // Each text once, though each message came twice.
  assert.equal(models.embedded.length, 300);
  const found = await query('texts', { input: 'number 42', top_k: 3 });
  assert.deepEqual([found.hits[0]?.id, found.hits.length, found.index], ['t42', 3, { size: 300, etag: made.etag }]);
  assert.ok(Math.abs((found.hits[0]?.score as number) - 1) < 1e-5);
  assert.equal(found.usage.total_tokens, 4);
  assert.deepEqual(ids(await query('texts', { vector: [1, 0, 0, 0], top_k: 2 })), ['t0', 't1']);
  const base64 = Buffer.from(new Float32Array([1, 0, 0, 0]).buffer).toString('base64');
  assert.deepEqual(ids(await query('texts', { vector: base64, top_k: 1 })), ['t0']);
  assert.deepEqual(ids(await query('texts', { input: 'number 42', top_k: 1, filter: { tags: ['odd'] } })), ['t41']);
  assert.deepEqual(ids(await query('texts', { input: 'number 42', top_k: 1, filter: { tags: ['even', 'odd'] } })), []);
  assert.deepEqual(
    ids(await query('texts', { input: 'number 42', top_k: 1, filter: { tags: ['even', 'odd'], match: 'any' } })),
    ['t42'],
  );
  const objects = (await host.blobs.list('indexes/')).objects;
  assert.equal(objects.length, 1, 'no step is left');
  const events = host.events.list.filter(({ route, model }) => route === '/v1/embeddings' && model === 'stub');
  assert.equal(
    events.reduce((sum, { tokens }) => sum + tokens, 0),
    1_200,
    'the tokens of the build are usage of the key',
  );
});

test('the answers of a batch become an index, with the custom_ids as ids', async () => {
  const { host, client, ask, query } = await opened();
  await using _ = host;
  const line = (id: string, input: unknown, format: string) => ({
    custom_id: id,
    method: 'POST',
    url: '/v1/embeddings',
    body: { model: 'stub', input, encoding_format: format },
  });
  const content = jsonl([
    line('a', 'number 10', 'float'),
    line('b', 'number 20', 'base64'),
    line('c', ['number 30', 'number 40'], 'base64'),
    line('bad', [1], 'float'),
  ]);
  const file = await client.files.create({ file: new File([content], 'x'), purpose: 'batch' });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });
  await assert.rejects(
    ask('PUT', '/v1/indexes/photos', { batch_id: batch.id }),
    fails(400, /expected a batch that has ended/),
  );
  await deliver(host);
  await ask('PUT', '/v1/indexes/photos', { batch_id: batch.id });
  await deliver(host);
  const made = await ask<IndexAnswer & { source: object }>('GET', '/v1/indexes/photos');
  assert.deepEqual([made.state, made.items, made.model, made.source], ['ready', 4, 'stub', { batch_id: batch.id }]);
  assert.deepEqual(ids(await query('photos', { input: 'number 11', top_k: 4 })), ['a', 'b', 'c#0', 'c#1']);
});

test('a build in many steps goes on after each loss of its messages, and embeds nothing twice', async () => {
  const { host, ask, upload, query, models } = await opened();
  await using _ = host;
  // 2,002 tokens a text, so that a step is over after one chunk of 64 texts, which takes sixteen requests of four.
  const long = Array.from({ length: 200 }, (_, at) => ({ id: at, text: `number ${at} ${'w '.repeat(1_998)}w` }));
  await ask('PUT', '/v1/indexes/long', { file_id: await upload(jsonl(long)), model: 'stub' });
  let now = Date.now();
  let steps = 0;
  for (let round = 0; round < 8; round += 1) {
    host.sent.splice(0);
    now += HOUR;
    const { resumed_builds } = await retention(host, { now });
    steps += resumed_builds ?? 0;
    await deliver(host, { most: 1 });
  }
  const made = await ask<IndexAnswer>('GET', '/v1/indexes/long');
  assert.deepEqual([made.state, made.items, made.error], ['ready', 200, null]);
  assert.equal(steps, 4, 'chunks of 64 texts');
  assert.equal(models.embedded.length, 200);
  assert.deepEqual(ids(await query('long', { input: 'number 199', top_k: 2 })), [199, 198]);
});

test('texts wait for limits and outages as lines of batches do', async () => {
  const { host, ask, upload, models } = await opened();
  await using _ = host;
  await ask('PUT', '/v1/indexes/texts', { file_id: await upload(jsonl(items(3))), model: 'stub' });
  models.fault = () => new GatewayError('rate_limit_exceeded', 'later');
  const delays: unknown[] = [];
  const before = ({ delaySeconds }: Message) => void delays.push(delaySeconds);
  for (let round = 0; round < 4; round += 1) await deliver(host, { most: 1, before, times: 2 });
  assert.deepEqual(delays, [0, 0, 30, 30, 30, 30, 30, 30]);
  assert.equal(host.sent.length, 1, 'messages that come twice do not become more');
  models.fault = () => new GatewayError('upstream_unavailable', 'down');
  await deliver(host);
  const { state, error } = await ask<IndexAnswer>('GET', '/v1/indexes/texts');
  assert.equal(state, 'failed');
  assert.match(error as string, /could not be embedded: down/);
});

test('a build that fails says at which line, and leaves the index of before as it was', async () => {
  const { host, build, query, ask } = await opened();
  await using _ = host;
  await build('i', jsonl([{ id: 'a', vector: [1, 0] }]));
  const cases = [
    [jsonl([{ id: 'a', vector: [1, 0] }, 'x']), /line 2: The body: expected JSON/],
    [jsonl([{ id: 'a' }]), /line 1: .*either "vector" or "text"/],
    [jsonl([{ id: 'a', vector: [1, 0], text: 'x' }]), /either "vector" or "text"/],
    [jsonl([{ id: 1.5, vector: [1, 0] }]), /line 1: id: expected a string/],
    [jsonl([{ id: 'a', vector: [1, 'x'] }]), /line 1: vector: expected a list of 1 to 32768 finite numbers/],
    [jsonl([{ id: 'a', vector: 'AAAA' }]), /line 1: vector: expected .*base64 of 32-bit floats/],
    [jsonl([{ id: 'a', vector: [1, 0], extra: 1 }]), /line 1: extra: unknown field/],
    [
      jsonl([
        { id: 'a', vector: [1, 0] },
        { id: 'b', vector: [1, 0, 0] },
      ]),
      /3/,
    ],
    [
      jsonl([
        { id: 'a', vector: [1, 0] },
        { id: 'a', vector: [0, 1] },
      ]),
      /a/,
    ],
    [jsonl([{ id: 'a', vector: [0, 0] }]), /zero/],
    [jsonl([{ id: 'a', text: 'x' }]), /model: is missing/],
    ['\n\n', /no items/],
  ] as const;
  for (const [content, words] of cases) {
    const { state, error } = await build('i', content);
    assert.equal(state, 'failed', content);
    assert.match(error as string, words);
    assert.deepEqual(ids(await query('i', { vector: [1, 0] })), ['a']);
  }
  const { state, error } = await build('i', jsonl([{ id: 'c', vector: [0, 1] }]));
  assert.deepEqual([state, error], ['ready', null]);
  assert.deepEqual(ids(await query('i', { vector: [1, 0.1] })), ['c']);
  assert.equal((await host.blobs.list('indexes/')).objects.length, 1, 'the objects of before are gone');
  await build('new', jsonl(['x']));
  await assert.rejects(query('new', { vector: [1] }), fails(409, /could not be built: line 1/));
  assert.deepEqual(
    (await ask<{ data: { name: string }[] }>('GET', '/v1/indexes')).data.map(({ name }) => name),
    ['i', 'new'],
  );
});

test('an index that takes more than a quarter of the memory is refused', async () => {
  const { host, build } = await opened({ MAX_MEMORY_MB: '16' });
  await using _ = host;
  const wide = Array.from({ length: 700 }, (_, id) => ({
    id,
    vector: Buffer.from(new Float32Array(2_048).fill(1).buffer).toString('base64'),
  }));
  const { state, error } = await build('wide', jsonl(wide), { precision: 'float32' });
  assert.equal(state, 'failed');
  assert.match(error as string, /more than 4 MiB/);
});

test('several builds and dead letters: the last order counts', async () => {
  const { host, ask, upload, query } = await opened();
  await using _ = host;
  const order = async (id: string) =>
    ask('PUT', '/v1/indexes/i', { file_id: await upload(jsonl([{ id, vector: [1] }])) });
  await order('first');
  await order('second');
  const [first, second] = host.sent.splice(0) as [Message, Message];
  await consume(host, second);
  await consume(host, first);
  assert.deepEqual(ids(await query('i', { vector: [1] })), ['second']);
  await order('third');
  await deliver(host, {
    before: () => {
      throw new Expected('the isolate dies');
    },
  });
  const { state, error } = await ask<IndexAnswer>('GET', '/v1/indexes/i');
  assert.equal(state, 'failed');
  assert.match(error as string, /every try failed/);
  assert.deepEqual(ids(await query('i', { vector: [1] })), ['second']);
  // An order whose messages are lost for a day is given up.
  await order('fourth');
  host.sent.splice(0);
  await retention(host, { now: Date.now() + 25 * HOUR });
  assert.match((await ask<IndexAnswer>('GET', '/v1/indexes/i')).error as string, /within a day/);
});

test('items are removed, also by many at once, and the index goes with its objects', async () => {
  const { host, ask, build, query } = await opened();
  await using _ = host;
  const made = await build('i', jsonl(Array.from({ length: 20 }, (_, id) => ({ id, vector: [id + 1, 1] }))));
  const removed = await Promise.all(
    [[0], [1, 99], [2], ['3']].map((some) => ask<{ removed: number }>('POST', '/v1/indexes/i/remove', { ids: some })),
  );
  assert.deepEqual(
    removed.map((answer) => answer.removed),
    [1, 1, 1, 0],
  );
  const found = await query('i', { vector: [0.1, 1], top_k: 100 });
  assert.deepEqual([found.index.size, found.hits[0]?.id], [17, 3]);
  const now = await ask<IndexAnswer>('GET', '/v1/indexes/i');
  assert.deepEqual([now.items, now.etag], [17, found.index.etag]);
  assert.notEqual(now.etag, made.etag);
  assert.equal((await host.blobs.list('indexes/')).objects.length, 1);
  await ask('DELETE', '/v1/indexes/i');
  await assert.rejects(query('i', { vector: [1, 1] }), fails(404, /no such index/));
  assert.deepEqual((await host.blobs.list('indexes/')).objects, []);
});

test('queries that are not as they should be are refused', async () => {
  const { host, build, query, ask, models } = await opened();
  await using _ = host;
  await build('i', jsonl([{ id: 'a', vector: [1, 0, 0, 0] }]), { model: 'stub' });
  await build('bare', jsonl([{ id: 'a', vector: [1, 0] }]));
  await assert.rejects(query('i', {}), fails(400, /one of "input", "vector" and "image"/));
  await assert.rejects(query('i', { input: 'x', vector: [1] }), fails(400, /one of/));
  await assert.rejects(query('i', { vector: [1, 0] }), fails(400, /vector: expected 4 numbers/));
  await assert.rejects(query('i', { vector: [0, 0, 0, 0] }), fails(400, /not all of them 0/));
  await assert.rejects(
    query('i', { input: 'x', top_k: 101 }),
    fails(400, /top_k: expected a whole number from 1 to 100/),
  );
  await assert.rejects(
    query('i', { input: 'x', filter: { tags: [] } }),
    fails(400, /filter\.tags: expected at least 1 tag/),
  );
  await assert.rejects(query('i', { image: 'https://x/y.png' }), fails(400, /image: expected a data URL/));
  await assert.rejects(query('bare', { input: 'x' }), fails(400, /vector: is missing/));
  await assert.rejects(ask('PUT', '/v1/indexes/a%20b', { file_id: 'x' }), fails(400, /name: expected/));
  await assert.rejects(ask('PUT', '/v1/indexes/i', {}), fails(400, /either "batch_id" or "file_id"/));
  await assert.rejects(ask('PUT', '/v1/indexes/i', { file_id: 'file-x' }), fails(404, /no such file/));
  await assert.rejects(
    ask('PUT', '/v1/indexes/i', { file_id: 'file-x', metric: 'dot', prefilter: true }),
    fails(400, /metric: expected cosine/),
  );
  models.digest = 'stub-2';
  await assert.rejects(query('i', { input: 'number 1' }), fails(409, /other weights of stub/));
  assert.deepEqual(ids(await query('i', { vector: [1, 0, 0, 0] })), ['a']);
});

test('more indexes than fit the memory are loaded in turn', async () => {
  const { host, build, query } = await opened({ MAX_MEMORY_MB: '16' });
  await using _ = host;
  const wide = (name: string) =>
    jsonl(
      Array.from({ length: 60 }, (_, at) => ({
        id: `${name}${at}`,
        vector: Buffer.from(new Float32Array(4_096).fill(at + 1).buffer).toString('base64'),
      })),
    );
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const name of names) await build(name, wide(name), { precision: 'float32', metric: 'dot' });
  const vector = Array(4_096).fill(1);
  const answers = await Promise.all([...names, ...names].map((name) => query(name, { vector, top_k: 1 })));
  assert.deepEqual(
    answers.flatMap(ids),
    [...names, ...names].map((name) => `${name}59`),
  );
  assert.ok(loadedIndexes(host).bytes <= 4 * 1_048_576, `${loadedIndexes(host).bytes} bytes`);
});

test("another owner's index is not found, and the key's models hold", async () => {
  const { host, build, ask } = await opened();
  await using _ = host;
  await build('mine', jsonl(items(2)), { model: 'stub' });
  const other = await keyFor(host, { owner: 'other' });
  for (const [method, path, json] of [
    ['GET', '/v1/indexes/mine', undefined],
    ['DELETE', '/v1/indexes/mine', undefined],
    ['POST', '/v1/indexes/mine/query', { input: 'x' }],
    ['POST', '/v1/indexes/mine/remove', { ids: ['t0'] }],
  ] as const) {
    await assert.rejects(ask(method, path, json, other), fails(404, /no such index/), path);
  }
  assert.deepEqual((await ask<{ data: [] }>('GET', '/v1/indexes', undefined, other)).data, []);
  const narrow = await keyFor(host, { models: ['another'] });
  await assert.rejects(
    ask('POST', '/v1/indexes/mine/query', { input: 'x' }, narrow),
    fails(403, /may not use this model/),
  );
});

test('a change by one isolate is seen by the next query of another, which then has the old index no more', async () => {
  const { host, app, key, build, ask } = await opened();
  await using _ = host;
  await build('i', jsonl(items(300).map(({ id }, at) => ({ id, vector: [at + 1, 1] }))));
  const other: Host = { ...host };
  const elsewhere = createGateway(other);
  const query = async (where: App) => {
    const response = await call(where, 'POST', '/v1/indexes/i/query', { key, json: { vector: [1, 1], top_k: 1 } });
    return (await response.json()) as QueryAnswer;
  };
  const before = await query(elsewhere);
  const bytes = loadedIndexes(other).bytes;
  assert.ok(bytes > 0);
  await ask('POST', '/v1/indexes/i/remove', { ids: ['t0', 't1'] });
  const after = await query(elsewhere);
  assert.deepEqual([before.index.size, after.index.size], [300, 298]);
  assert.notEqual(after.index.etag, before.index.etag);
  assert.equal(after.index.etag, (await query(app)).index.etag);
  assert.ok(loadedIndexes(other).bytes <= bytes, 'both are in memory');
});

test('an index that is larger than all may be is refused, and not loaded', async () => {
  const { host, build, query } = await opened({ MAX_MEMORY_MB: '64' });
  await using _ = host;
  const vectors = Array.from({ length: 300 }, (_, id) => ({
    id,
    vector: Buffer.from(new Float32Array(4_096).fill(id + 1).buffer).toString('base64'),
  }));
  const { state } = await build('i', jsonl(vectors), { precision: 'float32', metric: 'dot' });
  assert.equal(state, 'ready');
  const small: Host = { ...host, settings: { ...host.settings, MAX_MEMORY_MB: 16 } };
  const key = await keyFor(host);
  const json = { vector: Array(4_096).fill(1) };
  const app = createGateway(small);
  for (const [path, body] of [
    ['query', json],
    ['remove', { ids: [1] }],
  ] as const) {
    const response = await call(app, 'POST', `/v1/indexes/i/${path}`, { key, json: body });
    const { error } = (await response.json()) as { error: { message: string } };
    assert.equal(response.status, 409);
    assert.match(error.message, /The index has 5 MiB, and all indexes in memory may take 4: raise MAX_MEMORY_MB/);
  }
  assert.equal(loadedIndexes(small).bytes, 0);
  assert.equal((await query('i', json)).hits.length, 10);
});
