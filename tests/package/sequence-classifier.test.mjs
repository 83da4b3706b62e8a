// Classifiers of whole texts: PyTorch's values, what is stored, and wrong calls.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { models, SequenceClassifier, TextClassifier, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { CLASSIFIERS, tolerance } from './support/goldens.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, golden, ROOT, tinyFolder } from './support/models.mjs';

const BERT = 'test/bert-tiny-classifier';
const FILES = filesOf(tinyFolder('bert-tiny-classifier'));

let hub;
before(async () => {
  const folders = CLASSIFIERS.map((name) => [`test/${name}`, tinyFolder(name)]);
  hub = await startHub({ models: Object.fromEntries(folders), port: 0 });
});
after(() => hub.close());

const options = (more) => ({ host: hub.url, dtype: 'f32', store: false, ...more });

test('a model that estimates numbers gives them, and no probabilities', async () => {
  const config = JSON.parse(new TextDecoder().decode(FILES['config.json']));
  const files = {
    ...FILES,
    'config.json': new TextEncoder().encode(JSON.stringify({ ...config, problem_type: 'regression' })),
  };
  const classifier = await SequenceClassifier.load('local/numbers', { files, dtype: 'f32', store: false });
  const { cases } = golden('bert-tiny-classifier');
  const [{ label, probability, scores }] = await classifier.classify(cases[2].text);
  assert.equal(probability, null);
  assert.ok(
    scores.every((score, i) => score.probability === null && Math.abs(score.logit - cases[2].logits[i]) < 2e-5),
  );
  assert.equal(label, scores.toSorted((a, b) => b.logit - a.logit)[0].label);
  classifier.dispose();
});

test('TextClassifier.load loads a model with a head of its own, which is a SequenceClassifier', async () => {
  const [ours, theirs] = [await TextClassifier.load(BERT, options()), await SequenceClassifier.load(BERT, options())];
  assert.ok(ours instanceof SequenceClassifier);
  assert.deepEqual(await ours.classify('light'), await theirs.classify('light'));
  ours.dispose();
  theirs.dispose();
  await assert.rejects(TextClassifier.load('test/none', options()), { name: 'PilotlightError', code: 'FETCH_FAILED' });
});

for (const name of CLASSIFIERS) {
  const { labels, max_tokens, cases } = golden(name);
  const texts = cases.map(({ text }) => text);

  test(`${name} gives PyTorch's probabilities, and a text the same alone`, async () => {
    const classifier = await SequenceClassifier.load(`test/${name}`, options());
    assert.deepEqual([classifier.labels, classifier.maxTokens], [labels, max_tokens]);
    assert.equal(classifier.backend.dtype, 'f32');
    const results = await classifier.classify(texts);
    assert.equal(results.length, texts.length);
    for (const [i, { ids, truncated, probabilities, logits }] of cases.entries()) {
      const { scores, ...result } = results[i];
      assert.deepEqual([result.tokens, result.truncated], [ids.length, truncated]);
      for (const [j, { label, probability, logit }] of scores.entries()) {
        assert.equal(label, labels[j]);
        const error = Math.max(Math.abs(probability - probabilities[j]), Math.abs(logit - logits[j]));
        assert.ok(error <= tolerance(name), `${JSON.stringify(texts[i])}, ${label}: ${error}`);
      }
      const best = Math.max(...scores.map(({ probability }) => probability));
      const { label, probability } = scores.find((score) => score.probability === best);
      assert.deepEqual([result.label, result.probability], [label, probability]);
    }
    assert.deepEqual(await classifier.classify(texts[3]), [results[3]]);
    assert.deepEqual(await classifier.classify([]), []);
    classifier.dispose();
  });

  test(`${name} stays near PyTorch in q8`, async () => {
    const classifier = await SequenceClassifier.load(`test/${name}`, options({ dtype: 'q8' }));
    const results = await classifier.classify(texts);
    const errors = results.map(({ scores }, i) =>
      Math.max(...scores.map(({ probability }, j) => Math.abs(probability - cases[i].probabilities[j]))),
    );
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    // Seven bits of activations, and random weights of few dimensions.
    assert.ok(mean < 0.04 && Math.max(...errors) < 0.15, `mean ${mean}, most ${Math.max(...errors)}`);
    classifier.dispose();
  });
}

