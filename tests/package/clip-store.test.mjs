// CLIP's towers in a store that is full, is cut off, is damaged or has one of them of another time.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ImageTextEmbedder, models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { imageFile } from './support/clip.mjs';
import { mapStore } from './support/map-store.mjs';
import { parse } from './support/safetensors.mjs';
import { keysOf, kindOf } from './support/store-keys.mjs';
import {
  A,
  B,
  bytesOf,
  FIRST,
  hub,
  isSame,
  listed,
  load,
  OTHER,
  settle,
  setUp,
  TINY,
  TOWERS,
  WEIGHTS,
  weightBytes,
} from './support/two-clips.mjs';

setUp();

/** The same rows with a limit. */
function limited(store, most) {
  return {
    ...store,
    async put(key, bytes) {
      const without = bytesOf(store) - (store.rows.get(key)?.length ?? 0);
      if (without + bytes.length > most) throw new DOMException('no room', 'QuotaExceededError');
      await store.put(key, bytes);
    },
  };
}

/** A program that starts anew on the same rows; its first load sweeps. */
const reopened = ({ rows, ...store }) => ({ ...store });

/** Chunks that belong to no row, and references to models that are not stored. */
async function orphans(store) {
  const text = (key) => new TextDecoder().decode(store.rows.get(key));
  const models = [...keysOf(store, 'manifest'), ...keysOf(store, 'partial')];
  const ids = models.map((key) => /"writing":"([^"]+)"/.exec(text(key))[1]);
  const chunks = [...keysOf(store, 'chunk'), ...keysOf(store, 'head')].filter(
    (key) => !ids.some((id) => key.includes(`#chunk/${id}/`)),
  );
  const references = keysOf(store, 'ref').filter((key) => {
    const commit = /"commit":"([^"]+)"/.exec(text(key))[1];
    return !store.rows.has(`${key.replace('#ref/', '#manifest/').replace(/[^/]+$/, '')}${commit}`);
  });
  return [...chunks, ...references];
}

