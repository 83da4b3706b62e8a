// Loading, and what is kept: progress, resumption, tabs that share a download, and visits without a network.
import assert from 'node:assert/strict';
import { cosine, MINILM, minilmGolden, until } from '../browser/harness.mjs';

const TEXT = 'man on steps';
const WEIGHTS = 'model.safetensors';

/** Loads MiniLM in a tab and embeds; how far it is can be seen meanwhile in `window.progress`. */
const load = (page) =>
  page.call(
    async ({ model, text }) => {
      const { TextEmbedder } = await import('/package/web.js');
      window.progress = [];
      const embedder = await TextEmbedder.load(model, {
        host: '/hub',
        device: 'cpu',
        dtype: 'q8',
        onProgress: (event) => window.progress.push(event),
      });
      const { data } = await embedder.embed(text);
      embedder.dispose();
      return { vector: [...data], events: window.progress };
    },
    { model: MINILM, text: TEXT },
  );

const loaded = (page, bytes) =>
  until(`${bytes} bytes are there`, () =>
    page.call((bytes) => window.progress?.some(({ loaded }) => loaded >= bytes) ?? false, bytes),
  );

const isRight = async (vector) => {
  const { embedding } = (await minilmGolden()).cases.find(({ text }) => text === TEXT);
  assert.ok(cosine(vector, embedding) > 0.975);
};

const weights = ({ requests }) => requests.filter(({ method, url }) => method === 'GET' && url.endsWith(WEIGHTS));
const sent = ({ requests }) => requests.reduce((sum, { bytes }) => sum + bytes, 0);
const firstByte = ({ headers }) => Number(/bytes=(\d+)/.exec(headers.range ?? '')?.[1] ?? 0);

/** @type {Record<string, import('./engines.test.mjs').Scenario>} */
export const storage = {
  async 'a load reports a progress that only grows, and the next visit comes from the store'({ bench, visitor }) {
    const own = await visitor();
    const page = await own.tab(bench.url);
    bench.setFaults([{ file: WEIGHTS, fault: 'drip', value: 60e6 }]);
    const first = await load(page);
    await isRight(first.vector);
    const shares = first.events
      .filter(({ status }) => status === 'download')
      .map(({ loaded, total }) => loaded / total);
    assert.ok(new Set(shares).size >= 5, `${shares}`);
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert.equal(first.events.at(-1).status, 'ready');
    bench.setFaults([]);
    bench.requests.length = 0;
    const second = await load(await own.tab(bench.url));
    assert.deepEqual(second.vector, first.vector);
    assert.equal(second.events.at(-1).cached, true);
    assert.deepEqual(weights(bench), []);
  },

  async 'a load goes on where its connection broke off'({ bench, visitor }, t) {
    const own = await visitor();
    // The first request is for the header.
    bench.setFaults([{ file: WEIGHTS, fault: 'reset', value: 40e6, skip: 1, times: 1 }]);
    bench.requests.length = 0;
    await isRight((await load(await own.tab(bench.url))).vector);
    const from = firstByte(weights(bench)[2]);
    t.diagnostic(`40 MB were sent, and it went on from ${from}`);
    // Chromium and WebKit drop what came before the reset and was not read yet.
    assert.ok(from > 1e6 && from <= 40e6, `it went on from ${from}`);
  },

  async 'a download that a reload broke off is resumed'({ bench, visitor }) {
    const own = await visitor();
    const page = await own.tab(bench.url);
    bench.setFaults([{ file: WEIGHTS, fault: 'drip', value: 20e6 }]);
    bench.requests.length = 0;
    void load(page).catch(() => {}); // the page goes away under it
    await loaded(page, 30e6);
    bench.setFaults([]);
    const before = weights(bench).length;
    await page.open(bench.url);
    await isRight((await load(page)).vector);
    const from = firstByte(weights(bench)[before]);
    assert.ok(from > 20e6, `it went on from ${from}`);
  },

  async 'two tabs that load at once fetch the model once'({ bench, visitor }) {
    const own = await visitor();
    const pages = [await own.tab(bench.url), await own.tab(bench.url)];
    bench.setFaults([{ file: WEIGHTS, fault: 'drip', value: 40e6 }]);
    bench.requests.length = 0;
    const answers = await Promise.all(pages.map(load));
    for (const { vector } of answers) await isRight(vector);
    assert.deepEqual(answers[1].vector, answers[0].vector);
    const once = sent(bench);
    const third = await visitor();
    bench.setFaults([]);
    bench.requests.length = 0;
    await load(await third.tab(bench.url));
    assert.ok(once <= sent(bench) + (4 << 20), `${once} bytes for two tabs, ${sent(bench)} for one`);
  },

  async 'when the tab that downloads is closed, another one goes on from where it was'({ bench, visitor }) {
    const own = await visitor();
    const [first, second] = [await own.tab(bench.url), await own.tab(bench.url)];
    bench.setFaults([{ file: WEIGHTS, fault: 'drip', value: 20e6 }]);
    bench.requests.length = 0;
    void load(first).catch(() => {}); // the tab goes away under it
    await loaded(first, 1e6);
    const answer = load(second);
    await loaded(first, 30e6);
    await first.close();
    await isRight((await answer).vector);
    const from = firstByte(weights(bench).at(-1));
    assert.ok(from > 20e6, `it went on from ${from}`);
  },

  async 'without the host the model comes from the store'({ bench, visitor }) {
    const own = await visitor();
    const first = await load(await own.tab(bench.url));
    bench.setFaults([{ fault: 'reset' }]);
    const second = await load(await own.tab(bench.url));
    assert.deepEqual(second.vector, first.vector);
  },
};
