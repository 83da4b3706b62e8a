// Tests that models come back after the GPU failed: its device was destroyed, its memory ran out, an operation was refused, or its core trapped.
// A software renderer takes seconds for the self-test of each device, so a test has few of them, each of which fails in another way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { beforeWorkers, demo, FIGURES, launch, startBench, startSite, tinyGolden, until } from './harness.mjs';

const MODEL = 'test/tiny';
/** The same model, for which the page can be made to wait. */
const HELD = 'test/held';
const TEXTS = ['a dog', 'people walk home', 'The soup needs a pinch more salt.'];
let bench;
let browser;
before(async () => {
  const { folder } = await tinyGolden('bert-tiny-mean');
  bench = await startBench({ [MODEL]: folder, [HELD]: folder });
  // With the setting to zero of shared memory the software renderer compiles the kernels for twice the time. The self-test of each device checks them.
  browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/**
 * Runs before the other scripts of a page and of its workers: keeps the devices that they open, and does to the last one what the test says. `isGone`: whether there is no
 * GPU. `doom`: when the first device is destroyed: so many milliseconds after its opening, or before it makes its buffer of this number.
 */
function holdDevices({ isGone, doom }) {
  const opened = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...given) {
    const device = await requestDevice.apply(this, given);
    opened.push(device);
    if (doom?.ms !== undefined) setTimeout(() => device.destroy(), doom.ms);
    if (doom?.buffer !== undefined) destroyAtBuffer(device, doom.buffer);
    doom = undefined;
    return device;
  };
  function destroyAtBuffer(device, number) {
    const { createBuffer } = device;
    let made = 0;
    device.createBuffer = (...given) => {
      if (made === number) device.destroy();
      made += 1;
      return createBuffer.apply(device, given);
    };
  }
  const { requestAdapter } = GPU.prototype;
  GPU.prototype.requestAdapter = async function (...given) {
    return isGone ? null : requestAdapter.apply(this, given);
  };
  const acts = {
    destroy: () => opened.at(-1)?.destroy(),
    /** No buffer can be mapped and be used by shaders. */
    refuse: () => opened.at(-1)?.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.MAP_READ }),
    exhaust() {
      const error = new GPUOutOfMemoryError('no memory is left');
      opened.at(-1)?.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    },
    remove() {
      isGone = true;
    },
  };
  const channel = new BroadcastChannel('devices');
  channel.onmessage = ({ data: [name, ...given] }) => acts[name](...given);
  /** Does it here and in all workers. */
  globalThis.act = (name, ...given) => {
    channel.postMessage([name, ...given]);
    acts[name](...given);
  };
}

/** Imports the package into the page; the functions of the page are those that the tests call. */
async function prepare({ MODEL, HELD, TEXTS }) {
  const { TextEmbedder, diagnose } = await import('/package/web.js');
  const { trapped } = await import('/package/core/webgpu.js');
  const load = ({ model = MODEL, ...options } = {}) =>
    TextEmbedder.load(model, { host: `${location.origin}/hub`, device: 'webgpu', dtype: 'f32', ...options });
  const vectors = async (embedder, options) => [...(await embedder.embed(TEXTS, options)).data];
  const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
  const difference = (a, b) => Math.max(...a.map((x, i) => Math.abs(x - b[i])));
  const failure = (promise) =>
    promise.then(
      () => undefined,
      ({ code, message }) => ({ code, message }),
    );
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  /** Texts for a call that itself does to the GPU what is listed: one of it each time that the texts are read, which is once for each device. */
  const textsThat = (acts) =>
    Object.defineProperty([...TEXTS], 0, {
      get() {
        acts.shift()?.();
        return TEXTS[0];
      },
    });
  const trap = () => trapped(new WebAssembly.RuntimeError('unreachable'));
  /** From now on no file of a model can be fetched but those of the held one, and these when the returned function was called. */
  const holdFiles = () => {
    const { fetch } = globalThis;
    const { promise, resolve } = Promise.withResolvers();
    globalThis.fetch = async (request, ...given) => {
      const url = String(request.url ?? request);
      if (url.includes(HELD)) await promise;
      else if (url.includes('/hub/')) throw new TypeError('there is no network');
      return fetch(request, ...given);
    };
    return resolve;
  };
  Object.assign(globalThis, { load, vectors, same, difference, failure, wait, textsThat, trap, holdFiles });
  Object.assign(globalThis, { diagnose, MODEL, HELD, TEXTS });
}

