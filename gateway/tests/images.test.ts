/** Images as data URLs and as a form: vectors are the package's, and nothing is fetched. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DigitGenerator, ImageTextEmbedder } from 'pilotlight';
import { keyFor } from './support/app.ts';
import { filesOf, inFolder, type Json, type ModelHost, modelHost, tinyFolder } from './support/models.ts';

const CLIP = tinyFolder('clip-tiny');

let host: ModelHost;
let images: Uint8Array<ArrayBuffer>[];
let expected: number[][];
before(async () => {
  host = await modelHost({ models: { clip: inFolder('embed-image', CLIP, 'test/clip-tiny', { max_items: 4 }) } });
  const generator = await DigitGenerator.load();
  const drawn = await generator.generate({ text: '123', seed: 1 });
  images = await Promise.all([0, 1, 2].map(async (i) => new Uint8Array(await (await drawn.toBlob(i)).arrayBuffer())));
  generator.dispose();
  const options = { files: filesOf(CLIP), device: 'cpu', dtype: 'q8', store: false, towers: ['image'] } as const;
  const embedder = await ImageTextEmbedder.load('test/clip-tiny', options);
  const { data, dims } = await embedder.embedImages(images);
  expected = images.map((_, i) => Array.from(data.slice(i * dims[1], (i + 1) * dims[1])));
  embedder.dispose();
});
after(() => host[Symbol.asyncDispose]());

const dataUrl = (bytes: Uint8Array): string => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
const vectorsIn = (json: Json): number[][] => json.data.map((one: Json) => one.embedding);

test('data URLs', async () => {
  const { status, json } = await host.post('/v1/images/embeddings', { model: 'clip', input: images.map(dataUrl) });
  assert.equal(status, 200, JSON.stringify(json));
  assert.deepEqual(vectorsIn(json), expected);
  const one = await host.post('/v1/images/embeddings', { model: 'clip', input: dataUrl(images[1] as Uint8Array) });
  assert.deepEqual(vectorsIn(one.json), [expected[1]]);
  assert.equal(host.events.list.at(-1)?.items, 1);
});

function formOf(fields: Record<string, string>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  for (const [i, image] of images.entries()) form.append('image', new Blob([image]), `${i}.png`);
  return form;
}

test('a form with files', async () => {
  const response = await host.call('POST', '/v1/images/embeddings', { body: formOf({ model: 'clip' }) });
  assert.equal(response.status, 200);
  assert.deepEqual(vectorsIn(await response.json()), expected);
  const short = await host.call('POST', '/v1/images/embeddings', { body: formOf({ model: 'clip', dimensions: '8' }) });
  assert.deepEqual(
    vectorsIn(await short.json()).map(({ length }) => length),
    [8, 8, 8],
  );
});

test('a form of a model that the key may not use is refused', async () => {
  const key = await keyFor(host, { models: ['other'] });
  const response = await host.call('POST', '/v1/images/embeddings', { key, body: formOf({ model: 'clip' }) });
  assert.equal(response.status, 403);
});

test('what is wrong is named', async () => {
  const url = dataUrl(images[0] as Uint8Array);
  const cases: [object, string, RegExp][] = [
    [{ model: 'clip', input: 'https://example.com/cat.png' }, 'input', /addresses are not fetched/],
    [{ model: 'clip', input: [url, 'file:///etc/passwd'] }, 'input', /addresses are not fetched/],
    [{ model: 'clip', input: 'data:text/html;base64,AAAA' }, 'input', /data URL/],
    [{ model: 'clip', input: 'data:image/png;base64,%%%' }, 'input[0]', /base64/],
    [{ model: 'clip', input: [url, 'data:image/png;base64,AAAA'] }, 'input[1]', /image/],
    [{ model: 'clip', input: Array(5).fill(url) }, 'input', /at most 4 items, got 5/],
    [{ model: 'clip', input: url, dimensions: 9999 }, 'dimensions', /at most the/],
  ];
  for (const [body, param, message] of cases) {
    const { status, json } = await host.post('/v1/images/embeddings', body);
    assert.deepEqual([status, json.error.param], [400, param], JSON.stringify(json));
    assert.match(json.error.message, message);
  }
  const forms: [FormData | string, string | null, number][] = [
    [formOf({}), 'model', 400],
    [formOf({ model: 'clip', surprise: '1' }), 'surprise', 400],
    [formOf({ model: 'clip', dimensions: 'many' }), 'dimensions', 400],
    [formOf({ model: 'none' }), 'model', 404],
    ['no form', null, 400],
  ];
  for (const [body, param, status] of forms) {
    const headers = typeof body === 'string' ? { 'content-type': 'multipart/form-data; boundary=x' } : {};
    const response = await host.call('POST', '/v1/images/embeddings', { body, headers });
    const json = (await response.json()) as Json;
    assert.deepEqual([response.status, json.error.param], [status, param], JSON.stringify(json));
  }
  const empty = new FormData();
  empty.set('model', 'clip');
  const response = await host.call('POST', '/v1/images/embeddings', { body: empty });
  assert.equal(((await response.json()) as Json).error.message, 'input: expected one file or several');
});

test('the text tower of the same model encodes texts as the package does', async () => {
  const texts = ['a red square', 'two blue circles', ''];
  const model = inFolder('embed', CLIP, 'test/clip-tiny', { tower: 'text' });
  await using own = await modelHost({ models: { words: model } });
  const { status, json } = await own.post('/v1/embeddings', { model: 'words', input: texts });
  assert.equal(status, 200, JSON.stringify(json));
  const options = { files: filesOf(CLIP), device: 'cpu', dtype: 'q8', store: false, towers: ['text'] } as const;
  const embedder = await ImageTextEmbedder.load('test/clip-tiny', options);
  const { data, tokens } = await embedder.embedTexts(texts);
  embedder.dispose();
  assert.deepEqual(vectorsIn(json).flat(), Array.from(data));
  assert.equal(
    json.usage.prompt_tokens,
    tokens.reduce((a, b) => a + b, 0),
  );
});
