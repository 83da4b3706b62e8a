// VectorIndex: what it takes and gives, and what it refuses. The arithmetic is tested in Rust.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PilotlightError, TextEmbedder, VectorIndex } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { HUB_MODELS } from './support/models.mjs';
import { keysOf } from './support/store-keys.mjs';

const PRECISIONS = ['float32', 'int8', 'binary'];

/** Reproducible values between -1 and 1. */
function randomValues(count, seed = 7) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

async function filled(options = {}, count = 100, dimensions = 16) {
  const index = await VectorIndex.create({ dimensions, ...options });
  index.add(
    Array.from({ length: count }, (_, i) => (i % 2 ? `text ${i}` : i)),
    randomValues(count * dimensions),
  );
  return index;
}

const query = randomValues(16, 99);
const refused = (code, words) => (error) => {
  assert.ok(error instanceof PilotlightError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, words);
  return true;
};

test('vectors are found by cosine, the nearest first', async () => {
  const index = await VectorIndex.create({ dimensions: 3, precision: 'float32', source: 'by hand' });
  index.add(['x', 'y', 3], [[1, 0, 0], new Float32Array([0, 2, 0]), [3, 3, 0]]);
  assert.deepEqual(
    index.search([1, 0.1, 0], 2).map(({ id }) => id),
    ['x', 3],
  );
  const [best] = index.search(new Float32Array([0, 5, 0]), 1);
  assert.deepEqual(best, { id: 'y', score: 1 });
  assert.deepEqual(
    [index.size, index.dimensions, index.precision, index.prefilter, index.source],
    [3, 3, 'float32', false, 'by hand'],
  );
  assert.deepEqual(index.ids(), ['x', 'y', 3]);
  assert.ok(index.memoryBytes > 36);
  index.dispose();
});

test("by metric 'dot' the dot products count, with the lengths of the vectors, also when saved", async () => {
  for (const precision of ['float32', 'int8']) {
    const index = await VectorIndex.create({ dimensions: 2, precision, metric: 'dot' });
    index.add(
      ['near', 'long', 'zero', 'twin', 'gone'],
      [
        [1, 0],
        [40, 30],
        [0, 0],
        [1, 0],
        [90, 90],
      ],
      { tags: [['a'], ['a'], ['a'], ['a'], ['b']] },
    );
    index.remove(['gone']);
    const store = mapStore();
    await index.save('dots', { store });
    for (const each of [
      index,
      await VectorIndex.fromBytes(index.toBytes()),
      await VectorIndex.load('dots', { store }),
    ]) {
      assert.equal(each.metric, 'dot');
      const hits = each.search([2, 0], 9);
      assert.deepEqual(
        hits.map(({ id }) => id),
        ['long', 'near', 'twin', 'zero'],
      );
      for (const [i, dot] of [80, 2, 2, 0].entries())
        assert.ok(Math.abs(hits[i].score - dot) <= dot / 100, `${precision}: ${hits[i].score}`);
      assert.deepEqual(each.search([2, 0], 9, { filter: { tags: ['a'] } }), hits);
    }
  }
  assert.equal((await filled()).metric, 'cosine');
  for (const options of [
    { metric: 'euclidean' },
    { metric: 'dot', prefilter: true },
    { metric: 'dot', precision: 'binary' },
  ])
    await assert.rejects(VectorIndex.create({ dimensions: 8, ...options }), refused('INVALID_INPUT', /metric/));
});

test('int8 is the default, and scores are those of float32 to 0.01', async () => {
  const [int8, float32] = [await filled(), await filled({ precision: 'float32' })];
  assert.equal(int8.precision, 'int8');
  const scores = new Map(float32.search(query, 100).map(({ id, score }) => [id, score]));
  for (const { id, score } of int8.search(query, 100)) assert.ok(Math.abs(score - scores.get(id)) < 0.01);
});

