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

for (const [device, glue] of [
  ['cpu', 'cpu'],
  ['webgpu', 'webgpu'],
]) {
  test(`after a trap on ${device} the embedder is dead, and the next load runs on ${device} again`, {
    timeout: 300_000,
  }, async () => {
    const page = await browser.newPage();
    await page.goto(bench.url);
    const seen = await page.evaluate(
      async ({ device, glue }) => {
        const { TextEmbedder } = await import('/package/web.js');
        const { trapped } = await import(`/package/core/${glue}.js`);
        const load = () =>
          TextEmbedder.load('test/tiny', {
            host: `${location.origin}/hub`,
            store: false,
            worker: false,
            device,
            dtype: 'f32',
          });
        const first = await load();
        const { data: before } = await first.embed('a dog');
        trapped(new WebAssembly.RuntimeError('unreachable'));
        const code = await first.embed('a dog').catch((error) => error.code);
        const second = await load();
        const { data: after } = await second.embed('a dog');
        return { devices: [first.backend.device, second.backend.device], code, before: [...before], after: [...after] };
      },
      { device, glue },
    );
    assert.deepEqual(seen.devices, [device, device]);
    assert.equal(seen.code, 'INTERNAL');
    assert.equal(seen.before.length, 32);
    assert.deepEqual(seen.after, seen.before);
    await page.close();
  });
}
