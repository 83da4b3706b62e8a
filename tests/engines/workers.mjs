// Models in workers of their own, and several workers for a long list.
import assert from 'node:assert/strict';

const TEXTS = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);

/** A page whose workers are counted, with `load`. */
async function counting(place) {
  const page = await place.tab(place.bench.url);
  await page.call(() => {
    const { Worker: Real } = window;
    /** The workers of this page, in the order of their start. */
    window.started = [];
    window.Worker = class extends Real {
      constructor(...args) {
        super(...args);
        window.started.push(this);
      }
      terminate() {
        this.isEnded = true;
        super.terminate();
      }
    };
    window.load = async (name, model, options = {}) =>
      (await import('/package/web.js'))[name].load(model, { host: '/hub', device: 'cpu', store: false, ...options });
    window.until = async (condition) => {
      for (let tries = 0; tries < 500 && !condition(); tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 20));
      return condition();
    };
    window.sameBits = (one, other) =>
      one.data.length === other.data.length && one.data.every((value, i) => value === other.data[i]);
  });
  return page;
}

/** @type {Record<string, import('./engines.test.mjs').Scenario>} */
export const workers = {
  async 'a model in a worker has the bits of the page’s thread, and dispose ends the worker'(place) {
    const page = await counting(place);
    const seen = await page.call(async (texts) => {
      const own = await load('TextEmbedder', 'test/bert-tiny-mean', { worker: false });
      const beside = await load('TextEmbedder', 'test/bert-tiny-mean', { workers: 1 });
      const isSame = sameBits(await own.embed(texts), await beside.embed(texts));
      const { backend } = beside;
      beside.dispose();
      return { isSame, backend, count: started.length, hasEnded: await until(() => started[0].isEnded) };
    }, TEXTS);
    assert.equal(seen.backend.worker, true, seen.backend.reason);
    assert.deepEqual([seen.isSame, seen.count, seen.hasEnded], [true, 1, true]);
  },

  async 'two workers have the bits of one, for texts in each precision and for images'(place) {
    const page = await counting(place);
    const seen = await page.call(async (texts) => {
      const [one, two] = [
        await load('TextEmbedder', 'test/bert-tiny-mean', { dtype: 'q8', workers: 1 }),
        await load('TextEmbedder', 'test/bert-tiny-mean', { dtype: 'q8', workers: 2 }),
      ];
      // The second worker starts with the first list.
      await two.embed(texts);
      const same = { 'two workers were there': await until(() => started.length === 3) };
      for (const precision of ['float32', 'int8', 'uint8', 'binary', 'ubinary'])
        same[precision] = sameBits(await one.embed(texts, { precision }), await two.embed(texts, { precision }));
      const picture = await (await fetch('/hub/test/decode/resolve/main/plain.png')).blob();
      const images = Array(12).fill(picture);
      const [clip, clips] = [
        await load('ImageTextEmbedder', 'test/clip-tiny', { dtype: 'q8', worker: false }),
        await load('ImageTextEmbedder', 'test/clip-tiny', { dtype: 'q8', workers: 2 }),
      ];
      same.images = sameBits(await clip.embedImages(images), await clips.embedImages(images));
      for (const model of [one, two, clips]) model.dispose();
      return { same, hasEnded: await until(() => started.every(({ isEnded }) => isEnded)) };
    }, TEXTS);
    assert.ok(Object.values(seen.same).every(Boolean), JSON.stringify(seen.same));
    assert.equal(seen.hasEnded, true);
  },

  async 'a call ends soon after its signal fires, and the model answers the next one'(place) {
    const page = await counting(place);
    const seen = await page.call(async (texts) => {
      const embedder = await load('TextEmbedder', 'test/bert-tiny-mean', { workers: 1 });
      const aborter = new AbortController();
      const many = Array.from({ length: 40 }, () => texts).flat();
      const call = embedder.embed(many, { signal: aborter.signal }).catch(({ code }) => code);
      await new Promise((resolve) => setTimeout(resolve, 30));
      const start = performance.now();
      aborter.abort();
      const code = await call;
      const ms = performance.now() - start;
      const { dims } = await embedder.embed('a dog');
      embedder.dispose();
      return { code, ms, dims };
    }, TEXTS);
    assert.deepEqual([seen.code, seen.dims], ['ABORTED', [1, 32]]);
    // 100 ms are asked for; this machine may be busy.
    assert.ok(seen.ms < 1000, `${seen.ms} ms`);
  },

  async 'a worker that is ended rejects the call under way, and the next load starts another'(place) {
    const page = await counting(place);
    const seen = await page.call(async (texts) => {
      const embedder = await load('TextEmbedder', 'test/bert-tiny-mean', { workers: 1 });
      const call = embedder.embed(Array.from({ length: 40 }, () => texts).flat()).catch(({ code }) => code);
      setTimeout(() => Object.getPrototypeOf(Worker.prototype).terminate.call(started[0]), 20);
      const code = await call;
      const again = await load('TextEmbedder', 'test/bert-tiny-mean');
      const { dims } = await again.embed('a dog');
      again.dispose();
      return { code, dims };
    }, TEXTS);
    assert.deepEqual(seen, { code: 'INTERNAL', dims: [1, 32] });
  },

  async 'files that are streams, responses and blobs are read by the worker'(place) {
    const page = await counting(place);
    const seen = await page.call(async () => {
      const file = (name) => fetch(`/hub/test/bert-tiny-mean/resolve/main/${name}`);
      const small = {};
      for (const name of ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json'])
        small[name] = await (await file(name)).blob();
      const weights = 'model.safetensors';
      const expected = await (await load('TextEmbedder', 'test/bert-tiny-mean', { worker: false })).embed('a dog');
      const kinds = {
        bytes: new Uint8Array(await (await file(weights)).arrayBuffer()),
        blob: await (await file(weights)).blob(),
        response: await file(weights),
        stream: (await file(weights)).body,
      };
      const same = {};
      for (const [kind, source] of Object.entries(kinds)) {
        const embedder = await load('TextEmbedder', 'mine', { files: { ...small, [weights]: source } });
        same[kind] = embedder.backend.worker && sameBits(await embedder.embed('a dog'), expected);
        embedder.dispose();
      }
      return same;
    });
    assert.deepEqual(seen, { bytes: true, blob: true, response: true, stream: true });
  },
};
