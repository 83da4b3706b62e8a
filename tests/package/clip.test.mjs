// `ImageTextEmbedder`: tiny CLIPs against transformers, and what its calls take and give.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ImageTextEmbedder, PilotlightError } from 'pilotlight';
import { imageFile, relativeError, rowsOf, unit } from './support/clip.mjs';
import { CLIPS, tolerance } from './support/goldens.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { clip, GOLDENS, hub, IMAGES, lacking, load, loadSlow, mean, setUp, TEXTS } from './support/tiny-clips.mjs';
import { cosine } from './support/vectors.mjs';

setUp();

for (const name of CLIPS) {
  const { texts, tensors, pictures: images } = GOLDENS[name];
  const expected = { texts: tensors.text_features.map(unit), images: tensors.image_features.map(unit) };
  const config = JSON.parse(readFileSync(path.join(tinyFolder(name), 'config.json'), 'utf8'));

  test(`${name} in f32 equals transformers in every value of both towers`, async (t) => {
    const embedder = await load(name);
    assert.deepEqual(
      [embedder.dimensions, embedder.maxTokens, embedder.towers],
      [expected.texts[0].length, config.text_config.max_position_embeddings, ['text', 'image']],
    );
    const read = await embedder.embedTexts(texts.map(({ text }) => text));
    const seen = await embedder.embedImages(images.map(imageFile));
    assert.deepEqual(read.dims, [texts.length, embedder.dimensions]);
    assert.deepEqual(seen.dims, [images.length, embedder.dimensions]);
    assert.deepEqual(
      read.tokens,
      texts.map(({ ids }) => ids.length),
    );
    assert.deepEqual(
      read.truncated,
      texts.map(({ truncated }) => truncated),
    );
    for (const [what, result] of [
      ['texts', read],
      ['images', seen],
    ]) {
      const error = relativeError(rowsOf(result), expected[what]);
      t.diagnostic(`${what}: ${error.toExponential(1)} of the largest value`);
      assert.ok(error <= tolerance(name), `${what}: ${error} of the largest value`);
      for (const row of rowsOf(result))
        assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-6, `length ${Math.hypot(...row)}`);
    }
    embedder.dispose();
  });

  test(`each tower of ${name} alone gives the same bits as beside the other`, async () => {
    const [both, text, image] = await Promise.all([
      load(name),
      load(name, { towers: ['text'] }),
      load(name, { towers: ['image'] }),
    ]);
    assert.deepEqual([text.towers, image.towers], [['text'], ['image']]);
    assert.deepEqual(
      [text.dimensions, image.dimensions, image.maxTokens],
      [both.dimensions, both.dimensions, undefined],
    );
    assert.equal(text.maxTokens, both.maxTokens);
    assert.deepEqual((await text.embedTexts(TEXTS)).data, (await both.embedTexts(TEXTS)).data);
    assert.deepEqual((await image.embedImages(IMAGES)).data, (await both.embedImages(IMAGES)).data);
    for (const embedder of [both, text, image]) embedder.dispose();
  });

  // Random weights of 32 values a row leave int4 no redundancy: measured are 0.9994 and 0.945 at least. These limits tell a broken
  // path from a working one; the error of quantization is tested with ViT-B/32 below.
  for (const [dtype, least] of [
    // Weights of 11 bits.
    ['f16', 0.99999],
    ['q8', 0.998],
    ['q4', 0.92],
  ]) {
    test(`${name} in ${dtype} stays near f32`, async (t) => {
      const embedder = await load(name, { dtype });
      assert.equal(embedder.backend.dtype, dtype);
      for (const [what, result] of [
        ['texts', await embedder.embedTexts(texts.map(({ text }) => text))],
        ['images', await embedder.embedImages(images.map(imageFile))],
      ]) {
        const cosines = rowsOf(result).map((row, i) => cosine(row, expected[what][i]));
        t.diagnostic(
          `${what}: cosine ${mean(cosines).toFixed(4)} in the mean, ${Math.min(...cosines).toFixed(4)} at least`,
        );
        assert.ok(mean(cosines) >= least, `${what}: mean cosine ${mean(cosines)}`);
      }
      embedder.dispose();
    });
  }
}

