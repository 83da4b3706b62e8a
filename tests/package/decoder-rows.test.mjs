// Decoders whose embedding table stays in the store: the same bits as with the table in memory, what is read, and what is refused.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Decoder, models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { seededDecoder } from './support/decoders.mjs';
import { mapStore } from './support/map-store.mjs';

const MODELS = {
  'test/tied': seededDecoder('qwen2', { layers: 3 }),
  'test/untied': seededDecoder('llama', { layers: 3 }),
};
const TEXTS = ['a', 'The pilot light is on.', 'Cafe\u0301 日本', 'The light is on, the water is cold.'];
const ALL = { pool: 'none' };

let hub;
before(async () => {
  hub = await startHub({ models: MODELS });
});
after(() => hub.close());

const open = (model, store, more) =>
  Decoder.load(model, { host: hub.url, device: 'cpu', dtype: 'q8', store, embeddings: 'store', ...more });
const refused = (code, message) => ({ name: 'PilotlightError', code, message });
/** Lets the question after the newest commit, which follows the first answer, come to its end. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 150));
/** The keys and values that outlast one load: the times of use differ, and so do the ids of writers in keys and rows. */
const chunks = ({ rows }) =>
  [...rows]
    .filter(([key]) => /safetensors\/\d+$/.test(key))
    .map(([key, bytes]) => [key.replace(/chunk\/[^/]+/, ''), bytes]);

describe('a decoder whose embedding table stays in the store', () => {
  for (const model of Object.keys(MODELS)) {
    for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
      for (const layers of [undefined, 2]) {
        test(`${model} in ${dtype} with ${layers ?? 'all'} layers has the same bits, and is stored as any other`, async () => {
          const [store, other] = [mapStore(), mapStore()];
          const fetched = await open(model, store, { dtype, layers });
          const stored = await open(model, store, { dtype, layers });
          const usual = await open(model, other, { dtype, layers, embeddings: 'memory' });
          const fromOther = await open(model, other, { dtype, layers });
          for (const layer of [0, fetched.layers]) {
            const expected = await usual.hiddenStates(TEXTS, { ...ALL, layer });
            assert.ok(expected.data.some(Boolean));
            for (const decoder of [fetched, stored, fromOther])
              assert.deepEqual(await decoder.hiddenStates(TEXTS, { ...ALL, layer }), expected);
          }
          await settle();
          assert.deepEqual(chunks(store), chunks(other));
          const listed = async (store) => (await models.list({ store })).map(({ digest, part }) => [digest, part]);
          assert.deepEqual(await listed(store), await listed(other));
          for (const decoder of [fetched, stored, usual, fromOther]) decoder.dispose();
        });
      }
    }
  }

  test('reads a row once while it is kept, and nothing for a text that has been read', async () => {
    const map = mapStore();
    let read = 0;
    const get = (key) => {
      if (/safetensors\/\d+$/.test(key)) read++;
      return map.get(key);
    };
    const store = { ...map, get };
    const decoder = await open('test/tied', store);
    await settle();
    read = 0;
    const first = await decoder.hiddenStates(TEXTS);
    assert.ok(read > 0);
    read = 0;
    assert.deepEqual(await decoder.hiddenStates(TEXTS), first);
    assert.equal(read, 0);
    decoder.dispose();
  });

  test('answers calls that overlap', async () => {
    const [own, usual] = await Promise.all([
      open('test/tied', mapStore()),
      open('test/tied', mapStore(), { embeddings: 'memory' }),
    ]);
    const all = (decoder) => Promise.all(TEXTS.map((text) => decoder.hiddenStates(text, ALL)));
    assert.deepEqual(await all(own), await all(usual));
    own.dispose();
    usual.dispose();
  });

  test('says that the model must be loaded again where the store has lost or altered it, and goes on', async () => {
    const store = mapStore();
    const decoder = await open('test/tied', store);
    const kept = await decoder.hiddenStates(TEXTS[0]);
    await settle();
    const before = new Map(store.rows);
    const lost = refused(
      'INTEGRITY',
      /^pilotlight-q8\.safetensors: the store has lost the model.*must be loaded again$/,
    );
    const [{ key }] = await models.list({ store });
    await models.delete(key, { store });
    await assert.rejects(decoder.hiddenStates(TEXTS[1]), lost);
    for (const [key, bytes] of before)
      store.rows.set(key, /safetensors\/\d+$/.test(key) ? bytes.map((byte) => byte ^ 1) : bytes);
    await assert.rejects(decoder.hiddenStates(TEXTS[1]), lost);
    for (const [key, bytes] of before) store.rows.set(key, bytes.subarray(0, -1));
    await assert.rejects(decoder.hiddenStates(TEXTS[1]), lost);
    assert.deepEqual(await decoder.hiddenStates(TEXTS[0]), kept);
    for (const [key, bytes] of before) store.rows.set(key, bytes);
    assert.equal((await decoder.hiddenStates(TEXTS[1])).dims[0], 1);
    decoder.dispose();
  });

  test('has likelihoods where the head is a tensor of its own, and refuses them where it is the table', async () => {
    const store = mapStore();
    const [own, usual] = [await open('test/untied', store), await open('test/untied', store, { embeddings: 'memory' })];
    assert.deepEqual(await own.likelihoods(TEXTS), await usual.likelihoods(TEXTS));
    const tied = await open('test/tied', store);
    const needs = /^likelihoods need the whole embedding table, .* embeddings: 'memory'$/;
    await assert.rejects(tied.likelihoods('a'), refused('INVALID_INPUT', needs));
    const cut = await open('test/untied', store, { layers: 2 });
    await assert.rejects(cut.likelihoods('a'), refused('INVALID_INPUT', /^likelihoods need all layers/));
    for (const decoder of [own, usual, tied, cut]) decoder.dispose();
  });

  test('is refused without a store, and so is another value', async () => {
    const none = refused('INVALID_INPUT', /^embeddings is 'store', but nothing is stored/);
    await assert.rejects(open('test/tied', false), none);
    await assert.rejects(open('test/tied', mapStore(), { files: MODELS['test/tied'] }), none);
    await assert.rejects(models.plan('test/tied', { host: hub.url, store: false, embeddings: 'store' }), none);
    for (const [embeddings, says] of [
      ['disk', /^embeddings is 'disk', expected 'memory' or 'store'$/],
      [7, /^embeddings is number, expected a string$/],
    ])
      await assert.rejects(open('test/tied', mapStore(), { embeddings }), refused('INVALID_INPUT', says));
  });

  test('is planned with the memory that it takes', async () => {
    for (const model of Object.keys(MODELS)) {
      const store = mapStore();
      const plan = (embeddings) =>
        models.plan(model, { host: hub.url, device: 'cpu', dtype: 'q8', store, layers: 2, embeddings });
      const saved = async () => (await plan('memory')).memoryBytes - (await plan('store')).memoryBytes;
      const fetched = await saved();
      (await open(model, store, { layers: 2 })).dispose();
      assert.equal((await plan('store')).whole, true);
      const { vocab_size: v, hidden_size: d } = JSON.parse(new TextDecoder().decode(MODELS[model]['config.json']));
      for (const bytes of [fetched, await saved()])
        assert.ok(bytes >= v * d && bytes <= v * d * 1.1, `${bytes} bytes of a table of ${v * d}`);
    }
  });
});
