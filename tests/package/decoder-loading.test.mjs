// Decoders from a hub: what is planned, fetched, kept and listed, of all layers and of the first ones, and what `pilotlight pull` makes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Decoder, models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { decoderGolden, difference, seededDecoder } from './support/decoders.mjs';
import { DECODERS, tolerance } from './support/goldens.mjs';
import { mapStore } from './support/map-store.mjs';
import { ROOT, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';

/** The tied one has a norm behind the layers, the other one a head too. */
const SEEDED = {
  'test/tied': seededDecoder('qwen2', { layers: 4 }),
  'test/untied': seededDecoder('llama', { layers: 4 }),
};
const WEIGHTS = 'model.safetensors';
const TEXTS = ['a', 'The pilot light is on.', 'Cafe\u0301 日本', 'first line\nsecond line'];

let hub;
before(async () => {
  hub = await startHub({
    models: { ...SEEDED, ...Object.fromEntries(DECODERS.map((name) => [`test/${name}`, tinyFolder(name)])) },
  });
});
beforeEach(() => {
  hub.setFaults([]);
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (store, more) => ({ host: hub.url, device: 'cpu', dtype: 'f32', store, timeout: 1000, ...more });
const open = (model, store, more) => Decoder.load(model, options(store, more));
/** Bytes of files that were sent, without those of the API. */
const sent = (file = /./) =>
  hub.requests
    .filter(({ url }) => url.includes('/resolve/') && file.test(url))
    .reduce((sum, { bytes }) => sum + bytes, 0);
/** Lets the question after the newest commit, which follows the first answer, come to its end. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 150));
const listed = async (store) =>
  (await models.list({ store }))
    .map(({ dtype, part = 'all', whole }) => `${dtype} ${part}${whole ? '' : ' begun'}`)
    .sort();

/** The bytes of the tensors that layers from `first` on need, and what stands behind these. */
function bytesFrom(files, first) {
  const rest = Object.entries(parse(files[WEIGHTS]).header).filter(([name]) => {
    const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
    return layer === undefined ? /^(model\.norm|lm_head)\./.test(name) : Number(layer) >= first;
  });
  const lengths = rest.map(
    ([
      ,
      {
        data_offsets: [from, to],
      },
    ]) => to - from,
  );
  return { tensors: rest.length, bytes: lengths.reduce((sum, length) => sum + length, 0) };
}

describe('a decoder of a host', () => {
  for (const name of DECODERS) {
    test(`${name} is planned, fetched as planned, and kept whole`, async () => {
      const model = `test/${name}`;
      const store = mapStore();
      const plan = await models.plan(model, options(store));
      assert.deepEqual([plan.class, plan.whole, plan.cachedBytes, plan.fits], ['Decoder', false, 0, true]);
      const sizes = readdirSync(tinyFolder(name)).filter((file) => !file.startsWith('expected'));
      assert.deepEqual(plan.files.map((file) => file.path).sort(), sizes.sort());
      assert.equal(
        plan.fetchBytes,
        sizes.reduce((sum, file) => sum + readFileSync(path.join(tinyFolder(name), file)).length, 0),
      );
      hub.requests.length = 0;
      const events = [];
      const decoder = await open(model, store, { onProgress: (event) => events.push(event) });
      assert.equal(sent(), plan.fetchBytes);
      assert.deepEqual([events.at(-1).status, events.at(-1).verified], ['ready', 'sha256']);
      const likelihoods = await decoder.likelihoods(TEXTS);
      await settle();
      assert.deepEqual(await listed(store), ['f32 all']);
      const [{ bytes }] = await models.list({ store });
      assert.equal(bytes, plan.storeBytes);

      hub.setFaults([{ fault: 'reset' }]);
      hub.requests.length = 0;
      const again = await models.plan(model, options(store));
      assert.deepEqual([again.class, again.whole, again.fetchBytes], ['Decoder', true, 0]);
      const offline = await open(model, store);
      assert.equal(hub.requests.length, 0);
      assert.deepEqual(await offline.likelihoods(TEXTS), likelihoods);
      decoder.dispose();
      offline.dispose();
    });
  }
});

describe('the first layers of a decoder', () => {
  for (const model of Object.keys(SEEDED)) {
    for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
      test(`${model} are its own in ${dtype}, to the bit, and there are no others`, async () => {
        const whole = await open(model, false, { dtype });
        const cut = await open(model, false, { dtype, layers: 2 });
        assert.deepEqual(
          [whole.layers, cut.layers, cut.dimensions, cut.maxTokens],
          [4, 2, whole.dimensions, whole.maxTokens],
        );
        for (const layer of [0, 1, 2]) {
          const wanted = { layer, pool: 'none' };
          assert.deepEqual(await cut.hiddenStates(TEXTS, wanted), await whole.hiddenStates(TEXTS, wanted));
        }
        assert.deepEqual(await cut.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: 2 }));
        const refused = (message) => ({ name: 'PilotlightError', code: 'INVALID_INPUT', message });
        await assert.rejects(cut.hiddenStates('a', { layer: 3 }), refused(/^layer is 3, expected 0 to 2\b/));
        await assert.rejects(cut.likelihoods('a'), refused(/^likelihoods need all layers.*first 2 are loaded$/));
        assert.equal((await whole.likelihoods('a'))[0].ranks.length, 1);
        whole.dispose();
        cut.dispose();
      });
    }

    test(`${model} are planned, fetched, kept, listed and loaded offline without the others`, async () => {
      const files = SEEDED[model];
      const store = mapStore();
      const all = await models.plan(model, options(store));
      const plan = await models.plan(model, options(store, { layers: 2 }));
      assert.deepEqual([plan.class, plan.whole], ['Decoder', false]);
      const { tensors, bytes } = bytesFrom(files, 2);
      assert.ok(bytes > 2.5e6);
      assert.equal(all.fetchBytes - plan.fetchBytes, bytes);
      assert.equal(all.tensors - plan.tensors, tensors);
      assert.ok(plan.storeBytes < all.storeBytes - bytes + 4096 && plan.memoryBytes < all.memoryBytes - bytes + 4096);

      hub.requests.length = 0;
      const events = [];
      const decoder = await open(model, store, { layers: 2, onProgress: (event) => events.push(event) });
      const states = await decoder.hiddenStates(TEXTS);
      // The config is read once more than planned, before the load, for the number of layers.
      assert.equal(sent(), plan.fetchBytes + files['config.json'].length);
      assert.equal(sent(/\.safetensors$/), files[WEIGHTS].length - bytes);
      const { verified, loaded, total } = events.at(-1);
      // A part of a file cannot be checked by the digest of the whole.
      assert.deepEqual([verified, loaded], ['length', total]);
      await settle();
      assert.deepEqual(await listed(store), ['f32 layers2']);
      const [stored] = await models.list({ store });
      assert.ok(Math.abs(stored.bytes - plan.storeBytes) < 4096, `${plan.storeBytes} planned, ${stored.bytes} stored`);

      hub.setFaults([{ fault: 'reset' }]);
      hub.requests.length = 0;
      const again = await models.plan(model, options(store, { layers: 2 }));
      assert.deepEqual([again.class, again.whole, again.fetchBytes], ['Decoder', true, 0]);
      const offline = await open(model, store, { layers: 2 });
      assert.equal(hub.requests.length, 0);
      assert.deepEqual(await offline.hiddenStates(TEXTS), states);
      await assert.rejects(offline.likelihoods('a'), { code: 'INVALID_INPUT' });
      decoder.dispose();
      offline.dispose();
    });
  }

  test('are kept beside all of them, and the whole model where they are all', async () => {
    const store = mapStore();
    for (const layers of [undefined, 1, 3, 4]) {
      const decoder = await open('test/tied', store, { layers });
      assert.equal(decoder.layers, layers ?? 4);
      assert.equal((await decoder.hiddenStates('a')).dims[0], 1);
      await settle();
      decoder.dispose();
    }
    assert.deepEqual(await listed(store), ['f32 all', 'f32 layers1', 'f32 layers3']);
    const keyOf = async (wanted) => (await models.list({ store })).find(({ part }) => part === wanted).key;
    assert.equal(await models.delete(await keyOf('layers1'), { store }), true);
    assert.deepEqual(await listed(store), ['f32 all', 'f32 layers3']);
  });
});

