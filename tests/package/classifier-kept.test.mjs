// A TextClassifier that is kept by name, and opened by an embedder of another model, dtype, build or prompt.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { models, TextClassifier, TextEmbedder, VectorIndex } from 'pilotlight';
import { mapStore } from './support/map-store.mjs';
import { MINILM, startMiniLM } from './support/minilm.mjs';

const EXAMPLES = {
  texts: ['I lost my card', 'my card was stolen', 'change my PIN', 'I want another pin code'],
  labels: ['card lost', 'card lost', 'change pin', 'change pin'],
};
const REQUESTS = ['where is my card', 'pin'];

let hub;
let embedder;
let close;
let classifier;
before(async () => {
  ({ hub, embedder, close } = await startMiniLM());
  classifier = await TextClassifier.fit(embedder, EXAMPLES, { unknown: 0.05 });
});
after(async () => {
  classifier.dispose();
  await close();
});

test('a saved classifier comes back with the same answers, until it is deleted', async () => {
  const store = mapStore();
  assert.equal(await TextClassifier.open(embedder, 'bank', { store }), undefined);
  await classifier.save('bank', { store });
  const again = await TextClassifier.open(embedder, 'bank', { store });
  assert.deepEqual(await again.classify(REQUESTS), await classifier.classify(REQUESTS));
  assert.deepEqual(again.notes, classifier.notes);
  again.dispose();
  assert.equal(await TextClassifier.delete('ban', { store }), false);
  assert.equal(await TextClassifier.delete('bank', { store }), true);
  assert.equal(store.rows.size, 0);
  await classifier.save('bank', { store: 'memory' });
  assert.equal((await TextClassifier.open(embedder, 'bank', { store: 'memory' })).size, classifier.size);
});

test('an index of the same name, and the list of models, leave it alone', async () => {
  const store = mapStore();
  const index = await VectorIndex.create({ dimensions: 2 });
  index.add(['a'], Float32Array.of(1, 0));
  await classifier.save('bank', { store });
  await index.save('bank', { store });
  assert.deepEqual(await models.list({ store }), []);
  assert.equal(await VectorIndex.delete('bank', { store }), true);
  assert.ok(await TextClassifier.open(embedder, 'bank', { store }));
  index.dispose();
});

test('a store that fails leaves the version of before, and an altered row is noticed', async () => {
  const store = mapStore();
  await classifier.save('bank', { store });
  const full = { ...store, put: () => Promise.reject(new DOMException('no room', 'QuotaExceededError')) };
  const more = await TextClassifier.fromJSON(embedder, JSON.stringify(classifier));
  await more.add([{ text: 'what are your fees', label: 'fees' }]);
  await assert.rejects(more.save('bank', { store: full }), { code: 'QUOTA_EXCEEDED', message: /classifier/ });
  const before = await TextClassifier.open(embedder, 'bank', { store });
  assert.deepEqual(before.labels, classifier.labels);
  const key = [...store.rows.keys()].find((one) => one.includes('#chunk/'));
  store.rows.get(key)[9] ^= 1;
  await assert.rejects(TextClassifier.open(embedder, 'bank', { store }), { code: 'INTEGRITY', message: /classifier/ });
  await more.save('bank', { store });
  assert.deepEqual((await TextClassifier.open(embedder, 'bank', { store })).labels, more.labels);
});

test('names and stores that are none are typed errors', async () => {
  for (const name of ['', undefined, 5]) {
    for (const call of [
      () => classifier.save(name),
      () => TextClassifier.open(embedder, name),
      () => TextClassifier.delete(name),
    ])
      await assert.rejects(call(), { name: 'PilotlightError', code: 'INVALID_INPUT', message: /name/ });
  }
  await assert.rejects(classifier.save('bank', { store: false }), { code: 'INVALID_INPUT', message: /store/ });
});

test('another dtype is accepted and said, and after a fit by its vectors no more', async () => {
  const json = JSON.stringify(classifier);
  const exact = await TextEmbedder.load(MINILM, { host: hub.url, store: false, dtype: 'f32' });
  const noted = await TextClassifier.fromJSON(exact, json);
  assert.match(noted.notes[0], /dtype 'q8'.*'f32'/);
  const events = [];
  const onProgress = ({ status }) => events.push(status);
  const refitted = await TextClassifier.fromJSON(exact, json, { refit: true, onProgress });
  assert.deepEqual(refitted.notes, classifier.notes);
  assert.deepEqual([...new Set(events)], ['embed', 'fit']);
  const fresh = await TextClassifier.fit(exact, EXAMPLES, { unknown: 0.05 });
  assert.deepEqual(refitted.toJSON(), fresh.toJSON());
  for (const one of [noted, refitted, fresh, exact]) one.dispose();
});