test('a plan names the class, and the store keeps a part of its own beside the encoder', async () => {
  const store = mapStore();
  const own = options({ store, timeout: 500 });
  const plan = await models.plan(BERT, own);
  assert.deepEqual([plan.class, plan.whole], ['SequenceClassifier', false]);
  assert.deepEqual(plan.files.map(({ path }) => path).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
  const embedder = await TextEmbedder.load(BERT, own);
  embedder.dispose();
  const classifier = await SequenceClassifier.load(BERT, own);
  const [fetched] = await classifier.classify('The pilot light is warm.');
  classifier.dispose();
  const parts = (await models.list({ store })).map(({ part }) => part);
  assert.deepEqual(new Set(parts), new Set([undefined, 'classifier']));
  const { length } = hub.requests;
  assert.equal((await models.plan(BERT, own)).whole, true);
  const again = await SequenceClassifier.load(BERT, own);
  assert.equal(hub.requests.length, length);
  assert.deepEqual(await again.classify('The pilot light is warm.'), [fetched]);
  // After its first answer it asks for the branch.
  for (let i = 0; i < 100 && hub.requests.length === length; i += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(hub.requests.slice(length).some(({ url }) => url.includes('/api/models/')));
  again.dispose();
});

test('what pull writes is planned and loaded as a classifier', async () => {
  const out = await mkdtemp(path.join(tmpdir(), 'classifier-'));
  try {
    const manifest = path.join(ROOT, 'node_modules/pilotlight/package.json');
    const { bin } = JSON.parse(readFileSync(manifest, 'utf8'));
    const command = [path.join(path.dirname(manifest), bin.pilotlight), 'pull', BERT, '--host', hub.url, '--out', out];
    await promisify(execFile)(process.execPath, command);
    const folder = path.join(out, BERT, 'resolve/main');
    const files = filesOf(folder);
    assert.ok(files['pilotlight-q8-classifier.safetensors'], Object.keys(files).join());
    const own = { files, dtype: 'q8', store: false };
    assert.equal((await models.plan(BERT, own)).class, 'SequenceClassifier');
    const packed = await SequenceClassifier.load(BERT, own);
    const upstream = await SequenceClassifier.load(BERT, options({ dtype: 'q8' }));
    assert.deepEqual(await packed.classify(['light', 'a dog']), await upstream.classify(['light', 'a dog']));
    for (const one of [packed, upstream]) one.dispose();
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});

describe('wrong use', () => {
  const changed = (change) => {
    const config = JSON.parse(new TextDecoder().decode(FILES['config.json']));
    return { ...FILES, 'config.json': new TextEncoder().encode(JSON.stringify({ ...config, ...change })) };
  };
  const lacking = (name) => Object.fromEntries(Object.entries(FILES).filter(([file]) => file !== name));
  for (const [name, files, more, code, message] of [
    [
      'another head',
      changed({ architectures: ['BertForTokenClassification'] }),
      {},
      'UNSUPPORTED_MODEL',
      /architectures/,
    ],
    [
      'another family',
      changed({ architectures: ['RobertaForSequenceClassification'] }),
      {},
      'UNSUPPORTED_MODEL',
      /Roberta/,
    ],
    ['another problem', changed({ problem_type: 'ranking' }), {}, 'UNSUPPORTED_MODEL', /problem_type is 'ranking'/],
    ['labels with a gap', changed({ id2label: { 0: 'a', 3: 'b' } }), {}, 'INVALID_WEIGHTS', /id2label has no '1'/],
    ['more labels than rows', changed({ id2label: { 0: 'a', 1: 'b', 2: 'c' } }), {}, 'INVALID_WEIGHTS', /classifier/],
    ['no tokenizer', lacking('tokenizer.json'), {}, 'FETCH_FAILED', /tokenizer.json/],
    ['layers', FILES, { layers: 1 }, 'INVALID_INPUT', /layers is 1/],
  ])
    test(name, async () => {
      await assert.rejects(SequenceClassifier.load(BERT, { files, dtype: 'f32', ...more }), { code, message });
    });

  test('calls', async () => {
    assert.throws(() => new SequenceClassifier(), { code: 'INVALID_INPUT', message: /SequenceClassifier/ });
    const classifier = await SequenceClassifier.load(BERT, { files: FILES, dtype: 'f32' });
    await assert.rejects(classifier.classify(7), { code: 'INVALID_INPUT', message: /texts/ });
    await assert.rejects(classifier.classify(['a', 7]), { code: 'INVALID_INPUT', message: /texts\[1\]/ });
    await assert.rejects(classifier.classify('a', { signal: 7 }), { code: 'INVALID_INPUT', message: /signal/ });
    await assert.rejects(classifier.classify('a', { signal: AbortSignal.abort() }), { code: 'ABORTED' });
    assert.equal((await classifier.classify('light')).length, 1);
    classifier.dispose();
    classifier.dispose();
    await assert.rejects(classifier.classify('a'), { code: 'DISPOSED' });
  });
});