test('what embed gives can be added and asked for as it is', async () => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  try {
    const embedder = await TextEmbedder.load('test/bert-tiny-mean', { host: hub.url, store: false });
    const texts = ['a dog by the river', 'numbers and sums', 'a cat on the mat'];
    const index = await VectorIndex.create({
      dimensions: embedder.dimensions,
      source: `tiny, ${embedder.backend.dtype}, ${embedder.backend.simd}`,
    });
    index.add(texts, await embedder.embed(texts));
    for (const text of texts) assert.equal(index.search(await embedder.embed(text), 1)[0].id, text);
    const int8 = await embedder.embed(texts, { precision: 'int8' });
    assert.throws(() => index.update(texts, int8), refused('INVALID_INPUT', /precision 'float32'/));
    assert.throws(() => index.search(int8, 1), refused('INVALID_INPUT', /^query/));
    const [one, two] = [await embedder.embed('x'), await embedder.embed(['x', 'y'])];
    assert.throws(() => index.search(two, 1), refused('INVALID_INPUT', /1 x 32, got 2 x 32/));
    assert.throws(() => index.add(['a', 'b'], one), refused('INVALID_INPUT', /2 x 32, got 1 x 32/));
    embedder.dispose();
    assert.equal(index.search(one, 1).length, 1, 'an index does not need the model that made it');
  } finally {
    await hub.close();
  }
});

test('an integer and its text are different ids', async () => {
  const index = await VectorIndex.create({ dimensions: 1 });
  index.add([1, '1', -5, '', '𝒳', Number.MAX_SAFE_INTEGER], new Float32Array(6).fill(1));
  assert.deepEqual(index.ids(), [1, '1', -5, '', '𝒳', Number.MAX_SAFE_INTEGER]);
  assert.equal(index.remove(['1', '1', 'no such']), 1);
  assert.ok(index.has(1) && !index.has('1') && index.has('𝒳') && index.has(''));
});

const bad = {
  'an id that is there': [[2], [[1, 1]], /ids\[0\] is there already/],
  'an id twice': [
    ['a', 'b', 'a'],
    [
      [1, 1],
      [1, 2],
      [1, 3],
    ],
    /ids\[2\] is the same as ids\[0\]/,
  ],
  'half an id': [
    ['a', 1.5],
    [
      [1, 1],
      [1, 1],
    ],
    /ids\[1\]: expected a string or a safe integer, got 1.5/,
  ],
  'an id that is too large': [[2 ** 53], [[1, 1]], /ids\[0\]/],
  'an id that is a bigint': [[1n], [[1, 1]], /ids\[0\].*bigint/],
  'an id that is no text': [['a\ud800'], [[1, 1]], /ids\[0\].*surrogate/],
  'ids that are no array': ['ab', [[1, 1]], /ids: expected an array/],
  'ids with a hole': [
    // biome-ignore lint/suspicious/noSparseArray: the hole is what is tested
    [, 'a'],
    [
      [1, 1],
      [1, 1],
    ],
    /ids\[0\]/,
  ],
  'fewer vectors than ids': [['a', 'b'], [[1, 1]], /expected 2, one for each id, got 1/],
  'a short array': [['a', 'b'], new Float32Array(3), /2 x 2 values for 2 ids, got 3/],
  'a vector of another length': [
    ['a', 'b'],
    [
      [1, 1],
      [1, 1, 1],
    ],
    /vectors\[1\]: expected 2 values, got 3/,
  ],
  'a vector that is no array': [['a'], ['ab'], /vectors\[0\]/],
  'a value that is no number': [
    ['a', 'b'],
    [
      [1, 1],
      [1, null],
    ],
    /vectors\[1\]\[1\]: expected a number, got null/,
  ],
  'a NaN': [
    ['a', 'b'],
    [
      [1, 1],
      [NaN, 1],
    ],
    /vectors\[1\] has a value that is not a number/,
  ],
  'a value that f32 does not hold': [['a'], [[1e39, 1]], /vectors\[0\] has a value/],
  'a vector of zeros': [['a', 'b'], new Float32Array([1, 1, 0, -0]), /vectors\[1\] has nothing but zeros/],
  'vectors of bytes': [['a'], new Uint8Array(2), /vectors: expected a Float32Array/],
  'tags that are no list': [['a'], [[1, 1]], /tags: expected an array/, { tags: 'red' }],
  'a list of tags too few': [
    ['a', 'b'],
    [
      [1, 1],
      [1, 1],
    ],
    /tags has 1 lists/,
    { tags: [['red']] },
  ],
  'a tag that is no text': [['a'], [[1, 1]], /tags\[0\]\[1\]/, { tags: [['red', 5]] }],
  'options that are none': [['a'], [[1, 1]], /options: expected an object/, 5],
};
for (const [what, [ids, vectors, words, options]] of Object.entries(bad)) {
  test(`${what} is refused, and nothing is added`, async () => {
    const index = await VectorIndex.create({ dimensions: 2 });
    index.add([2], [[1, 1]]);
    const before = index.toBytes();
    assert.throws(() => index.add(ids, vectors, options), refused('INVALID_INPUT', words));
    assert.deepEqual(index.toBytes(), before);
    index.add(
      ['a', 'b'],
      [
        [1, 2],
        [2, 1],
      ],
    );
    assert.equal(index.size, 3);
  });
}

