// Every kind of image that only a page has, embedded by CLIP in Chromium.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { tinyFolder } from '../package/support/models.mjs';
import { cosine, goldens, launch, startBench } from './harness.mjs';

const base64 = (...names) => readFileSync(path.join(goldens, ...names)).toString('base64');

let browser;
let bench;
let page;
let other;
before(async () => {
  browser = await launch();
  bench = await startBench({ 'test/clip-tiny': tinyFolder('clip-tiny') });
  // Another origin, which lets pages see its images but not their pixels; `/open/` lets them have these too. `/never/` does not answer.
  other = createServer((request, response) => {
    if (request.url.startsWith('/never/')) return;
    if (request.url.startsWith('/open/')) response.setHeader('Access-Control-Allow-Origin', '*');
    response.writeHead(200, { 'Content-Type': 'image/png' }).end(readFileSync(path.join(goldens, 'decode/plain.png')));
  });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  page = await browser.newPage();
  await page.goto(bench.url);
  const files = Object.fromEntries(
    [
      'plain.png',
      'alpha.png',
      'plain.jpg',
      'exif-6.jpg',
      'lossless.webp',
      'animated.webp',
      'plain.gif',
      'other.avif',
    ].map((name) => [name, base64('decode', name)]),
  );
  await page.evaluate(
    async ({ files, elsewhere }) => {
      const { ImageTextEmbedder } = await import('/package/web.js');
      const embedder = await ImageTextEmbedder.load('test/clip-tiny', {
        host: `${location.origin}/hub`,
        dtype: 'f32',
        store: false,
      });
      const blob = async (name) => (await fetch(`data:;base64,${files[name]}`)).blob();
      const img = (src, more) => Object.assign(new Image(), more, { src });
      const drawn = async (canvas, name = 'plain.png') => {
        const bitmap = await createImageBitmap(await blob(name));
        Object.assign(canvas, { width: bitmap.width, height: bitmap.height }).getContext('2d').drawImage(bitmap, 0, 0);
        return canvas;
      };
      const embed = async (image, options) => {
        try {
          return { vector: [...(await embedder.embedImages(image, options)).data] };
        } catch ({ name, code, message }) {
          return { error: { name, code, message } };
        }
      };
      Object.assign(window, { embedder, blob, img, drawn, embed, elsewhere });
    },
    { files, elsewhere: `http://127.0.0.1:${other.address().port}` },
  );
});
after(async () => {
  await browser?.close();
  await bench?.close();
  other?.close();
  other?.closeAllConnections();
});

/** Runs `make` in the page and embeds what it gives. */
const answer = (make, options) => page.evaluate(`(async () => embed(await (${make})(), ${JSON.stringify(options)}))()`);
const vectorOf = async (make, options) => {
  const { vector, error } = await answer(make, options);
  assert.equal(error, undefined, JSON.stringify(error));
  return vector;
};

for (const [what, make, options] of [
  ['a File', `async () => new File([await blob('plain.png')], 'x.png')`],
  ['a URL of a Blob', `async () => URL.createObjectURL(await blob('plain.png'))`],
  ['an ImageBitmap', `async () => createImageBitmap(await blob('plain.png'))`],
  ['a canvas', `() => drawn(document.createElement('canvas'))`],
  ['an OffscreenCanvas', `() => drawn(new OffscreenCanvas(1, 1))`],
  ['ImageData', `async () => (await drawn(new OffscreenCanvas(1, 1))).getContext('2d').getImageData(0, 0, 40, 28)`],
  [
    'an img element',
    `async () => { const element = img(URL.createObjectURL(await blob('plain.png'))); await element.decode(); return element; }`,
  ],
  [
    'an img element that is shown in another size',
    `async () => { const element = img(URL.createObjectURL(await blob('plain.png')), { width: 7, height: 99 }); document.body.append(element); await element.decode(); return element; }`,
  ],
  [
    'an img element of another origin that allows it',
    `async () => { const element = img(elsewhere + '/open/x.png', { crossOrigin: 'anonymous' }); await element.decode(); return element; }`,
  ],
  ['a URL of another origin that allows it', `() => elsewhere + '/open/x.png'`],
  ['a file that the browser decodes', `() => blob('plain.png')`, { decoder: 'browser' }],
  [
    'bytes that the browser decodes',
    `async () => new Uint8Array(await (await blob('plain.png')).arrayBuffer())`,
    { decoder: 'browser' },
  ],
  ['a lossless WebP', `() => blob('lossless.webp')`],
  ['a lossless WebP that the browser decodes', `() => blob('lossless.webp')`, { decoder: 'browser' }],
  ['the first frame of an animation that the browser decodes', `() => blob('animated.webp')`, { decoder: 'browser' }],
  [
    'a file of another realm',
    `async () => { const frame = document.createElement('iframe'); document.body.append(frame); return new frame.contentWindow.Blob([await blob('plain.png')]); }`,
  ],
  [
    'bytes of another realm',
    `async () => { const frame = document.createElement('iframe'); document.body.append(frame); return new frame.contentWindow.Uint8Array(await (await blob('plain.png')).arrayBuffer()); }`,
  ],
  [
    'a canvas of another realm',
    `async () => { const frame = document.createElement('iframe'); document.body.append(frame); return drawn(frame.contentDocument.createElement('canvas')); }`,
  ],
]) {
  test(`embeds ${what} as the file itself`, async () =>
    assert.deepEqual(await vectorOf(make, options), await vectorOf(`() => blob('plain.png')`)));
}