describe('a full store', () => {
  let sizes;
  let vectors;
  before(async () => {
    const store = mapStore();
    vectors = { [A]: await load(A, store), [B]: await load(B, false) };
    sizes = Object.fromEntries((await models.list({ store })).map(({ part, bytes }) => [part, bytes]));
  });
  const ROOM = 100e3; // for rows beside the chunks

  for (const more of [{}, { evict: true }]) {
    test(`with room for one tower ${more.evict ? 'and evict ' : ''}is QUOTA_EXCEEDED, and keeps the tower that is whole`, async () => {
      const store = mapStore();
      const full = limited(store, sizes.text + sizes.image / 2);
      await assert.rejects(load(A, full, more), {
        name: 'PilotlightError',
        code: 'QUOTA_EXCEEDED',
        message: /store is full: test\/a takes \d+ MB/,
      });
      assert.deepEqual(await listed(store), [`${A} text`]);
      assert.deepEqual(await orphans(store), []);
      assert.ok(bytesOf(store) < sizes.text + ROOM, 'something of the image tower is left');
      // Without a store it goes, and the tower that is there comes from there.
      assert.deepEqual(await load(A, false), vectors[A]);
      hub.setFaults([{ fault: 'reset' }]);
      assert.deepEqual((await load(A, full, { towers: ['text'] })).text, vectors[A].text);
    });

    test(`never takes the ${more.evict ? 'sibling' : 'other tower'} of the tower that is loaded`, async () => {
      for (const [tower, sibling] of [TOWERS, TOWERS.toReversed()]) {
        const store = mapStore();
        await load(A, store, { towers: [sibling] });
        await assert.rejects(load(A, limited(store, sizes[sibling] + sizes[tower] / 2), { towers: [tower], ...more }), {
          code: 'QUOTA_EXCEEDED',
        });
        assert.deepEqual(await listed(store), [`${A} ${sibling}`]);
        assert.deepEqual(await orphans(store), []);
      }
    });
  }

  test('without evict takes nothing of another model', async () => {
    const store = mapStore();
    await load(A, store);
    await assert.rejects(load(B, limited(store, bytesOf(store) + sizes.text / 2)), { code: 'QUOTA_EXCEEDED' });
    assert.deepEqual(await listed(store), [`${A} image`, `${A} text`]);
  });

  for (const [first, second] of [TOWERS, TOWERS.toReversed()]) {
    test(`with evict takes the ${first} tower of another model when it was used first, and only that where it suffices`, async () => {
      const store = mapStore();
      await load(A, store, { towers: [first] });
      await settle(5);
      await load(A, store, { towers: [second] });
      const full = limited(store, sizes.text + sizes.image + ROOM);
      const got = await load(B, full, { towers: [first], evict: true });
      assert.deepEqual(got[first], vectors[B][first]);
      assert.deepEqual(await listed(store), [`${A} ${second}`, `${B} ${first}`].sort());
      assert.deepEqual(await orphans(store), []);
      // A's tower that is left works alone and offline, and what is gone is fetched again, alone.
      hub.setFaults([{ fault: 'reset' }]);
      assert.deepEqual((await load(A, store, { towers: [second] }))[second], vectors[A][second]);
      hub.setFaults([]);
      assert.deepEqual(await load(A, store), vectors[A]);
      assert.deepEqual(await listed(store), [`${A} image`, `${A} text`, `${B} ${first}`]);
    });
  }

  test('with evict takes both towers of another model where both of the new one need the room', async () => {
    const store = mapStore();
    await load(A, store);
    const full = limited(store, sizes.text + sizes.image + ROOM);
    assert.deepEqual(await load(B, full, { evict: true }), vectors[B]);
    assert.deepEqual(await listed(store), [`${B} image`, `${B} text`]);
    assert.deepEqual(await orphans(store), []);
    hub.setFaults([{ fault: 'reset' }]);
    assert.deepEqual(await load(B, full, { evict: true }), vectors[B]);
  });

  test('with evict leaves a tower alone that is being written', async () => {
    const store = mapStore();
    await load(TINY, store);
    const full = {
      ...store,
      async put(key, bytes) {
        if (key.includes(`/${B}#chunk`)) throw new DOMException('no room', 'QuotaExceededError');
        await store.put(key, bytes);
      },
    };
    hub.setFaults([{ model: A, file: WEIGHTS, fault: 'drip', value: 4e6 }]);
    const first = load(A, full, { towers: ['text'], timeout: 5000 });
    while (!(await listed(store)).includes(`${A} text begun`)) await settle(5);
    await assert.rejects(load(B, full, { evict: true, timeout: 5000 }), { code: 'QUOTA_EXCEEDED' });
    assert.deepEqual(await listed(store), [`${A} text begun`]);
    assert.deepEqual((await first).text, vectors[A].text);
    assert.deepEqual(await listed(store), [`${A} text`]);
    assert.deepEqual(await orphans(store), []);
  });

  test('models that are evicted while they are loaded in memory go on', async () => {
    const store = mapStore();
    const embedder = await ImageTextEmbedder.load(A, { host: hub.url, dtype: 'f32', store });
    await load(B, limited(store, sizes.text + sizes.image + ROOM), { evict: true });
    assert.deepEqual(await listed(store), [`${B} image`, `${B} text`]);
    assert.deepEqual((await embedder.embedTexts('A photo of a small dog by the sea.')).data, vectors[A].text);
    assert.deepEqual((await embedder.embedImages(imageFile('37x53.png'))).data, vectors[A].image);
    await settle();
    assert.deepEqual(await listed(store), [`${B} image`, `${B} text`]);
    embedder.dispose();
  });
});

