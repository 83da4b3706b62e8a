/** Every task in workerd, with files in R2: answers are those of Node. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TextClassifier } from 'pilotlight';
import { deployed } from './support/bundle.ts';
import { embedderOf, filesOf, inFolder, type Json, type ModelHost, modelHost, tinyFolder } from './support/models.ts';
import { NAME, type RunningWorker, startWorker } from './support/worker.ts';

/** The tiny models by their tasks. */
const TINY = {
  tiny: ['embed', 'bert-tiny-mean'],
  labels: ['classify', 'bert-tiny-classifier'],
  ranks: ['rerank', 'bert-tiny-reranker'],
  images: ['embed-image', 'clip-tiny'],
  words: ['embed', 'clip-tiny'],
  whole: ['detect', 'bert-tiny-classifier'],
} as const;
const draw = { task: 'digits', run: 'local' };
const more = (id: string): object => (id === 'words' ? { tower: 'text' } : {});

let worker: RunningWorker;
let key: string;
let near: ModelHost;

before(async () => {
  const inBucket = Object.entries(TINY).map(([id, [task, name]]) => [
    id,
    { task, run: 'local', source: `r2:test/${name}`, ...more(id) },
  ]);
  const MODELS = JSON.stringify({ models: { ...Object.fromEntries(inBucket), draw } });
  worker = await startWorker({ bundle: await deployed('src/hosts/cloudflare-all.ts'), vars: { MODELS } });
  key = await worker.key();
  const bucket = await worker.miniflare.getR2Bucket('R2', NAME);
  for (const name of new Set(Object.values(TINY).map(([, name]) => name)))
    for (const [file, bytes] of Object.entries(filesOf(tinyFolder(name))))
      await bucket.put(`test/${name}/${file}`, bytes);
  const inFolders = Object.entries(TINY).map(([id, [task, name]]) => [
    id,
    inFolder(task, tinyFolder(name), `test/${name}`, more(id)),
  ]);
  near = await modelHost({ models: { ...Object.fromEntries(inFolders), draw } });
});
after(async () => {
  await near?.[Symbol.asyncDispose]();
  await worker?.[Symbol.asyncDispose]();
});

const far = async (method: string, path: string, body?: object, accept = 'application/json'): Promise<Response> =>
  fetch(new URL(path, worker.url), {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept },
    ...(body && { body: JSON.stringify(body) }),
  });

test('embeddings, labels, reranking, images, words, detection and digits', async () => {
  const png = Buffer.from(await (await far('POST', '/v1/digits', { digit: 4, seed: 3 }, 'image/png')).arrayBuffer());
  const own = await near.call('POST', '/v1/digits', { json: { digit: 4, seed: 3 }, headers: { accept: 'image/png' } });
  assert.equal(png.subarray(1, 4).toString(), 'PNG');
  assert.equal(
    Buffer.from(await own.arrayBuffer())
      .subarray(1, 4)
      .toString(),
    'PNG',
  );
  const requests: [string, object][] = [
    ['/v1/embeddings', { model: 'tiny', input: ['The quick brown fox', 'naïve café 日本語'] }],
    ['/v1/embeddings', { model: 'words', input: ['a red square', 'two blue circles'] }],
    ['/v1/images/embeddings', { model: 'images', input: `data:image/png;base64,${png.toString('base64')}` }],
    ['/v1/classify', { model: 'labels', input: ['a text', 'another'] }],
    ['/v1/rerank', { model: 'ranks', query: 'light', documents: ['a lamp', 'bread', 'the sun'], top_n: 3 }],
    ['/v1/detect', { model: 'whole', input: 'A text of a few words.' }],
    ['/v1/digits', { text: '42', seed: 7, steps: 3 }],
  ];
  for (const [path, body] of requests) {
    const response = await far('POST', path, body);
    const answer = (await response.json()) as Json;
    assert.equal(response.status, 200, `${path}: ${JSON.stringify(answer)}`);
    const expected = (await near.post(path, body)).json;
    // One core computes in both, and it is the same to the bit.
    assert.deepEqual(answer, expected, path);
  }
});

test('a form of images', async () => {
  const png = Buffer.from(await (await far('POST', '/v1/digits', { digit: 4, seed: 3 }, 'image/png')).arrayBuffer());
  const form = new FormData();
  form.set('model', 'images');
  form.append('image', new Blob([png]), 'four.png');
  const response = await fetch(new URL('/v1/images/embeddings', worker.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: form,
  });
  const answer = (await response.json()) as Json;
  assert.equal(response.status, 200, JSON.stringify(answer));
  const url = `data:image/png;base64,${png.toString('base64')}`;
  const asJson = await (await far('POST', '/v1/images/embeddings', { model: 'images', input: url })).json();
  assert.deepEqual(answer.data, (asJson as Json).data);
});

test('a head is put, used by the next request, and deleted', async () => {
  const embedder = await embedderOf(tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean');
  const examples = ['book a table', 'a seat for two', 'cancel it', 'we cannot come'].map((text, i) => ({
    text,
    label: i < 2 ? 'book' : 'cancel',
  }));
  const classifier = await TextClassifier.fit(embedder, examples);
  const put = await far('PUT', '/admin/heads/intents', classifier.toJSON());
  assert.equal(put.status, 200, await put.clone().text());
  const response = await far('POST', '/v1/route', { model: 'intents', input: examples.map(({ text }) => text) });
  const { data } = (await response.json()) as Json;
  assert.deepEqual(
    data.map(({ route }: Json) => route),
    examples.map(({ label }) => label),
  );
  classifier.dispose();
  embedder.dispose();
  assert.equal((await far('DELETE', '/admin/heads/intents')).status, 200);
  assert.equal((await far('POST', '/v1/route', { model: 'intents', input: 'a' })).status, 404);
});
