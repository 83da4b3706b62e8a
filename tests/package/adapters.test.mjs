// The adapters alone, with a tiny model; `make test-consumers` has them with the packages that they are for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PilotlightError, TextEmbedder } from 'pilotlight';
import { embeddingModel } from 'pilotlight/adapters/ai';
import { PilotlightEmbeddings } from 'pilotlight/adapters/langchain';
import { pluginEmbeddings } from 'pilotlight/adapters/orama';
import { filesOf, tinyFolder } from './support/models.mjs';

let embedder;
before(async () => {
  embedder = await TextEmbedder.load('test/tiny', { files: filesOf(tinyFolder('bert-tiny-mean')), store: false });
});
after(() => embedder.dispose());

const vectorOf = async (text, options) => Array.from((await embedder.embed(text, options)).data);

test('the AI SDK gets vectors as arrays of numbers, with the prompt and the dimensions of the model or of the call', async () => {
  const model = embeddingModel(embedder, { prompt: 'query: ', dimensions: 8 });
  const { specificationVersion, provider, modelId, maxEmbeddingsPerCall } = model;
  assert.deepEqual([specificationVersion, provider, modelId], ['v4', 'pilotlight', 'text-embedder']);
  assert.equal(maxEmbeddingsPerCall, Infinity);
  const { embeddings, usage, warnings } = await model.doEmbed({ values: ['a cat', 'a dog'] });
  assert.deepEqual(embeddings, [
    await vectorOf('query: a cat', { dimensions: 8 }),
    await vectorOf('query: a dog', { dimensions: 8 }),
  ]);
  assert.ok(usage.tokens > 4);
  assert.deepEqual(warnings, []);
  const providerOptions = { pilotlight: { prompt: '' }, other: { prompt: 'x' } };
  const own = await model.doEmbed({ values: ['a cat'], dimensions: 4, providerOptions });
  assert.deepEqual(own.embeddings, [await vectorOf('a cat', { dimensions: 4 })]);
  assert.deepEqual((await model.doEmbed({ values: [] })).embeddings, []);
});

test('the AI SDK gets the reason of an abort, and the errors of the package', async () => {
  const model = embeddingModel(embedder);
  const reason = new Error('enough');
  await assert.rejects(model.doEmbed({ values: ['a'], abortSignal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(model.doEmbed({ values: ['a'], dimensions: 99 }), { code: 'INVALID_INPUT' });
});

test('LangChain gets vectors of documents and of queries, each with its prompt', async () => {
  const prompts = { query: 'query: ', document: 'passage: ' };
  const embeddings = new PilotlightEmbeddings(embedder, { prompts });
  assert.deepEqual(await embeddings.embedQuery('a cat'), await vectorOf('query: a cat'));
  assert.deepEqual(await embeddings.embedDocuments(['a cat']), [await vectorOf('passage: a cat')]);
  assert.deepEqual(await embeddings.embedDocuments([]), []);
});

test('Orama gets a vector for each document that has none, and for searches that need one', async () => {
  const plugin = pluginEmbeddings(embedder, { property: 'v', from: ['a', 'b.c'], prompts: { query: 'query: ' } });
  const document = { a: 'one', b: { c: 'two' }, d: 'three' };
  const vector = await vectorOf('one\ntwo');
  await plugin.beforeInsert({}, '1', document);
  assert.deepEqual(document.v, vector);
  const documents = [{ v: [1] }, { a: 'one', b: { c: 'two' } }, { b: null }];
  await plugin.beforeInsertMultiple({}, documents);
  assert.deepEqual(
    documents.map(({ v }) => v),
    [[1], vector, await vectorOf('')],
  );
  const params = { mode: 'vector', term: 'a cat' };
  await plugin.beforeSearch({}, params);
  assert.deepEqual(params.vector, { property: 'v', value: await vectorOf('query: a cat') });
  for (const other of [{ term: 'a cat' }, { mode: 'fulltext', term: 'a cat' }, { mode: 'hybrid' }]) {
    const before = structuredClone(other);
    await plugin.beforeSearch({}, other);
    assert.deepEqual(other, before);
  }
});

test('what is no embedder is refused by name', () => {
  for (const wrong of [undefined, null, {}, Promise.resolve(embedder), 'model']) {
    for (const make of [
      () => embeddingModel(wrong),
      () => new PilotlightEmbeddings(wrong),
      () => pluginEmbeddings(wrong, { from: ['text'] }),
    ]) {
      assert.throws(make, (error) => {
        assert.ok(error instanceof PilotlightError);
        assert.equal(error.code, 'INVALID_INPUT');
        assert.match(error.message, /^embedder: expected a loaded TextEmbedder, got /);
        return true;
      });
    }
  }
  for (const options of [undefined, {}, { from: [] }, { from: 'text' }])
    assert.throws(() => pluginEmbeddings(embedder, options), { code: 'INVALID_INPUT', message: /^from: expected/ });
});
