// Tests CLIP from ONNX files of a hub that have one tower each, or both: the fetched files, the plan, and the needs of classify.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { ImageTextEmbedder, models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';

const TEXT = 'onnx/text_model.onnx';
const IMAGE = 'onnx/vision_model.onnx';
const TEXT_HALF = 'onnx/text_model_fp16.onnx';
const IMAGE_HALF = 'onnx/vision_model_fp16.onnx';
const BOTH = 'onnx/model_fp16.onnx';
const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const SIZES = Object.fromEntries(
  [TEXT, IMAGE, BOTH].map((name) => [
    name,
    readFileSync(path.join(tinyFolder('onnx/clip'), path.basename(name))).length,
  ]),
);

let hub;
before(async () => {
  const { 'model.safetensors': _, ...configs } = filesOf(tinyFolder('clip-tiny'));
  const files = filesOf(tinyFolder('onnx/clip'));
  const of = (...names) => Object.fromEntries(names.map((name) => [name, files[path.basename(name)]]));
  hub = await startHub({
    models: {
      'test/towers': { ...configs, ...of(TEXT, IMAGE) },
      // The loader recognizes the files by their names.
      'test/all': {
        ...configs,
        ...of(BOTH),
        [TEXT_HALF]: files['text_model.onnx'],
        [IMAGE_HALF]: files['vision_model.onnx'],
      },
    },
  });
});
beforeEach(() => {
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (more) => ({ host: hub.url, device: 'cpu', dtype: 'q8', store: false, ...more });
const PICTURE = new Uint8Array(readFileSync(path.join(tinyFolder('resize'), '24x24.png')));

/** The ONNX files that the hub was asked for. */
const asked = () => {
  const names = hub.requests.map(({ url }) => url.split('/resolve/')[1]?.split('/').slice(1).join('/') ?? '');
  return [...new Set(names.filter((name) => name.endsWith('.onnx')))].sort();
};

for (const [towers, files] of [
  [['text'], [TEXT]],
  [['image'], [IMAGE]],
  [
    ['text', 'image'],
    [TEXT, IMAGE],
  ],
]) {
  test(`of ${towers}, only those files are planned and fetched`, async () => {
    const plan = await models.plan('test/towers', options({ towers }));
    const planned = plan.files.filter(({ path: name }) => name.endsWith('.onnx'));
    assert.deepEqual(
      planned.map(({ path: name }) => name),
      files,
    );
    // The description of a tensor stands before its values; small files are read nearly whole.
    for (const { path: name, bytes } of planned)
      assert.ok(bytes > SIZES[name] / 2 && bytes <= SIZES[name] * 2, `${bytes}`);
    hub.requests.length = 0;
    const embedder = await ImageTextEmbedder.load('test/towers', options({ towers }));
    assert.deepEqual(asked(), files);
    assert.deepEqual(embedder.towers, towers);
    embedder.dispose();
  });
}

test('classify needs a file of both towers, and says so', async () => {
  const labels = ['a cat', 'a dog'];
  const towers = await ImageTextEmbedder.load('test/towers', options());
  await assert.rejects(towers.classify(PICTURE, labels), { code: 'UNSUPPORTED_MODEL', tensor: 'logit_scale' });
  assert.equal((await towers.embedTexts(labels)).dims[0], 2);
  towers.dispose();
  hub.requests.length = 0;
  const all = await ImageTextEmbedder.load('test/all', options());
  assert.deepEqual(asked(), [BOTH, IMAGE_HALF]);
  const scores = await all.classify(PICTURE, labels);
  assert.ok(Math.abs(scores[0].score + scores[1].score - 1) < 1e-6);
  all.dispose();
});

test('a text tower that is kept alone does not keep classify from working', async () => {
  const store = mapStore();
  const alone = await ImageTextEmbedder.load('test/all', options({ store, towers: ['text'] }));
  assert.deepEqual(asked(), [TEXT_HALF]);
  alone.dispose();
  const both = await ImageTextEmbedder.load('test/all', options({ store }));
  assert.equal((await both.classify(PICTURE, ['a cat', 'a dog'])).length, 2);
  both.dispose();
  hub.requests.length = 0;
  const again = await ImageTextEmbedder.load('test/all', options({ store }));
  assert.deepEqual(asked(), []);
  assert.equal((await again.classify(PICTURE, ['a cat'])).length, 1);
  again.dispose();
});

test('the command line tells the files of both towers', async () => {
  const { bin } = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8'));
  const words = [path.join(PACKAGE, bin.pilotlight), 'check', 'test/towers', '--host', hub.url];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  assert.match(stdout, /onnx\/text_model\.onnx/);
  assert.match(stdout, /onnx\/vision_model\.onnx/);
});