// A store is atomic in each put, and a program may end between any two of them.
describe('a program that ends', () => {
  /** Does `most` puts and deletes; from then on nothing is done, as when the process is gone. */
  function ending(store, most) {
    let left = most;
    const gone =
      (what) =>
      async (...args) => {
        if (left <= 0) throw new Error('the process is gone');
        left--;
        return store[what](...args);
      };
    return { ...reopened(store), put: gone('put'), delete: gone('delete'), ended: () => left <= 0 };
  }

  for (const [what, begin] of [
    ['a first load', async () => {}],
    ['a load with the text tower there', (store) => load(TINY, store, { towers: ['text'] })],
    ['a load with the image tower there', (store) => load(TINY, store, { towers: ['image'] })],
  ]) {
    test(`after any write of ${what} leaves what the next one goes on with, and nothing for ever`, async (t) => {
      const expected = await load(TINY, false);
      let writes = 0;
      for (; ; writes++) {
        const store = mapStore();
        await begin(store);
        const cut = ending(store, writes);
        const answer = await load(TINY, cut).catch((error) => error);
        const ended = cut.ended();
        for (const { whole, key } of await models.list({ store: reopened(store) }))
          assert.equal(whole, kindOf(key) === 'manifest');
        assert.deepEqual(await load(TINY, reopened(store)), expected, `after ${writes} writes: ${answer.message}`);
        assert.deepEqual(await load(TINY, reopened(store)), expected);
        await settle(1);
        assert.deepEqual(await listed(store), [`${TINY} image`, `${TINY} text`], `after ${writes} writes`);
        assert.deepEqual(await orphans(store), [], `after ${writes} writes`);
        if (!ended) break;
      }
      t.diagnostic(`${writes} writes`);
      assert.ok(writes > 8);
    });
  }
});

test('any row that is damaged, in any way, is noticed, and the vectors are right', async () => {
  const whole = mapStore();
  const expected = await load(TINY, whole);
  let damaged = 0;
  for (const [name, damage] of [
    ['a changed bit', (bytes) => bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 1 : byte))],
    ['a cut', (bytes) => bytes.slice(0, -1)],
    ['nothing left', () => new Uint8Array()],
    ['the row is gone', () => undefined],
  ]) {
    for (const key of whole.rows.keys()) {
      const store = mapStore();
      for (const [other, bytes] of whole.rows) store.rows.set(other, bytes.slice());
      const bytes = damage(store.rows.get(key));
      if (bytes) store.rows.set(key, bytes);
      else store.rows.delete(key);
      assert.deepEqual(await load(TINY, store), expected, `${key}: ${name}`);
      assert.deepEqual(await load(TINY, reopened(store)), expected, `${key}: ${name}`);
      await settle(1);
      assert.deepEqual(await orphans(store), [], `${key}: ${name}`);
      damaged++;
    }
  }
  assert.ok(damaged > 40);
});

test('a tower with a damaged chunk is fetched again alone', async () => {
  for (const tower of TOWERS) {
    const store = mapStore();
    const expected = await load(A, store);
    const all = weightBytes();
    const chunk = keysOf(store, 'chunk').find((key) => key.includes(`-${tower}`) && key.includes('.safetensors'));
    store.rows.get(chunk)[9] ^= 1;
    hub.requests.length = 0;
    assert.deepEqual(await load(A, store), expected);
    assert.ok(weightBytes() > all * 0.3 && weightBytes() < all * 0.7, `${weightBytes()} bytes of ${all}`);
    hub.requests.length = 0;
  }
});

/** Returns the start of the image tower in a file, and the size of the file. */
function layout(bytes) {
  const { header } = parse(bytes);
  const data = bytes.length - Math.max(...Object.values(header).map(({ data_offsets: [, end] }) => end));
  return { size: bytes.length, middle: data + header['vision_model.embeddings.class_embedding'].data_offsets[0] };
}

