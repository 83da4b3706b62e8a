/** Labels and reranking by models that were trained for them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Reranker, SequenceClassifier } from 'pilotlight';
import { filesOf, inFolder, type Json, type ModelHost, modelHost, tinyFolder } from './support/models.ts';

const CLASSIFIER = tinyFolder('bert-tiny-classifier');
const RERANKER = tinyFolder('bert-tiny-reranker');
const load = (folder: string) => ({ files: filesOf(folder), device: 'cpu', dtype: 'q8', store: false }) as const;

let host: ModelHost;
before(async () => {
  const models = {
    labels: inFolder('classify', CLASSIFIER, 'test/bert-tiny-classifier'),
    ranks: inFolder('rerank', RERANKER, 'test/bert-tiny-reranker', { max_items: 40 }),
  };
  host = await modelHost({ models });
});
after(() => host[Symbol.asyncDispose]());

describe('/v1/classify', () => {
  const texts = Array.from({ length: 30 }, (_, i) => `text ${i} `.repeat(1 + (i % 7)));

  test('labels, scores and tokens are the package’s, whatever the slices', async () => {
    const classifier = await SequenceClassifier.load('test/own', load(CLASSIFIER));
    const expected = await classifier.classify(texts);
    classifier.dispose();
    const { status, json } = await host.post('/v1/classify', { model: 'labels', input: texts, top_k: 2 });
    assert.equal(status, 200);
    assert.deepEqual(
      json.data,
      expected.map(({ label, scores }, index) => ({
        index,
        label,
        results: scores
          .map(({ label, probability }) => ({ label, score: probability }))
          .sort((a, b) => (b.score as number) - (a.score as number)),
      })),
    );
    assert.equal(
      json.usage.prompt_tokens,
      expected.reduce((sum, { tokens }) => sum + tokens, 0),
    );
    const [first] = json.data;
    assert.equal(first.label, first.results[0].label);
  });

  test('a model that was trained for labels has no routes', async () => {
    const { status, json } = await host.post('/v1/route', { model: 'labels', input: 'a' });
    assert.equal(status, 404);
    assert.equal(json.error.code, 'model_not_found');
  });

  test('top_k is a whole number', async () => {
    for (const top_k of [0, 1.5, '3', 1001]) {
      const { status, json } = await host.post('/v1/classify', { model: 'labels', input: 'a', top_k });
      assert.equal(status, 400);
      assert.equal(json.error.param, 'top_k');
    }
  });
});

describe('/v1/rerank', () => {
  const query = 'what is light';
  const documents = Array.from({ length: 40 }, (_, i) => `document ${i} about ${['light', 'bread', 'water'][i % 3]}`);

  test('order and scores are the package’s, whatever the slices', async () => {
    const reranker = await Reranker.load('test/own', load(RERANKER));
    const expected = await reranker.rank(query, documents);
    reranker.dispose();
    const { status, json } = await host.post('/v1/rerank', { model: 'ranks', query, documents });
    assert.equal(status, 200);
    assert.deepEqual(
      json.results,
      expected.map(({ index, score }) => ({ index, relevance_score: score })),
    );
    assert.equal(
      json.usage.prompt_tokens,
      expected.reduce((sum, { tokens }) => sum + tokens, 0),
    );
    assert.equal(host.events.list.at(-1)?.items, 40);
  });

  test('top_n gives the best, with their texts where they are asked for', async () => {
    const { json: all } = await host.post('/v1/rerank', { model: 'ranks', query, documents });
    const { json } = await host.post('/v1/rerank', {
      model: 'ranks',
      query,
      documents,
      top_n: 3,
      return_documents: true,
    });
    assert.deepEqual(
      json.results,
      all.results.slice(0, 3).map((one: Json) => ({ ...one, document: { text: documents[one.index] } })),
    );
  });

  test('of equal documents the first comes first', async () => {
    const { json } = await host.post('/v1/rerank', { model: 'ranks', query, documents: ['same', 'same', 'same'] });
    assert.deepEqual(
      json.results.map(({ index }: Json) => index),
      [0, 1, 2],
    );
  });

  test('what is wrong is named', async () => {
    const cases: [object, string][] = [
      [{ model: 'ranks', query, documents: [] }, 'documents'],
      [{ model: 'ranks', query, documents: [1] }, 'documents[0]'],
      [{ model: 'ranks', documents }, 'query'],
      [{ model: 'ranks', query, documents, top_n: 0 }, 'top_n'],
      [{ model: 'ranks', query, documents: [...documents, 'one more'] }, 'documents'],
    ];
    for (const [body, param] of cases) {
      const { status, json } = await host.post('/v1/rerank', body);
      assert.deepEqual([status, json.error.param], [400, param]);
    }
  });
});
