// Tests that models come back after the GPU failed: its device was destroyed, its memory ran out, or an operation was refused.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FIGURES, launch, startBench, tinyGolden } from './harness.mjs';

const MODEL = 'test/tiny';
const TEXTS = ['a dog', 'people walk home', 'The soup needs a pinch more salt.'];
let bench;
let browser;
before(async () => {
  bench = await startBench({ [MODEL]: (await tinyGolden('bert-tiny-mean')).folder });
  browser = await launch({ softwareGpu: true });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/**
 * Runs before the other scripts of a page and of its workers: keeps the devices that they open, and does to the last one what the test says. `isGone`: whether there is no
 * GPU. `doom`: milliseconds after its opening when the first device is destroyed.
 */
function holdDevices({ isGone, doom }) {
  const opened = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...given) {
    const device = await requestDevice.apply(this, given);
    opened.push(device);
    if (doom !== undefined) setTimeout(() => device.destroy(), doom);
    doom = undefined;
    return device;
  };
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

/** Loads the model; the functions of the page are those that the tests call. */
async function prepare({ MODEL, TEXTS }) {
  const { TextEmbedder, diagnose } = await import('/package/web.js');
  const load = (options) =>
    TextEmbedder.load(MODEL, { host: `${location.origin}/hub`, device: 'webgpu', dtype: 'f32', ...options });
  const vectors = async (embedder, options) => [...(await embedder.embed(TEXTS, options)).data];
  const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
  const difference = (a, b) => Math.max(...a.map((x, i) => Math.abs(x - b[i])));
  const failure = (promise) =>
    promise.then(
      () => undefined,
      ({ code, message }) => ({ code, message }),
    );
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  Object.assign(globalThis, { load, vectors, same, difference, failure, wait, diagnose, TEXTS });
}

/** An empty page whose devices, and those of its workers, can be destroyed. */
async function openPage() {
  bench.setFaults([]);
  const page = await (await browser.newContext()).newPage();
  let isGone = false;
  let doom;
  await page.addInitScript(holdDevices, { isGone });
  /** Has the next worker's device destroyed after so many milliseconds. */
  await page.exposeFunction('doomWorker', (ms) => {
    doom = ms;
  });
  await page.route('**/package/worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({
      response,
      body: `(${holdDevices})(${JSON.stringify({ isGone, doom })});\n${await response.text()}`,
    });
    doom = undefined;
  });
  await page.goto(bench.url);
  await page.evaluate(prepare, { MODEL, TEXTS });
  /** Takes the GPU away from the page, and from the workers that it starts from now on. */
  const removeGpu = () => {
    isGone = true;
    return page.evaluate(() => act('remove'));
  };
  return { page, removeGpu };
}

/** A random number below `below`, the same for the same seed. */
const randomOf = (seed) => (below) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};

const SEED = 26;

test('all models of a page come back on a new device, and from the store; if that fails too, on the CPU', {
  timeout: 600_000,
}, async (t) => {
  const random = randomOf(SEED);
  const { page, removeGpu } = await openPage();
  const before = await page.evaluate(async () => {
    globalThis.first = await load({ worker: false });
    globalThis.expected = await vectors(first);
    return { wrong: await failure(first.embed(7)), backend: first.backend };
  });
  assert.equal(before.wrong.code, 'INVALID_INPUT');
  assert.deepEqual([before.backend.device, before.backend.restarts], ['webgpu', 0], before.backend.reason);

  // Nothing can be fetched from now on.
  bench.setFaults([{ fault: 'reset' }]);
  const loading = await page.evaluate(async (ms) => {
    void wait(ms).then(() => act('destroy'));
    globalThis.second = await load({ worker: false });
    await wait(ms);
    const both = Promise.all([vectors(first), vectors(second)]);
    const start = performance.now();
    const { code } = await failure(vectors(second, { signal: AbortSignal.timeout(50) }));
    const abortedMs = performance.now() - start;
    return {
      code,
      abortedMs,
      areSame: (await both).map((one) => same(one, expected)),
      backends: [first, second].map(({ backend }) => backend),
    };
  }, random(30));
  assert.deepEqual(loading.areSame, [true, true]);
  assert.equal(loading.code, 'ABORTED');
  for (const { device, restarts, reason } of loading.backends) {
    assert.deepEqual([device, restarts], ['webgpu', 1], reason);
    assert.match(reason, /loaded again because the GPU failed: /);
  }
  t.diagnostic(`aborted after ${loading.abortedMs.toFixed(0)} ms; ${loading.backends[0].reason}`);

  // The call itself breaks its device: each time that its texts are read.
  const twice = await page.evaluate(async () => {
    const acts = ['refuse', 'destroy'];
    const texts = [...TEXTS];
    Object.defineProperty(texts, 0, {
      get() {
        if (acts.length > 0) act(acts.shift());
        return TEXTS[0];
      },
    });
    const { data } = await first.embed(texts);
    return { difference: difference([...data], expected), left: acts.length, backend: first.backend };
  });
  assert.equal(twice.left, 0);
  assert.ok(twice.difference <= 1e-5, `${twice.difference}`);
  assert.deepEqual([twice.backend.device, twice.backend.restarts], ['cpu', 3]);
  t.diagnostic(twice.backend.reason);
  assert.match(twice.backend.reason, /^The CPU was taken because the GPU failed twice: the GPU failed: Destroyed/);

  // The other model was on the same device, and now there is none.
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
  bench.setFaults([]);
  assert.ok(last.difference <= 1e-5, `${last.difference}`);
  assert.equal(last.disposed, 'DISPOSED');
  assert.deepEqual([last.backend.device, last.backend.restarts], ['cpu', 2]);
  t.diagnostic(last.backend.reason);
  assert.match(last.backend.reason, /^The CPU was taken because WebGPU has no adapter on this machine\./);
  assert.deepEqual(last.restarts, { count: 5, last: last.backend.reason });
  await page.context().close();
});

test('a model in a worker comes back in a new worker; where it cannot be loaded, the error says so, and the next call tries again', {
  timeout: 600_000,
}, async (t) => {
  const random = randomOf(SEED + 1);
  const { page, removeGpu } = await openPage();
  const during = await page.evaluate(async (ms) => {
    await doomWorker(0);
    globalThis.model = await load({ store: false });
    globalThis.expected = await vectors(model);
    const { backend } = model;
    const many = model.embed(Array(200).fill(TEXTS[0]));
    await wait(ms);
    act('destroy');
    const { data } = await many;
    const areSame = [same([...data.slice(-32)], expected.slice(0, 32)), same(await vectors(model), expected)];
    return { areSame, backends: [backend, model.backend] };
  }, random(50));
  assert.deepEqual(during.areSame, [true, true]);
  assert.deepEqual(
    during.backends.map(({ device, worker, restarts }) => [device, worker, restarts]),
    [
      ['webgpu', true, 1],
      ['webgpu', true, 2],
    ],
    during.backends[0].reason,
  );
  assert.match(during.backends[0].reason, /opened again because /);
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
            if (worker) await doomWorker(due);
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
