// How CLIP's towers are fetched, kept, planned, listed and gone on with: together, apart, in shards and packed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ImageTextEmbedder, models, PilotlightError } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { json, picture, seededClip } from './support/clip.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';
import { parse, withHeader, write } from './support/safetensors.mjs';

const TINY = 'test/clip-tiny';
const SHARDED = 'test/clip-tiny-gelu';
const LARGE = 'test/clip-large';
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const TOWERS = ['text', 'image'];
const GOOD = filesOf(tinyFolder('clip-tiny'));
const CUT = filesOf(tinyFolder('clip-tiny-gelu'));

/** Each tower some 13 MB: so large that what of the other one comes along can be told. */
const TOWER = { hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 4, num_attention_heads: 4 };
const WHOLE = { ...seededClip({ text: TOWER, vision: TOWER }), 'tokenizer.json': GOOD['tokenizer.json'] };
const SIZES = sizesOf(WHOLE[WEIGHTS]);

/** Bytes of each tower's tensors. */
function sizesOf(weights) {
  const sizes = { text: 0, image: 0 };
  for (const [
    name,
    {
      data_offsets: [from, to],
    },
  ] of Object.entries(parse(weights).header))
    sizes[/^vis/.test(name) ? 'image' : 'text'] += to - from;
  return sizes;
}

/** Two shards, cut in the middle of a tower's layers, as the hub has large checkpoints. */
function sharded(files, cutAt) {
  const { header, data } = parse(files[WEIGHTS]);
  const names = Object.keys(header);
  const cut = names.findIndex((name) => name.startsWith(cutAt));
  const weight_map = {};
  const made = {};
  for (const [number, list] of [names.slice(0, cut), names.slice(cut)].entries()) {
    const file = `model-0000${number + 1}-of-00002.safetensors`;
    const from = header[list[0]].data_offsets[0];
    const part = Object.fromEntries(
      list.map((name) => [
        name,
        { ...header[name], data_offsets: header[name].data_offsets.map((offset) => offset - from) },
      ]),
    );
    made[file] = write({ header: part, data: data.slice(from, header[list.at(-1)].data_offsets[1]) });
    for (const name of list) weight_map[name] = file;
  }
  const { [WEIGHTS]: _, ...others } = files;
  return { ...others, ...made, [INDEX]: json({ metadata: {}, weight_map }) };
}

