// The adapters with the real packages: each one's own call for searching finds the text that is meant, with the real MiniLM.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MemoryVectorStore } from '@langchain/classic/vectorstores/memory';
import { Document } from '@langchain/core/documents';
import { create, insert, insertMultiple, search, update } from '@orama/orama';
import { cosineSimilarity, embed, embedMany } from 'ai';
import { embeddingModel } from 'pilotlight/adapters/ai';
import { PilotlightEmbeddings } from 'pilotlight/adapters/langchain';
import { pluginEmbeddings } from 'pilotlight/adapters/orama';
import { startMiniLM } from '../package/support/minilm.mjs';
import { CONSUMERS, ROOT } from './support/consumer.mjs';

const TEXTS = ['The cat sleeps on the sofa.', 'Stock prices fell sharply today.', 'Boil the pasta for ten minutes.'];
/** The queries, each with the index in TEXTS of the text that it means. */
const QUERIES = [
  ['sleeping pets', 0],
  ['financial news', 1],
  ['cooking noodles', 2],
];

let embedder;
let close;
before(async () => {
  ({ embedder, close } = await startMiniLM());
});
after(() => close());

test('the AI SDK embeds, counts tokens and finds the nearest text', async () => {
  const model = embeddingModel(embedder, { modelId: 'all-MiniLM-L6-v2' });
  const { embeddings, usage, warnings } = await embedMany({ model, values: TEXTS });
  const { tokens } = await embedder.embed(TEXTS);
  assert.equal(
    usage.tokens,
    tokens.reduce((a, b) => a + b),
  );
  assert.deepEqual(warnings, []);
  for (const [value, expected] of QUERIES) {
    const { embedding } = await embed({ model, value });
    const scores = embeddings.map((row) => cosineSimilarity(embedding, row));
    assert.equal(scores.indexOf(Math.max(...scores)), expected, value);
  }
});

test('the AI SDK passes an abort on, warns of cut values, and passes the options of a call on', async () => {
  const model = embeddingModel(embedder);
  const aborted = embed({ model, value: 'x', abortSignal: AbortSignal.abort() });
  await assert.rejects(aborted, { name: 'AbortError' });
  const { warnings } = await embedMany({ model, values: ['short', 'word '.repeat(600)] });
  assert.deepEqual(warnings, [{ type: 'other', message: 'values[1] was cut: only its first 256 tokens count' }]);
  const providerOptions = { pilotlight: { prompt: 'query: ' } };
  const { embedding } = await embed({ model, value: 'a cat', providerOptions });
  assert.deepEqual(embedding, Array.from((await embedder.embed('query: a cat')).data));
});

test("LangChain's vector store and its retriever find the document that is meant", async () => {
  const documents = TEXTS.map((pageContent, index) => new Document({ pageContent, metadata: { index } }));
  const store = await MemoryVectorStore.fromDocuments(documents, new PilotlightEmbeddings(embedder));
  const retriever = store.asRetriever(1);
  for (const [query, expected] of QUERIES) {
    const [found] = await retriever.invoke(query);
    assert.equal(found.metadata.index, expected, query);
  }
  const [[best, score]] = await store.similaritySearchWithScore(TEXTS[1], 1);
  assert.equal(best.pageContent, TEXTS[1]);
  assert.ok(score > 0.999, String(score));
});

test('Orama finds documents by vector and hybrid searches, inserted one by one, at once, and updated', async () => {
  const plugin = pluginEmbeddings(embedder, { from: ['title', 'meta.text'] });
  const database = create({
    schema: { title: 'string', meta: { text: 'string' }, embedding: `vector[${embedder.dimensions}]` },
    plugins: [plugin],
  });
  const documents = TEXTS.map((text, index) => ({ id: String(index), title: `Text ${index}`, meta: { text } }));
  await insert(database, documents[0]);
  const ids = await insertMultiple(database, documents.slice(1));
  assert.deepEqual(ids, ['1', '2']);
  for (const mode of ['vector', 'hybrid']) {
    for (const [term, expected] of QUERIES) {
      const { hits } = await search(database, { mode, term, similarity: 0.2, limit: 1 });
      assert.equal(hits[0]?.id, String(expected), `${mode}: ${term}`);
    }
  }
  const { hits } = await search(database, { term: 'pasta' });
  assert.deepEqual(
    hits.map(({ id }) => id),
    ['2'],
  );
  await update(database, '1', { id: '1', title: 'Text 1', meta: { text: 'A dog barks at night.' } });
  const again = await search(database, { mode: 'vector', term: 'a noisy animal', similarity: 0.2, limit: 1 });
  assert.equal(again.hits[0].id, '1');
});

test('Orama: the same parameters search for another term, and a vector of the caller stays', async () => {
  const database = create({
    schema: { text: 'string', embedding: `vector[${embedder.dimensions}]` },
    plugins: [pluginEmbeddings(embedder, { from: ['text'] })],
  });
  await insertMultiple(
    database,
    TEXTS.map((text, index) => ({ id: String(index), text })),
  );
  const params = { mode: 'vector', similarity: 0.2, limit: 1 };
  for (const [term, expected] of QUERIES) {
    params.term = term;
    assert.equal((await search(database, params)).hits[0].id, String(expected), term);
  }
  const value = Array.from((await embedder.embed(TEXTS[0])).data);
  const own = { mode: 'vector', term: TEXTS[2], vector: { property: 'embedding', value }, limit: 1 };
  assert.equal((await search(database, own)).hits[0].id, '0');
});

test("the adapters' types are those that the packages ask for", () => {
  execFileSync(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', CONSUMERS], {
    encoding: 'utf8',
  });
});
