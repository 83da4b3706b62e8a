// Tests models from ONNX files of a hub: the choice among several, the plan, and the stored files.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { models, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, golden, ROOT, tinyFolder } from './support/models.mjs';
import { maxAbsError } from './support/vectors.mjs';

const WEIGHTS = 'model.safetensors';
const FUSED = 'onnx/model_O4.onnx';
const BYTES = 'onnx/model_quint8_avx2.onnx';
const SINGLE = 'onnx/model.onnx';
const DATA = 'onnx/model.onnx_data';
const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const NAME = 'bert-tiny-mean';
const read = (name) => new Uint8Array(readFileSync(path.join(tinyFolder('onnx'), name)));

let hub;
before(async () => {
  const files = filesOf(tinyFolder(NAME));
  const { [WEIGHTS]: _, ...configs } = files;
  const each = { [SINGLE]: read('model.onnx'), [FUSED]: read('model_O4.onnx'), [BYTES]: read('model_O2_quint8.onnx') };
  hub = await startHub({
    models: {
      'test/all': { ...files, ...each },
      'test/unnamed': { ...files, [FUSED]: read('model_O4.onnx').slice(0, 2000) },
      'test/split': { ...configs, [SINGLE]: read('split/model.onnx'), [DATA]: read('split/model.onnx_data') },
    },
  });
});
beforeEach(() => {
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (more) => ({ host: hub.url, device: 'cpu', dtype: 'q8', store: false, ...more });

async function embed(model, more) {
  const { cases } = golden(NAME);
  const embedder = await TextEmbedder.load(model, options(more));
  const { data } = await embedder.embed(cases.map(({ text }) => text));
  embedder.dispose();
  const expected = cases.flatMap(({ embedding }) => embedding);
  return maxAbsError(data, expected);
}

/** The files with weights that the hub was asked for. */
const asked = () => {
  const names = hub.requests.map(({ url }) => url.split('/resolve/')[1]?.split('/').slice(1).join('/') ?? '');
  return [...new Set(names.filter((name) => /\.(onnx|onnx_data|safetensors)$/.test(name)))].sort();
};

describe('of a repository with each kind of file', () => {
  for (const [what, more, file, lossy, error] of [
    ['q8 takes the one in float16', {}, FUSED, false, 0.05],
    ['q4 too', { dtype: 'q4' }, FUSED, false, 0.3],
    ['f32 takes what was not rounded', { dtype: 'f32' }, WEIGHTS, false, 2e-5],
    ['lossy takes that in 8 bits', { lossy: true }, BYTES, true, 0.1],
    ['lossy weights in f32 are those of the file', { lossy: true, dtype: 'f32' }, BYTES, true, 0.1],
    ['weights may be safetensors', { weights: 'safetensors', lossy: true }, WEIGHTS, false, 0.05],
    ['weights may be ONNX', { weights: 'onnx', dtype: 'f32' }, SINGLE, false, 2e-5],
    ['a name counts as asking', { weights: BYTES }, BYTES, true, 0.1],
  ]) {
    test(what, async () => {
      const plan = await models.plan('test/all', options(more));
      assert.deepEqual([plan.files.at(-1).path, plan.lossy], [file, lossy]);
      hub.requests.length = 0;
      const found = await embed('test/all', more);
      assert.deepEqual(asked(), [file]);
      assert.ok(found <= error, `${found}`);
    });
  }

  test('lossy models are kept by themselves', async () => {
    const store = mapStore();
    await embed('test/all', { store });
    await embed('test/all', { store, lossy: true });
    await embed('test/all', { store, lossy: true, weights: 'onnx' });
    const listed = await models.list({ store });
    assert.deepEqual(new Set(listed.map(({ weights }) => weights)), new Set([undefined, 'lossy', 'onnx-lossy']));
    hub.requests.length = 0;
    await embed('test/all', { store, lossy: true });
    assert.equal(hub.requests.length, 0);
    const plan = await models.plan('test/all', options({ store, lossy: true }));
    assert.deepEqual([plan.whole, plan.lossy], [true, false]);
  });

  test('lossy that is no boolean is refused', async () => {
    await assert.rejects(embed('test/all', { lossy: 'yes' }), { code: 'INVALID_INPUT', message: /lossy/ });
  });
});

test('the command line takes and tells it', async () => {
  const { bin } = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8'));
  const check = async (...more) => {
    const words = [path.join(PACKAGE, bin.pilotlight), 'check', 'test/all', '--host', hub.url, ...more];
    return (await promisify(execFile)(process.execPath, words)).stdout;
  };
  const lossy = /model_quint8_avx2\.onnx .*\n +whose weights have 8 bits or fewer/;
  assert.match(await check('--lossy'), lossy);
  assert.doesNotMatch(await check(), /8 bits/);
});

test('a file that is broken makes room for the next', async () => {
  const plan = await models.plan('test/unnamed', options());
  assert.equal(plan.files.at(-1).path, WEIGHTS);
  const found = await embed('test/unnamed', {});
  assert.deepEqual(asked(), [WEIGHTS, FUSED].sort());
  assert.ok(found < 0.05, `${found}`);
  await assert.rejects(embed('test/unnamed', { weights: FUSED }), { code: 'INVALID_WEIGHTS', file: FUSED });
});

test('values may be in a file beside the graph', async () => {
  const store = mapStore();
  const plan = await models.plan('test/split', options({ store, dtype: 'f32' }));
  assert.deepEqual(
    plan.files.slice(-2).map(({ path: name }) => name),
    [SINGLE, DATA],
  );
  assert.ok((await embed('test/split', { store, dtype: 'f32' })) <= 2e-5);
  assert.deepEqual(asked(), [SINGLE, DATA]);
  hub.requests.length = 0;
  await embed('test/split', { store, dtype: 'f32' });
  assert.equal(hub.requests.length, 0);
});