let hub;
before(async () => {
  hub = await startHub({
    models: {
      [TINY]: GOOD,
      [SHARDED]: CUT,
      [LARGE]: WHOLE,
      'test/text-cut': sharded(WHOLE, 'text_model.encoder.layers.2'),
      'test/image-cut': sharded(WHOLE, 'vision_model.encoder.layers.2'),
    },
  });
  // It hashes files when it is asked first, which takes longer than the loads here wait.
  for (const model of [LARGE, 'test/text-cut', 'test/image-cut'])
    await fetch(`${hub.url}/api/models/${model}/tree/main?recursive=true`);
});
beforeEach(() => {
  hub.setFaults([]);
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (store, more) => ({ host: hub.url, dtype: 'f32', store, timeout: 300, ...more });

/** Loads, and says what it embeds. */
async function load(model, store, more) {
  const embedder = await ImageTextEmbedder.load(model, options(store, more));
  const text =
    embedder.towers.includes('text') && (await embedder.embedTexts('A photo of a small dog by the sea.')).data;
  const image = embedder.towers.includes('image') && (await embedder.embedImages(picture('37x53.png'))).data;
  embedder.dispose();
  return { text, image };
}

const resolved = () => hub.requests.filter(({ url }) => url.includes('/resolve/'));
const fileOf = ({ url }) => decodeURIComponent(url.split('/').at(-1));
const sent = (file = /./) =>
  resolved()
    .filter((request) => file.test(fileOf(request)))
    .reduce((sum, { bytes }) => sum + bytes, 0);
const SAFETENSORS = /\.safetensors$/;
/** What else than its own tensors a tower may fetch: that which lets a digest be checked, and the header. */
const spare = (size) => Math.max(size / 50, 256 << 10) + FRONT;
/** The front of each weights file is asked for before its header tells what is needed, so some of it may be another tower's. */
const FRONT = 64 << 10;
/** Bytes that came, where so many were said to come. */
function assertSent(said, file = /./) {
  const fronts = resolved().filter(
    (request) => request.headers.range === `bytes=0-${FRONT - 1}` && file.test(fileOf(request)),
  ).length;
  assert.ok(sent(file) >= said && sent(file) <= said + fronts * FRONT, `${said} bytes were said, ${sent(file)} came`);
}
const parts = async (store) =>
  (await models.list({ store })).map(({ part, whole }) => `${part} ${whole ? 'whole' : 'begun'}`).sort();

for (const tower of TOWERS) {
  const other = TOWERS.find((name) => name !== tower);

  test(`the ${tower} tower alone fetches and keeps itself, and then comes from the store without a request`, async (t) => {
    const store = mapStore();
    const vectors = await load(LARGE, store, { towers: [tower] });
    t.diagnostic(`${sent(SAFETENSORS)} bytes for ${SIZES[tower]} of tensors`);
    assert.ok(
      sent(SAFETENSORS) >= SIZES[tower] && sent(SAFETENSORS) <= SIZES[tower] + spare(SIZES[tower]),
      `${sent(SAFETENSORS)} bytes of ${SIZES[tower]}`,
    );
    const small = new Set(resolved().map(fileOf));
    assert.equal(small.has('tokenizer.json'), tower === 'text');
    assert.equal(small.has('preprocessor_config.json'), tower === 'image');
    assert.deepEqual(await parts(store), [`${tower} whole`]);

    hub.setFaults([{ fault: 'reset' }]);
    hub.requests.length = 0;
    assert.deepEqual(await load(LARGE, store, { towers: [tower] }), vectors);
    await settle();
    assert.deepEqual(resolved(), []);
    hub.setFaults([]);
    hub.requests.length = 0;

    // With the other one only that is fetched.
    const both = await load(LARGE, store);
    assert.deepEqual(both[tower], vectors[tower]);
    assert.ok(
      sent(SAFETENSORS) <= SIZES[other] + spare(SIZES[other]),
      `${sent(SAFETENSORS)} bytes for the ${other} tower of ${SIZES[other]}`,
    );
    assert.deepEqual(await parts(store), ['image whole', 'text whole']);
  });
}

/** Lets the question after the newest commit, which follows a load from the store, come to its end. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 150));

test('both towers from the store make no request before the first answer, and none at all offline', async () => {
  const store = mapStore();
  const vectors = await load(TINY, store);
  hub.requests.length = 0;
  const embedder = await ImageTextEmbedder.load(TINY, options(store));
  assert.deepEqual(hub.requests, []);
  await embedder.embedTexts('x');
  await settle();
  assert.deepEqual(resolved(), [], 'files came again');
  embedder.dispose();
  hub.setFaults([{ fault: 'reset' }]);
  assert.deepEqual(await load(TINY, store), vectors);
});

test('the list names the towers, and one that is deleted is fetched again while the other stays', async () => {
  const store = mapStore();
  const vectors = await load(LARGE, store);
  const listed = await models.list({ store });
  assert.deepEqual(
    listed.map(({ model, part, dtype, whole, verified }) => [model, part, dtype, whole, verified]).sort(),
    [
      [LARGE, 'image', 'f32', true, 'length'],
      [LARGE, 'text', 'f32', true, 'length'],
    ],
  );
  for (const { key, part } of listed) {
    assert.equal(await models.delete(key, { store }), true);
    assert.equal((await models.list({ store })).length, 1);
    hub.requests.length = 0;
    assert.deepEqual(await load(LARGE, store), vectors);
    assert.ok(
      sent(SAFETENSORS) <= SIZES[part] + spare(SIZES[part]),
      `${sent(SAFETENSORS)} bytes for the ${part} tower`,
    );
  }
  for (const { key } of await models.list({ store })) assert.equal(await models.delete(key, { store }), true);
  assert.deepEqual([...store.rows.keys()], [], 'rows are left');
});

for (const tower of TOWERS) {
  const other = TOWERS.find((name) => name !== tower);

  test(`when the ${tower} tower is deleted, the ${other} tower of the same load is there offline`, async () => {
    const store = mapStore();
    const vectors = await load(TINY, store);
    const { key } = (await models.list({ store })).find(({ part }) => part === tower);
    await models.delete(key, { store });
    hub.setFaults([{ fault: 'reset' }]);
    assert.deepEqual((await load(TINY, store, { towers: [other] }))[other], vectors[other]);
    assert.deepEqual(await parts(store), [`${other} whole`]);
  });
}

test('when the image tower is no good, the text tower of the same load stays', async () => {
  const store = mapStore();
  hub.setFaults([{ file: 'preprocessor_config.json', fault: 'body', value: '{}' }]);
  await assert.rejects(load(TINY, store), { name: 'PilotlightError', message: /preprocessor_config\.json/ });
  assert.deepEqual(await parts(store), ['text whole']);
  hub.setFaults([{ fault: 'reset' }]);
  assert.equal((await load(TINY, store, { towers: ['text'] })).text.length, 24);
});

test('towers in another precision are others', async () => {
  const store = mapStore();
  await load(TINY, store, { dtype: 'q8' });
  await load(TINY, store, { towers: ['text'] });
  const listed = (await models.list({ store })).map(({ part, dtype }) => `${part} ${dtype}`);
  assert.deepEqual(listed.sort(), ['image q8', 'text f32', 'text q8']);
});

// The cosine of a text and a picture means something within one model only.
describe('a branch that moves', () => {
  const other = { ...seededClip({}, 2), 'tokenizer.json': GOOD['tokenizer.json'] };
  const first = { ...seededClip({}, 1), 'tokenizer.json': GOOD['tokenizer.json'] };
  let moving;
  let before_;
  let after_;
  const at = (store, more) => load('test/moving', store, { host: moving.url, ...more });
  beforeEach(async () => {
    moving = await startHub({ models: { 'test/moving': first } });
    before_ = await at(false);
    await moving.push('test/moving', other);
    after_ = await at(false);
    await moving.push('test/moving', first);
    assert.notDeepEqual(before_.text, after_.text);
    assert.notDeepEqual(before_.image, after_.image);
  });
  const close = () => moving.close();

  test('between the towers of one load gives no mixture', async (t) => {
    t.after(close);
    let asked = 0;
    moving.setFaults([
      {
        file: 'revision',
        fault: 'do',
        value: async () => void (asked++ === 1 && (await moving.push('test/moving', other))),
      },
    ]);
    const store = mapStore();
    const vectors = await at(store);
    assert.ok(isOfOne(vectors), 'one tower is of one commit, the other of another');
    // What was read anew is there, and not only listed.
    moving.setFaults([{ fault: 'reset' }]);
    for (const tower of TOWERS) assert.deepEqual((await at(store, { towers: [tower] }))[tower], vectors[tower]);
  });

  for (const count of [2, 3, 5]) {
    test(`gives no mixture where ${count} load at once what is half stored`, async (t) => {
      t.after(close);
      for (const tower of TOWERS) {
        await moving.push('test/moving', first);
        const store = mapStore();
        await at(store, { towers: [tower] });
        await moving.push('test/moving', other);
        const all = await Promise.all(Array.from({ length: count }, () => at(store)));
        assert.ok(all.every(isOfOne), `with a stored ${tower} tower`);
        moving.setFaults([{ fault: 'reset' }]);
        assert.ok(isOfOne(await at(store)), `the store is mixed, with a stored ${tower} tower`);
        moving.setFaults([]);
      }
    });
  }

  test('unseen, in a bucket whose weights are replaced, gives no mixture either', async (t) => {
    t.after(close);
    for (const traits of [{ api: false }, { api: false, etag: false }]) {
      const bucket = await startHub({ models: { 'test/moving': first }, traits });
      t.after(() => bucket.close());
      for (const tower of TOWERS) {
        await bucket.push('test/moving', first);
        const store = mapStore();
        await at(store, { host: bucket.url, towers: [tower] });
        await bucket.push('test/moving', other);
        for (let visit = 0; visit < 2; visit += 1)
          assert.ok(isOfOne(await at(store, { host: bucket.url })), `visit ${visit} with a stored ${tower} tower`);
      }
    }
  });

  test('between two visits gives no mixture of a stored tower and a fetched one', async (t) => {
    t.after(close);
    for (const tower of TOWERS) {
      await moving.push('test/moving', first);
      const store = mapStore();
      await at(store, { towers: [tower] });
      await moving.push('test/moving', other);
      const vectors = await at(store);
      assert.ok(isOfOne(vectors), `the ${tower} tower is of another commit than the other`);
      const commits = new Set((await models.list({ store })).map(({ commit }) => commit));
      assert.equal(commits.size, 1, 'the store holds towers of two commits');
    }
  });

  test('is followed by both towers at the visit after the next', async (t) => {
    t.after(close);
    const store = mapStore();
    assert.deepEqual(await at(store), before_);
    await moving.push('test/moving', other);
    assert.deepEqual(await at(store), before_);
    await settle();
    assert.deepEqual(await at(store), after_);
    // And a host that is gone is no reason to go without.
    await moving.push('test/moving', first);
    await at(store);
    await settle();
    moving.setFaults([{ fault: 'reset' }]);
    assert.deepEqual(await at(store), after_);
    for (const more of [{}, { towers: TOWERS }]) {
      const plan = await models.plan('test/moving', options(store, { host: moving.url, ...more }));
      assert.deepEqual([plan.whole, plan.fetchBytes], [true, 0]);
    }
  });

  const same = (a, b) => a.every((value, i) => value === b[i]);
  const isOfOne = (vectors) =>
    [before_, after_].some(({ text, image }) => same(text, vectors.text) && same(image, vectors.image));
});

describe('a plan', () => {
  for (const [what, towers] of [
    ['of all towers, unnamed', undefined],
    ['of both towers', TOWERS],
    ['of the text tower', ['text']],
    ['of the image tower', ['image']],
  ]) {
    for (const model of [LARGE, 'test/text-cut', SHARDED]) {
      test(`${what} of ${model} says what the load then takes`, async () => {
        const store = mapStore();
        const plan = await models.plan(model, options(store, { towers }));
        assert.deepEqual([...store.rows.keys()], []);
        assert.deepEqual(
          [plan.model, plan.dtype, plan.whole, plan.fits, plan.cachedBytes],
          [model, 'f32', false, true, 0],
        );
        assert.ok(plan.tensors > 30 && plan.commit?.length === 40);
        hub.requests.length = 0;
        await load(model, store, { towers });
        assertSent(plan.fetchBytes);
        for (const { path: file, bytes } of plan.files) assertSent(bytes, new RegExp(`^${file}$`));
        assert.deepEqual([...new Set(resolved().map(fileOf))].sort(), plan.files.map(({ path: file }) => file).sort());
        const stored = (await models.list({ store })).reduce((sum, { bytes }) => sum + bytes, 0);
        assert.ok(Math.abs(stored - plan.storeBytes) < 8192, `${plan.storeBytes} planned, ${stored} stored`);

        hub.requests.length = 0;
        const after = await models.plan(model, options(store, { towers }));
        assert.deepEqual([after.whole, after.fits, after.fetchBytes, after.tensors], [true, true, 0, 0]);
        assert.deepEqual(
          hub.requests.map(({ url }) => url),
          [],
        );
        assert.equal(after.storeBytes, stored);
        assert.ok(
          Math.abs(after.memoryBytes - plan.memoryBytes) < 1 << 20,
          `${plan.memoryBytes} before, ${after.memoryBytes} after`,
        );
      });
    }
  }

  test('of both, one of which is stored, is that of the other', async () => {
    const store = mapStore();
    await load(LARGE, store, { towers: ['text'] });
    const plan = await models.plan(LARGE, options(store));
    assert.equal(plan.whole, false);
    hub.requests.length = 0;
    await load(LARGE, store);
    assertSent(plan.fetchBytes);
  });

  test('of a tower named twice is that of the tower', async () => {
    const once = await models.plan(TINY, options(false, { towers: ['text'] }));
    assert.deepEqual(await models.plan(TINY, options(false, { towers: ['text', 'text'] })), once);
  });

  test('fails as a load does', async () => {
    await assert.rejects(models.plan(TINY, options(false, { towers: [] })), {
      code: 'INVALID_INPUT',
      message: /towers is empty/,
    });
    await assert.rejects(models.plan(TINY, options(false, { towers: ['ears'] })), {
      code: 'INVALID_INPUT',
      message: /ears/,
    });
    await assert.rejects(models.plan('test/nothing', options(false, { towers: ['text'] })), { code: 'FETCH_FAILED' });
  });
});

for (const [model, cached] of [
  [LARGE, false],
  [LARGE, true],
  ['test/text-cut', false],
  [SHARDED, false],
  [SHARDED, true],
]) {
  test(`progress of ${model} from the ${cached ? 'store' : 'host'} never goes back over both towers, and ends once`, async () => {
    const store = mapStore();
    if (cached) await load(model, store);
    const events = [];
    hub.requests.length = 0;
    await load(model, store, { onProgress: (event) => events.push(event) });
    assert.deepEqual(events.filter(({ status }) => status === 'ready').length, 1);
    const last = events.at(-1);
    assert.equal(last.status, 'ready');
    assert.equal(last.loaded, last.total);
    assert.equal(last.cached, cached);
    assert.ok(last.verified !== undefined);
    if (!cached) assertSent(last.loaded);
    for (const [i, event] of events.entries()) {
      assert.ok(
        event.loaded >= (events[i - 1]?.loaded ?? 0),
        `${JSON.stringify(events[i - 1])}, then ${JSON.stringify(event)}`,
      );
      assert.ok(event.total >= event.loaded, JSON.stringify(event));
    }
    const files = new Set(events.map(({ file }) => file));
    for (const file of ['config.json', 'tokenizer.json', 'preprocessor_config.json']) assert.ok(files.has(file), file);
  });
}

describe('a download that breaks off', () => {
  for (const tower of TOWERS) {
    test(`in the ${tower} tower goes on there, and the other one is not touched`, async () => {
      const expected = await load(LARGE, false);
      // Of what is asked for: the text tower lies in front, the image tower behind it.
      const cut = tower === 'text' ? SIZES.text - 1e6 : SIZES.text + SIZES.image - 1e6;
      const store = mapStore();
      hub.setFaults([{ file: WEIGHTS, fault: 'reset', value: cut }]);
      await assert.rejects(load(LARGE, store), {
        name: 'PilotlightError',
        code: 'FETCH_FAILED',
        message: /model\.safetensors/,
      });
      assert.deepEqual(await parts(store), tower === 'text' ? ['text begun'] : ['image begun', 'text whole']);
      hub.setFaults([]);
      const plan = await models.plan(LARGE, options(store));
      hub.requests.length = 0;
      assert.deepEqual(await load(LARGE, store), expected);
      // At most a chunk of 4 MiB and what was on its way come again.
      const left = SIZES.text + SIZES.image - (tower === 'text' ? cut : cut - SIZES.text + SIZES.text);
      assert.ok(
        sent(SAFETENSORS) <= left + (4 << 20) + (2 << 20) + 2 * spare(SIZES.text),
        `${sent(SAFETENSORS)} bytes came again`,
      );
      assert.ok(plan.fetchBytes >= sent() - (4 << 20), `${plan.fetchBytes} planned, ${sent()} came`);
      assert.deepEqual(await parts(store), ['image whole', 'text whole']);
    });
  }

  for (const [model, tower] of [
    ['test/text-cut', 'text'],
    ['test/image-cut', 'image'],
  ]) {
    test(`in the second shard of the ${tower} tower fetches the first no more`, async () => {
      const expected = await load(model, false, { towers: [tower] });
      const store = mapStore();
      const second = 'model-00002-of-00002.safetensors';
      hub.setFaults([{ file: second, fault: 'reset', value: 3e6 }]);
      await assert.rejects(load(model, store, { towers: [tower] }), {
        name: 'PilotlightError',
        code: 'FETCH_FAILED',
        message: /model-00002-of-00002\.safetensors/,
      });
      assert.deepEqual(await parts(store), [`${tower} begun`]);
      hub.setFaults([]);
      hub.requests.length = 0;
      assert.deepEqual(await load(model, store, { towers: [tower] }), expected);
      assert.deepEqual(
        resolved()
          .filter((request) => fileOf(request).includes('00001'))
          .map(({ url }) => url),
        [],
        'the first shard came again',
      );
      assert.deepEqual(
        resolved()
          .map(fileOf)
          .filter((file) => !SAFETENSORS.test(file)),
        [],
        'small files came again',
      );
      // And it is whole now.
      hub.setFaults([{ fault: 'reset' }]);
      assert.deepEqual(await load(model, store, { towers: [tower] }), expected);
    });
  }

  test('by a signal leaves what came, and goes on', async () => {
    const store = mapStore();
    const controller = new AbortController();
    const onProgress = ({ loaded }) => loaded > 9e6 && controller.abort();
    await assert.rejects(load(LARGE, store, { signal: controller.signal, onProgress }), { code: 'ABORTED' });
    await settle();
    hub.requests.length = 0;
    await load(LARGE, store);
    const total = SIZES.text + SIZES.image;
    assert.ok(sent(SAFETENSORS) < total - 3e6, `${sent(SAFETENSORS)} bytes of ${total}`);
  });
});

describe('a repository that is broken', () => {
  const readJson = (files, name) => JSON.parse(new TextDecoder().decode(files[name]));
  const without = (files, ...names) =>
    Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));
  const edited = (name, change) => {
    const value = readJson(GOOD, name);
    change(value);
    return { ...GOOD, [name]: json(value) };
  };
  const config = (tower, change) =>
    edited('config.json', (value) => Object.assign(tower ? value[`${tower}_config`] : value, change));
  const preprocessor = (change) => edited('preprocessor_config.json', (value) => Object.assign(value, change));
  const index = (change) => {
    const value = readJson(CUT, INDEX);
    change(value.weight_map, value);
    return { ...CUT, [INDEX]: json(value) };
  };
  const rename = (name) => ({
    ...GOOD,
    [WEIGHTS]: withHeader(GOOD[WEIGHTS], (header) => {
      header[`${name}.old`] = header[name];
      delete header[name];
    }),
  });
  const first = 'model-00001-of-00003.safetensors';
  const last = 'model-00003-of-00003.safetensors';

  /** [what is wrong, the files, the code, what the message says, the tower that can be loaded all the same] */
  const CASES = [
    [
      'the architecture is another one',
      config(null, { model_type: 'siglip' }),
      'UNSUPPORTED_MODEL',
      /config\.json.*siglip/,
    ],
    ['the architecture is not told', config(null, { model_type: undefined }), 'UNSUPPORTED_MODEL', /config\.json/],
    ['config.json is a list', { ...GOOD, 'config.json': json([]) }, 'INVALID_WEIGHTS', /config\.json/],
    [
      'config.json is cut off',
      { ...GOOD, 'config.json': GOOD['config.json'].subarray(0, 99) },
      'INVALID_WEIGHTS',
      /config\.json/,
    ],
    ['a vector has no values', config(null, { projection_dim: 0 }), 'INVALID_WEIGHTS', /config\.json.*projection_dim/],
    ['a vector has too many values', config(null, { projection_dim: 2 ** 40 }), 'INVALID_WEIGHTS', /config\.json/],
    ['text_config is no object', config(null, { text_config: 7 }), 'INVALID_WEIGHTS', /config\.json.*/],
    ['there are no words', config('text', { vocab_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*vocab_size/],
    [
      'there are no positions',
      config('text', { max_position_embeddings: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*max_position_embeddings/,
    ],
    [
      'positions leave no room for a word',
      config('text', { max_position_embeddings: 2 }),
      'INVALID_WEIGHTS',
      /tokenizer\.json|position_embedding/,
      'image',
    ],
    [
      'the text tower has no layers',
      config('text', { num_hidden_layers: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*text_config\.num_hidden_layers/,
    ],
    [
      'the text tower has no heads',
      config('text', { num_attention_heads: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*text_config\.num_attention_heads/,
    ],
    [
      'the heads do not share the text tower',
      config('text', { num_attention_heads: 5 }),
      'INVALID_WEIGHTS',
      /config\.json.*hidden_size 32.*5/,
    ],
    [
      'the heads do not share the image tower',
      config('vision', { num_attention_heads: 7 }),
      'INVALID_WEIGHTS',
      /config\.json.*hidden_size 48.*7/,
    ],
    [
      'the image tower has no width',
      config('vision', { hidden_size: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*vision_config\.hidden_size/,
    ],
    [
      'a million layers are promised',
      config('vision', { num_hidden_layers: 1e6 }),
      'INVALID_WEIGHTS',
      /config\.json.*num_hidden_layers/,
    ],
    [
      'the activation is unknown',
      config('vision', { hidden_act: 'swoosh' }),
      'UNSUPPORTED_MODEL',
      /config\.json.*swoosh/,
    ],
    [
      'layer_norm_eps is negative',
      config('text', { layer_norm_eps: -1 }),
      'INVALID_WEIGHTS',
      /config\.json.*layer_norm_eps/,
    ],
    ['pictures have no pixels', config('vision', { image_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*image_size/],
    [
      'pictures have too many pixels',
      config('vision', { image_size: 1e6, patch_size: 1e3 }),
      'INVALID_WEIGHTS',
      /config\.json.*image_size/,
    ],
    ['patches have no pixels', config('vision', { patch_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*patch_size/],
    [
      'patches do not divide the picture',
      config('vision', { patch_size: 7 }),
      'INVALID_WEIGHTS',
      /config\.json.*image_size 32.*patch_size 7/,
    ],
    [
      'pictures are grey',
      config('vision', { num_channels: 1 }),
      'UNSUPPORTED_MODEL',
      /config\.json.*num_channels is 1, expected 3/,
    ],

    [
      'the preprocessor is missing',
      without(GOOD, 'preprocessor_config.json'),
      'FETCH_FAILED',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor is no JSON',
      { ...GOOD, 'preprocessor_config.json': json('resize') },
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor makes other pictures',
      preprocessor({ size: 24, crop_size: 24 }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*24.*32/,
      'text',
    ],
    [
      'the preprocessor makes oblong pictures',
      preprocessor({ crop_size: { height: 32, width: 16 } }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor makes nothing',
      preprocessor({ size: 0, crop_size: 0 }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*size/,
      'text',
    ],
    [
      'the preprocessor divides by nothing',
      preprocessor({ image_std: [0, 1, 1] }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*image_std/,
      'text',
    ],
    [
      'the preprocessor has a mean too few',
      preprocessor({ image_mean: [0, 0] }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor resizes otherwise',
      preprocessor({ resample: 2 }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*resample is 2/,
      'text',
    ],
    [
      'the preprocessor does not crop',
      preprocessor({ do_center_crop: false }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*do_center_crop/,
      'text',
    ],
    [
      'the preprocessor does not scale to one',
      preprocessor({ do_rescale: false }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*do_rescale/,
      'text',
    ],
    [
      'the preprocessor scales otherwise',
      preprocessor({ rescale_factor: 0.5 }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*rescale_factor/,
      'text',
    ],

    ['config.json is missing', without(GOOD, 'config.json'), 'FETCH_FAILED', /config\.json/],
    ['the tokenizer is missing', without(GOOD, 'tokenizer.json'), 'FETCH_FAILED', /tokenizer\.json/, 'image'],
    ['the weights are missing', without(GOOD, WEIGHTS), 'FETCH_FAILED', /model\.safetensors/],
    [
      'a tensor of the text tower is missing',
      rename('text_model.encoder.layers.1.mlp.fc1.weight'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*layers\.1\.mlp\.fc1\.weight/,
      'image',
    ],
    [
      'a tensor of the image tower is missing',
      rename('vision_model.pre_layrnorm.weight'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*pre_layrnorm\.weight/,
      'text',
    ],
    [
      'the temperature is missing',
      rename('logit_scale'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*logit_scale/,
      'image',
    ],

    [
      'the index is no JSON',
      { ...CUT, [INDEX]: new TextEncoder().encode('{"weight_map": {') },
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
    ],
    [
      'the index has no map',
      { ...CUT, [INDEX]: json({ metadata: {} }) },
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*weight_map/,
    ],
    [
      'the index has a number for a file',
      index((map) => (map['text_projection.weight'] = 3)),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
    ],
    [
      'the index lacks a tensor',
      index((map) => delete map['text_projection.weight']),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*text_projection\.weight/,
      'image',
    ],
    [
      'the index leads out of the repository',
      index((map) => (map['text_projection.weight'] = '../../other/model-1.safetensors')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*\.\.\/\.\.\/other/,
      'image',
    ],
    [
      'the index leads to another host',
      index((map) => (map['text_projection.weight'] = 'https://evil.example/model-1.safetensors')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*evil/,
      'image',
    ],
    [
      'the index names a file oddly',
      index((map) => (map['visual_projection.weight'] = 'weights.bin')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*weights\.bin/,
      'text',
    ],
    [
      'the index names a file without end',
      index((map) => (map['visual_projection.weight'] = `model-${'1'.repeat(5000)}.safetensors`)),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
      'text',
    ],
    [
      'the index names another shard than has it',
      index((map) => (map['text_projection.weight'] = first)),
      'INVALID_WEIGHTS',
      /model-00001-of-00003\.safetensors.*text_projection\.weight/,
      'image',
    ],
    ['the first shard is missing', without(CUT, first), 'FETCH_FAILED', /model-00001-of-00003\.safetensors/, 'image'],
    ['the last shard is missing', without(CUT, last), 'FETCH_FAILED', /model-00003-of-00003\.safetensors/],
    ['a shard is empty', { ...CUT, [last]: new Uint8Array() }, 'INVALID_WEIGHTS', /model-00003-of-00003\.safetensors/],
    [
      'a shard is cut off',
      { ...CUT, [last]: CUT[last].subarray(0, -100) },
      'INVALID_WEIGHTS',
      /model-00003-of-00003\.safetensors/,
    ],
    [
      'a shard is a web page',
      { ...CUT, [last]: new TextEncoder().encode('<!doctype html><title>Sign in</title>') },
      'FETCH_FAILED',
      /model-00003-of-00003\.safetensors.*HTML/,
    ],
  ];

  let broken;
  before(async () => {
    broken = await startHub({
      models: { 'test/good': GOOD, ...Object.fromEntries(CASES.map(([, files], i) => [`test/case-${i}`, files])) },
    });
  });
  after(() => broken.close());

  async function assertRefused(model, more, code, says, tower) {
    const store = mapStore();
    const open = { host: broken.url, dtype: 'f32', store, timeout: 500, ...more };
    const error = await ImageTextEmbedder.load(model, open).then(
      () => assert.fail('it loaded'),
      (thrown) => thrown,
    );
    assert.ok(error instanceof PilotlightError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    const kept = [...store.rows.keys()];
    // The tower that is good may be there, whole; of the other only what may still come to its end.
    assert.deepEqual(
      kept.filter((key) => key.includes('#manifest/') && !key.includes(`-${tower}.`)),
      [],
    );
    if (code !== 'FETCH_FAILED')
      assert.deepEqual(
        kept.filter((key) => !tower || (key.includes('#partial/') && !key.includes(`-${tower}.`))),
        [],
      );
    if (tower) {
      const embedder = await ImageTextEmbedder.load(model, { ...open, towers: [tower] });
      assert.deepEqual(embedder.towers, [tower]);
      embedder.dispose();
    }
    const next = await ImageTextEmbedder.load('test/good', { ...open, files: undefined });
    assert.deepEqual((await next.embedTexts('x')).dims, [1, 24]);
    next.dispose();
  }

  for (const [i, [what, files, code, says, tower]] of CASES.entries()) {
    test(`${what}: ${code}`, () => assertRefused(`test/case-${i}`, {}, code, says, tower));
    test(`${what}, in the caller's own bytes: ${code}`, () =>
      assertRefused(`test/case-${i}`, { files }, code, says, tower));
  }

  test('a stream that both towers would have to read is refused in words that say so', async () => {
    const stream = new Blob([GOOD[WEIGHTS]]).stream();
    await assertRefused('test/case', { files: { ...GOOD, [WEIGHTS]: stream } }, 'INVALID_INPUT', /model\.safetensors/);
    await assertRefused(
      'test/case',
      { files: { ...GOOD, 'config.json': new Response(GOOD['config.json']) } },
      'INVALID_INPUT',
      /config\.json/,
    );
  });

  test('a stream is enough for one tower', async () => {
    for (const tower of TOWERS) {
      const files = {
        ...GOOD,
        [WEIGHTS]: new Blob([GOOD[WEIGHTS]]).stream(),
        'config.json': new Response(GOOD['config.json']),
      };
      const embedder = await ImageTextEmbedder.load('test/case', { files, dtype: 'f32', towers: [tower] });
      assert.equal(embedder.dimensions, 24);
      embedder.dispose();
    }
  });
});

describe('a folder that pull made', () => {
  const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
  const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
  let base;
  before(() => (base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-clip-'))));
  after(() => rmSync(base, { recursive: true }));

  async function pull(model, dtype) {
    const out = mkdtempSync(path.join(base, 'f-'));
    const child = spawn(process.execPath, [CLI, 'pull', model, '--host', hub.url, '--out', out, '--dtype', dtype], {
      env: { ...process.env, HF_TOKEN: '' },
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, errors);
    return path.join(out, model, 'resolve/main');
  }

  for (const model of [TINY, SHARDED, 'test/image-cut']) {
    for (const dtype of ['q8', 'f32', 'q4']) {
      test(`of ${model} in ${dtype} gives the same vectors for less, from a hub and from a bucket`, async (t) => {
        const folder = await pull(model, dtype);
        const files = readdirSync(folder);
        for (const file of ['config.json', 'tokenizer.json', 'preprocessor_config.json', 'pilotlight-lock.json'])
          assert.ok(files.includes(file), `${file} is not among ${files}`);
        assert.ok(
          files.some((file) => file.startsWith(`pilotlight-${dtype}-text`)) &&
            files.some((file) => file.startsWith(`pilotlight-${dtype}-image`)),
          files.join(),
        );
        hub.requests.length = 0;
        const direct = await load(model, false, { dtype });
        const before = sent();
        for (const [what, traits] of [
          ['hub', {}],
          ['bucket', { api: false }],
        ]) {
          const packed = await startHub({ models: { [model]: folder }, traits });
          t.after(() => packed.close());
          const events = [];
          const store = mapStore();
          const open = { dtype, host: packed.url, onProgress: (event) => events.push(event) };
          assert.deepEqual(await load(model, store, open), direct, what);
          assert.equal(events.at(-1).verified, 'sha256');
          const weights = packed.requests.map(fileOf).filter((file) => SAFETENSORS.test(file));
          assert.ok(
            weights.length >= 2 &&
              packed.requests.every(
                (request) =>
                  !SAFETENSORS.test(fileOf(request)) ||
                  fileOf(request).startsWith('pilotlight-') ||
                  request.status === 404,
              ),
            weights.join(),
          );
          const bytes = packed.requests
            .filter(({ url }) => url.includes('/resolve/'))
            .reduce((sum, request) => sum + request.bytes, 0);
          t.diagnostic(`${what}: ${bytes} bytes instead of ${before}`);
          if (dtype !== 'f32' && model === 'test/image-cut')
            assert.ok(bytes < before * 0.5, `${bytes} bytes instead of ${before}`);
          // A tower of it alone, and from the store.
          packed.requests.length = 0;
          const text = await load(model, mapStore(), { ...open, towers: ['text'] });
          assert.deepEqual(text.text, direct.text);
          assert.deepEqual(
            packed.requests.map(fileOf).filter((file) => file.includes('image')),
            [],
          );
          packed.setFaults([{ fault: 'reset' }]);
          assert.deepEqual(await load(model, store, { dtype, host: packed.url }), direct);
        }
      });
    }
  }
});
