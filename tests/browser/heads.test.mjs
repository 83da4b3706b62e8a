// Heads that are fitted in Chromium have the bits that native programs and Node compute, in both CPU builds.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { goldens, launch, startBench } from './harness.mjs';

const HEADS = ['logistic', 'linear-svm', 'rbf-svm', 'prototype', 'knn'];
const read = async (file) => JSON.parse(await readFile(path.join(goldens, 'heads', file), 'utf8'));

let browser;
let bench;
before(async () => {
  browser = await launch();
  bench = await startBench({});
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

for (const build of ['simd', 'relaxed']) {
  test(`${build}: fitted heads have the recorded bits`, async () => {
    const page = await browser.newPage();
    await page.goto(bench.url);
    const [fits, record] = [await read('fitted.json'), await read('bits.json')];
    const got = await page.evaluate(
      async ({ build, heads, fits }) => {
        const { TextClassifier, init } = await import('/package/web.js');
        await init({ wasm: `/package/core/${build}.wasm` });
        const all = {};
        for (const head of heads) {
          for (const [i, { train, classes }] of fits.entries()) {
            const embedder = { dimensions: train[0].length, embed: () => Promise.reject(new Error('not asked')) };
            const examples = { vectors: Float32Array.from(train.flat()), labels: classes.map(String) };
            const classifier = await TextClassifier.fit(embedder, examples, { head, labelText: false });
            const { head: own, heldOut } = classifier.toJSON();
            all[`${head} ${i}`] = { head: own, heldOut };
            classifier.dispose();
          }
        }
        return all;
      },
      { build, heads: HEADS, fits },
    );
    assert.equal(Object.keys(got).length, 10);
    assert.deepEqual(got, record);
    await page.close();
  });
}