test('what cannot be made or asked is refused', async () => {
  for (const options of [
    undefined,
    null,
    {},
    { dimensions: 0 },
    { dimensions: 2.5 },
    { dimensions: '3' },
    { dimensions: 40_000 },
    { dimensions: 3, precision: 'int4' },
    { dimensions: 3, prefilter: 1 },
    { dimensions: 3, source: 5 },
    { dimensions: 8, precision: 'binary', prefilter: true },
  ]) {
    await assert.rejects(VectorIndex.create(options), refused('INVALID_INPUT', /./), JSON.stringify(options));
  }
  const index = await filled();
  for (const k of [0, -1, 1.5, NaN, Infinity, '3', undefined])
    assert.throws(() => index.search(query, k), refused('INVALID_INPUT', /^k: expected a whole number from 1/));
  for (const wrong of [
    query.subarray(1),
    [],
    'text',
    null,
    Array(16).fill('1'),
    new Float32Array(16),
    new Float32Array(16).fill(NaN),
  ]) {
    assert.throws(() => index.search(wrong, 1), refused('INVALID_INPUT', /^query/));
  }
  for (const options of [
    null,
    7,
    { candidates: 0 },
    { exact: 'yes' },
    { filter: 'red' },
    { filter: {} },
    { filter: { tags: 'red' } },
    { filter: { tags: [1] } },
    { filter: { tags: [], match: 'none' } },
  ]) {
    assert.throws(() => index.search(query, 1, options), refused('INVALID_INPUT', /./), JSON.stringify(options));
  }
  assert.throws(() => new VectorIndex(), refused('INVALID_INPUT', /VectorIndex\.create/));
  assert.throws(() => index.update(['new'], query), refused('INVALID_INPUT', /ids\[0\] is not there/));
  assert.equal(index.search(query, 1e9).length, 100, 'more than there are: all');
  assert.deepEqual((await VectorIndex.create({ dimensions: 16 })).search(query, 5), []);
});

test('update replaces in place, remove removes', async () => {
  for (const precision of PRECISIONS) {
    const index = await filled({ precision });
    index.update([4], query);
    assert.equal(index.search(query, 1)[0].id, 4);
    assert.equal(index.remove([4]), 1);
    assert.notEqual(index.search(query, 1)[0].id, 4);
    assert.equal(index.size, 99);
    assert.throws(() => index.update([0, 4], randomValues(32)), refused('INVALID_INPUT', /ids\[1\] is not there/));
    assert.equal(index.remove(index.ids()), 99);
    assert.deepEqual(index.search(query, 5), []);
  }
});

