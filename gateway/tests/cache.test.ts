/** Answers that are kept: for whom, how long, and computed how often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { LruCache } from '../src/parts/lru.ts';
import { type App, call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { StubModels, type TestHostOptions, testHost } from './support/host.ts';

async function start(options: TestHostOptions = {}) {
  const models = new StubModels();
  const host = await testHost({ models, ...options });
  const app = createGateway(host, [echo]);
  const key = await keyFor(host);
  return { models, host, app, key };
}

const json = { model: 'stub', input: 'the same text' };
const post = (app: App, key: string, headers: HeadersInit = {}, body: unknown = json) =>
  call(app, 'POST', '/v1/echo', { key, json: body, headers });
const state = (response: Response) => response.headers.get('x-cache');

/** Waits for turns of the event loop, in which requests come as far as they can without timers and other threads. */
async function moments(count = 50) {
  for (let at = 0; at < count; at += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('a second request gets the bytes of the first, and the order of fields does not matter', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const { host, models, app, key } = await start();
  const first = await post(app, key);
  const bytes = await first.text();
  assert.deepEqual([state(first), first.headers.get('age')], ['MISS', null]);
  await host.settled();
  t.mock.timers.tick(7_000);
  const second = await post(app, key, {}, { input: 'the same text', model: 'stub' });
  assert.deepEqual([state(second), second.headers.get('age')], ['HIT', '7']);
  assert.equal(await second.text(), bytes);
  assert.equal(second.headers.get('cache-control'), 'private, no-store');
  assert.equal(second.headers.get('content-type'), first.headers.get('content-type'));
  assert.equal(models.embedded.length, 1);
  const [missed, hit] = host.events.list;
  assert.deepEqual([missed?.tokens, hit?.tokens, hit?.items, hit?.model, hit?.cache], [5, 0, 1, 'stub', 'HIT']);
  t.mock.timers.reset();
  await host[Symbol.asyncDispose]();
});

test('another text, model or digest of the model is another answer', async () => {
  const { host, models, app, key } = await start();
  await using _ = host;
  await post(app, key);
  await host.settled();
  assert.equal(state(await post(app, key, {}, { ...json, input: 'another text' })), 'MISS');
  assert.equal(state(await post(app, key, {}, { ...json, input: ['the same text'] })), 'MISS');
  models.digest = 'stub-2';
  assert.equal(state(await post(app, key)), 'MISS');
  assert.equal(models.embedded.length, 4);
});

test('owners do not share answers unless the settings say so, and keys of one owner do', async () => {
  for (const [scope, expected] of [
    ['owner', 'MISS'],
    ['global', 'HIT'],
  ] as const) {
    const { host, app, key } = await start({ settings: { CACHE_SCOPE: scope }, models: new StubModels() });
    await using _ = host;
    await post(app, key);
    await host.settled();
    assert.equal(state(await post(app, await keyFor(host, { name: 'second' }))), 'HIT', scope);
    assert.equal(state(await post(app, await keyFor(host, { owner: 'another' }))), expected, scope);
  }
});

test('a kept answer is for those alone who might have caused it', async () => {
  const { host, app, key } = await start({ settings: { CACHE_SCOPE: 'global' } });
  await using _ = host;
  await post(app, key);
  await host.settled();
  assert.equal((await post(app, await keyFor(host, { scopes: ['search'] }))).status, 403);
  assert.equal((await post(app, await keyFor(host, { models: ['another'] }))).status, 403);
  assert.equal((await post(app, 'pl_nothing')).status, 401);
});

test('the directives of cache-control are heeded', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const { host, models, app, key } = await start();
  const ask = async (value: string, body: unknown = json) => {
    const response = await post(app, key, { 'cache-control': value }, body);
    await host.settled();
    return response;
  };
  const missing = await ask('only-if-cached');
  assert.deepEqual([missing.status, (await missing.json()).error.code], [504, 'not_cached']);
  // `no-store` neither keeps nor reads.
  assert.equal(state(await ask('no-store')), 'BYPASS');
  assert.equal(state(await ask('')), 'MISS');
  assert.equal(state(await ask('no-store')), 'BYPASS');
  assert.equal(models.embedded.length, 3);
  assert.equal(state(await ask('only-if-cached')), 'HIT');
  t.mock.timers.tick(60_000);
  assert.equal(state(await ask('max-age=61')), 'HIT');
  assert.equal((await ask('max-age=59, only-if-cached')).status, 504);
  // `no-cache` renews: the answer afterwards is young.
  assert.equal(state(await ask('no-cache')), 'MISS');
  assert.equal(state(await ask('max-age=59')), 'HIT');
  assert.equal(models.embedded.length, 4);
  t.mock.timers.reset();
  await host[Symbol.asyncDispose]();
});