test('a model of the same name whose vectors are others is refused', async () => {
  const json = classifier.toJSON();
  const stranger = {
    dimensions: 384,
    backend: { dtype: 'f32' },
    embed: async (texts) => ({ data: new Float32Array(384 * texts.length).fill(0.05), dims: [texts.length, 384] }),
  };
  await assert.rejects(TextClassifier.fromJSON(stranger, json), {
    code: 'INVALID_INPUT',
    message: /I lost my card.*another model/,
  });
  await assert.rejects(TextClassifier.fromJSON({ ...stranger, dimensions: 2 }, json), { message: /2 values.*384/ });
  const { backend, ...silent } = stranger;
  await assert.rejects(TextClassifier.fromJSON(silent, json), { code: 'INVALID_INPUT', message: /another model/ });
});

test('examples and requests are embedded with the prompt of the fit, and another one is refused', async () => {
  const asked = [];
  const prompting = {
    dimensions: 384,
    embed(texts, { prompt } = {}) {
      asked.push(prompt);
      return embedder.embed([texts].flat().map((text) => `${prompt}${text}`));
    },
  };
  const own = await TextClassifier.fit(prompting, EXAMPLES, { prompt: 'query: ' });
  await own.classify('pin');
  await own.add([{ text: 'fees', label: 'fees' }]);
  const json = JSON.stringify(own);
  const again = await TextClassifier.fromJSON(prompting, json, { prompt: 'query: ' });
  await again.classify('pin');
  assert.deepEqual([...new Set(asked)], ['query: ']);
  await assert.rejects(TextClassifier.fromJSON(prompting, json, { prompt: 'passage: ' }), {
    code: 'INVALID_INPUT',
    message: /'query: '.*'passage: '/,
  });
  const real = await TextClassifier.fit(embedder, EXAMPLES, { prompt: 'query: ' });
  assert.deepEqual(await real.classify('pin'), await own.classify('pin'));
});

test('what the JSON of a classifier shares with it is not its own', async () => {
  const json = classifier.toJSON();
  const again = await TextClassifier.fromJSON(embedder, json);
  const before = JSON.stringify(classifier);
  delete json.embedder.model;
  json.labels[0] = json.texts[0] = 'other';
  json.options.C = 3;
  for (const one of [classifier, again]) assert.equal(JSON.stringify(one), before);
  again.dispose();
});

test('examples that were kept without their texts stay in step with those that are added', async () => {
  const { texts, labelTexts, ...json } = classifier.toJSON();
  const bare = await TextClassifier.fromJSON(embedder, json);
  await bare.add([{ text: 'what are your fees', label: 'fees' }]);
  const [{ label, nearest }] = await bare.classify('what are your fees');
  assert.deepEqual([label, nearest.text], ['fees', 'what are your fees']);
  const again = await TextClassifier.fromJSON(embedder, JSON.stringify(bare));
  assert.deepEqual(again.toJSON(), bare.toJSON());
  for (const one of [bare, again]) one.dispose();
});

for (const [what, edit] of [
  ['a format', (json) => (json.format = {})],
  ['a rate', (json) => (json.unknown = {})],
  ['thresholds', (json) => (json.thresholds = { 'card lost': {} })],
  ['names of labels', (json) => json.labelTexts.fill({})],
  ['a model', (json) => (json.embedder.model = {})],
  ['a prompt', (json) => (json.embedder.prompt = 5)],
]) {
  test(`JSON in which ${what} of another type stand${what.endsWith('s') ? '' : 's'} is refused`, async () => {
    const json = classifier.toJSON();
    edit(json);
    // No text can be made of such an object.
    const hostile = JSON.stringify(json).replaceAll('{}', '{"toString":1,"valueOf":1}');
    await assert.rejects(TextClassifier.fromJSON(embedder, hostile), {
      code: 'INVALID_INPUT',
      message: /json|unknown|thresholds/,
    });
  });
}

test('an object that is in itself, or has what JSON has not, is refused', async () => {
  const json = classifier.toJSON();
  const around = { ...json, head: { type: 'pipeline', steps: [] } };
  around.head.head = around.head; // JSON.stringify could not write it
  for (const [head, says] of [
    [around.head, /levels/],
    [{ type: 'linear', coefficients: 5n }, /bigint/],
    [{ type: 'linear', link: () => 'none' }, /function/],
    [{ type: 'linear', intercepts: [Number.NaN] }, /NaN/],
  ])
    await assert.rejects(TextClassifier.fromJSON(embedder, { ...json, head }), {
      code: 'INVALID_INPUT',
      message: says,
    });
});
