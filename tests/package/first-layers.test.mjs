// Models of which only the first layers are loaded: what is fetched, kept and listed, and that they compute what the whole one does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { models, TextClassifier, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import {
  FILES,
  hub,
  listed,
  open,
  options,
  REAL,
  SEEDED,
  SHARDS,
  sent,
  settle,
  setUp,
  TEXTS,
  WEIGHTS,
} from './support/layers.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, MINILM, ROOT, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';
import { seededBert } from './support/seeded-bert.mjs';
import { keysOf, packedTokenizers } from './support/store-keys.mjs';
import { maxAbsError, normalized } from './support/vectors.mjs';

setUp();

/** Compares the bytes of a listed model with its plan, but for the packed tokenizer, which the plan leaves out. */
function assertPlanned(plan, stored, store) {
  const more = stored.bytes - packedTokenizers(store) - plan.storeBytes;
  assert.ok(Math.abs(more) < 4096, `${more} bytes more stored than planned`);
}

describe('the first layers of a model', () => {
  for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
    test(`are the model's in ${dtype}, to the bit`, async () => {
      const whole = await open(false, { dtype });
      const cut = await open(false, { dtype, layers: 2 });
      assert.deepEqual([whole.layers, cut.layers, cut.dimensions, cut.maxTokens], [4, 2, 192, whole.maxTokens]);
      for (const layer of [0, 1, 2]) {
        const wanted = { layer, pool: 'none' };
        assert.deepEqual(await cut.hiddenStates(TEXTS, wanted), await whole.hiddenStates(TEXTS, wanted));
      }
      assert.deepEqual(await cut.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: 2 }));
      await assert.rejects(cut.hiddenStates('light', { layer: 3 }), {
        name: 'PilotlightError',
        code: 'INVALID_INPUT',
        message: /^layer is 3, expected 0 to 2/,
      });
      // Its vectors are those of its last layer.
      const { data } = await cut.hiddenStates('light');
      assert.ok(maxAbsError((await cut.embed('light')).data, normalized(data)) < 1e-6);
      whole.dispose();
      cut.dispose();
    });
  }

  test('are planned, fetched, kept, listed and loaded offline without the others', async () => {
    const store = mapStore();
    const all = await models.plan(SEEDED, options(store));
    const plan = await models.plan(SEEDED, options(store, { layers: 2 }));
    assert.deepEqual([plan.class, plan.whole], ['TextEmbedder', false]);
    const { header } = parse(FILES['model.safetensors']);
    const others = Object.entries(header).filter(([name]) => /layer\.[23]\./.test(name));
    const bytes = others.reduce(
      (
        sum,
        [
          ,
          {
            data_offsets: [from, to],
          },
        ],
      ) => sum + to - from,
      0,
    );
    assert.equal(bytes, 2 * (6 * 192 * 193 + 4 * 192) * 4);
    assert.equal(all.fetchBytes - plan.fetchBytes, bytes);
    assert.equal(all.tensors - plan.tensors, others.length);
    assert.ok(plan.storeBytes < all.storeBytes - bytes && plan.memoryBytes < all.memoryBytes);

    hub.requests.length = 0;
    const events = [];
    const embedder = await open(store, { layers: 2, onProgress: (event) => events.push(event) });
    const states = await embedder.hiddenStates(TEXTS);
    // The config is read once more than planned, before the load, for the number of layers.
    assert.equal(sent(), plan.fetchBytes + FILES['config.json'].length);
    assert.ok(sent(WEIGHTS) < FILES['model.safetensors'].length - bytes + 4096);
    // A part of a file cannot be checked by the digest of the whole.
    assert.equal(events.at(-1).verified, 'length');
    assert.equal(events.at(-1).loaded, events.at(-1).total);
    await settle();
    const [stored] = await models.list({ store });
    assert.equal(stored.part, 'layers2');
    assertPlanned(plan, stored, store);
    assert.deepEqual(await listed(store), ['f32 layers2']);

    hub.setFaults([{ fault: 'reset' }]);
    hub.requests.length = 0;
    const again = await models.plan(SEEDED, options(store, { layers: 2 }));
    assert.deepEqual([again.whole, again.fetchBytes], [true, 0]);
    const offline = await open(store, { layers: 2 });
    assert.equal(hub.requests.length, 0);
    assert.deepEqual(await offline.hiddenStates(TEXTS), states);
    await settle();
    // Nothing else can be had without the host, which answers at once here, because a connection that breaks is tried again.
    hub.setFaults([{ fault: 'status', value: 403 }]);
    await assert.rejects(open(store), { code: 'FETCH_FAILED' });
    await assert.rejects(open(store, { layers: 1 }), { code: 'FETCH_FAILED' });
    assert.deepEqual(await listed(store), ['f32 layers2']);
    embedder.dispose();
    offline.dispose();
  });

  test('are kept beside the whole model and beside each other, and deleted alone', async () => {
    const store = mapStore();
    const states = {};
    for (const layers of [undefined, 1, 2]) {
      const embedder = await open(store, { layers });
      states[layers] = await embedder.hiddenStates(TEXTS);
      embedder.dispose();
    }
    assert.deepEqual(await listed(store), ['f32 all', 'f32 layers1', 'f32 layers2']);
    const digests = new Set((await models.list({ store })).map(({ digest }) => digest));
    assert.equal(digests.size, 3);
    const keyOf = async (wanted) => (await models.list({ store })).find(({ part }) => part === wanted).key;
    assert.equal(await models.delete(await keyOf('layers1'), { store }), true);
    assert.deepEqual(await listed(store), ['f32 all', 'f32 layers2']);
    assert.equal(await models.delete(await keyOf(undefined), { store }), true);
    hub.setFaults([{ fault: 'reset' }]);
    const embedder = await open(store, { layers: 2 });
    assert.deepEqual(await embedder.hiddenStates(TEXTS), states[2]);
    await settle();
    assert.equal(await models.delete(await keyOf('layers2'), { store }), true);
    assert.deepEqual([...store.rows.keys()], [], 'rows are left');
    embedder.dispose();
  });

  test('are the whole model where they are all, also from the store', async () => {
    const store = mapStore();
    for (const fault of [undefined, { fault: 'reset' }]) {
      hub.setFaults(fault ? [fault] : []);
      const plan = await models.plan(SEEDED, options(store, { layers: 4 }));
      assert.equal(plan.whole, fault !== undefined);
      const embedder = await open(store, { layers: 4 });
      assert.equal((await embedder.embed('light')).dims[1], 192);
      assert.equal(embedder.layers, 4);
      await settle();
      assert.deepEqual(await listed(store), ['f32 all']);
      assert.deepEqual([...keysOf(store, 'used')].length, 1);
      embedder.dispose();
    }
  });

  for (const [layers, says] of [
    [0, /^layers is 0, expected 1 to 4$/],
    [5, /^layers is 5, expected 1 to 4$/],
    [1e9, /^layers is 1000000000, expected 1 to 4$/],
    [-1, /^layers is -1, expected a whole number from 1$/],
    [1.5, /^layers is 1.5, expected a whole number from 1$/],
    ['2', /^layers is string, expected a whole number from 1$/],
  ]) {
    test(`are refused where layers is ${inspect(layers)}`, async () => {
      const refused = { name: 'PilotlightError', code: 'INVALID_INPUT', message: says };
      const store = mapStore();
      await assert.rejects(open(store, { layers }), refused);
      await assert.rejects(open(false, { layers }), refused);
      await assert.rejects(TextEmbedder.load('test/own', { files: FILES, layers }), refused);
      await assert.rejects(models.plan(SEEDED, options(store, { layers })), refused);
      assert.deepEqual([...store.rows.keys()], []);
    });
  }

  test('follow their branch', async () => {
    const model = 'test/moving';
    const moving = await startHub({ models: { [model]: FILES } });
    const at = (store, layers) => TextEmbedder.load(model, { ...options(store, { layers }), host: moving.url });
    try {
      const store = mapStore();
      (await at(store, 2)).dispose();
      const commit = await moving.push(model, seededBert({ layers: 2, dimensions: 48 }));
      const before = await at(store, 2);
      assert.equal((await before.hiddenStates('light')).dims[1], 192);
      await settle();
      // The model has two layers now, so that these are no longer a part in name only.
      const now = await at(store, 2);
      assert.equal((await now.hiddenStates('light')).dims[1], 48);
      assert.deepEqual(
        (await models.list({ store })).map(({ commit }) => commit),
        [commit],
      );
      await moving.push(model, seededBert({ layers: 1, dimensions: 48 }));
      const last = await at(store, 2);
      await last.embed('light');
      await settle();
      await assert.rejects(at(store, 2), { code: 'INVALID_INPUT', message: /^layers is 2, expected 1 to 1$/ });
      assert.deepEqual(keysOf(store, 'partial'), []);
      for (const embedder of [before, now, last]) embedder.dispose();
    } finally {
      await moving.close();
    }
  });

  test('of a checkpoint in shards and of one in f16 are fetched alone too', async () => {
    const whole = await open(false);
    const store = mapStore();
    const cut = await open(store, { layers: 1 }, SHARDS);
    assert.equal(sent(/model-00002/), 0, 'the shard of the other layers came');
    assert.deepEqual(await cut.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: 1 }));
    const more = await open(store, { layers: 3 }, SHARDS);
    assert.deepEqual(await more.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: 3 }));
    assert.deepEqual(await listed(store), ['f32 layers1', 'f32 layers3']);
    const half = await open(store, { layers: 2 }, 'test/bert-tiny-cls');
    const all = await TextEmbedder.load('test/own', { files: filesOf(tinyFolder('bert-tiny-cls')), dtype: 'f32' });
    assert.deepEqual(await half.hiddenStates(TEXTS), await all.hiddenStates(TEXTS, { layer: 2 }));
    for (const embedder of [whole, cut, more, half, all]) embedder.dispose();
  });

  test("of the caller's own files need them read once only", async () => {
    const whole = await open(false);
    const streams = () => Object.fromEntries(Object.entries(FILES).map(([name, bytes]) => [name, new Response(bytes)]));
    for (const layers of [2, 4]) {
      const embedder = await TextEmbedder.load('test/own', { files: streams(), dtype: 'f32', layers });
      assert.deepEqual(await embedder.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: layers }));
      embedder.dispose();
    }
    assert.deepEqual([...new Set(hub.requests.map(({ url }) => url.includes('test/own')))], [false]);
    whole.dispose();
  });

  test('make a classifier that no other number of layers continues', async () => {
    const examples = { texts: ['light', 'fire', 'a dog', 'a cat'], labels: ['a', 'a', 'b', 'b'] };
    const [whole, cut, fewer] = [await open(false), await open(false, { layers: 2 }), await open(false, { layers: 1 })];
    const json = {};
    for (const [name, embedder] of Object.entries({ whole, cut })) {
      const classifier = await TextClassifier.fit(embedder, examples, { head: 'prototype', labelText: false });
      json[name] = classifier.toJSON();
      classifier.dispose();
    }
    assert.deepEqual([json.whole.embedder.layers, json.cut.embedder.layers], [undefined, 2]);
    assert.equal('layers' in json.whole.embedder, false);
    (await TextClassifier.fromJSON(cut, JSON.stringify(json.cut))).dispose();
    const refused = (message) => ({ name: 'PilotlightError', code: 'INVALID_INPUT', message });
    await assert.rejects(TextClassifier.fromJSON(whole, json.cut), refused(/has all layers of its model, expected 2$/));
    await assert.rejects(TextClassifier.fromJSON(fewer, json.cut), refused(/has 1 layers of its model, expected 2$/));
    await assert.rejects(TextClassifier.fromJSON(cut, json.whole), refused(/has 2 layers of its model, expected all$/));
    for (const embedder of [whole, cut, fewer]) embedder.dispose();
  });
});

