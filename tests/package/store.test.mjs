import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { HUB_MODELS } from './support/models.mjs';
import { keysOf } from './support/store-keys.mjs';

let hub;
before(async () => (hub = await startHub({ models: HUB_MODELS, port: 0 })));
beforeEach(() => (hub.requests.length = 0));
after(() => hub.close());

/** Loads, embeds one text, and returns its vector with all progress events. */
async function visit(model, options) {
  const events = [];
  const embedder = await TextEmbedder.load(model, {
    host: hub.url,
    dtype: 'q8',
    onProgress: (event) => events.push(event),
    ...options,
  });
  const { data } = await embedder.embed('a dog by the river');
  embedder.dispose();
  return { data, events };
}

const weightRequests = () =>
  hub.requests.filter(({ method, url }) => method === 'GET' && url.endsWith('.safetensors')).length;

test('the memory store is shared: a second load asks for no weights and gives the same vector', async () => {
  const first = await visit('test/bert-tiny-mean', { store: 'memory' });
  assert.ok(weightRequests() > 0);
  assert.ok(first.events.some(({ cached }) => !cached));
  hub.requests.length = 0;
  const second = await visit('test/bert-tiny-mean', { store: 'memory' });
  assert.equal(weightRequests(), 0);
  assert.ok(second.events.some(({ cached }) => cached));
  assert.deepEqual(second.data, first.data);
});

test('a store of the host program holds the model, and a host that is gone is no matter', async () => {
  const store = mapStore();
  const first = await visit('test/bert-tiny-cls', { store });
  assert.ok(store.rows.size > 0);
  const gone = 'http://127.0.0.1:9';
  await assert.rejects(
    visit('test/bert-tiny-cls', { store, host: gone }),
    { code: 'FETCH_FAILED' },
    'another host is another model',
  );
  hub.setFaults([{ fault: 'reset' }]);
  const second = await visit('test/bert-tiny-cls', { store });
  hub.setFaults([]);
  assert.deepEqual(second.data, first.data);
});

test('store false keeps nothing', async () => {
  await visit('test/bert-tiny-max', { store: false });
  hub.requests.length = 0;
  await visit('test/bert-tiny-max', { store: false });
  assert.ok(weightRequests() > 0);
});

test('f32 and q8 of one model lie side by side', async () => {
  const store = mapStore();
  const q8 = await visit('test/bert-tiny-mean', { store });
  const f32 = await visit('test/bert-tiny-mean', { store, dtype: 'f32' });
  assert.notDeepEqual(f32.data, q8.data);
  assert.deepEqual((await visit('test/bert-tiny-mean', { store })).data, q8.data);
  assert.deepEqual((await visit('test/bert-tiny-mean', { store, dtype: 'f32' })).data, f32.data);
});

for (const kind of ['manifest', 'chunk']) {
  test(`a store with a cut ${kind} is noticed, and the model is fetched again`, async () => {
    const store = mapStore();
    const first = await visit('test/bert-tiny-mean', { store });
    const damaged = keysOf(store, kind);
    assert.ok(damaged.length > 0);
    for (const key of damaged) {
      const bytes = store.rows.get(key);
      store.rows.set(key, bytes.subarray(0, bytes.length >> 1));
    }
    hub.requests.length = 0;
    const second = await visit('test/bert-tiny-mean', { store });
    assert.ok(weightRequests() > 0);
    assert.deepEqual(second.data, first.data);
    hub.requests.length = 0;
    await visit('test/bert-tiny-mean', { store });
    assert.equal(weightRequests(), 0, 'it was not kept again');
  });
}

test('a store that throws is named with its own words, and the next load works', async () => {
  const store = mapStore();
  const broken = { ...store, get: () => Promise.reject(new Error('the disk is gone')) };
  await assert.rejects(visit('test/bert-tiny-mean', { store: broken }), {
    name: 'PilotlightError',
    message: /store\.get.*the disk is gone/,
  });
  assert.equal((await visit('test/bert-tiny-mean', { store })).data.length, 32);
});

test('the token goes to the host in a header and never in a URL', async () => {
  await visit('test/bert-tiny-mean', { store: false, token: 'hf_secret' });
  assert.ok(hub.requests.length > 0);
  for (const { url, headers } of hub.requests) {
    assert.doesNotMatch(url, /secret/);
    assert.equal(headers.authorization, 'Bearer hf_secret', url);
  }
});