for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
  test(`a text and an image have the same bits alone, first and last in a list, in ${dtype}`, async () => {
    const embedder = await load('clip-tiny-gelu', { dtype });
    const [text, ...texts] = TEXTS.slice().reverse();
    const alone = rowsOf(await embedder.embedTexts(text))[0];
    assert.deepEqual(rowsOf(await embedder.embedTexts([text, ...texts]))[0], alone);
    assert.deepEqual(rowsOf(await embedder.embedTexts([...texts, ...texts, text])).at(-1), alone);
    const [one, ...others] = IMAGES;
    const seen = rowsOf(await embedder.embedImages(one))[0];
    assert.deepEqual(rowsOf(await embedder.embedImages([one, ...others]))[0], seen);
    assert.deepEqual(rowsOf(await embedder.embedImages([...others, one])).at(-1), seen);
    embedder.dispose();
  });
}

test('dimensions and precision do to images what they do to texts', async () => {
  const { data: whole } = await clip.embedImages(IMAGES[4]);
  const cut = await clip.embedImages(IMAGES[4], { dimensions: 10 });
  assert.deepEqual(cut.dims, [1, 10]);
  for (const [i, value] of unit(whole.subarray(0, 10)).entries()) assert.ok(Math.abs(value - cut.data[i]) < 1e-6);
  const bytes = await clip.embedImages(IMAGES[4], { precision: 'int8' });
  assert.ok(bytes.data instanceof Int8Array);
  const largest = Math.max(...whole.map(Math.abs));
  assert.deepEqual(
    [...bytes.data],
    [...whole].map((value) => Math.round((value * 127) / largest)),
  );
  const bits = await clip.embedImages([IMAGES[4], IMAGES[0]], { precision: 'ubinary', dimensions: 12 });
  assert.ok(bits.data instanceof Uint8Array);
  assert.deepEqual(bits.dims, [2, 2]);
  const signs = [...whole.subarray(0, 12)]
    .map((value) => (value > 0 ? '1' : '0'))
    .join('')
    .padEnd(16, '0');
  assert.deepEqual([...bits.data.subarray(0, 2)], [parseInt(signs.slice(0, 8), 2), parseInt(signs.slice(8), 2)]);
  assert.deepEqual((await clip.embedTexts('cat', { dimensions: 10, precision: 'binary' })).dims, [1, 2]);
});

test('no images and no texts give no rows', async () => {
  for (const result of [await clip.embedImages([]), await clip.embedTexts([])]) {
    assert.deepEqual(result.dims, [0, clip.dimensions]);
    assert.equal(result.data.length, 0);
  }
});

for (const [what, call, message] of [
  ['no dimensions', () => clip.embedImages(IMAGES[0], { dimensions: 0 }), /^dimensions is 0, expected 1 to 24/],
  ['too many dimensions', () => clip.embedTexts('x', { dimensions: 25 }), /^dimensions is 25, expected 1 to 24/],
  ['an unknown precision', () => clip.embedImages(IMAGES[0], { precision: 'f8' }), /^precision is 'f8'/],
  [
    'an unknown decoder',
    () => clip.embedImages(IMAGES[0], { decoder: 'gpu' }),
    /^decoder: expected 'pilotlight' or 'browser', got 'gpu'/,
  ],
  ['options that are none', () => clip.embedImages(IMAGES[0], null), /^options: expected an object, got null/],
  ['a signal that is none', () => clip.embedImages(IMAGES[0], { signal: {} }), /^signal: expected an AbortSignal/],
  ['texts that are bytes', () => clip.embedTexts(IMAGES[0]), /^texts is object, expected a string/],
  ['a text that is a number', () => clip.embedTexts(['a', 7]), /^texts\[1\] is number, expected a string/],
  [
    'labels that are one text',
    () => clip.classify(IMAGES[0], 'cat'),
    /^labels: expected an array of strings, got string/,
  ],
  ['a label that is a number', () => clip.classify(IMAGES[0], ['a', 7]), /^labels\[1\] is number/],
  ['no labels', () => clip.classify(IMAGES[0], []), /^labels/],
  ['no templates', () => clip.classify(IMAGES[0], ['a'], { template: [] }), /template/],
  [
    'a template without a place for the label',
    () => clip.classify(IMAGES[0], ['a'], { template: ['{}', 'a photo'] }),
    /^template 'a photo' has no \{\}/,
  ],
  ['a template that is a number', () => clip.classify(IMAGES[0], ['a'], { template: 7 }), /^template is number/],
  ['no image to classify', () => clip.classify(undefined, ['a']), /^image: expected .*, got undefined/],
]) {
  test(`${what}: INVALID_INPUT that says so, and the next call works`, async () => {
    await assert.rejects(call(), lacking({ message }));
    assert.deepEqual((await clip.embedImages(IMAGES[0])).dims, [1, 24]);
  });
}

