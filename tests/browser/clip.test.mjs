// CLIP in Chromium: both cores, WebGPU, a Worker, and IndexedDB.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DATA, skipWithout } from '../data.mjs';
import { startHub } from '../hub/hub.mjs';
import { clipGolden, seededClip, unit, VIT_B32 } from '../package/support/clip.mjs';
import { CLIPS, tolerance } from '../package/support/goldens.mjs';
import { filesOf, tinyFolder } from '../package/support/models.mjs';
import { cosine, FIGURES, goldens, launch, maxAbsError, mean, startBench } from './harness.mjs';

const BUILDS = { simd: 'simd128', relaxed: 'relaxed-simd' };
/** The tolerance relative to the largest value, on a GPU: f32 sums in another order. */
const TOLERANCE = 1e-4;
const GOLDENS = Object.fromEntries(CLIPS.map((name) => [name, clipGolden(name)]));
const base64 = (...names) => readFileSync(path.join(goldens, ...names)).toString('base64');
const IMAGES = GOLDENS['clip-tiny'].pictures.map((name) => base64('resize', name));
const TEXTS = GOLDENS['clip-tiny'].texts.map(({ text }) => text);

/** Heads of 5 and 6 values: no tile and no vector of a GPU has such a width. */
const ODD = {
  ...seededClip({
    text: { hidden_size: 10, intermediate_size: 13, num_hidden_layers: 2, num_attention_heads: 2 },
    vision: {
      hidden_size: 18,
      intermediate_size: 21,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      image_size: 30,
      patch_size: 6,
    },
    projection_dim: 7,
  }),
  'tokenizer.json': filesOf(tinyFolder('clip-tiny'))['tokenizer.json'],
};

let browser;
let bench;
before(async () => {
  browser = await launch();
  bench = await startBench({
    ...Object.fromEntries(CLIPS.map((name) => [`test/${name}`, tinyFolder(name)])),
    'test/odd': ODD,
    'test/clip-vit-b32': VIT_B32,
  });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

async function inPage(work, from = browser) {
  const context = await from.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    return await work(page);
  } finally {
    await context.close();
  }
}

/** Loads a model in a bare page and embeds texts and images, which are files in base64. */
const embedIn = (page, request) =>
  page.evaluate(async ({ model, wasm, options, texts = [], images = [] }) => {
    const { ImageTextEmbedder, diagnose, init } = await import('/package/web.js');
    if (wasm) await init({ wasm: `/package/core/${wasm}.wasm` });
    const embedder = await ImageTextEmbedder.load(model, { host: `${location.origin}/hub`, store: false, ...options });
    const rows = ({ data, dims: [count, width] }) =>
      Array.from({ length: count }, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width)));
    const files = await Promise.all(images.map(async (image) => (await fetch(`data:;base64,${image}`)).blob()));
    const read = texts.length > 0 ? await embedder.embedTexts(texts) : undefined;
    const seen = files.length > 0 ? await embedder.embedImages(files) : undefined;
    const { backend, towers } = embedder;
    const { memoryBytes } = (await diagnose()).cpuCore;
    embedder.dispose();
    return {
      texts: read && rows(read),
      tokens: read?.tokens,
      images: seen && rows(seen),
      backend,
      towers,
      memoryBytes,
    };
  }, request);

const embed = (request, from) => inPage((page) => embedIn(page, request), from);

/** Returns the largest error relative to the largest value. */
const relative = (rows, expected) =>
  maxAbsError(rows, expected) / Math.max(...expected.flatMap((row) => Array.from(row, Math.abs)));

for (const [build, simd] of Object.entries(BUILDS)) {
  for (const name of CLIPS) {
    test(`${name} on ${build}.wasm equals transformers in all values`, async (t) => {
      const { texts, tensors } = GOLDENS[name];
      const answer = await embed({
        model: `test/${name}`,
        wasm: build,
        options: { device: 'cpu', dtype: 'f32' },
        texts: texts.map(({ text }) => text),
        images: IMAGES,
      });
      assert.equal(answer.backend.simd, simd);
      assert.deepEqual(
        answer.tokens,
        texts.map(({ ids }) => ids.length),
      );
      for (const [what, expected] of [
        ['texts', tensors.text_features],
        ['images', tensors.image_features],
      ]) {
        const error = relative(
          answer[what],
          expected.map((row) => Array.from(unit(row))),
        );
        t.diagnostic(`${what}: ${error.toExponential(1)} of the largest value`);
        assert.ok(error <= tolerance(name), `${what}: ${error}`);
      }
    });
  }
}

