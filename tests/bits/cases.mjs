// The cases whose results are compared bit by bit: each gives SHA-256 digests, which tests/bits/record.json lists. The module imports
// nothing, so Node and a page run the same code.
//
// A change that only moves code changes no digest. A change of the arithmetic records them anew by `node tests/bits/record.mjs`, in a commit
// of its own that gives the reason, and only while the accuracy tests pass: tests/goldens checks that results are right, this record that they
// are unchanged.
//
// The record has a part for each arithmetic that WebAssembly allows (see `arithmetic`), not for each machine.

/** Each case loads these from a host. */
export const MODELS = {
  minilm: 'sentence-transformers/all-MiniLM-L6-v2',
  tinyBerts: ['test/bert-tiny-mean', 'test/bert-tiny-cls', 'test/bert-tiny-max'],
  /** Only GGUF files, of which q4 takes the one in four bits with minima. */
  gguf: 'test/gguf',
  clipTiny: 'test/clip-tiny',
  clipScenes: 'pilotlight/tiny-clip',
  /** Folders of images, which the host serves like any file. */
  images: 'test/decode',
  scenes: 'test/clip-scenes',
};

const WORDS =
  'a pilot light of the old stove went out twice on Sunday and nobody in the house noticed before supper'.split(' ');
const words = (count) => Array.from({ length: count }, (_, i) => WORDS[i % WORDS.length]).join(' ');

/** The texts, from no token to more than the model takes. Kernels take rows by fours, groups of inputs and the rest, so lengths are odd too. */
const TEXTS = [
  '',
  'light',
  'The pilot light is warm.',
  'Two dogs run by the river, and one old man reads to a child in the street.',
  'Un café naïve, über großen Ärger; Ελλάδα, Москва, 日本の火',
  '?!... --- ;;; (){}[]<> @#$%^&*_+=|',
  words(17),
  words(40),
  words(127),
  words(400),
];
const CAPTIONS = ['a red square', 'two blue circles', 'the digit seven', '', words(90)];
const LABELS = ['square', 'circle', 'triangle', 'digit'];

