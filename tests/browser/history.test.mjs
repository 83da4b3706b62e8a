// DetectionHistory in IndexedDB: over a reload, and from two tabs at once.
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

/** Runs in the page: adds records of texts. */
async function add(texts) {
  const { DetectionHistory } = await import(`${location.origin}/package/web.js`);
  const history = new DetectionHistory();
  const detection = { verdict: 'no sign', score: -2, head: 'test', tokens: 120, reasons: [], sentences: [] };
  await Promise.all(texts.map((text) => history.add(text, detection)));
}

/** Runs in the page: lists the records, or deletes them all before. */
async function list({ clear = false } = {}) {
  const { DetectionHistory } = await import(`${location.origin}/package/web.js`);
  const history = new DetectionHistory({ store: 'indexeddb' });
  const cleared = clear ? await history.clear() : 0;
  return { cleared, records: await history.list() };
}

test('two tabs add records at once, and a reload finds them all until they are deleted', async () => {
  const context = await browser.newContext();
  try {
    const pages = [await context.newPage(), await context.newPage()];
    for (const page of pages) await page.goto(bench.url);
    const texts = (tab) => Array.from({ length: 10 }, (_, i) => `text ${tab} ${i}`);
    await Promise.all(pages.map((page, tab) => page.evaluate(add, texts(tab))));
    await pages[0].reload();
    const { records } = await pages[0].evaluate(list);
    assert.equal(records.length, 20);
    assert.equal(new Set(records.map(({ digest }) => digest)).size, 20);
    assert.ok(records.every((one) => one.score === -2 && !('text' in one)));
    const times = records.map(({ time }) => time);
    assert.deepEqual(
      times,
      [...times].sort((a, b) => b - a),
    );
    const { cleared, records: left } = await pages[1].evaluate(list, { clear: true });
    assert.deepEqual([cleared, left], [20, []]);
  } finally {
    await context.close();
  }
});