/**
 * The models that are tested on WebGPU. Compiling the shaders of a model takes most of the time, so `make test` takes one model of each family;
 * with MiniLM they have all activations.
 */
const ON_WEBGPU = [...(FIGURES ? CLIPS : ['clip-tiny', 'siglip2-tiny']), 'odd'].map((name) => `test/${name}`);

/** The least cosine of rows to others. */
const least = (rows, others) => Math.min(...rows.map((row, i) => cosine(row, others[i])));

test("on WebGPU both towers give the CPU's values in f32, heads of odd widths too, and are as near in q8 and q4", {
  timeout: 900_000,
}, async (t) => {
  const gpu = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    // One page without workers has one GPU device, for which each shader is compiled once.
    const page = await gpu.newPage();
    await page.goto(bench.url);
    const embed = ({ options, ...asked }) => embedIn(page, { ...asked, options: { ...options, worker: false } });
    for (const model of ON_WEBGPU) {
      const asked = { model, texts: TEXTS, images: IMAGES };
      const expected = await embed({ ...asked, options: { device: 'cpu', dtype: 'f32' } });
      const answer = await embed({ ...asked, options: { device: 'webgpu', dtype: 'f32' } });
      assert.deepEqual([answer.backend.device, answer.backend.dtype], ['webgpu', 'f32'], answer.backend.reason);
      assert.deepEqual(answer.tokens, expected.tokens);
      for (const what of ['texts', 'images']) {
        const error = relative(answer[what], expected[what]);
        t.diagnostic(`${model}, ${what}: ${error.toExponential(1)} of the largest value`);
        assert.ok(error <= TOLERANCE, `${model}, ${what}: ${error}`);
      }
      const quantized = model === ON_WEBGPU[0] ? ['q8'] : [];
      for (const dtype of FIGURES ? ['q8', 'q4'] : quantized) {
        const [of, ofCpu] = [
          await embed({ ...asked, options: { device: 'webgpu', dtype } }),
          await embed({ ...asked, options: { device: 'cpu', dtype } }),
        ];
        assert.deepEqual([of.backend.device, of.backend.dtype], ['webgpu', dtype], of.backend.reason);
        for (const what of ['texts', 'images']) {
          const [own, other] = [least(of[what], expected[what]), least(ofCpu[what], expected[what])];
          t.diagnostic(`${model}, ${what} in ${dtype}: least cosine to f32 ${own.toFixed(5)}, CPU ${other.toFixed(5)}`);
          // The CPU quantizes activations too; on a tiny model of random weights its errors may cancel some of the weights'.
          assert.ok(own >= other - 0.1 * (1 - other), `${model}, ${what} in ${dtype}: ${own}, ${other}`);
        }
      }
    }
  } finally {
    await gpu.close();
  }
});

test('both towers come from IndexedDB after a reload, without a request, and are listed', async () => {
  const context = await browser.newContext();
  const visit = async () => {
    const page = await context.newPage();
    await page.goto(bench.url);
    bench.requests.length = 0;
    const answer = await embedIn(page, {
      model: 'test/clip-tiny-gelu',
      options: { store: undefined, dtype: 'q8' },
      texts: TEXTS,
      images: IMAGES,
    });
    const listed = await page.evaluate(async () => {
      const { models } = await import('/package/web.js');
      return (await models.list()).map(({ part, dtype, whole }) => `${part} ${dtype} ${whole}`).sort();
    });
    const files = bench.requests.filter(({ url }) => url.includes('/resolve/')).length;
    await page.close();
    return { answer, listed, files };
  };
  try {
    const first = await visit();
    assert.ok(first.files > 5);
    assert.deepEqual(first.listed, ['image q8 true', 'text q8 true']);
    const second = await visit();
    assert.equal(second.files, 0);
    assert.deepEqual(
      [second.answer.texts, second.answer.images, second.listed],
      [first.answer.texts, first.answer.images, first.listed],
    );
  } finally {
    await context.close();
  }
});

