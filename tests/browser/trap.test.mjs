// Tests the recovery from a trap in a page, where Chromium refuses to instantiate a core of this size synchronously.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, startBench, tinyGolden } from './harness.mjs';

let bench;
let browser;
before(async () => {
  bench = await startBench({ 'test/tiny': (await tinyGolden('bert-tiny-mean')).folder });
  browser = await launch({ softwareGpu: true });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/** Loads on a device, traps its core between two calls, and loads again. */
async function trapIn(device) {
  const page = await browser.newPage();
  await page.goto(bench.url);
  const seen = await page.evaluate(async (device) => {
    const { TextEmbedder } = await import('/package/web.js');
    const { trapped } = await import(`/package/core/${device}.js`);
    const load = () =>
      TextEmbedder.load('test/tiny', {
        host: `${location.origin}/hub`,
        store: false,
        worker: false,
        device,
        dtype: 'f32',
      });
    const vector = async (embedder) => [...(await embedder.embed('a dog')).data];
    const first = await load();
    const before = await vector(first);
    trapped(new WebAssembly.RuntimeError('unreachable'));
    const trap = await vector(first).catch(({ code }) => code);
    const second = await load();
    return { backends: [first.backend, second.backend], before, trap, after: await vector(second) };
  }, device);
  await page.close();
  assert.equal(seen.before.length, 32);
  assert.deepEqual(seen.after, seen.before);
  assert.deepEqual(
    seen.backends.map((backend) => backend.device),
    [device, device],
    seen.backends[0].reason,
  );
  return seen;
}

test('after a trap on the CPU the embedder is dead, and the next load runs', async () => {
  assert.equal((await trapIn('cpu')).trap, 'INTERNAL');
});

test('after a trap in the WebGPU core, as wgpu has them where the GPU fails, the embedder comes back', {
  timeout: 300_000,
}, async () => {
  const { trap, before, backends } = await trapIn('webgpu');
  assert.deepEqual(trap, before);
  assert.deepEqual(
    backends.map(({ restarts }) => restarts),
    [1, 0],
  );
  assert.match(backends[0].reason, /loaded again because the WebAssembly instance trapped\.$/);
});
