// Images of every kind that a page has, embedded by a model in a worker.
import assert from 'node:assert/strict';
import { cosine } from '../browser/harness.mjs';

/** @type {Record<string, import('./engines.test.mjs').Scenario>} */
export const images = {
  async 'images of every kind that a page has give the vector of the file itself'({ bench, tab }) {
    const page = await tab(bench.url);
    const vectors = await page.call(async () => {
      const { ImageTextEmbedder } = await import('/package/web.js');
      const embedder = await ImageTextEmbedder.load('test/clip-tiny', { host: '/hub', dtype: 'f32', store: false });
      const address = '/hub/test/decode/resolve/main/plain.png';
      const blob = await (await fetch(address)).blob();
      const shown = async (more) => {
        const element = Object.assign(new Image(), { src: URL.createObjectURL(blob), ...more });
        await element.decode();
        return element;
      };
      const drawn = async (canvas) => {
        const bitmap = await createImageBitmap(blob);
        Object.assign(canvas, { width: bitmap.width, height: bitmap.height }).getContext('2d').drawImage(bitmap, 0, 0);
        return canvas;
      };
      const offscreen = await drawn(new OffscreenCanvas(1, 1));
      const kinds = {
        file: new File([blob], 'x.png'),
        bytes: new Uint8Array(await blob.arrayBuffer()),
        'URL of a blob': URL.createObjectURL(blob),
        URL: new URL(address, location.href),
        ImageBitmap: await createImageBitmap(blob),
        canvas: await drawn(document.createElement('canvas')),
        OffscreenCanvas: offscreen,
        ImageData: offscreen.getContext('2d').getImageData(0, 0, offscreen.width, offscreen.height),
        'img element': await shown(),
        'img element in another size': await shown({ width: 7, height: 99 }),
      };
      const vectors = { expected: [...(await embedder.embedImages(blob)).data] };
      for (const [kind, image] of Object.entries(kinds))
        vectors[kind] = await embedder.embedImages(image).then(
          ({ data }) => [...data],
          ({ code, message }) => `${code} ${message}`,
        );
      vectors['file that the browser decodes'] = [...(await embedder.embedImages(blob, { decoder: 'browser' })).data];
      embedder.dispose();
      return vectors;
    });
    const { expected, ...kinds } = vectors;
    for (const [kind, vector] of Object.entries(kinds)) assert.deepEqual(vector, expected, kind);
  },

  async 'files that the engine decodes are near those that the package decodes'({ bench, tab }, t) {
    const page = await tab(bench.url);
    const FILES = ['plain.jpg', 'exif-6.jpg', 'lossless.webp', 'plain.gif'];
    const seen = await page.call(async (files) => {
      const { ImageTextEmbedder } = await import('/package/web.js');
      const embedder = await ImageTextEmbedder.load('test/clip-tiny', { host: '/hub', dtype: 'f32', store: false });
      const fetched = async (name) => (await fetch(`/hub/test/decode/resolve/main/${name}`)).blob();
      const vectors = {};
      for (const name of files) {
        const blob = await fetched(name);
        vectors[name] = [];
        for (const decoder of ['pilotlight', 'browser'])
          vectors[name].push([...(await embedder.embedImages(blob, { decoder })).data]);
      }
      const avif = await embedder.embedImages(await fetched('other.avif'), { decoder: 'browser' }).then(
        ({ dims }) => dims,
        ({ code, message }) => ({ code, message }),
      );
      embedder.dispose();
      return { vectors, avif };
    }, FILES);
    for (const [name, [own, browsers]] of Object.entries(seen.vectors))
      assert.ok(cosine(own, browsers) > 0.999, `${name}: ${cosine(own, browsers)}`);
    // Only browsers decode it, and not each of them.
    t.diagnostic(`AVIF: ${JSON.stringify(seen.avif)}`);
    assert.ok(Array.isArray(seen.avif) || seen.avif.code === 'INVALID_INPUT', JSON.stringify(seen.avif));
  },

  async 'a digit that is drawn is read'({ bench, tab }) {
    const page = await tab(bench.url);
    const seen = await page.call(async () => {
      const [{ DigitGenerator }, { DigitJudge }] = await Promise.all([
        import('/package/web.js'),
        import('/package/judge.js'),
      ]);
      const generator = await DigitGenerator.load();
      const steps = [];
      const { data } = await generator.generate({
        text: '0123456789',
        seed: 1,
        onStep: ({ step }) => steps.push(step),
      });
      const judge = await DigitJudge.load(generator);
      const digits = (await judge.read(data)).map(({ digit }) => digit);
      const { worker } = generator.backend;
      judge.dispose();
      generator.dispose();
      return { digits: digits.join(''), steps: steps.length, worker };
    });
    assert.equal(seen.digits, '0123456789');
    assert.ok(seen.steps > 1);
    assert.equal(seen.worker, true);
  },
};
