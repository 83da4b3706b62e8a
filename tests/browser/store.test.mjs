// Loads that a page ends itself; what the network and IndexedDB do is in faults.test.mjs, and several tabs in tabs.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { embedInPage, launch, maxAbsError, startBench, tinyGolden, until } from './harness.mjs';

const NAME = 'bert-tiny-mean';
const MODEL = `tiny/${NAME}`;
const WEIGHTS = 'model.safetensors';
let browser;
let bench;
let golden;

before(async () => {
  golden = await tinyGolden(NAME);
  browser = await launch();
  bench = await startBench({ [MODEL]: golden.folder });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

const stored = { model: MODEL, options: { device: 'cpu', dtype: 'f32', store: 'indexeddb', timeout: 5000 } };
const HOST_DOWN = [{ fault: 'status', value: 503 }];

async function load(page) {
  const { cases } = golden.expected;
  const answer = await embedInPage(page, { ...stored, texts: cases.map(({ text }) => text) });
  if (!answer.error)
    assert.ok(
      maxAbsError(
        answer.vectors,
        cases.map(({ embedding }) => embedding),
      ) <= 1e-4,
    );
  return answer;
}

async function fresh(work) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    await work(page, context);
  } finally {
    bench.setFaults([]);
    await context.close();
  }
}

/** Checks that no model is in the store, that the next load downloads it, and that the one after that needs no host. */
async function assertCleanAndUsable(page) {
  bench.setFaults(HOST_DOWN);
  const { error } = await load(page);
  assert.equal(error?.code, 'FETCH_FAILED', 'a half-loaded model was read from the store');
  bench.setFaults([]);
  assert.equal((await load(page)).error, undefined);
  bench.setFaults(HOST_DOWN);
  const again = await load(page);
  assert.equal(again.error, undefined, `the model was not kept: ${again.error?.message}`);
}

const size = async () => {
  const response = await fetch(`${bench.url}/hub/${MODEL}/resolve/main/${WEIGHTS}`, { method: 'HEAD' });
  return Number(response.headers.get('content-length'));
};

test('after an aborted load the store holds no model, and the next load works', () =>
  fresh(async (page) => {
    bench.setFaults([{ file: WEIGHTS, fault: 'drip', value: Math.ceil((await size()) / 4) }]);
    const error = await page.evaluate(async ({ model, options }) => {
      const { TextEmbedder } = await import('/package/web.js');
      const controller = new AbortController();
      const onProgress = ({ status, loaded }) => {
        if (status === 'download' && loaded > 0) setTimeout(() => controller.abort(), 500);
      };
      return TextEmbedder.load(model, {
        ...options,
        host: `${location.origin}/hub`,
        signal: controller.signal,
        onProgress,
      }).then(
        () => 'it loaded',
        ({ code }) => code,
      );
    }, stored);
    assert.equal(error, 'ABORTED');
    await assertCleanAndUsable(page);
  }));

test('after the tab was closed in the middle of a load the store holds no model, and the next load works', () =>
  fresh(async (page, context) => {
    bench.setFaults([{ file: WEIGHTS, fault: 'stall', value: Math.floor((await size()) / 2) }]);
    void load(page).catch(() => {}); // the page goes away under it
    await until('the weights are asked for', () => bench.requests.at(-1)?.url.endsWith(WEIGHTS));
    await page.waitForTimeout(500); // half of them arrive
    await page.close();
    const next = await context.newPage();
    await next.goto(bench.url);
    await assertCleanAndUsable(next);
  }));

test('without a store nothing is kept', () =>
  fresh(async (page) => {
    const loaded = await embedInPage(page, {
      model: MODEL,
      options: { device: 'cpu', dtype: 'f32', store: false },
      texts: ['light'],
    });
    assert.equal(loaded.error, undefined);
    assert.deepEqual(await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name)), []);
    await assertCleanAndUsable(page);
  }));