describe('a folder that pull made', () => {
  const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
  const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
  let base;
  before(() => (base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-layers-'))));
  after(() => rmSync(base, { recursive: true }));

  async function pull(model, ...more) {
    const out = mkdtempSync(path.join(base, 'f-'));
    const words = [CLI, 'pull', model, '--host', hub.url, '--out', out, ...more];
    const child = spawn(process.execPath, words, { env: { ...process.env, HF_TOKEN: '' } });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    const [code] = await once(child, 'close');
    return { code, errors, folder: path.join(out, model, 'resolve/main') };
  }

  /** Loads layers of the folder from a bucket, and compares them with those of the model's own checkpoint. */
  async function load(folder, layers) {
    const packed = await startHub({ models: { [SEEDED]: folder }, traits: { api: false } });
    try {
      const events = [];
      const store = mapStore();
      const onProgress = (event) => events.push(event);
      const embedder = await TextEmbedder.load(SEEDED, { dtype: 'q8', host: packed.url, store, layers, onProgress });
      const whole = await open(false, { dtype: 'q8' });
      assert.deepEqual(await embedder.hiddenStates(TEXTS), await whole.hiddenStates(TEXTS, { layer: layers }));
      whole.dispose();
      embedder.dispose();
      assert.deepEqual(await listed(store), [`q8 layers${layers}`]);
      const weights = packed.requests.filter(({ url }) => WEIGHTS.test(url));
      return { verified: events.at(-1).verified, bytes: weights.reduce((sum, { bytes }) => sum + bytes, 0) };
    } finally {
      await packed.close();
    }
  }

  for (const model of [SEEDED, SHARDS]) {
    test(`of all layers of ${model} gives only the first ones, checked tensor by tensor`, async () => {
      const { code, errors, folder } = await pull(model);
      assert.equal(code, 0, errors);
      const packed = readdirSync(folder).filter((file) => WEIGHTS.test(file));
      const whole = packed.reduce((sum, file) => sum + readFileSync(path.join(folder, file)).length, 0);
      const { verified, bytes } = await load(folder, 1);
      assert.ok(bytes < whole - 2 * 6 * 192 * 192, `${bytes} of ${whole}`);
      assert.equal(verified, model === SEEDED ? 'lock' : 'sha256');
    });
  }

  test('of the first layers has no others, and is checked whole', async () => {
    const { code, errors, folder } = await pull(SEEDED, '--layers', '2');
    assert.equal(code, 0, errors);
    const weights = readdirSync(folder).filter((file) => WEIGHTS.test(file));
    assert.deepEqual(weights, ['pilotlight-q8-layers2.safetensors']);
    assert.equal((await load(folder, 2)).verified, 'sha256');
    for (const [layers, says] of [
      ['0', /--layers is a whole number from 1 or a range from 0, not '0'/],
      ['7', /layers is 7, expected 1 to 4/],
    ]) {
      const refused = await pull(SEEDED, '--layers', layers);
      assert.equal(refused.code, 2);
      assert.match(refused.errors, says);
    }
  });
});

test('four layers of the real MiniLM take a sixth less, resume where they broke off, and are those of the whole', async () => {
  const store = mapStore();
  const real = (more) => open(store, { dtype: 'q8', layers: 4, timeout: 5000, ...more }, REAL);
  const plan = await models.plan(REAL, options(store, { dtype: 'q8', layers: 4 }));
  // The two layers that stay away have 1,774,464 values of 4 bytes each.
  const { length } = readFileSync(path.join(MINILM, 'model.safetensors'));
  const weights = plan.files.find(({ path }) => path === 'model.safetensors').bytes;
  assert.ok(weights < length - 2 * 1_774_464 * 4 && weights > 75e6, `${weights} of ${length}`);

  const broken = 40_000_000;
  hub.setFaults([{ file: 'model.safetensors', fault: 'reset', value: broken }]);
  await assert.rejects(real({ timeout: 1000 }), { code: 'FETCH_FAILED' });
  assert.deepEqual(await listed(store), ['q8 layers4 begun']);
  hub.setFaults([]);
  hub.requests.length = 0;
  const embedder = await real();
  // At most one chunk of 4 MiB, and what arrived behind it, comes twice.
  const rest = sent(WEIGHTS);
  assert.ok(rest >= weights - broken && rest < weights - broken + (5 << 20), `${rest} of ${weights}`);
  const states = await embedder.hiddenStates(TEXTS, { layer: 3 });
  await assert.rejects(embedder.hiddenStates('light', { layer: 5 }), {
    code: 'INVALID_INPUT',
    message: /^layer is 5, expected 0 to 4/,
  });
  const [stored] = await models.list({ store });
  assert.deepEqual([stored.dtype, stored.part, stored.whole], ['q8', 'layers4', true]);
  assertPlanned(plan, stored, store);
  assert.ok(stored.bytes > 20e6 && stored.bytes < 21e6, `${stored.bytes}`);
  await settle();

  hub.setFaults([{ fault: 'status', value: 403 }]);
  const offline = await real();
  assert.deepEqual(await offline.hiddenStates(TEXTS, { layer: 3 }), states);
  hub.setFaults([]);
  const whole = await real({ store: false, layers: 6 });
  assert.equal(whole.layers, 6);
  assert.deepEqual(await whole.hiddenStates(TEXTS, { layer: 3 }), states);
  for (const one of [embedder, offline, whole]) one.dispose();
});
