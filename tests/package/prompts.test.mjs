// Prompts of sentence encoders: PyTorch's values, and repositories as people have them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ImageTextEmbedder, TextEmbedder } from 'pilotlight';
import { DATA, skipWithout } from '../data.mjs';
import { startHub } from '../hub/hub.mjs';
import { CLIPS, tolerance } from './support/goldens.mjs';
import { filesOf, golden, tinyFolder } from './support/models.mjs';
import { maxAbsError, row } from './support/vectors.mjs';

const PROMPTED = ['bert-tiny-prompt', 'qwen3-tiny-embedder'];

let hub;
before(async () => {
  hub = await startHub({
    models: Object.fromEntries(PROMPTED.map((name) => [`test/${name}`, tinyFolder(name)])),
    port: 0,
  });
});
after(() => hub.close());

const load = (name, files) =>
  TextEmbedder.load(`test/${name}`, { host: hub.url, dtype: 'f32', store: false, ...(files && { files }) });

for (const name of PROMPTED)
  test(`${name}: a prompt by its name, as a text or by default gives PyTorch's values`, async () => {
    const embedder = await load(name);
    const { prompted } = golden(name);
    assert.equal(prompted.length, 3);
    for (const { prompt, cases } of prompted) {
      const texts = cases.map(({ text }) => text);
      const result = await embedder.embed(texts, prompt === null ? {} : { prompt });
      assert.deepEqual(
        result.tokens,
        cases.map(({ ids }) => ids.length),
      );
      for (const [i, { embedding }] of cases.entries()) {
        const error = maxAbsError(row(result, i), embedding);
        assert.ok(error <= tolerance(name), `${prompt}: ${error} for ${JSON.stringify(texts[i])}`);
      }
    }
    embedder.dispose();
  });

for (const name of ['bert-tiny-mean', 'bert-tiny-cls', 'static-tiny-bag'])
  test(`${name}: truncate_dim cuts the vectors, and does not normalize them again`, async () => {
    const files = filesOf(tinyFolder(name));
    const config = new TextEncoder().encode(JSON.stringify({ truncate_dim: 8 }));
    const whole = await load(name, files);
    const cut = await load(name, { ...files, 'config_sentence_transformers.json': config });
    const texts = ['light', 'the light of the fire', 'night'];
    const expected = await whole.embed(texts);
    const got = await cut.embed(texts);
    assert.deepEqual([cut.dimensions, got.dims], [8, [3, 8]]);
    for (let i = 0; i < texts.length; i += 1) assert.deepEqual(row(got, i), row(expected, i).slice(0, 8));
    // Fewer values on demand are those of the cut vectors, with the length 1.
    const four = row(await cut.embed('light', { dimensions: 4 }), 0);
    assert.ok(Math.abs(Math.hypot(...four) - 1) < 1e-6);
    await assert.rejects(cut.embed('light', { dimensions: 9 }), { code: 'INVALID_INPUT' });
    const large = new TextEncoder().encode(JSON.stringify({ truncate_dim: 5000 }));
    const uncut = await load(name, { ...files, 'config_sentence_transformers.json': large });
    assert.equal(uncut.dimensions, whole.dimensions);
    for (const embedder of [whole, cut, uncut]) embedder.dispose();
  });

test('an embedder lists its prompts, its default and how vectors are compared', async () => {
  const embedder = await load('bert-tiny-prompt');
  const name = path.join(tinyFolder('bert-tiny-prompt'), 'config_sentence_transformers.json');
  const file = JSON.parse(readFileSync(name, 'utf8'));
  assert.deepEqual(embedder.prompts, file.prompts);
  assert.equal(embedder.defaultPrompt, file.prompts[file.default_prompt_name]);
  assert.equal(embedder.similarity, file.similarity_fn_name ?? 'cosine');
  assert.deepEqual(embedder.hints, []);
  embedder.dispose();
});

test('a model that needs prompts and names none says so, and gets none unasked', async () => {
  const { 'config_sentence_transformers.json': _, ...files } = filesOf(tinyFolder('bert-tiny-prompt'));
  const named = (model) => TextEmbedder.load(model, { files, dtype: 'f32', store: false });
  for (const [model, hint] of [
    ['intfloat/multilingual-e5-small', /'query: ' before a query and 'passage: '/],
    ['BAAI/bge-small-en-v1.5', /Represent this sentence/],
    ['nomic-ai/nomic-embed-text-v1.5', /'search_document: '/],
  ]) {
    const embedder = await named(model);
    assert.equal(embedder.hints.length, 1);
    assert.match(embedder.hints[0], hint);
    assert.ok(embedder.hints[0].startsWith(`${model}: `));
    assert.deepEqual([embedder.prompts, embedder.defaultPrompt], [{}, '']);
    embedder.dispose();
  }
  const plain = await named('owner/some-model');
  assert.deepEqual(plain.hints, []);
  plain.dispose();
});

test('an empty prompt is none, also where there is a default', async () => {
  const embedder = await load('bert-tiny-prompt');
  const { data } = await embedder.embed('light', { prompt: '' });
  assert.deepEqual(data, (await embedder.embed('light', { prompt: 'passage' })).data);
  assert.notDeepEqual(data, (await embedder.embed('light')).data);
  embedder.dispose();
});

test('a prompt that is no text, and one for a model that has none, are refused', async () => {
  const embedder = await load('bert-tiny-prompt');
  await assert.rejects(embedder.embed('light', { prompt: 7 }), { code: 'INVALID_INPUT', message: /^prompt is number/ });
  embedder.dispose();
  const clip = await ImageTextEmbedder.load('test/clip', { files: filesOf(tinyFolder(CLIPS[0])), towers: ['text'] });
  await assert.rejects(clip.embedTexts('light', { prompt: 'query' }), { code: 'INVALID_INPUT', message: /^prompt: / });
  clip.dispose();
});

test('a broken file of prompts is named', async () => {
  const name = 'config_sentence_transformers.json';
  const files = { ...filesOf(tinyFolder('bert-tiny-prompt')), [name]: new TextEncoder().encode('{"prompts":[]}') };
  await assert.rejects(load('bert-tiny-prompt', files), { code: 'INVALID_WEIGHTS', message: new RegExp(`^${name}`) });
});

for (const name of ['pooling-lasttoken', 'default-prompt', 'include-prompt-false']) {
  const folder = `../cases/${name}`;
  test(`${name}, as sentence-transformers saves it, gives its vectors`, {
    skip: skipWithout(`${folder}/expected.json`),
  }, async () => {
    const { texts, vectors } = JSON.parse(readFileSync(path.join(DATA, folder, 'expected.json'), 'utf8'));
    const embedder = await load(name, filesOf(path.join(DATA, folder)));
    const result = await embedder.embed(texts);
    // The vectors are written with seven digits.
    for (const [i, vector] of vectors.entries()) assert.ok(maxAbsError(row(result, i), vector) <= 2e-6, texts[i]);
    embedder.dispose();
  });
}
