// `models` of the package: what a load would take, what is stored, and that a token stays where it belongs.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { models, PilotlightError, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { kindOf, packedTokenizers } from './support/store-keys.mjs';

const MEAN = 'test/bert-tiny-mean';
const CLS = 'test/bert-tiny-cls';
const FILES = filesOf(tinyFolder('bert-tiny-mean'));
const SIZE = FILES['model.safetensors'].length;
const SECRET = 'hf_secret';

let hub;
before(async () => (hub = await startHub({ models: { [MEAN]: FILES, [CLS]: tinyFolder('bert-tiny-cls') } })));
beforeEach(() => {
  hub.setFaults([]);
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (store, more) => ({ host: hub.url, dtype: 'f32', store, timeout: 500, ...more });

async function load(model, store, more) {
  const embedder = await TextEmbedder.load(model, options(store, more));
  const { data } = await embedder.embed('light');
  embedder.dispose();
  return data;
}

const commitOf = async (model) => (await (await fetch(`${hub.url}/api/models/${model}/revision/main`)).json()).sha;
/** Bytes of files that were sent, without those of the API. */
const sent = () =>
  hub.requests.filter(({ url }) => url.includes('/resolve/')).reduce((sum, { bytes }) => sum + bytes, 0);

test('a plan says what a load then takes, and stores nothing', async () => {
  const store = mapStore();
  const plan = await models.plan(MEAN, options(store));
  assert.deepEqual([...store.rows.keys()], []);
  assert.deepEqual([plan.model, plan.class], [MEAN, 'TextEmbedder']);
  assert.equal(plan.commit, await commitOf(MEAN));
  assert.deepEqual([plan.device, plan.dtype, plan.whole, plan.fits, plan.cachedBytes], ['cpu', 'f32', false, true, 0]);
  assert.ok(plan.reason.length > 0);
  assert.ok(plan.tensors > 10);
  assert.deepEqual(plan.files.map(({ path }) => path).sort(), [
    '1_Pooling/config.json',
    'config.json',
    'model.safetensors',
    'modules.json',
    'sentence_bert_config.json',
    'tokenizer.json',
  ]);
  for (const { path, bytes } of plan.files) assert.ok(bytes > 0 && bytes <= FILES[path].length, `${path}: ${bytes}`);
  assert.ok(sent() < SIZE, 'the weights came whole');
  hub.requests.length = 0;
  await load(MEAN, store);
  assert.equal(sent(), plan.fetchBytes);
  const [stored] = await models.list({ store });
  const more = stored.bytes - packedTokenizers(store) - plan.storeBytes;
  assert.ok(Math.abs(more) < 4096, `${more} bytes more stored than planned`);
});

test('a plan for a stored model is whole and asks for nothing', async () => {
  const store = mapStore();
  await load(MEAN, store);
  hub.requests.length = 0;
  const plan = await models.plan(MEAN, options(store));
  assert.deepEqual([plan.whole, plan.fits, plan.fetchBytes, plan.tensors], [true, true, 0, 0]);
  assert.ok(plan.cachedBytes > 0);
  assert.deepEqual(
    hub.requests.map(({ url }) => url),
    [],
  );
});

test('a plan knows what came before a download broke off', async () => {
  const store = mapStore();
  hub.setFaults([{ file: 'model.safetensors', fault: 'reset', value: 80_000 }]);
  await assert.rejects(load(MEAN, store), { code: 'FETCH_FAILED' });
  hub.setFaults([]);
  const plan = await models.plan(MEAN, options(store));
  assert.equal(plan.whole, false);
  assert.ok(plan.cachedBytes >= FILES['tokenizer.json'].length, `${plan.cachedBytes}`);
  hub.requests.length = 0;
  await load(MEAN, store);
  assert.equal(sent(), plan.fetchBytes);
});

test('a plan fails as a load does', async () => {
  await assert.rejects(models.plan('test/nothing', options(mapStore())), {
    name: 'PilotlightError',
    code: 'FETCH_FAILED',
  });
  await assert.rejects(models.plan(''), { code: 'INVALID_INPUT' });
  hub.setFaults([{ fault: 'stall' }]);
  await assert.rejects(models.plan(MEAN, options(mapStore(), { signal: AbortSignal.timeout(100) })), {
    code: 'ABORTED',
  });
});

test('the list tells of every model, whole or not, and a key of it deletes just that', async () => {
  const store = mapStore();
  const before = Date.now();
  await load(MEAN, store);
  await load(CLS, store, { dtype: 'q8' });
  hub.setFaults([{ file: 'model.safetensors', fault: 'reset', value: 80_000 }]);
  await assert.rejects(load(CLS, store), { code: 'FETCH_FAILED' });
  hub.setFaults([]);
  const listed = await models.list({ store });
  const told = listed.map(({ model, dtype, whole, verified }) => [model, dtype, whole, verified]);
  assert.deepEqual(told.sort(), [
    [CLS, 'f32', false, undefined],
    [CLS, 'q8', true, 'sha256'],
    [MEAN, 'f32', true, 'sha256'],
  ]);
  for (const { host, revision, commit, model, lastUsed } of listed) {
    assert.deepEqual([host, revision, commit], [hub.url, 'main', await commitOf(model)]);
    assert.ok(lastUsed >= before - 1000 && lastUsed <= Date.now() + 1000, `${lastUsed}`);
  }
  assert.deepEqual(
    listed.map(({ bytes }) => bytes),
    listed.map(({ bytes }) => bytes).sort((a, b) => b - a),
    'the largest first',
  );
  const { modelBytes, ...origin } = await models.usage({ store });
  assert.equal(
    modelBytes,
    listed.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  // Values that the runtime does not provide are absent.
  assert.deepEqual(origin, { persisted: false });

  const { key } = listed.find(({ model }) => model === MEAN);
  assert.equal(await models.delete(key, { store }), true);
  assert.equal(await models.delete(key, { store }), false);
  assert.deepEqual(
    [...store.rows.keys()].filter((row) => row.includes(MEAN)),
    [],
    'rows are left',
  );
  for (const { key: other } of await models.list({ store })) assert.equal(await models.delete(other, { store }), true);
  assert.deepEqual([...store.rows.keys()], [], 'rows are left');
  assert.deepEqual(await models.list({ store }), []);
});

test('a key that no list gave deletes nothing', async () => {
  const store = mapStore();
  await load(MEAN, store);
  const rows = [...store.rows.keys()];
  for (const key of ['', 'pilotlight/', 'elsewhere#manifest/x', ...rows.filter((row) => kindOf(row) !== 'manifest')]) {
    assert.equal(await models.delete(key, { store }), false, key);
  }
  await assert.rejects(models.delete(7, { store }), { name: 'PilotlightError', code: 'INVALID_INPUT' });
  assert.deepEqual([...store.rows.keys()].sort(), rows.sort());
});

test('a model that is loaded goes on working when it is deleted', async () => {
  const store = mapStore();
  const embedder = await TextEmbedder.load(MEAN, options(store));
  const { data } = await embedder.embed('light');
  for (const { key } of await models.list({ store })) await models.delete(key, { store });
  assert.deepEqual((await embedder.embed('light')).data, data);
  embedder.dispose();
  assert.deepEqual(await load(MEAN, store), data);
});

test('a token is in a header of each request to the host, and in no URL, error, event or row', async () => {
  const told = [];
  const store = mapStore();
  const secret = (more) => ({ token: SECRET, onProgress: (event) => told.push(JSON.stringify(event)), ...more });
  const plan = await models.plan(MEAN, options(store, secret()));
  await load(MEAN, store, secret());
  told.push(JSON.stringify(plan), JSON.stringify(await models.list({ store })));
  assert.ok(hub.requests.length > 0);
  for (const { url, headers } of hub.requests) {
    assert.equal(headers.authorization, `Bearer ${SECRET}`, url);
    assert.doesNotMatch(url, /secret/);
  }
  for (const fault of [
    { fault: 'status', value: 401 },
    { fault: 'status', value: 500 },
    { fault: 'reset' },
    { fault: 'redirect', value: '' },
    { file: 'model.safetensors', fault: 'reset', value: 80_000 },
    { file: 'model.safetensors', fault: 'flip', value: 90_000 },
  ]) {
    hub.setFaults([fault]);
    const error = await load(CLS, store, secret()).then(
      () => assert.fail('it loaded'),
      (thrown) => thrown,
    );
    assert.ok(error instanceof PilotlightError);
    for (let cause = error; cause !== undefined && cause !== null; cause = cause.cause)
      told.push(String(cause), String(cause.stack), JSON.stringify(cause) ?? '');
  }
  for (const text of told) assert.doesNotMatch(text, /secret/);
  for (const [key, bytes] of store.rows) {
    assert.doesNotMatch(key, /secret/);
    assert.equal(Buffer.from(bytes).includes(SECRET), false, key);
  }
});

for (const [what, token] of [
  ['a line break', `${SECRET}\nx`],
  ['a letter that is none of Latin-1', `${SECRET}Ω`],
]) {
  test(`a token with ${what} is refused in words that do not show it, and takes no other model with it`, async () => {
    const embedder = await TextEmbedder.load(MEAN, options(false));
    const error = await load(MEAN, mapStore(), { token }).then(
      () => assert.fail('it loaded'),
      (thrown) => thrown,
    );
    assert.ok(error instanceof PilotlightError);
    for (let cause = error; cause !== undefined && cause !== null; cause = cause.cause)
      assert.doesNotMatch(`${cause} ${cause.stack}`, /secret/);
    assert.equal(error.code, 'INVALID_INPUT', error.message);
    assert.match(error.message, /token/);
    assert.deepEqual((await embedder.embed('light')).dims, [1, 32]);
    embedder.dispose();
  });
}
