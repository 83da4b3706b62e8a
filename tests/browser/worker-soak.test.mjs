// Thousands of calls to models in workers, mixed with signals, disposals, workers that are killed and traps in them: every call ends, with
// the right bits or with an error that tells what happened, and the memory of the page does not grow. `make figures` makes 10,000 calls.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FIGURES, launch, startBench, tinyGolden, until } from './harness.mjs';
import { memoryOfPages } from './memory.mjs';

const CALLS = FIGURES ? 10_000 : 500;
const ROUND = 100;
/** The bytes that memory may grow by from the first fifth of the calls to the last: V8 keeps garbage for a while. */
const GROWTH = 24e6;

let browser;
let bench;
before(async () => {
  browser = await launch();
  bench = await startBench({ 'test/tiny': (await tinyGolden('bert-tiny-mean')).folder });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

test(`${CALLS} calls with signals, disposals, killed workers and traps all end as they should`, {
  timeout: 900_000,
}, async (t) => {
  const page = await browser.newPage();
  const uncaught = [];
  page.on('pageerror', ({ message }) => uncaught.push(message));
  await page.goto(bench.url);
  await page.evaluate(async () => {
    const { Worker: Real } = window;
    window.living = new Set();
    window.Worker = class extends Real {
      constructor(...args) {
        super(...args);
        living.add(this);
      }
      terminate() {
        living.delete(this);
        super.terminate();
      }
    };
    window.unhandled = [];
    addEventListener('unhandledrejection', ({ reason }) => unhandled.push(String(reason)));
    const { TextEmbedder } = await import('/package/web.js');
    const load = (options) =>
      TextEmbedder.load('test/tiny', { host: `${location.origin}/hub`, dtype: 'f32', ...options });
    const texts = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);
    const own = await load({ worker: false });
    const expected = (await own.embed(texts)).data;
    own.dispose();
    // A generator of the same numbers in every run (Park and Miller, 1988).
    let state = 20261127;
    const random = (below) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    /** The model that calls go to, and whether the test killed a worker of it or had it trap. */
    let current = { embedder: await load({ workers: 2 }), hurt: false };
    const counts = {};
    const count = (what) => {
      counts[what] = (counts[what] ?? 0) + 1;
    };
    const isRight = ({ data, dims }, from, length) => {
      const width = expected.length / texts.length;
      return (
        dims[0] === length &&
        data.every((value, i) => value === expected[(from * width + i) % expected.length]) &&
        data.length === length * width
      );
    };
    const call = async (from, length, signal) => {
      const model = current;
      const list = Array.from({ length }, (_, i) => texts[(from + i) % texts.length]);
      try {
        const result = await model.embedder.embed(list, { signal });
        count(isRight(result, from, length) ? 'right' : 'wrong');
      } catch ({ code, message }) {
        count(code);
        const known = { ABORTED: signal?.aborted, DISPOSED: true, INTERNAL: model.hurt, RESOURCE_LIMIT: model.hurt }[
          code
        ];
        if (!known) unhandled.push(`${code}: ${message}`);
      }
    };
    const renew = async () => {
      current.embedder.dispose();
      current = { embedder: await load({ workers: 2 }), hurt: false };
    };
    window.round = async (calls) => {
      const running = [];
      for (let i = 0; i < calls; i += 1) {
        const kind = random(100);
        const from = random(300);
        if (kind < 60) running.push(call(from, 1 + random(4)));
        else if (kind < 75) running.push(call(from, 20 + random(280)));
        else if (kind < 97) {
          const controller = new AbortController();
          running.push(call(from, 1 + random(200), controller.signal));
          setTimeout(() => controller.abort(), random(30));
        } else if (kind < 98) {
          running.push(call(from, 200));
          current.embedder.dispose();
          running.push(call(from, 2));
          i += 1;
          await renew();
        } else {
          current.hurt = true;
          [...living][random(living.size)]?.terminate();
          running.push(call(from, 2));
          await Promise.all(running);
          await renew();
        }
        if (running.length >= 8) await Promise.all(running.splice(0));
      }
      await Promise.all(running);
      if (current.hurt) await renew();
    };
    window.willTrap = () => {
      current.hurt = true;
    };
    window.finish = async () => {
      current.embedder.dispose();
      return { counts, unhandled };
    };
  });
  const seen = [];
  for (let made = 0; made < CALLS; made += ROUND) {
    if ((made / ROUND) % 5 === 4) {
      // The instance of a worker traps, as code that is broken would have it.
      await page.evaluate(() => willTrap());
      const [worker] = page.workers();
      await worker?.evaluate(async () => {
        const { trapped } = await import('/package/core/cpu.js');
        trapped(new WebAssembly.RuntimeError('unreachable'));
      });
    }
    await page.evaluate((calls) => round(calls), ROUND);
    seen.push(await memoryOfPages(browser));
  }
  const { counts, unhandled } = await page.evaluate(() => finish());
  const fifth = Math.ceil(seen.length / 5);
  const growth = median(seen.slice(-fifth)) - median(seen.slice(0, fifth));
  t.diagnostic(
    `${JSON.stringify(counts)}; memory ${(growth / 1e6).toFixed(1)} MB more in the last fifth than in the first`,
  );
  assert.deepEqual(uncaught, []);
  assert.deepEqual(unhandled, []);
  assert.equal(counts.wrong, undefined);
  assert.ok(Object.values(counts).reduce((sum, number) => sum + number, 0) >= CALLS);
  for (const code of ['right', 'ABORTED', 'INTERNAL', 'DISPOSED']) assert.ok(counts[code] > 0, `no call was ${code}`);
  assert.ok(growth < GROWTH, `memory grew by ${growth} bytes`);
  await until('all workers have ended', () => page.workers().length === 0);
  await page.close();
});