// The cosine of a text and an image means something within one model only.
describe('towers of two times', () => {
  const M = 'test/moving';
  const expected = {};
  before(async () => {
    expected.first = await load(A, false);
    expected.other = await load(B, false);
  });
  async function moving(t, traits = {}) {
    const host = await startHub({ models: { [M]: FIRST }, traits });
    t.after(() => host.close());
    await fetch(`${host.url}/api/models/${M}/tree/main?recursive=true`);
    const push = async (files) => {
      await host.push(M, files);
      await fetch(`${host.url}/api/models/${M}/tree/main?recursive=true`);
    };
    return { host, push, at: (store, more) => load(M, store, { host: host.url, timeout: 1000, ...more }) };
  }
  async function assertNoMixture(call) {
    const of = (name, vector) => Object.keys(expected).find((time) => isSame(expected[time][name], vector));
    const times = await call().then(
      (vectors) => TOWERS.map((name) => of(name, vectors[name])),
      (error) => assert.equal(error.code, 'FETCH_FAILED', String(error)),
    );
    if (times)
      assert.equal(
        times[0],
        times[1],
        `the text tower is of the ${times[0]} files, the image tower of the ${times[1]}`,
      );
  }
  const commits = async (store) => new Set((await models.list({ store })).map(({ commit }) => commit)).size;

  for (const [tower, other] of [TOWERS, TOWERS.toReversed()]) {
    test(`when the ${tower} tower alone followed its branch, a load of both brings the other one after it`, async (t) => {
      const { host, push, at } = await moving(t);
      const store = mapStore();
      assert.deepEqual(await at(store), expected.first);
      await push(OTHER);
      assert.deepEqual((await at(store, { towers: [tower] }))[tower], expected.first[tower]);
      await settle();
      assert.deepEqual((await at(store, { towers: [tower] }))[tower], expected.other[tower]);
      assert.equal(await commits(store), 2);

      // Offline each is good alone, and both together are no model.
      host.setFaults([{ fault: 'reset' }]);
      assert.deepEqual((await at(store, { towers: [tower] }))[tower], expected.other[tower]);
      assert.deepEqual((await at(store, { towers: [other] }))[other], expected.first[other]);
      await assertNoMixture(() => at(store));
      assert.deepEqual((await listed(store)).length, 2, 'a tower that is good is gone');

      host.setFaults([]);
      assert.deepEqual(await at(store), expected.other);
      assert.equal(await commits(store), 1);
      assert.deepEqual(await orphans(store), []);
      host.setFaults([{ fault: 'reset' }]);
      assert.deepEqual(await at(store), expected.other);
    });
  }

  for (const [what, traits] of [
    ['with ETags', { api: false }],
    ['without ETags', { api: false, etag: false }],
    ['that tells nothing', { api: false, etag: false, length: false, expose: false }],
  ]) {
    for (const tower of TOWERS) {
      test(`a bucket ${what} whose files were replaced after the ${tower} tower was stored gives no mixture`, async (t) => {
        const { push, at } = await moving(t, traits);
        const store = mapStore();
        await at(store, { towers: [tower] });
        await push(OTHER);
        await assertNoMixture(() => at(store));
      });
    }

    test(`a bucket ${what} gives both towers, from the store too, and goes on after a break in either`, async (t) => {
      const { host, at } = await moving(t, traits);
      const store = mapStore();
      assert.deepEqual(await at(store), expected.first);
      assert.equal(await commits(store), 1);
      host.requests.length = 0;
      assert.deepEqual(await at(store), expected.first);
      assert.deepEqual(
        host.requests.filter(({ url }) => url.includes('.safetensors')),
        [],
      );
      host.setFaults([{ fault: 'reset' }]);
      assert.deepEqual(await at(store), expected.first);
      const { size, middle } = layout(FIRST[WEIGHTS]);
      for (const cut of what === 'with ETags' ? [middle / 2, (middle + size) / 2] : [(middle + size) / 2]) {
        const store = mapStore();
        host.setFaults([{ file: WEIGHTS, fault: 'reset', value: Math.round(cut) }]);
        await assert.rejects(at(store), { code: 'FETCH_FAILED' });
        host.setFaults([]);
        assert.deepEqual(await at(store), expected.first);
        assert.deepEqual(await listed(store), [`${M} image`, `${M} text`]);
        assert.deepEqual(await orphans(store), []);
      }
    });
  }

  test('a branch that moves between the towers of one load leaves both whole in the store', async (t) => {
    const { host, push, at } = await moving(t);
    const store = mapStore();
    let asked = 0;
    host.setFaults([{ file: 'revision', fault: 'do', value: async () => void (asked++ === 1 && (await push(OTHER))) }]);
    assert.deepEqual(await at(store), expected.other);
    assert.deepEqual(await orphans(store), []);
    host.setFaults([{ fault: 'reset' }]);
    assert.deepEqual(await at(store), expected.other);
  });

  test('a hub that moves while nothing is kept gives no mixture', async (t) => {
    const { host, push, at } = await moving(t);
    let asked = 0;
    host.setFaults([{ file: 'revision', fault: 'do', value: async () => void (asked++ === 1 && (await push(OTHER))) }]);
    assert.deepEqual(await at(false), expected.other);
  });
});
