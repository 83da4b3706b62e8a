// Tests downloads of the real MiniLM that break off: the byte at which the next load resumes, and that it never mixes two states of a host.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, MINILM } from './support/models.mjs';
import { keysOf } from './support/store-keys.mjs';

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const WEIGHTS = 'model.safetensors';
const CHUNK = 4 << 20;
/** The most bytes in flight when the connection broke. */
const ON_ITS_WAY = 2 << 20;

const FILES = filesOf(MINILM);
const SIZE = FILES[WEIGHTS].length;
/** The same with other word embeddings, which are at its front. */
const CHANGED = { ...FILES, [WEIGHTS]: FILES[WEIGHTS].slice().fill(0, 1e6, 12e6) };

async function load(hub, store, more) {
  const embedder = await TextEmbedder.load(MODEL, { host: hub.url, store, dtype: 'q8', timeout: 500, ...more });
  const { data } = await embedder.embed('man on steps');
  embedder.dispose();
  return data;
}

/** The hub hashes files when it is asked first, which takes longer than these loads wait. */
const hashed = (hub) => fetch(`${hub.url}/${MODEL}/resolve/main/${WEIGHTS}`, { method: 'HEAD' });

async function withHub(traits, work) {
  const hub = await startHub({ models: { [MODEL]: FILES }, traits });
  try {
    await hashed(hub);
    await work(hub);
  } finally {
    await hub.close();
  }
}

/** A load that breaks off before a byte of the weights, and cannot go on. */
async function breakOff(hub, store, cut) {
  hub.setFaults([{ file: WEIGHTS, fault: 'reset', value: cut }]);
  await assert.rejects(load(hub, store), { name: 'PilotlightError', code: 'FETCH_FAILED' });
  assert.deepEqual(keysOf(store, 'manifest'), []);
  hub.setFaults([]);
  hub.requests.length = 0;
}

const weightRequests = (hub) => hub.requests.filter(({ url }) => url.endsWith(WEIGHTS));

/** Returns the byte at which the download of the weights resumed. A bucket is first asked for their front, to check that they are the same. */
const start = (hub) => Number(/bytes=(\d+)/.exec(weightRequests(hub).at(-1).headers.range)[1]);

let vector;
let changed;
before(() =>
  withHub({}, async (hub) => {
    vector = await load(hub, false);
    await hub.push(MODEL, CHANGED);
    await hashed(hub);
    changed = await load(hub, false);
    assert.notDeepEqual(changed, vector);
  }),
);

for (const [what, traits] of [
  ['a hub', {}],
  ['a bucket', { api: false }],
]) {
  test(`from ${what} the next load goes on at most a chunk before the break`, () =>
    withHub(traits, async (hub) => {
      for (const cut of [30e6, SIZE - 1]) {
        const store = mapStore();
        await breakOff(hub, store, cut);
        assert.deepEqual(await load(hub, store), vector);
        const from = start(hub);
        assert.ok(from <= cut && cut - from <= CHUNK + ON_ITS_WAY, `cut at ${cut}, went on at ${from}`);
        const again = hub.requests.filter(({ url }) => url.endsWith('tokenizer.json')).length;
        if (traits.api !== false) assert.equal(again, 0, 'small files came again');
        hub.setFaults([{ fault: 'reset' }]);
        assert.deepEqual(await load(hub, store), vector);
        hub.setFaults([]);
      }
    }));
}

for (const [what, traits] of [
  ['the branch of a hub', {}],
  ['a bucket with ETags', { api: false }],
  ['a bucket without ETags', { api: false, etag: false }],
]) {
  test(`when ${what} has other weights at the next visit, they come whole and not in part`, () =>
    withHub(traits, async (hub) => {
      const store = mapStore();
      await breakOff(hub, store, 40e6);
      await hub.push(MODEL, CHANGED);
      await hashed(hub);
      hub.requests.length = 0;
      const found = await load(hub, store);
      assert.notDeepEqual(found, vector, 'it has the words of before');
      assert.deepEqual(found, changed);
      const bytes = weightRequests(hub).reduce((sum, { bytes }) => sum + bytes, 0);
      assert.ok(bytes >= SIZE, `${bytes} bytes of ${SIZE} came`);
    }));
}

test('when only a file has changed that is not needed, the next load goes on all the same', () =>
  withHub({}, async (hub) => {
    const store = mapStore();
    await breakOff(hub, store, 40e6);
    await hub.push(MODEL, { ...FILES, 'README.md': new Uint8Array([10]) });
    await hashed(hub);
    assert.deepEqual(await load(hub, store), vector);
  }));

test('what is stored of a download and was altered is noticed, and comes again', () =>
  withHub({}, async (hub) => {
    for (const kind of ['chunk', 'partial', 'head']) {
      const store = mapStore();
      await breakOff(hub, store, 40e6);
      const altered = keysOf(store, kind).map((key) => store.rows.get(key));
      assert.ok(altered.length > 0, kind);
      for (const bytes of altered) bytes[bytes.length >> 1] ^= 1;
      assert.deepEqual(await load(hub, store), vector, kind);
    }
  }));