/** An empty page whose devices, and those of its workers, can be destroyed. `doom` is about the page's first device. */
async function openPage(doom) {
  bench.setFaults([]);
  const page = await (await browser.newContext()).newPage();
  let isGone = false;
  let doomed;
  await page.addInitScript(holdDevices, { isGone, doom });
  /** Has the next worker's first device destroyed. */
  await page.exposeFunction('doomWorker', (doom) => {
    doomed = doom;
  });
  await page.route('**/package/worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({
      response,
      body: `(${holdDevices})(${JSON.stringify({ isGone, doom: doomed })});\n${await response.text()}`,
    });
    doomed = undefined;
  });
  await page.goto(bench.url);
  await page.evaluate(prepare, { MODEL, HELD, TEXTS });
  /** Takes the GPU away from the page, and from the workers that it starts from now on. */
  const removeGpu = () => {
    isGone = true;
    return page.evaluate(() => act('remove'));
  };
  return { page, removeGpu };
}

/** A random number below `below`, the same for the same seed. */
function randomOf(seed) {
  // Seeds that follow each other would begin alike.
  let state = Math.imul(seed, 0x9e3779b1);
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const SEED = 26;
/** A first device is destroyed before one of its first buffers of this number, which are those of its self-test and of the weights. */
const BUFFERS = 50;

test('all models of a page come back on a new device, and from the store; if that fails too, on the CPU', {
  timeout: 600_000,
}, async (t) => {
  const random = randomOf(SEED);
  // The first device is destroyed while it is tested.
  const { page, removeGpu } = await openPage({ buffer: random(BUFFERS) });
  const before = await page.evaluate(async () => {
    const start = performance.now();
    globalThis.first = await load({ worker: false });
    const ms = performance.now() - start;
    globalThis.third = await load({ worker: false, store: false, model: HELD });
    globalThis.expected = await vectors(first);
    const backends = [first, third].map(({ backend }) => backend);
    return { ms, wrong: await failure(first.embed(7)), backends };
  });
  assert.equal(before.wrong.code, 'INVALID_INPUT');
  for (const [i, { device, restarts, reason }] of before.backends.entries())
    assert.deepEqual([device, restarts], ['webgpu', 1 - i], reason);
  assert.match(before.backends[0].reason, /The model was loaded again because /);
  t.diagnostic(`loaded after ${before.ms.toFixed(0)} ms; ${before.backends[0].reason}`);

  // The core traps in a call of the third model, while the second one is loaded. The third one is loaded again when the others are back.
  const trapped = await page.evaluate(async (ms) => {
    globalThis.release = holdFiles();
    const begun = Promise.withResolvers();
    const loading = load({ worker: false, onProgress: begun.resolve });
    await begun.promise;
    await wait(ms);
    globalThis.acts = [trap, () => act('refuse')];
    globalThis.twice = third.embed(textsThat(acts));
    const both = Promise.all([vectors(first), loading.then(vectors)]);
    const start = performance.now();
    const { code } = await failure(vectors(first, { signal: AbortSignal.timeout(50) }));
    const abortedMs = performance.now() - start;
    globalThis.second = await loading;
    return {
      code,
      abortedMs,
      areSame: (await both).map((one) => same(one, expected)),
      left: acts.length,
      backends: [first, second].map(({ backend }) => backend),
    };
  }, random(30));
  assert.deepEqual(trapped.areSame, [true, true]);
  assert.equal(trapped.left, 1);
  assert.equal(trapped.code, 'ABORTED');
  for (const [i, { device, restarts, reason }] of trapped.backends.entries()) {
    assert.deepEqual([device, restarts], ['webgpu', 2 - i], reason);
    assert.match(reason, /loaded again because the WebAssembly instance trapped\.$/);
  }
  t.diagnostic(`aborted after ${trapped.abortedMs.toFixed(0)} ms`);

  // The call goes on, and an operation of it is refused on the new device.
  const twice = await page.evaluate(async () => {
    release();
    const { data } = await twice;
    return { difference: difference([...data], expected), left: acts.length, backend: third.backend };
  });
  assert.equal(twice.left, 0);
  assert.ok(twice.difference <= 1e-5, `${twice.difference}`);
  assert.deepEqual([twice.backend.device, twice.backend.restarts], ['cpu', 2], twice.backend.reason);
  t.diagnostic(twice.backend.reason);
  assert.match(twice.backend.reason, /^The CPU was taken because WebGPU failed twice: the GPU failed: /);

  // The other models were on the same device, and now there is none.
  await removeGpu();
  const last = await page.evaluate(async () => {
    const answer = vectors(second);
    second.dispose();
    return {
      difference: difference(await answer, expected),
      disposed: (await failure(vectors(second))).code,
      backend: second.backend,
      restarts: (await diagnose()).restarts,
    };
  });
  assert.ok(last.difference <= 1e-5, `${last.difference}`);
  assert.equal(last.disposed, 'DISPOSED');
  assert.deepEqual([last.backend.device, last.backend.restarts], ['cpu', 2]);
  t.diagnostic(last.backend.reason);
  assert.match(last.backend.reason, /^The CPU was taken because WebGPU has no adapter on this machine\./);
  assert.deepEqual(last.restarts, { count: 6, last: last.backend.reason });
  await page.context().close();
});

test('a model in a worker comes back in a new worker; where it cannot be loaded, the error says so, and the next call tries again', {
  timeout: 600_000,
}, async (t) => {
  const random = randomOf(SEED + 1);
  const { page, removeGpu } = await openPage();
  const during = await page.evaluate(
    async ([buffer, ms]) => {
      await doomWorker({ buffer });
      globalThis.model = await load({ store: false });
      globalThis.expected = await vectors(model);
      const { backend } = model;
      const many = model.embed(Array(200).fill(TEXTS[0]));
      await wait(ms);
      act('destroy');
      const { data } = await many;
      const areSame = [same([...data.slice(-32)], expected.slice(0, 32)), same(await vectors(model), expected)];
      return { areSame, backends: [backend, model.backend] };
    },
    [random(BUFFERS), random(50)],
  );
  assert.deepEqual(during.areSame, [true, true]);
  assert.deepEqual(
    during.backends.map(({ device, worker, restarts }) => [device, worker, restarts]),
    [
      ['webgpu', true, 1],
      ['webgpu', true, 2],
    ],
    during.backends[0].reason,
  );
  assert.match(during.backends[0].reason, /loaded again because /);
  t.diagnostic(during.backends[1].reason);

  // Nothing is stored of this model.
  bench.setFaults([{ fault: 'status', value: 404 }]);
  await removeGpu();
  const error = await page.evaluate(() => {
    act('exhaust');
    return failure(vectors(model));
  });
  bench.setFaults([]);
  t.diagnostic(error.message);
  assert.equal(error.code, 'FETCH_FAILED');
  assert.match(error.message, /^the GPU failed: its memory ran out, and this TextEmbedder could not be loaded again: /);
  const last = await page.evaluate(async () => {
    const error = difference(await vectors(model), expected);
    return { error, backend: model.backend };
  });
  assert.ok(last.error <= 1e-5, `${last.error}`);
  assert.deepEqual([last.backend.device, last.backend.worker, last.backend.restarts], ['cpu', true, 3]);
  assert.match(last.backend.reason, /no adapter.*its memory ran out/);
  await page.context().close();
});

const skip = FIGURES ? false : 'only in `make figures`';
for (const worker of [false, true]) {
  const place = worker ? 'workers' : 'the page';
  test(`25 devices are destroyed at random moments in ${place}, and no vector changes`, {
    skip,
    timeout: 1_800_000,
  }, async (t) => {
    const random = randomOf(SEED + 2 + Number(worker));
    const { page } = await openPage();
    await page.evaluate(async (worker) => {
      globalThis.model = await load({ worker });
      globalThis.expected = await vectors(model);
      /** Milliseconds of the last load. */
      globalThis.took = 1000;
    }, worker);
    const times = { loading: [], between: [], during: [] };
    for (let i = 0; i < 25; i += 1) {
      const moment = Object.keys(times)[random(3)];
      const seen = await page.evaluate(
        async ({ moment, share, worker }) => {
          const { restarts } = model.backend;
          const start = performance.now();
          let rows = [];
          if (moment === 'loading') {
            model.dispose();
            // In a page the next model has the device of the one before.
            const due = worker ? took * share : 30 * share;
            if (worker) await doomWorker({ ms: due });
            else void wait(due).then(() => act('destroy'));
            model = await load({ worker });
            took = performance.now() - start;
            await wait(due);
          } else if (moment === 'between') {
            act('destroy');
            // A worker hears of it by another way than of calls.
            await wait(50);
          } else {
            const many = model.embed(Array(100).fill(TEXTS[0]));
            await wait(400 * share);
            act('destroy');
            const { data } = await many;
            await wait(50);
            rows = Array.from({ length: 100 }, (_, row) => [...data.slice(32 * row, 32 * row + 32)]);
          }
          const areSame = same(await vectors(model), expected) && rows.every((row) => same(row, expected.slice(0, 32)));
          const { device, restarts: after, reason } = model.backend;
          const count = moment === 'loading' ? after : after - restarts;
          return { areSame, device, count, reason, ms: performance.now() - start };
        },
        { moment, share: random(1000) / 1000, worker },
      );
      const story = `${moment}, ${place}, destruction ${i}: ${JSON.stringify(seen)}`;
      assert.ok(seen.areSame, story);
      assert.deepEqual([seen.device, seen.count], ['webgpu', 1], story);
      times[moment].push(seen.ms);
    }
    for (const [moment, list] of Object.entries(times)) {
      const median = list.sort((a, b) => a - b)[list.length >> 1] ?? 0;
      t.diagnostic(`${moment}: ${list.length} devices, median ${(median / 1000).toFixed(1)} s until the vectors`);
    }
    await page.context().close();
  });
}

test('a generator of digits and its judge come back together, and a judge whose generator was disposed of comes back alone', {
  skip,
  timeout: 600_000,
}, async (t) => {
  for (const worker of [false, true]) {
    const { page, removeGpu } = await openPage();
    const start = performance.now();
    const seen = await page.evaluate(async (worker) => {
      const { DigitGenerator } = await import('/package/web.js');
      const { DigitClassifier } = await import('/package/judge.js');
      const generator = await DigitGenerator.load({ device: 'webgpu', worker });
      globalThis.judge = await DigitClassifier.load(generator);
      globalThis.read = async (data) => (await judge.read(data)).map(({ digit }) => digit).join('');
      Object.assign(globalThis, { generator });
      const draw = (options) => generator.generate({ text: '2026', seed: 3, ...options });
      const { data } = await draw();
      globalThis.drawn = data;
      const before = await read(data);
      act('destroy');
      // The judge notices it first.
      const judged = await read(data);
      const { restarts } = generator.backend;
      const steps = [];
      const onStep = ({ step }) => {
        if (steps.push(step) === 3) act('destroy');
      };
      const { data: again } = await draw({ onStep });
      const difference = Math.max(...data.map((grey, i) => Math.abs(grey - again[i])));
      return { readings: [before, judged, await read(again)], restarts, difference, steps, backend: generator.backend };
    }, worker);
    assert.deepEqual(seen.readings, ['2026', '2026', '2026']);
    assert.equal(seen.difference, 0);
    assert.equal(seen.restarts, 1);
    assert.deepEqual([seen.backend.device, seen.backend.restarts], ['webgpu', 2], seen.backend.reason);
    // The steps of the call that is computed again are told again.
    assert.deepEqual(seen.steps.slice(0, 3), [1, 2, 3]);
    assert.deepEqual(seen.steps.slice(-7), [1, 2, 3, 4, 5, 6, 7]);

    await removeGpu();
    const alone = await page.evaluate(async () => {
      const { DigitGeneratorHandle } = await import('/package/core/cpu.js');
      const { load } = DigitGeneratorHandle;
      let loads = 0;
      DigitGeneratorHandle.load = (...given) => {
        loads += 1;
        return load.apply(DigitGeneratorHandle, given);
      };
      generator.dispose();
      act('destroy');
      const reading = await read(drawn);
      judge.dispose();
      return { reading, loads };
    });
    assert.deepEqual(alone, { reading: '2026', loads: 0 });
    // The worker that the judge had then has ended with it.
    await until('no worker is left', () => page.workers().length === 0);
    t.diagnostic(`${worker ? 'workers' : 'the page'}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
    await page.context().close();
  }
});

test('the demo shows what its model runs on after the GPU failed', { timeout: 600_000 }, async (t) => {
  const site = await startSite({ [MODEL]: (await tinyGolden('bert-tiny-mean')).folder });
  t.after(() => site.close());
  // A service worker would answer for the script of a worker.
  const page = await (await browser.newContext({ serviceWorkers: 'block' })).newPage();
  await page.addInitScript(holdDevices, {});
  await beforeWorkers(page, holdDevices, {});
  await page.goto(site.url);
  await demo.load(page, { model: MODEL, host: '/hub', device: 'WebGPU', weights: '32-bit' });
  await page.getByText('Runs on WebGPU (a software adapter) with 32-bit weights.').waitFor({ timeout: 120_000 });
  await demo.embedded(page);
  // Workers that are started from now on have no GPU.
  await page.unrouteAll();
  await beforeWorkers(page, holdDevices, { isGone: true });
  await page.evaluate(() => act('destroy'));
  await page.getByRole('searchbox').fill('a dog');
  await page.getByText(/^Runs on the CPU with .* SIMD and 32-bit weights\.$/).waitFor({ timeout: 60_000 });
  await page.getByText(/^The CPU was taken because WebGPU has no adapter on this machine\. .*loaded again/).waitFor();
  await page.context().close();
});