for (const [what, towers, message] of [
  ['towers as text', 'text', /^towers: expected an array of 'text' and 'image', got string/],
  ['towers as a number', 7, /^towers: expected an array of 'text' and 'image', got number/],
  ['no towers at all', null, /^towers: expected an array of 'text' and 'image', got null/],
  ['no tower', [], /^towers is empty, expected 'text', 'image' or both/],
  ['a tower that CLIP has not', ['text', 'audio'], /^towers has 'audio'/],
  ['a tower that is a number', [7], /^towers has /],
]) {
  test(`${what}: INVALID_INPUT`, () => assert.rejects(load('clip-tiny', { towers }), lacking({ message })));
}

test('a tower that is named twice is loaded once', async () => {
  const embedder = await load('clip-tiny', { towers: ['text', 'text'] });
  assert.deepEqual(embedder.towers, ['text']);
  embedder.dispose();
});

test('what needs a tower that was not loaded says which, before any image is read', async () => {
  const [text, image] = [await load('clip-tiny', { towers: ['text'] }), await load('clip-tiny', { towers: ['image'] })];
  const { length } = hub.requests;
  await assert.rejects(
    text.embedImages(`${hub.url}/x.png`),
    lacking({ message: /the image tower was not loaded: have 'image' in towers/ }),
  );
  await assert.rejects(text.classify(`${hub.url}/x.png`, ['a']), lacking({ message: /image tower was not loaded/ }));
  await assert.rejects(image.classify(`${hub.url}/x.png`, ['a']), lacking({ message: /text tower was not loaded/ }));
  await assert.rejects(image.embedTexts('x'), lacking({ message: /text tower was not loaded: have 'text' in towers/ }));
  assert.equal(hub.requests.length, length, 'an image was fetched all the same');
  text.dispose();
  image.dispose();
});

