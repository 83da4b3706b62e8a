/** Heads: a classifier, a router and a detector that were fitted elsewhere are put, used, replaced and deleted. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Decoder, SemanticRouter, TextClassifier, TextDetector, type TextEmbedder } from 'pilotlight';
import { keyFor } from './support/app.ts';
import { fakeServer, json } from './support/fake-server.ts';
import {
  embedderOf,
  filesOf,
  inFolder,
  type Json,
  type ModelHost,
  modelHost,
  ROOT,
  tinyFolder,
} from './support/models.ts';
import { lacking, MINILM } from './support/needs.ts';

const TINY = tinyFolder('bert-tiny-mean');
const LLAMA = tinyFolder('llama-tiny');

const EXAMPLES = [
  ...['a table for two', 'can I reserve for Friday', 'book us in for lunch', 'a seat by the window'].map((text) => ({
    text,
    label: 'book',
  })),
  ...['cancel my table', 'we cannot come', 'call it off', 'we do not need the table any more'].map((text) => ({
    text,
    label: 'cancel',
  })),
  ...['is the soup vegan', 'what is on the menu', 'are there nuts in it', 'how hot is the curry'].map((text) => ({
    text,
    label: 'food',
  })),
];
const ASKED = ['book a table for lunch', 'is there soup on the menu', 'please cancel'];

const models = {
  tiny: inFolder('embed', TINY, 'test/bert-tiny-mean'),
  other: inFolder('embed', tinyFolder('bert-tiny-cls'), 'test/bert-tiny-cls'),
  llama: inFolder('detect', LLAMA, 'test/llama-tiny', { heads_only: true }),
};

let host: ModelHost;
let embedder: TextEmbedder;
let classifier: TextClassifier;
before(async () => {
  host = await modelHost({ models });
  embedder = await embedderOf(TINY, 'test/bert-tiny-mean');
  classifier = await TextClassifier.fit(embedder, EXAMPLES);
});
after(async () => {
  classifier.dispose();
  embedder.dispose();
  await host[Symbol.asyncDispose]();
});

const put = async (name: string, json: unknown, query = '', at = host): Promise<{ status: number; json: Json }> => {
  const response = await at.call('PUT', `/admin/heads/${name}${query}`, { json });
  return { status: response.status, json: await response.json() };
};

describe('a classifier', () => {
  test('is found by /v1/classify and /v1/route, and answers as the package does', async () => {
    const made = await put('intents', classifier.toJSON());
    assert.equal(made.status, 200, JSON.stringify(made.json));
    assert.deepEqual([made.json.task, made.json.model], ['classify', 'tiny']);
    const expected = await classifier.classify(ASKED, { topK: 3 });
    const { status, json } = await host.post('/v1/classify', { model: 'intents', input: ASKED });
    assert.equal(status, 200);
    assert.deepEqual(
      json.data,
      expected.map(({ label, scores }, index) => ({
        index,
        label,
        results: scores.map(({ label, probability }) => ({ label, score: probability })),
      })),
    );
    const { tokens } = await embedder.embed(ASKED);
    assert.equal(
      json.usage.prompt_tokens,
      tokens.reduce((a, b) => a + b, 0),
    );
    const first = await host.post('/v1/classify', { model: 'intents', input: ASKED, top_k: 1 });
    assert.deepEqual(first.json.data[0].results, json.data[0].results.slice(0, 1));
    const routed = await host.post('/v1/route', { model: 'intents', input: ASKED });
    assert.deepEqual(
      routed.json.data,
      expected.map(({ label, probability }, index) => ({ index, route: label, probability })),
    );
    const refused = await host.post('/v1/detect', { model: 'intents', input: 'a' });
    assert.equal(refused.status, 404);
    assert.match(refused.json.error.message, /is for classify, not detect/);
  });

  test('texts of requests at the same time are not mixed up', async () => {
    const many = await Promise.all(
      EXAMPLES.map(({ text }) => host.post('/v1/classify', { model: 'intents', input: [text, text] })),
    );
    for (const [i, { json }] of many.entries()) {
      const [own] = await classifier.classify(EXAMPLES[i]?.text as string);
      assert.equal(json.data[0].results[0].score, own?.scores[0]?.probability);
      const { tokens } = await embedder.embed(EXAMPLES[i]?.text as string);
      assert.equal(json.usage.prompt_tokens, 2 * (tokens[0] as number));
    }
  });

  test('is listed, given back as it was put, replaced, and gone after its deletion', async () => {
    await put('changing', classifier.toJSON());
    const listed = await (await host.call('GET', '/v1/models')).json();
    const before = listed.data.find(({ id }: Json) => id === 'changing');
    assert.equal(before.task, 'classify');
    const given = await (await host.call('GET', '/admin/heads/changing')).json();
    assert.deepEqual(given, JSON.parse(JSON.stringify(classifier.toJSON())));
    const fewer = await TextClassifier.fit(embedder, EXAMPLES.slice(0, 8));
    await put('changing', fewer.toJSON(), '?task=route');
    fewer.dispose();
    const { json } = await host.post('/v1/classify', { model: 'changing', input: ASKED[0] });
    assert.equal(json.data[0].results.length, 2);
    const again = await (await host.call('GET', '/v1/models/changing')).json();
    assert.equal(again.task, 'route');
    assert.notEqual(again.digest, before.digest);
    assert.deepEqual((await host.blobs.list('heads/changing/')).objects.length, 1);
    const deleted = await host.call('DELETE', '/admin/heads/changing');
    assert.deepEqual(await deleted.json(), { object: 'head', name: 'changing', deleted: true });
    assert.equal((await host.post('/v1/classify', { model: 'changing', input: 'a' })).status, 404);
    assert.equal((await host.call('GET', '/admin/heads/changing')).status, 404);
    assert.equal((await host.call('DELETE', '/admin/heads/changing')).status, 404);
    assert.deepEqual((await host.blobs.list('heads/changing/')).objects, []);
    const all = await (await host.call('GET', '/admin/heads')).json();
    assert.deepEqual(
      all.data.map(({ name }: Json) => name),
      ['intents'],
    );
  });

  test('another isolate finds it', async () => {
    await using other = await modelHost({ models }, { parts: { blobs: host.blobs, sql: host.sql } });
    const { json } = await other.post('/v1/classify', { model: 'intents', input: ASKED });
    assert.deepEqual(json.data, (await host.post('/v1/classify', { model: 'intents', input: ASKED })).json.data);
  });

  test('may be put on a model that runs elsewhere', async () => {
    await using server = await fakeServer(async (asked, response) => {
      const { data, dims } = await embedder.embed(asked.body.input);
      const rows = asked.body.input.map((_: string, i: number) =>
        Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])),
      );
      json({ data: rows.map((embedding: number[], index: number) => ({ index, embedding })) })(asked, response);
    });
    const far = { task: 'embed', run: 'upstream', upstream: 'server', model: 'test/bert-tiny-mean' };
    await using remote = await modelHost({
      models: { far },
      upstreams: { server: { kind: 'openai', url: `${server.url}/v1` } },
    });
    const made = await put('intents', classifier.toJSON(), '', remote);
    assert.equal(made.json.model, 'far', JSON.stringify(made.json));
    const { json: answer } = await remote.post('/v1/classify', { model: 'intents', input: ASKED });
    assert.deepEqual(answer.data, (await host.post('/v1/classify', { model: 'intents', input: ASKED })).json.data);
    assert.equal(remote.events.list.at(-1)?.run, 'upstream');
  });

  test('goes on after its model had to make room', async () => {
    const small = {
      ...models,
      tiny: inFolder('embed', TINY, 'test/bert-tiny-mean', { memory_mb: 30 }),
      other: { ...models.other, memory_mb: 30 },
    };
    await using tight = await modelHost({ models: small }, { settings: { MAX_MEMORY_MB: '40' } });
    assert.equal((await put('intents', classifier.toJSON(), '', tight)).status, 200);
    await tight.post('/v1/embeddings', { model: 'other', input: 'a' });
    assert.equal(tight.models.states().find(({ id }) => id === 'tiny')?.loaded, false);
    const { status, json } = await tight.post('/v1/classify', { model: 'intents', input: ASKED });
    assert.equal(status, 200);
    assert.equal(json.data.length, 3);
  });
});

test('a router is a head too', async () => {
  const routes = ['book', 'cancel', 'food'].map((name) => ({
    name,
    utterances: EXAMPLES.filter(({ label }) => label === name).map(({ text }) => text),
  }));
  const router = await SemanticRouter.create(embedder, routes);
  assert.equal((await put('router', router.toJSON(), '?task=route')).status, 200);
  const { json } = await host.post('/v1/route', { model: 'router', input: ASKED });
  for (const [i, text] of ASKED.entries()) {
    const { name, probability } = await router.route(text);
    assert.deepEqual(json.data[i], { index: i, route: name, probability });
  }
  router.dispose();
});

describe('what does not fit is refused, and nothing is kept', () => {
  const cases: [string, () => unknown, string, number, RegExp][] = [
    ['no head at all', () => ({ format: 'other', head: {} }), '', 400, /format: .*pilotlight-classifier/],
    [
      'a head without its inside',
      () => ({
        format: 'pilotlight-classifier',
        version: 1,
        labels: ['a', 'b'],
        embedder: { model: 'test/bert-tiny-mean' },
        head: {},
      }),
      '',
      400,
      /type: expected a text/,
    ],
    ['another version', () => ({ ...classifier.toJSON(), version: 9 }), '', 400, /version/],
    [
      'a head of another model',
      () => classifier.toJSON(),
      '?model=other',
      400,
      /is of test\/bert-tiny-cls, expected test\/bert-tiny-mean/,
    ],
    ['a model that is not there', () => classifier.toJSON(), '?model=none', 404, /one of tiny, other/],
    [
      'a head of an unknown model',
      () => ({ ...classifier.toJSON(), embedder: { model: 'org/unknown' } }),
      '',
      400,
      /fitted to org\/unknown; name one of tiny, other/,
    ],
    ['a task that a classifier has not', () => classifier.toJSON(), '?task=detect', 400, /classify or route/],
  ];
  for (const [name, json, query, status, message] of cases)
    test(name, async () => {
      const refused = await put('bad', json(), query);
      assert.equal(refused.status, status, JSON.stringify(refused.json));
      assert.match(refused.json.error.message, message);
      assert.equal((await host.call('GET', '/admin/heads/bad')).status, 404);
    });

  test('a name that is a model’s, or none', async () => {
    assert.equal((await put('tiny', classifier.toJSON())).status, 409);
    assert.equal((await put('a%20b', classifier.toJSON())).status, 400);
    assert.equal((await put('%2e%2e', classifier.toJSON())).status === 200, false);
  });

  test('a key without the scope admin', async () => {
    const key = await keyFor(host, { scopes: ['classify', 'detect', 'embed'] });
    const response = await host.call('PUT', '/admin/heads/mine', { key, json: classifier.toJSON() });
    assert.equal(response.status, 403);
  });
});

test('a detector on hidden states is found by its name, and by model, layer and classifier together', async () => {
  const { human, machine, textOf } = await import(`${ROOT}/tests/package/support/detector.mjs`);
  const decoder = await Decoder.load('test/llama-tiny', {
    files: filesOf(LLAMA),
    device: 'cpu',
    dtype: 'q8',
    store: false,
  });
  const detector = await TextDetector.fit(human(60), machine(60), {
    decoder,
    features: 'hidden',
    layer: 1,
    head: 'rbf-svm',
  });
  const made = await put('layer1', detector.toJSON());
  assert.equal(made.status, 200, JSON.stringify(made.json));
  const { task, model, layer, classifier: kind } = made.json;
  assert.deepEqual([task, model, layer, kind], ['detect', 'llama', 1, 'svm']);
  const text = textOf('new', { machine: 0.75 });
  const expected = await detector.detect(text);
  const { json } = await host.post('/v1/detect', { model: 'layer1', input: text, sentences: true });
  assert.deepEqual(
    [json.verdict, json.probability, json.sentences, json.usage.prompt_tokens],
    [expected.verdict, expected.probability, expected.sentences, expected.tokens],
  );
  assert.deepEqual(
    json.reasons,
    expected.reasons.map(({ text }) => text),
  );
  for (const named of [
    { model_name: 'test/llama-tiny', layer: 1, classifier_type: 'svm' },
    { model_name: 'llama', layer: 1 },
    { model_name: 'layer1' },
  ]) {
    const analyzed = await host.post('/analyze', { text, ...named });
    const isFake = expected.verdict === 'machine';
    assert.deepEqual(analyzed.json, {
      prediction: expected.verdict,
      probability: expected.probability,
      is_fake: isFake,
    });
  }
  for (const named of [
    { model_name: 'test/llama-tiny', layer: 2 },
    { classifier_type: 'forest' },
    { model_name: 'none' },
  ]) {
    const refused = await host.post('/analyze', { text, ...named });
    assert.equal(refused.status, 404);
    assert.match(refused.json.error.message, /layer1 = llama = test\/llama-tiny, layer 1, svm/);
  }
  // The decoder has no answers of its own.
  assert.equal((await host.post('/v1/detect', { model: 'llama', input: text })).status, 404);
  detector.dispose();
  decoder.dispose();
});

test('a calibrated classifier of whole texts', async () => {
  const folder = tinyFolder('bert-tiny-classifier');
  const whole = inFolder('detect', folder, 'test/bert-tiny-classifier');
  await using own = await modelHost({ models: { whole } });
  const detector = await TextDetector.load('test/bert-tiny-classifier', {
    files: filesOf(folder),
    device: 'cpu',
    store: false,
    dtype: 'q8',
  });
  const { human } = await import(`${ROOT}/tests/package/support/detector.mjs`);
  await detector.calibrate(human(120));
  const made = await put('calibrated', detector.toJSON(), '', own);
  assert.equal(made.status, 200, JSON.stringify(made.json));
  const text = human(1)[0];
  const expected = await detector.detect(text);
  const { json } = await own.post('/v1/detect', { model: 'calibrated', input: text });
  assert.deepEqual([json.verdict, json.probability], [expected.verdict, expected.probability]);
  const bare = await own.post('/v1/detect', { model: 'whole', input: text });
  assert.equal(bare.json.verdict, 'uncertain');
  detector.dispose();
});

describe('on the real MiniLM', { skip: lacking('minilm') }, () => {
  test('the intents of the example Worker', async () => {
    const { default: intents } = await import(`${ROOT}/examples/cloudflare-worker/src/intents.json`, {
      with: { type: 'json' },
    });
    const minilm = inFolder('embed', MINILM, 'sentence-transformers/all-MiniLM-L6-v2', { memory_mb: 64 });
    await using real = await modelHost({ models: { minilm } });
    assert.equal((await put('intents', intents, '', real)).status, 200);
    const { json } = await real.post('/v1/route', {
      model: 'intents',
      input: ['a table for four tomorrow', 'is the bread gluten free'],
    });
    assert.deepEqual(
      json.data.map(({ route }: Json) => route),
      ['book a table', 'ask about food'],
    );
  });
});
