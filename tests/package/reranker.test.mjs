// Rerankers: PyTorch's scores of pairs of texts, their order, and wrong calls.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { models, Reranker } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { CLASSIFIERS, tolerance } from './support/goldens.mjs';
import { golden, tinyFolder } from './support/models.mjs';

const RERANKERS = CLASSIFIERS.filter((name) => name.endsWith('reranker'));
const [BERT] = RERANKERS;

let hub;
before(async () => {
  const folders = [...RERANKERS, 'bert-tiny-classifier'].map((name) => [`test/${name}`, tinyFolder(name)]);
  hub = await startHub({ models: Object.fromEntries(folders), port: 0 });
});
after(() => hub.close());

const load = (name, more) => Reranker.load(`test/${name}`, { host: hub.url, dtype: 'f32', store: false, ...more });

for (const name of RERANKERS)
  test(`${name} gives PyTorch's scores, and a document the same alone`, async () => {
    const reranker = await load(name);
    const { pairs, max_tokens } = golden(name);
    assert.equal(reranker.maxTokens, max_tokens);
    for (const { text, text_pair, ids, truncated, score, logits } of pairs) {
      const ranked = await reranker.rank(text, ['light', text_pair]);
      const own = ranked.find(({ index }) => index === 1);
      assert.deepEqual([own.tokens, own.truncated], [ids.length, truncated]);
      for (const [got, expected] of [
        [own.score, score[0]],
        [own.logit, logits[0]],
      ])
        assert.ok(Math.abs(got - expected) <= tolerance(name), `${text}, ${text_pair}: ${got}, expected ${expected}`);
      assert.ok(ranked[0].score >= ranked[1].score);
      assert.deepEqual(await reranker.rank(text, [text_pair]), [{ ...own, index: 0 }]);
    }
    reranker.dispose();
  });

test('the best documents come first, those of one score in the order of the list', async () => {
  const reranker = await load(BERT, { dtype: 'q8' });
  const documents = ['a dog', 'the pilot light is warm', 'a dog', 'one old man reads', ''];
  const all = await reranker.rank('what is warm', documents);
  assert.deepEqual(
    all.map(({ score }) => score),
    all.map(({ score }) => score).toSorted((a, b) => b - a),
  );
  assert.deepEqual(all.map(({ index }) => index).toSorted(), [0, 1, 2, 3, 4]);
  const places = all.map(({ index }) => index);
  assert.equal(places.indexOf(2), places.indexOf(0) + 1);
  assert.deepEqual(await reranker.rank('what is warm', documents, { topK: 2 }), all.slice(0, 2));
  assert.deepEqual(await reranker.rank('what is warm', documents, { topK: 9 }), all);
  assert.deepEqual(await reranker.rank('what is warm', []), []);
  reranker.dispose();
});

test('wrong calls are errors that name the argument', async () => {
  const reranker = await load(BERT);
  for (const [args, message] of [
    [[7, ['a']], /query: expected a text, got 7/],
    [['a', [7]], /documents\[0\]/],
    [['a', 7], /documents/],
    [['a', ['b'], { topK: 0 }], /topK: expected a whole number above 0, got 0/],
    [['a', ['b'], 7], /options/],
  ])
    await assert.rejects(reranker.rank(...args), { code: 'INVALID_INPUT', message });
  const signal = AbortSignal.abort();
  await assert.rejects(reranker.rank('a', ['b'], { signal }), { code: 'ABORTED' });
  reranker.dispose();
  await assert.rejects(reranker.rank('a', ['b']), { code: 'DISPOSED', message: /Reranker/ });
});

test('a classifier of several labels is no reranker', async () => {
  hub.requests.length = 0;
  await assert.rejects(load('bert-tiny-classifier'), {
    code: 'UNSUPPORTED_MODEL',
    message: /has 2 labels, and a reranker has one: load it by SequenceClassifier/,
  });
  const weights = hub.requests.filter(({ url }) => url.endsWith('model.safetensors'));
  const sent = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(sent <= 64 << 10, `${sent} bytes of weights came`);
});

test('a plan names the class that also loads it as a classifier', async () => {
  const plan = await models.plan(`test/${BERT}`, { host: hub.url, dtype: 'f32', store: false });
  assert.equal(plan.class, 'SequenceClassifier');
});