/** SHA-256 in hex of a view's bytes, or of a text. */
async function sha256(value) {
  const bytes =
    typeof value === 'string'
      ? new TextEncoder().encode(value)
      : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Values between -1 and 1 that are the same everywhere. */
function seeded(count, seed) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

async function fetched(host, model, file) {
  const response = await fetch(`${host}/${model}/resolve/main/${file}`);
  if (!response.ok) throw new Error(`${model}/${file}: expected 200, got ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The first images of tests/goldens/clip-scenes. */
async function scenes(host, count) {
  const { scenes } = JSON.parse(new TextDecoder().decode(await fetched(host, MODELS.scenes, 'scenes.json')));
  const all = await fetched(host, MODELS.scenes, 'pictures.bin');
  let start = 0;
  return scenes.slice(0, count).map(({ length }) => {
    const image = all.slice(start, start + length);
    start += length;
    return image;
  });
}

const load = (Embedder, model, host, dtype) => Embedder.load(model, { host, dtype, device: 'cpu', store: false });

/** `classify` and `search` give numbers of JavaScript: which ones, and their bits. */
const hits = (found, name) => [
  JSON.stringify(found.map((hit) => hit[name])),
  Float64Array.from(found, ({ score }) => score),
];

async function textBits({ pilotlight, host, model, dtype }) {
  const embedder = await load(pilotlight.TextEmbedder, model, host, dtype);
  const bits = { float32: (await embedder.embed(TEXTS)).data };
  // One text goes through other tiles of the kernels than ten.
  bits['one text'] = (await embedder.embed(TEXTS[3])).data;
  if (model === MODELS.minilm && dtype === 'q8') {
    for (const precision of ['int8', 'uint8', 'binary', 'ubinary'])
      bits[precision] = (await embedder.embed(TEXTS, { precision })).data;
    bits['128 dimensions'] = (await embedder.embed(TEXTS, { dimensions: 128 })).data;
    bits['128 dimensions in int8'] = (await embedder.embed(TEXTS, { dimensions: 128, precision: 'int8' })).data;
  }
  embedder.dispose();
  return bits;
}

async function clipBits({ pilotlight, host, model, dtype, images }) {
  const clip = await load(pilotlight.ImageTextEmbedder, model, host, dtype);
  const bits = {
    texts: (await clip.embedTexts(CAPTIONS)).data,
    images: (await clip.embedImages(images)).data,
    'images in int8': (await clip.embedImages(images, { precision: 'int8' })).data,
  };
  [bits['labels in order'], bits['scores of labels']] = hits(await clip.classify(images[0], LABELS), 'label');
  clip.dispose();
  return bits;
}

async function digitBits({ pilotlight, judge: { DigitJudge } }) {
  const generator = await pilotlight.DigitGenerator.load({ device: 'cpu' });
  const judge = await DigitJudge.load(generator);
  const bits = {};
  const draw = async (name, options) => {
    const { data } = await generator.generate(options);
    bits[name] = data;
    const readings = await judge.read(data);
    bits[`${name}: what the judge reads`] = Float32Array.from(
      readings.flatMap(({ probabilities }) => [...probabilities]),
    );
  };
  await draw('0 to 9', { text: '0123456789', seed: 0 });
  await draw('a large seed', { digits: [4, 2], count: 2, seed: 2 ** 53 - 1 });
  await draw('1 step', { digit: 8, seed: 1, steps: 1 });
  await draw('3 steps', { digit: 8, seed: 1, steps: 3 });
  await draw('12 steps', { digit: 8, seed: 1, steps: 12 });
  await draw('guidance 1', { digit: 5, seed: 3, guidance: 1 });
  await draw('guidance 4', { digit: 5, seed: 3, guidance: 4 });
  bits['a morph of digits and seeds'] = (
    await generator.morph({ from: { digit: 3, seed: 4 }, to: { digit: 8, seed: 9 }, count: 5 })
  ).data;
  judge.dispose();
  generator.dispose();
  return bits;
}

async function indexBits({ pilotlight: { VectorIndex }, precision, prefilter }) {
  // More than a block of 2 MiB holds in float32, and no multiple of the sixteen rows in which signs lie.
  const [dimensions, count] = [200, 3001];
  const index = await VectorIndex.create({ dimensions, precision, prefilter, source: 'tests/bits' });
  const ids = Array.from({ length: count }, (_, i) => (i % 3 ? i : `row ${i}`));
  const tags = ids.map((_, i) => [i % 2 ? 'odd' : 'even', ...(i % 5 ? [] : ['fifth'])]);
  index.add(ids.slice(0, 2000), seeded(2000 * dimensions, 1), { tags: tags.slice(0, 2000) });
  index.add(ids.slice(2000), seeded((count - 2000) * dimensions, 2));
  const queries = [3, 4, 5].map((seed) => seeded(dimensions, seed));
  const bits = {};
  const look = (when) => {
    bits[`${when}: bytes`] = index.toBytes();
    for (const [what, options] of Object.entries({
      search: {},
      'exact search': { exact: true },
      'search by tags': { filter: { tags: ['odd', 'fifth'] } },
    })) {
      const found = queries.flatMap((query) => index.search(query, 20, options));
      [bits[`${when}: ${what}`], bits[`${when}: scores of ${what}`]] = hits(found, 'id');
    }
  };
  look('after adding');
  index.update(ids.slice(10, 20), seeded(10 * dimensions, 6), { tags: ['new'] });
  index.remove(ids.filter((_, i) => i % 7 === 0));
  look('after removing a seventh');
  // A third is when the gaps are closed.
  index.remove(ids.filter((_, i) => i % 2 === 0));
  index.add(['again'], seeded(dimensions, 8));
  look('after removing half');
  const bytes = index.toBytes();
  index.dispose();
  const read = await VectorIndex.fromBytes(bytes);
  bits['written, read and written'] = read.toBytes();
  read.dispose();
  return bits;
}

/** The cases by name. Each returns views of bytes and texts, by name. */
const runs = {
  ...Object.fromEntries(
    ['q8', 'q4', 'f32'].map((dtype) => [
      `MiniLM in ${dtype}`,
      (from) => textBits({ ...from, model: MODELS.minilm, dtype }),
    ]),
  ),
  ...Object.fromEntries(
    MODELS.tinyBerts.flatMap((model) =>
      ['q8', 'q4', 'f32'].map((dtype) => [`${model} in ${dtype}`, (from) => textBits({ ...from, model, dtype })]),
    ),
  ),
  'test/gguf in q4': (from) => textBits({ ...from, model: MODELS.gguf, dtype: 'q4' }),
  'pilotlight/tiny-clip in q8': async (from) =>
    clipBits({ ...from, model: MODELS.clipScenes, dtype: 'q8', images: await scenes(from.host, 8) }),
  ...Object.fromEntries(
    ['q8', 'q4', 'f32'].map((dtype) => [
      `test/clip-tiny in ${dtype}`,
      async (from) => {
        // One of each decoder, and one that is turned.
        const names = ['plain.png', 'plain.jpg', 'subsampled.jpg', 'exif-6.jpg', 'lossy-alpha.webp', 'plain.gif'];
        const images = await Promise.all(names.map((name) => fetched(from.host, MODELS.images, name)));
        return clipBits({ ...from, model: MODELS.clipTiny, dtype, images });
      },
    ]),
  ),
  'digits and their judge': digitBits,
  'an index in int8': (from) => indexBits({ ...from, precision: 'int8' }),
  'an index in int8 with prefilter': (from) => indexBits({ ...from, precision: 'int8', prefilter: true }),
  'an index in float32': (from) => indexBits({ ...from, precision: 'float32' }),
  'an index in float32 with prefilter': (from) => indexBits({ ...from, precision: 'float32', prefilter: true }),
  'an index in binary': (from) => indexBits({ ...from, precision: 'binary' }),
};

export const names = Object.keys(runs);

/**
 * The digests of one case.
 * @param {string} name of `names`
 * @param {{ pilotlight: object, judge: object, host: string }} from the modules `pilotlight` and `pilotlight/judge`, and the host of `MODELS`
 */
export async function digests(name, from) {
  const bits = await runs[name](from);
  return Object.fromEntries(
    await Promise.all(Object.entries(bits).map(async ([what, value]) => [what, await sha256(value)])),
  );
}

// (module (func (export "f") (result f32): lane 0 of f32x4.relaxed_madd(1 + 2^-12, 1 + 2^-12, -(1 + 2^-11)))
const splat = (...float) => [0x43, ...float, 0xfd, 0x13];
const MADD = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7d, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, 10, 31, 1, 29, 0],
  ...splat(0, 8, 0x80, 0x3f),
  ...splat(0, 8, 0x80, 0x3f),
  ...splat(0, 0x10, 0x80, 0xbf),
  ...[0xfd, 0x85, 2, 0xfd, 0x1f, 0, 0x0b],
]);

/**
 * Returns the part of the record that a build on this machine must match: `simd`, `relaxed, fused` or `relaxed, unfused`.
 *
 * Every operation of simd128 is defined to the bit. Of the relaxed ones the kernels use two, besides minima and maxima, which differ
 * in NaN and in the sign of zero only. The int8 dot product may differ where an activation is above 127, and the kernels keep them
 * below; its two ways to add up are exact. The multiply-add rounds once on Arm and on x86-64 with FMA3, and twice elsewhere: this is
 * detected by an example whose result is 0 if the product is rounded.
 * @param {'simd128' | 'relaxed-simd'} simd the value of `backend.simd`
 */
export async function arithmetic(simd) {
  if (simd === 'simd128') return 'simd';
  const { instance } = await WebAssembly.instantiate(MADD);
  return instance.exports.f() === 0 ? 'relaxed, unfused' : 'relaxed, fused';
}
