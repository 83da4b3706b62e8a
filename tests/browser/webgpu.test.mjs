import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { demo, embedInPage, launch, maxAbsError, startBench, startSite } from './harness.mjs';

// Chromium's own software adapter stands in for a GPU: it computes the same shaders, in seconds instead of milliseconds.
const TEXTS = ['A man is doing a stunt on his bicycle.', 'people walk home', 'The soup needs a pinch more salt.'];
let bench;
before(async () => {
  bench = await startBench();
});
after(() => bench?.close());

async function embed(browser, options) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    const answer = await embedInPage(page, { options, texts: TEXTS });
    assert.equal(answer.error, undefined, JSON.stringify(answer.error));
    return answer;
  } finally {
    await context.close();
  }
}

test('WebGPU agrees with the CPU in f32, and auto takes no software adapter', { timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true });
  try {
    const cpu = await embed(browser, { device: 'cpu', dtype: 'f32' });
    const gpu = await embed(browser, { device: 'webgpu' });
    assert.deepEqual([gpu.backend.device, gpu.backend.dtype], ['webgpu', 'f32'], gpu.backend.reason);
    assert.equal(gpu.backend.adapter.software, true);
    const error = maxAbsError(gpu.vectors, cpu.vectors);
    t.diagnostic(`max abs error ${error.toExponential(1)}`);
    assert.ok(error <= 1e-3, `max abs error ${error}`);
    assert.deepEqual(gpu.tokens, cpu.tokens);

    const auto = await embed(browser, { device: 'auto' });
    assert.equal(auto.backend.device, 'cpu');
    assert.match(auto.backend.reason, /software/);
  } finally {
    await browser.close();
  }
});

test('digits drawn on WebGPU are those of the CPU, to two grey levels', { timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true });
  try {
    const page = await browser.newPage();
    await page.goto(bench.url);
    const drawn = await page.evaluate(async () => {
      const { DigitGenerator } = await import('/package/web.js');
      const { DigitJudge } = await import('/package/judge.js');
      const drawn = {};
      for (const device of ['cpu', 'webgpu']) {
        const generator = await DigitGenerator.load({ device });
        const judge = await DigitJudge.load(generator);
        const { data } = await generator.generate({ text: '2026', seed: 3 });
        const readings = await judge.read(data);
        drawn[device] = { device: generator.backend.device, data: [...data], read: readings.map(({ digit }) => digit) };
      }
      return drawn;
    });
    assert.equal(drawn.webgpu.device, 'webgpu');
    const difference = Math.max(...drawn.cpu.data.map((grey, i) => Math.abs(grey - drawn.webgpu.data[i])));
    t.diagnostic(`largest difference: ${difference} of 255`);
    // Seven steps build on each other's last bits.
    assert.ok(difference <= 2, `${difference} grey levels`);
    assert.deepEqual(drawn.webgpu.read, [2, 0, 2, 6]);
    assert.deepEqual(drawn.cpu.read, [2, 0, 2, 6]);
  } finally {
    await browser.close();
  }
});

test('without WebGPU the CPU is taken, and the reason is said, in the report and on the page', async () => {
  const browser = await launch();
  const site = await startSite();
  try {
    const { backend, vectors } = await embed(browser, { device: 'webgpu' });
    assert.equal(backend.device, 'cpu');
    assert.match(backend.reason, /WebGPU|adapter/);
    assert.equal(vectors.length, TEXTS.length);

    const page = await demo.open(await browser.newContext(), site.url);
    await demo.load(page, { device: 'WebGPU' });
    await demo.ready(page);
    await page.getByText('Runs on the CPU').waitFor();
    assert.equal(await page.locator('.ready-reason.notice').innerText(), backend.reason);
  } finally {
    await browser.close();
    await site.close();
  }
});

test('a CPU user never downloads the GPU code', async () => {
  const browser = await launch();
  const site = await startSite();
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    const urls = [];
    page.on('request', (request) => urls.push(request.url()));
    await page.goto(site.url);
    await demo.load(page);
    await demo.ready(page);
    // The page and its worker have one core, which the second of them may take from the browser's cache.
    assert.equal(new Set(urls.filter((url) => /\.wasm/.test(url))).size, 1, urls.join('\n'));
    assert.equal(urls.filter((url) => /webgpu/.test(url)).length, 0, urls.join('\n'));
  } finally {
    await browser.close();
    await site.close();
  }
});