test('50 equal requests at once compute once, and each has the whole answer', async () => {
  const { host, models, app, key } = await start();
  await using _ = host;
  models.delay = 30;
  const responses = await Promise.all(Array.from({ length: 50 }, () => post(app, key)));
  const bodies = new Set(await Promise.all(responses.map((response) => response.text())));
  assert.equal(bodies.size, 1);
  assert.equal(models.embedded.length, 1);
  const states = responses.map(state);
  assert.deepEqual(
    [states.filter((one) => one === 'MISS').length, states.filter((one) => one === 'HIT').length],
    [1, 49],
  );
  const tokens = host.events.list.reduce((sum, event) => sum + event.tokens, 0);
  assert.equal(tokens, 5);
});

test('the computing goes on while one of its clients waits, and ends with the last of them', async () => {
  const { host, models, app, key } = await start();
  await using _ = host;
  let answer = () => {};
  models.before = () => new Promise((resolve) => (answer = resolve));
  const first = new AbortController();
  const cut = call(app, 'POST', '/v1/echo', { key, json, signal: first.signal });
  while (models.asked < 1) await moments();
  const second = post(app, key);
  await moments();
  first.abort();
  assert.equal((await cut).status, 499);
  answer();
  assert.deepEqual([(await second).status, models.embedded.length], [200, 1]);
  await host.settled();
  // All leave: the next request does not wait for what was given up.
  const other = { model: 'stub', input: 'given up' };
  const third = new AbortController();
  const left = call(app, 'POST', '/v1/echo', { key, json: other, signal: third.signal });
  while (models.asked < 2) await moments();
  third.abort();
  assert.equal((await left).status, 499);
  models.before = async () => {};
  const next = await post(app, key, {}, other);
  assert.deepEqual([next.status, state(next)], [200, 'MISS']);
  answer();
});

test('whoever waits for a request that ended without a word computes the answer', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 });
  const { host, models, app, key } = await start();
  models.before = () => (models.asked === 1 ? new Promise(() => {}) : Promise.resolve());
  void post(app, key);
  while (models.asked === 0) await moments();
  const waiting = Promise.all([post(app, key), post(app, key), post(app, key)]);
  let isOver = false;
  void waiting.then(() => (isOver = true));
  await moments();
  t.mock.timers.tick(24_000);
  await moments();
  assert.deepEqual([isOver, models.asked], [false, 1]);
  while (!isOver) {
    t.mock.timers.tick(1_000);
    await moments();
  }
  const answers = await waiting;
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.deepEqual(answers.map(state).sort(), ['HIT', 'HIT', 'MISS']);
  assert.equal(models.asked, 2);
  assert.equal(
    host.events.list.reduce((sum, { tokens }) => sum + tokens, 0),
    5,
  );
});

test('the answer of a fallback is not kept for the model that it stood in for', async () => {
  const { host, models, app, key } = await start();
  await using _ = host;
  // The handler of these tests tells that it runs here; the list says that the model runs elsewhere.
  models.run = 'upstream';
  for (let at = 0; at < 2; at += 1) {
    assert.equal(state(await post(app, key)), 'MISS');
    await host.settled();
  }
});

test('errors are not kept, and those who wait for the same get the same error', async () => {
  const { host, app, key } = await start();
  await using _ = host;
  const wrong = { ...json, model: 'none' };
  const responses = await Promise.all(Array.from({ length: 5 }, () => post(app, key, {}, wrong)));
  assert.deepEqual(new Set(responses.map(({ status }) => status)), new Set([404]));
  await host.settled();
  const failing = { ...json, fail: true };
  assert.equal((await post(app, key, {}, failing)).status, 500);
  assert.equal((await post(app, key, { 'cache-control': 'only-if-cached' }, failing)).status, 504);
});

test('a cache that fails or forgets changes nothing but the time', async () => {
  const broken = { match: () => Promise.reject(new Error('down')), put: () => Promise.reject(new Error('down')) };
  for (const cache of [broken, new LruCache(2000)]) {
    const { host, app, key } = await start({ parts: { cache }, models: new StubModels() });
    await using _ = host;
    for (let at = 0; at < 3; at += 1) assert.equal((await post(app, key)).status, 200);
  }
  const { host, models, app, key } = await start({ settings: { CACHE_SECONDS: '0' } });
  await using _ = host;
  for (let at = 0; at < 2; at += 1) assert.equal(state(await post(app, key)), 'BYPASS');
  assert.equal(models.embedded.length, 2);
});
