// Tests the recovery from a trap in a page, where Chromium refuses to instantiate a core of this size synchronously. The WebGPU core's is in `device-lost.test.mjs`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, startBench, tinyGolden } from './harness.mjs';

let bench;
let browser;
before(async () => {
  bench = await startBench({ 'test/tiny': (await tinyGolden('bert-tiny-mean')).folder });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

test('after a trap on the CPU the embedder is dead, and the next load runs', async () => {
  const page = await browser.newPage();
  await page.goto(bench.url);
  const seen = await page.evaluate(async () => {
    const { TextEmbedder } = await import('/package/web.js');
    const { trapped } = await import('/package/core/cpu.js');
    const load = () =>
      TextEmbedder.load('test/tiny', {
        host: `${location.origin}/hub`,
        store: false,
        worker: false,
        device: 'cpu',
        dtype: 'f32',
      });
    const vector = async (embedder) => [...(await embedder.embed('a dog')).data];
    const first = await load();
    const before = await vector(first);
    trapped(new WebAssembly.RuntimeError('unreachable'));
    const trap = await vector(first).catch(({ code }) => code);
    const second = await load();
    return { backends: [first.backend, second.backend], before, trap, after: await vector(second) };
  });
  await page.close();
  assert.equal(seen.trap, 'INTERNAL');
  assert.equal(seen.before.length, 32);
  assert.deepEqual(seen.after, seen.before);
  assert.deepEqual(
    seen.backends.map(({ device, restarts }) => [device, restarts]),
    [
      ['cpu', 0],
      ['cpu', 0],
    ],
  );
});
