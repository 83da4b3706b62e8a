// A CLIP of real size, ViT-B/32, where its generated weights are: against transformers, and what it takes on the wire and in memory.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ImageTextEmbedder } from 'pilotlight';
import { DATA, FIGURES, skipWithout } from '../data.mjs';
import { startHub } from '../hub/hub.mjs';
import { clipGolden, imageFile, relativeError, rowsOf, unit, VIT_B32 } from './support/clip.mjs';
import { tolerance } from './support/goldens.mjs';
import { mapStore } from './support/map-store.mjs';
import { ROOT } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';
import { cosine } from './support/vectors.mjs';

const MODEL = 'test/clip-vit-b32';
const TOWERS = ['text', 'image'];
const WEIGHTS = path.join(VIT_B32, 'model.safetensors');

let hub;
before(async () => (hub = await startHub({ models: { [MODEL]: VIT_B32 } })));
after(() => hub.close());

const load = (options) => ImageTextEmbedder.load(MODEL, { host: hub.url, dtype: 'f32', store: false, ...options });
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Its weights are generated, so its vectors of photos have no meaning; the errors of int8 and int4 are like those of trained weights.
describe('what it sees and reads', {
  skip: skipWithout('photos/manifest.json', 'clip/tokenizer.json'),
}, () => {
  const golden = clipGolden('clip-vit-b32');
  let manifest;
  before(() => (manifest = JSON.parse(readFileSync(path.join(DATA, 'photos/manifest.json'), 'utf8'))));
  const expected = (name) => golden.tensors[name].map(unit);
  /** The number of photos with captions: `make figures` takes all. */
  const count = FIGURES ? golden.photos.length : 20;
  const photos = () => golden.photos.slice(0, count).map((file) => readFileSync(path.join(DATA, 'photos', file)));
  const captions = () => manifest.slice(0, count).map((photo) => photo.captions[0]);

  test('f32 equals transformers in every value of images and texts', { timeout: 300_000 }, async (t) => {
    const embedder = await load();
    assert.deepEqual([embedder.dimensions, embedder.maxTokens], [512, 77]);
    const texts = await embedder.embedTexts(golden.texts.map(({ text }) => text));
    assert.deepEqual(
      texts.tokens,
      golden.texts.map(({ ids }) => ids.length),
    );
    assert.deepEqual(
      texts.truncated,
      golden.texts.map(({ truncated }) => truncated),
    );
    for (const [what, result, rows] of [
      ['texts', texts, expected('text_features.texts')],
      ['images', await embedder.embedImages(golden.pictures.map(imageFile)), expected('image_features.pictures')],
    ]) {
      const error = relativeError(rowsOf(result), rows);
      t.diagnostic(`${what}: ${error.toExponential(1)} of the largest value`);
      assert.ok(error <= tolerance('clip-vit-b32'), `${what}: ${error} of the largest value`);
    }
    embedder.dispose();
  });

  for (const [dtype, least] of [
    ['q8', 0.995],
    ['q4', 0.97],
  ]) {
    test(`${dtype} stays near f32 over ${count} photos and their captions`, {
      timeout: 300_000,
    }, async (t) => {
      const embedder = await load({ dtype });
      for (const [what, result, rows] of [
        ['photos', await embedder.embedImages(photos()), expected('image_features.photos')],
        ['captions', await embedder.embedTexts(captions()), expected('text_features.captions')],
      ]) {
        const cosines = rowsOf(result).map((row, i) => cosine(row, rows[i]));
        t.diagnostic(
          `${what}: cosine ${mean(cosines).toFixed(5)} in the mean, ${Math.min(...cosines).toFixed(5)} at least`,
        );
        assert.ok(mean(cosines) >= least, `${what}: mean cosine ${mean(cosines)}`);
      }
      embedder.dispose();
    });
  }

  // Linear memory never shrinks: what it has afterwards was its peak. A process of its own has an instance of its own.
  for (const [dtype, most] of [
    ['q8', 110],
    ['q4', 65],
  ]) {
    test(`the image tower in ${dtype} takes at most ${most} MB of linear memory while it is loaded and sees photos`, {
      timeout: 120_000,
    }, async (t) => {
      const script = `
        import { readFileSync } from 'node:fs';
        import { ImageTextEmbedder, diagnose } from 'pilotlight';
        const [host, dtype, ...photos] = process.argv.slice(1);
        const embedder = await ImageTextEmbedder.load('test/clip-vit-b32', { host, dtype, towers: ['image'], store: false });
        const loaded = (await diagnose()).cpuCore.memoryBytes;
        for (const photo of photos) await embedder.embedImages(readFileSync(photo));
        console.log(JSON.stringify([loaded, (await diagnose()).cpuCore.memoryBytes]));`;
      const some = golden.photos.slice(0, 8).map((file) => path.join(DATA, 'photos', file));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', script, hub.url, dtype, ...some],
        { cwd: ROOT },
      );
      const [loaded, used] = JSON.parse(stdout);
      t.diagnostic(`${(loaded / 1e6).toFixed(1)} MB, after 8 photos ${(used / 1e6).toFixed(1)} MB`);
      assert.ok(used <= most * 1e6, `${used} bytes`);
      // The weights alone: 87 million of them, of 8 or 4 bits and a scale for each group.
      assert.ok(used >= (dtype === 'q8' ? 87e6 : 45e6), `${used} bytes`);
    });
  }
});

