import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { models, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { TINY, tolerance } from './support/goldens.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, golden, HUB_MODELS, tinyFolder } from './support/models.mjs';
import { cosine, maxAbsError, row } from './support/vectors.mjs';

let hub;
before(async () => (hub = await startHub({ models: HUB_MODELS, port: 0 })));
after(() => hub.close());

/** Token counts, truncation and every value against PyTorch's; returns the embeddings. */
async function embedCases(embedder, { dimensions, max_tokens, cases }) {
  assert.equal(embedder.dimensions, dimensions);
  // Null where no text is too long.
  assert.equal(embedder.maxTokens, max_tokens ?? Infinity);
  const result = await embedder.embed(cases.map(({ text }) => text));
  assert.deepEqual(result.dims, [cases.length, dimensions]);
  assert.deepEqual(
    result.tokens,
    cases.map(({ ids }) => ids.length),
  );
  assert.deepEqual(
    result.truncated,
    cases.map(({ truncated }) => truncated),
  );
  return result;
}

function assertAllValues(result, cases, name) {
  for (const [i, { text, embedding }] of cases.entries()) {
    const error = maxAbsError(row(result, i), embedding);
    assert.ok(error <= tolerance(name), `max abs error ${error} for ${JSON.stringify(text.slice(0, 60))}`);
  }
}

for (const name of TINY) {
  const expected = golden(name);

  test(`${name} from a host gives PyTorch's values`, async () => {
    const embedder = await TextEmbedder.load(`test/${name}`, { host: hub.url, dtype: 'f32', store: false });
    assertAllValues(await embedCases(embedder, expected), expected.cases, name);
    embedder.dispose();
  });

  test(`${name} from the caller's own bytes gives PyTorch's values without any request`, async () => {
    const { length } = hub.requests;
    const embedder = await TextEmbedder.load(`test/${name}`, {
      host: hub.url,
      files: filesOf(tinyFolder(name)),
      dtype: 'f32',
      store: false,
    });
    assertAllValues(await embedCases(embedder, expected), expected.cases, name);
    assert.equal(hub.requests.length, length);
    embedder.dispose();
  });
}

test('files may be ArrayBuffers, Blobs, Responses and streams', async () => {
  const expected = golden('bert-tiny-mean');
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  files['config.json'] = files['config.json'].buffer;
  files['tokenizer.json'] = new Blob([files['tokenizer.json']]);
  files['modules.json'] = new Response(files['modules.json']);
  files['model.safetensors'] = new Blob([files['model.safetensors']]).stream();
  const embedder = await TextEmbedder.load('test/bert-tiny-mean', { files, dtype: 'f32', store: false });
  assertAllValues(await embedCases(embedder, expected), expected.cases, 'bert-tiny-mean');
  embedder.dispose();
});

describe('all-MiniLM-L6-v2', () => {
  const model = 'sentence-transformers/all-MiniLM-L6-v2';
  const expected = golden('minilm');

  test("f32 gives PyTorch's values", async () => {
    const embedder = await TextEmbedder.load(model, { host: hub.url, dtype: 'f32', store: false });
    assertAllValues(await embedCases(embedder, expected), expected.cases, 'minilm');
    embedder.dispose();
  });

  test("f16 has half of the bytes of f32, and PyTorch's values but for the rounding of weights", async () => {
    const store = mapStore();
    const embedder = await TextEmbedder.load(model, { host: hub.url, dtype: 'f16', store });
    assert.deepEqual([embedder.backend.dtype, embedder.backend.device], ['f16', 'cpu']);
    const result = await embedCases(embedder, expected);
    const cosines = expected.cases.map(({ embedding }, i) => cosine(row(result, i), embedding));
    assert.ok(Math.min(...cosines) >= 0.9999, `least cosine ${Math.min(...cosines)}`);
    const plans = await Promise.all(
      ['f32', 'f16'].map((dtype) => models.plan(model, { host: hub.url, dtype, store: mapStore() })),
    );
    const [whole, half] = plans.map(({ storeBytes }) => storeBytes);
    assert.ok(half < 0.52 * whole, `${half} of ${whole} bytes`);
    // On the CPU they become f32.
    assert.ok(Math.abs(plans[1].memoryBytes / plans[0].memoryBytes - 1) < 0.01, JSON.stringify(plans));
    const [stored] = await models.list({ store });
    assert.equal(stored.dtype, 'f16');
    assert.ok(stored.bytes < 0.52 * whole, `${stored.bytes} of ${whole} bytes`);
    embedder.dispose();

    const again = await TextEmbedder.load(model, { host: hub.url, dtype: 'f16', store });
    assert.deepEqual((await embedCases(again, expected)).data, result.data);
    again.dispose();
  });

  test('q8 stays near PyTorch, and a text has the same bits alone and in any batch', async () => {
    const embedder = await TextEmbedder.load(model, { host: hub.url, dtype: 'q8', store: false });
    const result = await embedCases(embedder, expected);
    const cosines = expected.cases.map(({ embedding }, i) => cosine(row(result, i), embedding));
    const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
    assert.ok(mean >= 0.995, `mean cosine ${mean}`);
    assert.ok(Math.min(...cosines) >= 0.975, `least cosine ${Math.min(...cosines)}`);

    const others = expected.cases.slice(0, 31).map(({ text }) => text);
    const text = 'The pilot light of the stove went out twice on Sunday.';
    const alone = row(await embedder.embed(text), 0);
    const first = row(await embedder.embed([text, ...others]), 0);
    const last = row(await embedder.embed([...others, text]), 31);
    assert.deepEqual(first, alone);
    assert.deepEqual(last, alone);
    embedder.dispose();
  });
});