test('a search finds what its filter lets through', async () => {
  for (const prefilter of [false, true]) {
    const index = await VectorIndex.create({ dimensions: 16, prefilter });
    const ids = Array.from({ length: 1000 }, (_, i) => i);
    index.add(ids, randomValues(16_000), {
      tags: ids.map((i) => [i % 2 ? 'odd' : 'even', ...(i % 3 ? [] : ['third'])]),
    });
    index.add(['untagged', 'too'], [query, query], { tags: ['third', 'late'] });
    const all = index.search(query, 2000, { exact: true });
    const expected = (passes, k) => all.filter(({ id }) => passes(id)).slice(0, k);
    const third = (id) => typeof id === 'string' || id % 3 === 0;
    assert.deepEqual(
      index.search(query, 5, { filter: (id) => id % 2 === 0, exact: true }),
      expected((id) => id % 2 === 0, 5),
    );
    assert.deepEqual(index.search(query, 5, { filter: { tags: ['third'] }, exact: true }), expected(third, 5));
    assert.deepEqual(
      index.search(query, 2000, { filter: { tags: ['third', 'odd'] } }),
      expected((id) => third(id) && id % 2 === 1, 2000),
    );
    assert.deepEqual(
      index.search(query, 2000, { filter: { tags: ['late', 'odd'], match: 'any' } }),
      expected((id) => typeof id === 'string' || id % 2 === 1, 2000),
    );
    assert.deepEqual(index.search(query, 5, { filter: { tags: ['nobody'] } }), []);
    assert.deepEqual(index.search(query, 5, { filter: { tags: [] }, exact: true }), all.slice(0, 5));
    for (const { id } of index.search(query, 5, { filter: (id) => id > 500, candidates: 50 })) assert.ok(id > 500);
  }
});

test('a filter that throws ends the search with what it threw, and one that changes the index is refused', async () => {
  const index = await filled();
  const error = new Error('mine');
  assert.throws(
    () =>
      index.search(query, 3, {
        filter: () => {
          throw error;
        },
      }),
    (thrown) => thrown === error || thrown.cause === error,
  );
  for (const change of [
    () => index.add(['x'], query),
    () => index.remove([0]),
    () => index.update([0], query),
    () => index.dispose(),
  ]) {
    assert.throws(
      () => index.search(query, 3, { filter: () => change() }),
      refused('INVALID_INPUT', /a filter may not change the index/),
    );
  }
  const nested = index.search(query, 3, {
    filter: (id) => index.search(query, 5).some((hit) => hit.id === id) && index.has(id),
  });
  assert.deepEqual(nested, index.search(query, 3));
  index.remove([0]);
  assert.equal(index.size, 99);
});

test('bytes give back the same index', async () => {
  for (const precision of PRECISIONS) {
    const index = await filled({ precision, prefilter: precision !== 'binary', source: 'model, q8, simd128' });
    index.add(['tagged'], query, { tags: ['a', 'ä'] });
    index.remove([0]);
    const bytes = index.toBytes();
    const back = await VectorIndex.fromBytes(bytes);
    assert.deepEqual(back.search(query, 10, { exact: true }), index.search(query, 10, { exact: true }));
    assert.deepEqual(
      back.search(query, 10, { filter: { tags: ['ä'] } }).map(({ id }) => id),
      ['tagged'],
    );
    assert.deepEqual([back.source, back.prefilter, back.ids()], [index.source, index.prefilter, index.ids()]);
    assert.deepEqual(back.toBytes(), bytes);
    // The bytes may be a part of a larger buffer.
    const part = new Uint8Array(bytes.length + 9);
    part.set(bytes, 5);
    assert.equal((await VectorIndex.fromBytes(part.subarray(5, -4))).size, 100);
    await assert.rejects(VectorIndex.fromBytes(bytes.with(200, bytes[200] ^ 1)), refused('INTEGRITY', /altered/));
    await assert.rejects(VectorIndex.fromBytes(bytes.subarray(0, -1)), refused('INTEGRITY', /altered or cut off/));
  }
  for (const wrong of [new Uint8Array(0), new Uint8Array(100), undefined, 'text', new ArrayBuffer(100)]) {
    await assert.rejects(VectorIndex.fromBytes(wrong), refused('INVALID_INPUT', /^bytes/));
  }
});