describe('what it takes', { skip: skipWithout('clip/tokenizer.json') }, () => {
  const SIZES = { text: 0, image: 0 };
  before(async () => {
    const bytes = readFileSync(WEIGHTS);
    for (const [
      name,
      {
        data_offsets: [from, to],
      },
    ] of Object.entries(parse(new Uint8Array(bytes)).header))
      if (name !== '__metadata__') SIZES[/^vis/.test(name) ? 'image' : 'text'] += to - from;
    // It hashes files when it is asked first, which takes longer than a load waits.
    await fetch(`${hub.url}/api/models/${MODEL}/tree/main?recursive=true`);
  });

  // Linear memory never shrinks: what it has afterwards was its peak. A process of its own has an instance of its own.
  for (const tower of TOWERS) {
    test(`the ${tower} tower alone fetches its tensors and at most 2 % or 256 KiB beside them, in 110 MB`, {
      timeout: 120_000,
    }, async (t) => {
      hub.requests.length = 0;
      const script = `
        import { readFileSync } from 'node:fs';
        import { ImageTextEmbedder, diagnose } from 'pilotlight';
        const [host, tower, image] = process.argv.slice(1);
        const embedder = await ImageTextEmbedder.load('test/clip-vit-b32', { host, dtype: 'q8', towers: [tower], store: false });
        const loaded = (await diagnose()).cpuCore.memoryBytes;
        for (let i = 0; i < 8; i++) await (tower === 'text' ? embedder.embedTexts(Array(8).fill('a dog at the sea '.repeat(i + 1) + i)) : embedder.embedImages(readFileSync(image)));
        console.log(JSON.stringify([loaded, (await diagnose()).cpuCore.memoryBytes]));`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', script, hub.url, tower, path.join(ROOT, 'tests/goldens/resize/37x53.png')],
        { cwd: ROOT },
      );
      const [loaded, used] = JSON.parse(stdout);
      const sent = hub.requests
        .filter(({ url }) => url.endsWith('.safetensors'))
        .reduce((sum, { bytes }) => sum + bytes, 0);
      t.diagnostic(
        `${(loaded / 1e6).toFixed(1)} MB, after 8 calls ${(used / 1e6).toFixed(1)} MB; ${sent} bytes came for ${SIZES[tower]} of tensors, ${sent - SIZES[tower]} more`,
      );
      assert.ok(
        sent >= SIZES[tower] && sent - SIZES[tower] <= Math.max(SIZES[tower] / 50, 256 << 10),
        `${sent} bytes for ${SIZES[tower]}`,
      );
      assert.ok(used <= 110e6, `${used} bytes`);
    });
  }

  test('its towers one after the other fetch no tensor twice', { timeout: 120_000 }, async (t) => {
    hub.requests.length = 0;
    (await ImageTextEmbedder.load(MODEL, { host: hub.url, dtype: 'q4', store: mapStore() })).dispose();
    const sent = hub.requests
      .filter(({ url }) => url.endsWith('.safetensors'))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    const all = SIZES.text + SIZES.image;
    t.diagnostic(`${sent - all} bytes more than ${all}`);
    assert.ok(sent - all <= Math.max(all / 50, 256 << 10), `${sent} bytes for ${all}`);
  });
});
