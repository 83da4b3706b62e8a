// Tests that CLIP's towers are fetched, stored, planned, listed and resumed: together, apart, in shards and packed.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ImageTextEmbedder, models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { seededClip } from './support/clip.mjs';
import {
  assertSent,
  fileOf,
  GOOD,
  hub,
  LARGE,
  load,
  options,
  parts,
  resolved,
  SAFETENSORS,
  SHARDED,
  SIZES,
  sent,
  settle,
  setUp,
  spare,
  TINY,
  TOWERS,
  WEIGHTS,
} from './support/clip-towers.mjs';
import { mapStore } from './support/map-store.mjs';

setUp();

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

    // A load of both then fetches only the other tower.
    const both = await load(LARGE, store);
    assert.deepEqual(both[tower], vectors[tower]);
    assert.ok(
      sent(SAFETENSORS) <= SIZES[other] + spare(SIZES[other]),
      `${sent(SAFETENSORS)} bytes for the ${other} tower of ${SIZES[other]}`,
    );
    assert.deepEqual(await parts(store), ['image whole', 'text whole']);
  });
}

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

// The cosine of a text and an image means something within one model only.
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
    // The tower that was read anew is stored, and not only listed.
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
    assert.deepEqual([plan.class, plan.whole], ['ImageTextEmbedder', false]);
    hub.requests.length = 0;
    await load(LARGE, store);
    assertSent(plan.fetchBytes);
  });

  test('of a tower named twice is that of the tower', async () => {
    const once = await models.plan(TINY, options(false, { towers: ['text'] }));
    assert.deepEqual(await models.plan(TINY, options(false, { towers: ['text', 'text'] })), once);
  });

  test('of the first layers of towers is refused, as is a load', async () => {
    for (const call of [models.plan, ImageTextEmbedder.load]) {
      await assert.rejects(call(TINY, options(false, { layers: 2, towers: ['text'] })), {
        code: 'INVALID_INPUT',
        message: /layers is 2.*whole/,
      });
    }
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
      // The cut is counted in requested bytes: the text tower comes first in the file, then the image tower.
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

test('what is said of images is found where transformers 5 keeps it', async () => {
  const { 'preprocessor_config.json': json, ...files } = GOOD;
  const image_processor = JSON.parse(new TextDecoder().decode(json));
  const merged = new TextEncoder().encode(JSON.stringify({ processor_class: 'CLIPProcessor', image_processor }));
  const image = { width: 3, height: 2, data: Uint8ClampedArray.from({ length: 24 }, (_, i) => i * 10) };
  const vectors = [];
  for (const own of [GOOD, { ...files, 'processor_config.json': merged }]) {
    const embedder = await ImageTextEmbedder.load('local/clip', { files: own, dtype: 'f32', store: false });
    vectors.push((await embedder.embedImages(image)).data);
    embedder.dispose();
  }
  assert.deepEqual(vectors[1], vectors[0]);
  const without = ImageTextEmbedder.load('local/clip', { files, dtype: 'f32', store: false });
  await assert.rejects(without, { code: 'FETCH_FAILED', message: /preprocessor_config\.json/ });
});