test('a saved index comes back, also from another store with the same rows', async () => {
  const store = mapStore();
  const index = await filled({ source: 'model' });
  assert.equal(await VectorIndex.load('notes', { store }), undefined);
  await index.save('notes', { store });
  const back = await VectorIndex.load('notes', { store: { ...mapStore(), ...store } });
  assert.deepEqual(back.toBytes(), index.toBytes());
  assert.equal(await VectorIndex.load('note', { store }), undefined);
  assert.equal(await VectorIndex.delete('note', { store }), false);
  assert.equal(await VectorIndex.delete('notes', { store }), true);
  assert.equal(store.rows.size, 0);
  await index.save('notes', { store: 'memory' });
  assert.equal((await VectorIndex.load('notes', { store: 'memory' })).size, 100);
});

test('a save keeps what there was at the call, whatever is done to the index meanwhile', async () => {
  const store = mapStore();
  const index = await filled();
  const before = index.toBytes();
  const saved = index.save('notes', { store });
  index.remove([0]);
  index.update([2], query);
  index.add(['new'], query);
  const second = index.save('notes', { store });
  const after = index.toBytes();
  index.dispose();
  await saved;
  assert.deepEqual((await VectorIndex.load('notes', { store })).toBytes().length > 0, true);
  await second;
  assert.deepEqual((await VectorIndex.load('notes', { store })).toBytes(), after);
  assert.notDeepEqual(after, before);
});

test('a second save writes only the part that changed', async () => {
  const store = mapStore();
  const puts = [];
  const counting = {
    ...store,
    put(key, bytes) {
      puts.push(key);
      return store.put(key, bytes);
    },
  };
  const dimensions = 2048;
  const index = await VectorIndex.create({ dimensions });
  const add = (from, to) =>
    index.add(
      Array.from({ length: to - from }, (_, i) => from + i),
      randomValues((to - from) * dimensions, from + 1),
    );
  add(0, 2500);
  await index.save('notes', { store: counting });
  assert.equal(puts.splice(0).length, 4, 'three chunks and the manifest');
  add(2500, 2501);
  await index.save('notes', { store: counting });
  assert.equal(puts.splice(0).length, 2, 'the last chunk and the manifest');
  assert.equal(keysOf(store, 'chunk').length, 3, 'nothing is left behind');
  assert.equal((await VectorIndex.load('notes', { store })).size, 2501);
});

test('an altered chunk is noticed, and the next save mends it', async () => {
  for (const kind of ['chunk', 'manifest']) {
    const store = mapStore();
    const index = await filled();
    await index.save('notes', { store });
    const [key] = keysOf(store, kind);
    const bytes = store.rows.get(key);
    store.rows.set(key, bytes.with(bytes.length >> 1, bytes[bytes.length >> 1] ^ 1));
    await assert.rejects(VectorIndex.load('notes', { store }), refused('INTEGRITY', /altered/));
    await index.save('notes', { store });
    assert.equal((await VectorIndex.load('notes', { store })).size, 100);
  }
});

test('a store that fails leaves the former version', async () => {
  const store = mapStore();
  const index = await filled();
  await index.save('notes', { store });
  index.add(['new'], query);
  const full = Object.assign(new Error('no room'), { name: 'QuotaExceededError' });
  await assert.rejects(
    index.save('notes', { store: { ...store, put: () => Promise.reject(full) } }),
    (error) => refused('QUOTA_EXCEEDED', /former|before/)(error) && error.needed > 0,
  );
  assert.equal((await VectorIndex.load('notes', { store })).size, 100);
  await assert.rejects(index.save('', { store }), refused('INVALID_INPUT', /^name/));
  await assert.rejects(index.save('notes', { store: false }), refused('INVALID_INPUT', /^store is false/));
  await assert.rejects(VectorIndex.load(5, { store }), refused('INVALID_INPUT', /^name/));
});

test('after dispose every call says so', async () => {
  const index = await filled();
  index.dispose();
  index.dispose();
  const disposed = refused('DISPOSED', /disposed/);
  for (const call of [
    () => index.add([], []),
    () => index.search(query, 1),
    () => index.size,
    () => index.ids(),
    () => index.toBytes(),
    () => index.remove([]),
    () => index.has(1),
  ])
    assert.throws(call, disposed);
  await assert.rejects(index.save('x'), disposed);
  assert.equal(index.dimensions, 16);
});