/** Softmax over a row of logits. */
function likelihoods(logits) {
  const largest = Math.max(...logits);
  const powers = [...logits].map((x) => Math.exp(x - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

test('labels are as likely as transformers says, the likeliest first; those of CLIP sum to one', async () => {
  for (const name of CLIPS) {
    const isSiglip = name.startsWith('siglip');
    const embedder = await load(name);
    const { texts, tensors } = GOLDENS[name];
    const labels = texts.map(({ text }) => text);
    for (const [i, image] of IMAGES.entries()) {
      const scores = await embedder.classify(image, labels, { template: '{}' });
      const logits = tensors.logits_per_image[i];
      // SigLIP scores each label by itself.
      const expected = isSiglip ? Array.from(logits, (x) => 1 / (1 + Math.exp(-x))) : likelihoods(logits);
      assert.equal(scores.length, labels.length);
      for (const { label, score } of scores) {
        const error = Math.abs(score - expected[labels.indexOf(label)]);
        assert.ok(error < 1e-4, `${label}: ${score}, off by ${error}`);
      }
      if (!isSiglip) assert.ok(Math.abs(scores.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-5);
      assert.ok(
        scores.every(({ score }, j) => j === 0 || score <= scores[j - 1].score),
        'not in order',
      );
    }
    embedder.dispose();
  }
});

test('the usual template is a photo of it, and a text is what the label in the template says', async () => {
  const labels = ['cat', 'dog by the sea', 'train'];
  const usual = await clip.classify(IMAGES[4], labels);
  assert.deepEqual(usual, await clip.classify(IMAGES[4], labels, { template: 'a photo of a {}.' }));
  const whole = await clip.classify(
    IMAGES[4],
    labels.map((label) => `a photo of a ${label}.`),
    { template: ['{}'] },
  );
  assert.deepEqual(
    whole.map(({ score }) => score),
    usual.map(({ score }) => score),
  );
  assert.deepEqual(
    whole.map(({ label }) => label),
    usual.map(({ label }) => `a photo of a ${label}.`),
  );
});

test('of several templates the vectors are averaged', async () => {
  const labels = ['cat', 'house'];
  const templates = ['{}', 'the {} by the sea', 'a {} and a {}'];
  const [seen] = rowsOf(await clip.embedImages(IMAGES[4]));
  const vectors = [];
  for (const label of labels) {
    const rows = rowsOf(await clip.embedTexts(templates.map((template) => template.replaceAll('{}', label))));
    vectors.push(unit(rows[0].map((_, i) => mean(rows.map((row) => row[i])))));
  }
  // The scale, from one pair with known scores.
  const cosines = vectors.map((vector) => cosine(vector, seen));
  const scores = await clip.classify(IMAGES[4], labels, { template: templates });
  const one = await clip.classify(IMAGES[4], labels, { template: '{}' });
  const plain = rowsOf(await clip.embedTexts(labels)).map((vector) => cosine(vector, seen));
  const odds = (list) =>
    Math.log(list.find(({ label }) => label === 'cat').score / list.find(({ label }) => label === 'house').score);
  const scale = odds(one) / (plain[0] - plain[1]);
  assert.ok(
    Math.abs(odds(scores) - scale * (cosines[0] - cosines[1])) < 1e-3,
    `${odds(scores)}, expected ${scale * (cosines[0] - cosines[1])}`,
  );
  // The calls in between change nothing.
  assert.deepEqual(await clip.classify(IMAGES[4], labels, { template: '{}' }), one);
});

test('labels may be the same, empty, of any script, with braces, and a thousand', async () => {
  const labels = ['cat', 'cat', '', '日本の火', '👩‍🚀', '{}', 'Ünïcödé', '\ud800', 'x'.repeat(10_000)];
  const scores = await clip.classify(IMAGES[4], labels);
  assert.deepEqual(
    scores.map(({ label }) => label).sort(),
    labels.map((label) => label.toWellFormed?.() ?? label.replace('\ud800', '\ufffd')).sort(),
  );
  assert.ok(Math.abs(scores.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-5);
  const [first, second] = scores.filter(({ label }) => label === 'cat');
  assert.equal(first.score, second.score);
  assert.deepEqual(await clip.classify(IMAGES[4], ['only']), [{ label: 'only', score: 1 }]);
  const many = await clip.classify(
    IMAGES[4],
    Array.from({ length: 1000 }, (_, i) => `${i} cats`),
  );
  assert.ok(Math.abs(many.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-4);
});

test('labels that are asked for again are not read again', async () => {
  const slow = await loadSlow();
  const labels = Array.from({ length: 60 }, (_, i) => `a train with ${i} cats and a dog in it`);
  const timed = async (asked) => {
    const begun = performance.now();
    const scores = await slow.classify(IMAGES[4], asked);
    return { scores, time: performance.now() - begun };
  };
  const first = await timed(labels);
  const again = await timed(labels);
  assert.deepEqual(again.scores, first.scores);
  assert.ok(again.time < first.time * 0.7, `${first.time} ms, then ${again.time} ms`);
  const other = await timed([...labels.slice(1), 'a cat']);
  assert.equal(other.scores.length, 60);
  assert.ok(other.scores.some(({ label }) => label === 'a cat'));
  slow.dispose();
});

test('progress is told after each image, and a listener that throws does no harm', async () => {
  const told = [];
  const { data } = await clip.embedImages(IMAGES.slice(0, 3), { onProgress: (progress) => told.push(progress) });
  assert.deepEqual(
    told,
    [1, 2, 3].map((loaded) => ({ loaded, total: 3 })),
  );
  const onProgress = () => assert.fail('on purpose');
  assert.deepEqual((await clip.embedImages(IMAGES.slice(0, 3), { onProgress })).data, data);
  assert.deepEqual((await clip.embedImages(IMAGES[0], { onProgress })).dims, [1, 24]);
  await assert.rejects(
    clip.embedImages(IMAGES[0], { onProgress: 'log' }),
    lacking({ message: /^onProgress: expected a function, got string/ }),
  );
});

test('one bad image among good ones is named, and the embedder goes on', async () => {
  const { data } = await clip.embedImages(IMAGES);
  const list = IMAGES.slice();
  list[3] = new TextEncoder().encode('a photo of a cat');
  await assert.rejects(clip.embedImages(list), lacking({ message: /^images\[3\]: / }));
  assert.deepEqual((await clip.embedImages(IMAGES)).data, data);
});

test('ImageTextEmbedder cannot be constructed', () => {
  assert.throws(
    () => new ImageTextEmbedder(),
    (error) => error instanceof PilotlightError && error.code === 'INVALID_INPUT',
  );
});

test("its own weights are no sentence encoder's, and the other way round", async () => {
  const { TextEmbedder } = await import('pilotlight');
  await assert.rejects(TextEmbedder.load('test/clip-tiny', { host: hub.url, store: false }), {
    code: 'UNSUPPORTED_MODEL',
    message: /config\.json.*clip/,
  });
  await assert.rejects(ImageTextEmbedder.load('test/bert', { files: filesOf(tinyFolder('bert-tiny-mean')) }), {
    code: 'UNSUPPORTED_MODEL',
    message: /config\.json.*model_type is 'bert', expected 'clip'/,
  });
});