test('a Worker embeds texts, files, pixels, an ImageBitmap and an OffscreenCanvas', async () => {
  const expected = await embed({
    model: 'test/clip-tiny',
    options: { dtype: 'f32' },
    texts: ['cat'],
    images: [base64('decode', 'plain.png')],
  });
  const answer = await inPage((page) =>
    page.evaluate(
      async (file) => {
        const script = `
        import { ImageTextEmbedder } from '${location.origin}/package/web.js';
        onmessage = async ({ data: blob }) => {
          try {
            const embedder = await ImageTextEmbedder.load('test/clip-tiny', { host: '${location.origin}/hub', dtype: 'f32', store: false });
            const bitmap = await createImageBitmap(blob);
            const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
            const context = canvas.getContext('2d');
            context.drawImage(bitmap, 0, 0);
            const images = [blob, new Uint8Array(await blob.arrayBuffer()), bitmap, canvas, context.getImageData(0, 0, bitmap.width, bitmap.height)];
            const { data } = await embedder.embedImages(images);
            const browsers = await embedder.embedImages(blob, { decoder: 'browser' });
            const text = await embedder.embedTexts('cat');
            const scores = await embedder.classify(blob, ['cat', 'dog']);
            postMessage({ images: [...data, ...browsers.data], text: [...text.data], scores });
          } catch ({ code, message }) {
            postMessage({ error: { code, message } });
          }
        };`;
        const worker = new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })), {
          type: 'module',
        });
        const answered = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
        worker.postMessage(await (await fetch(`data:image/png;base64,${file}`)).blob());
        return answered;
      },
      base64('decode', 'plain.png'),
    ),
  );
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  assert.deepEqual(answer.text, expected.texts[0]);
  for (let i = 0; i < 6; i++)
    assert.deepEqual(answer.images.slice(i * 24, (i + 1) * 24), expected.images[0], `image ${i}`);
  assert.ok(Math.abs(answer.scores[0].score + answer.scores[1].score - 1) < 1e-6);
});

/** Each tower some 13 MB, so that tabs meet while it comes. */
const TOWER = { hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 4, num_attention_heads: 4 };

for (const [what, towers] of [
  [
    'both towers each',
    [
      ['text', 'image'],
      ['text', 'image'],
    ],
  ],
  ['a tower each', [['text'], ['image']]],
  ['one both and one a tower', [['image'], ['text', 'image']]],
]) {
  test(`two tabs that load ${what} at once fetch each tower once`, { timeout: 120_000 }, async (t) => {
    const files = {
      ...seededClip({ text: TOWER, vision: TOWER }),
      'tokenizer.json': filesOf(tinyFolder('clip-tiny'))['tokenizer.json'],
    };
    const hub = await startHub({ models: { 'test/large': files } });
    t.after(() => hub.close());
    await fetch(`${hub.url}/api/models/test/large/tree/main?recursive=true`);
    hub.setFaults([{ file: /safetensors$/, fault: 'drip', value: 30e6 }]);
    const context = await browser.newContext();
    t.after(() => context.close());
    const pages = await Promise.all(towers.map(() => context.newPage()));
    for (const page of pages) await page.goto(bench.url);
    const load = (page, towers, options = {}) =>
      page.evaluate(
        async ({ host, towers, options, file }) => {
          const { ImageTextEmbedder, models } = await import('/package/web.js');
          const events = [];
          const embedder = await ImageTextEmbedder.load('test/large', {
            host,
            towers,
            device: 'cpu',
            dtype: 'q8',
            onProgress: ({ status, loaded, total }) => events.push([status, loaded, total]),
            ...options,
          });
          const text = towers.includes('text') ? [...(await embedder.embedTexts('a dog')).data] : null;
          const image = towers.includes('image')
            ? [...(await embedder.embedImages(await (await fetch(`data:;base64,${file}`)).blob())).data]
            : null;
          embedder.dispose();
          return {
            text,
            image,
            events,
            stored: (await models.list()).map(({ part, whole }) => `${part} ${whole}`).sort(),
          };
        },
        { host: hub.url, towers, options, file: IMAGES[0] },
      );
    const answers = await Promise.all(pages.map((page, i) => load(page, towers[i])));
    const bytes = hub.requests
      .filter(({ url }) => url.endsWith('.safetensors'))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    const size = files['model.safetensors'].length;
    t.diagnostic(`${bytes} bytes of ${size}`);
    assert.ok(bytes >= size * 0.99 && bytes <= size * 1.02 + (256 << 10), `${bytes} bytes of ${size}`);
    const alone = await load(pages[0], ['text', 'image'], { store: false });
    for (const [i, { text, image, events }] of answers.entries()) {
      if (towers[i].includes('text')) assert.deepEqual(text, alone.text);
      if (towers[i].includes('image')) assert.deepEqual(image, alone.image);
      assert.equal(events.at(-1)[0], 'ready');
      for (const event of events) assert.ok(event[1] <= event[2], String(event));
    }
    assert.deepEqual(alone.stored, ['image true', 'text true']);
  });
}