for (const [file, least] of [
  ['plain.jpg', 0.9995],
  ['exif-6.jpg', 0.9995],
  ['alpha.png', 0.995],
]) {
  test(`${file} as the browser decodes it, or an img element shows it, is nearly what the package decodes`, async (t) => {
    const own = await vectorOf(`() => blob('${file}')`);
    for (const [what, make, options] of [
      ['decoder', `() => blob('${file}')`, { decoder: 'browser' }],
      [
        'img',
        `async () => { const element = img(URL.createObjectURL(await blob('${file}'))); await element.decode(); return element; }`,
      ],
      ['bitmap', `async () => createImageBitmap(await blob('${file}'))`],
    ]) {
      const alike = cosine(await vectorOf(make, options), own);
      t.diagnostic(`${what}: cosine ${alike.toFixed(6)}`);
      assert.ok(alike >= least, `${what}: cosine ${alike}`);
    }
  });
}

test('has the browser decode what the package does not know', async (t) => {
  const { error } = await answer(`() => blob('other.avif')`);
  assert.deepEqual([error.name, error.code], ['PilotlightError', 'INVALID_INPUT']);
  const alike = cosine(
    await vectorOf(`() => blob('other.avif')`, { decoder: 'browser' }),
    await vectorOf(`() => blob('plain.png')`),
  );
  t.diagnostic(`cosine to the image before it was made AVIF: ${alike.toFixed(4)}`);
  assert.ok(alike > 0.9, `cosine ${alike}`);
});

for (const [what, make, code, message, options] of [
  [
    'an img element without a source',
    `() => new Image()`,
    'INVALID_INPUT',
    /^images\[0\]: the img element has not loaded its image; await its decode\(\)/,
  ],
  [
    'an img element that has not loaded yet',
    `() => img(elsewhere + '/never/x.png')`,
    'INVALID_INPUT',
    /^images\[0\]: the img element has not loaded/,
  ],
  [
    'an img element of what is no image',
    `async () => { const element = img('data:image/png;base64,AAAA'); await element.decode().catch(() => {}); return element; }`,
    'INVALID_INPUT',
    /^images\[0\]: the img element has not loaded/,
  ],
  [
    'an img element of another origin',
    `async () => { const element = img(elsewhere + '/x.png'); await element.decode(); return element; }`,
    'INVALID_INPUT',
    /^images\[0\]: it comes from another server/,
  ],
  [
    'a canvas that such an image was drawn on',
    `async () => { const element = img(elsewhere + '/x.png'); await element.decode(); const canvas = document.createElement('canvas'); canvas.getContext('2d').drawImage(element, 0, 0); return canvas; }`,
    'INVALID_INPUT',
    /^images\[0\]: it comes from another server/,
  ],
  [
    'a URL of another origin that does not allow it',
    `() => elsewhere + '/x.png'`,
    'FETCH_FAILED',
    /^images\[0\]: its URL cannot be fetched/,
  ],
  [
    'an ImageBitmap that was closed',
    `async () => { const bitmap = await createImageBitmap(await blob('plain.png')); bitmap.close(); return bitmap; }`,
    'INVALID_INPUT',
    /^images\[0\]: the image has 0 x 0 pixels/,
  ],
  [
    'a canvas without pixels',
    `() => Object.assign(document.createElement('canvas'), { width: 0, height: 5 })`,
    'INVALID_INPUT',
    /^images\[0\]: the image has 0 x 5 pixels/,
  ],
  [
    'a canvas of 60 million pixels',
    `() => Object.assign(document.createElement('canvas'), { width: 10000, height: 6000 })`,
    'RESOURCE_LIMIT',
    /^images\[0\]: the image has 10000 x 6000 pixels, expected 50000000/,
  ],
  [
    'what the browser cannot decode',
    `() => new Blob(['a photo of a cat'])`,
    'INVALID_INPUT',
    /^images\[0\]: the browser cannot decode/,
    { decoder: 'browser' },
  ],
  [
    'nothing for the browser to decode',
    `() => new Uint8Array()`,
    'INVALID_INPUT',
    /^images\[0\]: /,
    { decoder: 'browser' },
  ],
  [
    'a svg element',
    `() => document.createElementNS('http://www.w3.org/2000/svg', 'svg')`,
    'INVALID_INPUT',
    /^images\[0\]: expected a Blob/,
  ],
  ['a page in place of an image', `() => location.href`, 'INVALID_INPUT', /^images\[0\]: .*no known format/],
]) {
  test(`is refused ${what}: ${code}`, async () => {
    const { error } = await answer(make, options);
    assert.ok(error, 'it was embedded');
    assert.deepEqual([error.name, error.code], ['PilotlightError', code], error.message);
    assert.match(error.message, message);
    assert.equal((await vectorOf(`() => blob('plain.png')`)).length, 24);
  });
}