describe('a folder that pull made of a decoder', () => {
  const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
  const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
  let base;
  before(() => (base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-decoder-'))));
  after(() => rmSync(base, { recursive: true }));

  async function pull(model, ...more) {
    const out = mkdtempSync(path.join(base, 'f-'));
    const words = [CLI, 'pull', model, '--host', hub.url, '--out', out, ...more];
    const child = spawn(process.execPath, words, { env: { ...process.env, HF_TOKEN: '' } });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    child.stdout.resume();
    const [code] = await once(child, 'close');
    assert.equal(code, 0, errors);
    return path.join(out, model, 'resolve/main');
  }

  /** Loads from a bucket that has the folder. */
  async function fromBucket(model, folder, more) {
    const bucket = await startHub({ models: { [model]: folder }, traits: { api: false } });
    try {
      const events = [];
      const decoder = await Decoder.load(model, {
        ...options(mapStore(), more),
        host: bucket.url,
        onProgress: (event) => events.push(event),
      });
      return { decoder, verified: events.at(-1).verified };
    } finally {
      await bucket.close();
    }
  }

  for (const name of DECODERS) {
    test(`${name} gives PyTorch’s likelihoods in f32, and in other dtypes those of the checkpoint`, async () => {
      const model = `test/${name}`;
      const { cases, values } = decoderGolden(name);
      for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
        const folder = await pull(model, '--dtype', dtype);
        const weights = readdirSync(folder).filter((file) => file.endsWith('.safetensors'));
        assert.deepEqual(
          [...new Set(weights.map((file) => file.slice(0, `pilotlight-${dtype}`.length)))],
          [`pilotlight-${dtype}`],
        );
        const { decoder, verified } = await fromBucket(model, folder, { dtype });
        assert.equal(verified, 'sha256');
        const all = await decoder.likelihoods(cases.map(({ text }) => text));
        decoder.dispose();
        if (dtype === 'f32') {
          for (const [i, { logProbabilities }] of all.entries())
            assert.ok(difference(logProbabilities, values(`log_probabilities.${i}`)) <= tolerance(name));
        }
        const own = await open(model, false, { dtype });
        assert.deepEqual(all, await own.likelihoods(cases.map(({ text }) => text)));
        own.dispose();
      }
    });
  }

  test('of the first layers has no others', async () => {
    const model = 'test/untied';
    const folder = await pull(model, '--layers', '2', '--dtype', 'f32');
    const weights = readdirSync(folder).filter((file) => file.endsWith('.safetensors'));
    assert.deepEqual(weights, ['pilotlight-f32-layers2.safetensors']);
    const whole = SEEDED[model][WEIGHTS].length;
    const { length } = readFileSync(path.join(folder, weights[0]));
    assert.ok(Math.abs(length - (whole - bytesFrom(SEEDED[model], 2).bytes)) < 65536, `${length} of ${whole} bytes`);
    const { decoder } = await fromBucket(model, folder, { layers: 2 });
    const own = await open(model, false);
    assert.deepEqual(await decoder.hiddenStates(TEXTS), await own.hiddenStates(TEXTS, { layer: 2 }));
    decoder.dispose();
    own.dispose();
  });
});