test('the image decoders are fetched with the first image file, once for all workers', async () => {
  const fetched = await inPage((page) =>
    page.evaluate(
      async ({ images }) => {
        const { ImageTextEmbedder } = await import('/package/web.js');
        const host = `${location.origin}/hub`;
        const embedder = await ImageTextEmbedder.load('test/clip-tiny', { host, store: false, workers: 2 });
        const count = () =>
          performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/core/images.wasm')).length;
        const counts = [];
        await embedder.embedTexts('a dog');
        const canvas = new OffscreenCanvas(8, 8);
        canvas.getContext('2d').fillRect(0, 0, 4, 8);
        await embedder.embedImages(canvas);
        counts.push(count());
        const files = await Promise.all(images.map(async (image) => (await fetch(`data:;base64,${image}`)).blob()));
        for (let i = 0; i < 3; i += 1) await embedder.embedImages([...files, ...files]);
        counts.push(count());
        embedder.dispose();
        return { counts, workers: embedder.backend.worker };
      },
      { images: IMAGES },
    ),
  );
  assert.deepEqual(fetched.counts, [0, 1]);
  assert.ok(fetched.workers);
});

describe('ViT-B/32', {
  skip: skipWithout('photos/manifest.json'),
}, () => {
  const golden = clipGolden('clip-vit-b32');
  const photos = golden.photos.slice(0, 16);
  const expected = golden.tensors['image_features.photos'].slice(0, photos.length).map((row) => Array.from(unit(row)));

  for (const [dtype, least, most] of [
    ['q8', 0.995, 110],
    ['q4', 0.97, 65],
  ]) {
    test(`in ${dtype} stays near f32 on both builds, the builds near each other, and in ${most} MB`, {
      timeout: 300_000,
    }, async (t) => {
      const images = photos.map((file) => readFileSync(path.join(DATA, 'photos', file)).toString('base64'));
      const rows = {};
      for (const [build, simd] of Object.entries(BUILDS)) {
        const answer = await embed({
          model: 'test/clip-vit-b32',
          wasm: build,
          options: { device: 'cpu', dtype, towers: ['image'] },
          images,
        });
        assert.equal(answer.backend.simd, simd);
        rows[build] = answer.images;
        const cosines = answer.images.map((row, i) => cosine(row, expected[i]));
        t.diagnostic(
          `${build}: cosine ${mean(cosines).toFixed(5)} in the mean, ${Math.min(...cosines).toFixed(5)} at least; ${(answer.memoryBytes / 1e6).toFixed(1)} MB`,
        );
        assert.ok(mean(cosines) >= least, `${build}: mean cosine ${mean(cosines)}`);
        assert.ok(answer.memoryBytes <= most * 1e6, `${build}: ${answer.memoryBytes} bytes`);
      }
      const between = rows.simd.map((row, i) => cosine(row, rows.relaxed[i]));
      t.diagnostic(`between the builds: cosine ${Math.min(...between).toFixed(5)} at least`);
      assert.ok(Math.min(...between) >= 0.99, `${Math.min(...between)}`);
    });
  }
});
