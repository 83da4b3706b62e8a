/** Embeddings by the routes: vectors are those of the package, and requests that cannot be answered say why. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { embedderOf, inFolder, type ModelHost, modelHost, tinyFolder } from './support/models.ts';
import { lacking, MINILM } from './support/needs.ts';

const TEXTS = ['The quick brown fox', 'jumps over the lazy dog', '', 'naïve café 日本語'];

const tiny = inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean', { max_items: 8, dtype: 'f32' });

let host: ModelHost;
before(async () => {
  const models = { tiny, prompted: inFolder('embed', tinyFolder('bert-tiny-prompt'), 'test/bert-tiny-prompt') };
  host = await modelHost({ models });
});
after(() => host[Symbol.asyncDispose]());

const floats = (base64: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);

test('floats and base64 are the package’s own vectors, to the bit', async () => {
  const embedder = await embedderOf(tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean', { dtype: 'f32' });
  const { data, dims, tokens } = await embedder.embed(TEXTS);
  embedder.dispose();
  const { status, json } = await host.post('/v1/embeddings', { model: 'tiny', input: TEXTS });
  assert.equal(status, 200);
  assert.equal(json.object, 'list');
  assert.deepEqual(
    json.data.map((one: { index: number; object: string }) => [one.index, one.object]),
    TEXTS.map((_, index) => [index, 'embedding']),
  );
  assert.deepEqual(
    json.data.flatMap((one: { embedding: number[] }) => one.embedding),
    Array.from(data),
  );
  const total = tokens.reduce((a, b) => a + b, 0);
  assert.deepEqual(json.usage, { prompt_tokens: total, total_tokens: total });
  const packed = await host.post('/v1/embeddings', { model: 'tiny', input: TEXTS, encoding_format: 'base64' });
  const rows = packed.json.data.map((one: { embedding: string }) => floats(one.embedding));
  assert.deepEqual(
    rows,
    TEXTS.map((_, i) => data.slice(i * dims[1], (i + 1) * dims[1])),
  );
});

test('one text and a list of one are the same, and what a batch has besides changes no bit', async () => {
  const one = await host.post('/v1/embeddings', { model: 'tiny', input: TEXTS[1] });
  const list = await host.post('/v1/embeddings', { model: 'tiny', input: [TEXTS[1]] });
  const many = await host.post('/v1/embeddings', { model: 'tiny', input: [TEXTS[0], TEXTS[1]] });
  assert.deepEqual(one.json.data, list.json.data);
  assert.deepEqual(one.json.data[0].embedding, many.json.data[1].embedding);
});

test('fewer dimensions are the first values, normalized; more than there are is refused', async () => {
  const { json } = await host.post('/v1/embeddings', { model: 'tiny', input: 'x', dimensions: 8 });
  assert.equal(json.data[0].embedding.length, 8);
  assert.ok(Math.abs(Math.hypot(...json.data[0].embedding) - 1) < 1e-5);
  const { status, json: refused } = await host.post('/v1/embeddings', { model: 'tiny', input: 'x', dimensions: 4096 });
  assert.equal(status, 400);
  assert.deepEqual([refused.error.code, refused.error.param], ['invalid_request', 'dimensions']);
});

test('a text that is too long is cut and named in a header, or refused where it must not be cut', async () => {
  const long = 'word '.repeat(2000);
  const { status, headers } = await host.post('/v1/embeddings', { model: 'tiny', input: ['a', long, 'b', long] });
  assert.equal(status, 200);
  assert.equal(headers.get('x-truncated'), '1,3');
  const short = await host.post('/v1/embeddings', { model: 'tiny', input: ['a'] });
  assert.equal(short.headers.get('x-truncated'), null);
  const refused = await host.post('/v1/embeddings', { model: 'tiny', input: ['a', long], truncate: false });
  assert.equal(refused.status, 400);
  assert.equal(refused.json.error.param, 'input[1]');
});

test('a prompt of the request is put before each text', async () => {
  const embedder = await embedderOf(tinyFolder('bert-tiny-prompt'), 'test/bert-tiny-prompt');
  const { data } = await embedder.embed('light', { prompt: 'query: ' });
  const bare = await embedder.embed('light', { prompt: '' });
  embedder.dispose();
  const { json } = await host.post('/v1/embeddings', { model: 'prompted', input: 'light', prompt: 'query: ' });
  assert.deepEqual(json.data[0].embedding, Array.from(data));
  assert.notDeepEqual(json.data[0].embedding, Array.from(bare.data));
});

describe('what cannot be answered is refused with the field', () => {
  const cases: [string, object, string, RegExp][] = [
    ['token numbers', { model: 'tiny', input: [1, 2, 3] }, 'input', /token numbers are not taken/],
    ['lists of token numbers', { model: 'tiny', input: [[1, 2], [3]] }, 'input', /token numbers are not taken/],
    ['an empty list', { model: 'tiny', input: [] }, 'input', /1 to/],
    ['a list of other things', { model: 'tiny', input: ['a', null] }, 'input', /a string, or 1 to/],
    ['no input', { model: 'tiny' }, 'input', /missing/],
    ['too many texts', { model: 'tiny', input: Array(9).fill('a') }, 'input', /at most 8 items, got 9/],
    ['an unknown field', { model: 'tiny', input: 'a', inputs: 'b' }, 'inputs', /unknown field/],
    ['another format', { model: 'tiny', input: 'a', encoding_format: 'int8' }, 'encoding_format', /base64/],
    [
      'a text without end',
      { model: 'tiny', input: ['a', 'x'.repeat(200_001)] },
      'input',
      /each of at most 200000 characters/,
    ],
    ['no dimensions', { model: 'tiny', input: 'a', dimensions: 0 }, 'dimensions', /from 1/],
  ];
  for (const [name, body, param, message] of cases)
    test(name, async () => {
      const { status, json } = await host.post('/v1/embeddings', body);
      assert.equal(status, 400);
      assert.equal(json.error.param, param);
      assert.match(json.error.message, message);
    });
});

test('an unknown model, and one for another task, are 404 with the names there are', async () => {
  for (const model of ['nope', 'constructor']) {
    const { status, json } = await host.post('/v1/embeddings', { model, input: 'a' });
    assert.equal(status, 404);
    assert.deepEqual([json.error.code, json.error.param], ['model_not_found', 'model']);
    assert.match(json.error.message, /there are tiny, prompted/);
  }
  const { status, json } = await host.post('/v1/classify', { model: 'tiny', input: 'a' });
  assert.equal(status, 404);
  assert.match(json.error.message, /is for embed, not classify; for classify there is none/);
});

test('similarity is the cosine of the vectors', async () => {
  const { json } = await host.post('/v1/similarity', {
    model: 'tiny',
    source: TEXTS[0],
    sentences: [TEXTS[0], TEXTS[1]],
  });
  const { json: vectors } = await host.post('/v1/embeddings', { model: 'tiny', input: TEXTS.slice(0, 2) });
  const [a, b] = vectors.data.map((one: { embedding: number[] }) => one.embedding);
  const dot = a.reduce((sum: number, x: number, i: number) => sum + x * b[i], 0);
  assert.equal(json.data[0].index, 0);
  assert.ok(Math.abs(json.data[0].score - 1) < 1e-6);
  assert.ok(Math.abs(json.data[1].score - dot) < 1e-6);
});

test('Ollama’s route gives the same vectors, and takes what its clients send', async () => {
  const body = { model: 'tiny:latest', input: TEXTS[0], keep_alive: '5m', options: { num_ctx: 512 } };
  const { status, json } = await host.post('/api/embed', body);
  assert.equal(status, 200);
  const { json: own } = await host.post('/v1/embeddings', { model: 'tiny', input: TEXTS[0] });
  assert.deepEqual(json.embeddings, [own.data[0].embedding]);
  assert.equal(json.prompt_eval_count, own.usage.prompt_tokens);
  assert.ok(json.total_duration > 0);
});

test('events tell model, run, items and tokens, and nothing of the texts', async () => {
  host.events.list.length = 0;
  const { json } = await host.post('/v1/embeddings', { model: 'tiny', input: ['canary one', 'canary two'] });
  const [event] = host.events.list;
  assert.deepEqual([event?.model, event?.run, event?.items], ['tiny', 'local', 2]);
  assert.equal(event?.tokens, json.usage.total_tokens);
  assert.doesNotMatch(JSON.stringify(event), /canary/);
});

describe('the real MiniLM', { skip: lacking('minilm') }, () => {
  test('256 texts are cut into slices whose vectors are the package’s own, and a single text is served between them', async () => {
    const minilm = inFolder('embed', MINILM, 'sentence-transformers/all-MiniLM-L6-v2', { memory_mb: 64 });
    await using real = await modelHost({ models: { minilm } });
    const texts = Array.from(
      { length: 256 },
      (_, i) => `${i}. A sentence about ${['light', 'water', 'bread'][i % 3]}.`,
    );
    await real.post('/v1/embeddings', { model: 'minilm', input: 'the first load' });
    let isBatchDone = false;
    const batch = real
      .post('/v1/embeddings', { model: 'minilm', input: texts, encoding_format: 'base64' })
      .then((all) => {
        isBatchDone = true;
        return all;
      });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const single = await real.post('/v1/embeddings', { model: 'minilm', input: texts[255] });
    assert.equal(isBatchDone, false, 'the single text waited for the whole batch');
    const { json } = await batch;
    const embedder = await embedderOf(MINILM, 'sentence-transformers/all-MiniLM-L6-v2');
    const { data } = await embedder.embed(texts);
    embedder.dispose();
    const rows = json.data.flatMap((one: { embedding: string }) => Array.from(floats(one.embedding)));
    assert.deepEqual(rows, Array.from(data));
    assert.deepEqual(single.json.data[0].embedding, Array.from(data.subarray(255 * 384)));
  });
});
