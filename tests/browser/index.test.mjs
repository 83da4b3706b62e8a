// VectorIndex in IndexedDB: over a reload, in a Worker, from two tabs at once, and on both CPU builds.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, startBench } from './harness.mjs';

let browser;
let bench;
before(async () => {
  browser = await launch();
  bench = await startBench();
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/** A function for the page that makes an index of `rows` rows, whose values are computed from their positions. */
const MADE = `async ({ rows, wasm }) => {
  const { VectorIndex, init } = await import(location.origin + '/package/web.js');
  if (wasm) await init({ wasm: location.origin + '/package/core/' + wasm + '.wasm' });
  const dimensions = 64;
  const index = await VectorIndex.create({ dimensions, prefilter: true, source: 'by hand' });
  const values = Float32Array.from({ length: rows * dimensions }, (_, i) => ((Math.imul(i, 2654435761) >>> 8) & 0xffff) - 32000);
  index.add(Array.from({ length: rows }, (_, i) => (i % 2 ? i : 'text ' + i)), values, { tags: ['tagged'] });
  return { VectorIndex, index, query: values.subarray(64 * 7, 64 * 8) };
}`;

async function inPage(work) {
  const context = await browser.newContext();
  const open = async () => {
    const page = await context.newPage();
    await page.goto(bench.url);
    return page;
  };
  try {
    await work(open);
  } finally {
    await context.close();
  }
}

test('a saved index is there after a reload, and models know nothing of it', () =>
  inPage(async (open) => {
    const page = await open();
    const saved = await page.evaluate(`(async () => {
      const { index, query } = await (${MADE})({ rows: 3000 });
      await index.save('notes');
      return { hits: index.search(query, 5), bytes: Array.from(index.toBytes().subarray(-32)) };
    })()`);
    assert.equal(saved.hits[0].id, 7);
    assert.ok(saved.hits[0].score > 0.9999);
    await page.reload();
    const loaded = await page.evaluate(`(async () => {
      const { VectorIndex, models } = await import('/package/web.js');
      const index = await VectorIndex.load('notes');
      const { query } = await (${MADE})({ rows: 10 });
      const found = { hits: index.search(query, 5), bytes: Array.from(index.toBytes().subarray(-32)), source: index.source };
      const listed = await models.list();
      const removed = [await VectorIndex.delete('notes'), await VectorIndex.delete('notes'), await VectorIndex.load('notes')];
      return { found, listed, removed };
    })()`);
    assert.deepEqual(loaded, { found: { ...saved, source: 'by hand' }, listed: [], removed: [true, false, undefined] });
  }));

test('two tabs that save under one name leave one whole index', () =>
  inPage(async (open) => {
    const pages = [await open(), await open()];
    const save = (rows) => `(async () => {
      const { index } = await (${MADE})({ rows: ${rows} });
      for (let i = 0; i < 5; i += 1) await index.save('notes');
    })()`;
    await Promise.all(pages.map((page, i) => page.evaluate(save(40_000 + i))));
    const size = await pages[0].evaluate(
      async () => (await (await import('/package/web.js')).VectorIndex.load('notes')).size,
    );
    assert.ok([40_000, 40_001].includes(size), `${size} rows`);
  }));

test('both CPU builds give the same bytes and the same scores, also in a Worker', () =>
  inPage(async (open) => {
    const page = await open();
    const run = `(async ({ wasm }) => {
      const { index, query } = await (${MADE})({ rows: 3000, wasm });
      return JSON.stringify([index.search(query, 20), index.search(query, 20, { exact: true }), Array.from(index.toBytes().subarray(-32))]);
    })`;
    const relaxed = await page.evaluate(`${run}({})`);
    await page.reload();
    const simd = await page.evaluate(`${run}({ wasm: 'simd' })`);
    const worker = await page.evaluate(`new Promise((resolve, reject) => {
      const script = ${JSON.stringify(`(${run})({}).then(postMessage)`)}.replaceAll('location.origin', JSON.stringify(location.origin));
      const worker = new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })), { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    })`);
    assert.equal(simd, relaxed);
    assert.equal(worker, relaxed);
  }));
