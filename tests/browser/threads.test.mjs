// Threads of a page that is cross-origin isolated: the bits of one thread, what is told and fetched where there can be none, threads that end, and
// the number of threads beside that of workers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keepWorkers, launch, MINILM, minilm, packageFolder, startBench, tinyGolden, until } from './harness.mjs';

const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
const TINY_CLIP = fileURLToPath(new URL('../../weights/tiny-clip', import.meta.url));
const TEXTS = Array.from({ length: 40 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 7))}`);

let browser;
/** A server whose pages are isolated, and one whose pages are not. */
let isolated;
let open;
/** The addresses that were asked for. */
let asked;
let page;
let uncaught;
before(async () => {
  browser = await launch();
  const models = { [MINILM]: minilm, 'test/clip': TINY_CLIP, 'test/tiny': (await tinyGolden('bert-tiny-mean')).folder };
  const server = (headers) =>
    startBench(models, {
      headers: (url) => {
        asked.push(url);
        return headers;
      },
    });
  isolated = await server(ISOLATED);
  open = await server({});
});
after(async () => {
  await browser?.close();
  await isolated?.close();
  await open?.close();
});
beforeEach(async () => {
  asked = [];
  uncaught = [];
  page = await browser.newPage();
  page.on('pageerror', ({ message }) => uncaught.push(message));
});
afterEach(async () => {
  await page.close();
  assert.deepEqual(uncaught, []);
});

/** Opens a page that believes to be on a device with so many processors. */
async function openOn(bench, processors = 2) {
  await page.addInitScript((processors) => {
    if (typeof document !== 'object') return;
    Object.defineProperty(navigator, 'hardwareConcurrency', { value: processors });
    /** What the cores of workers tell: see `tellThreads`. */
    window.told = [];
    new BroadcastChannel('threads').onmessage = ({ data }) => told.push(data);
    window.load = async (name, model, options = {}) =>
      (await import('/package/web.js'))[name].load(model, { host: `${location.origin}/hub`, ...options });
    window.bitsOf = ({ data }) => Array.from(new Uint32Array(data.buffer, data.byteOffset, data.length));
    window.outcome = (promise) =>
      promise.then(
        () => 'no error',
        ({ code, message }) => ({ code, message }),
      );
  }, processors);
  await page.goto(bench.url);
  await page.evaluate(keepWorkers);
}

const workers = (count) => until(`${count} workers are there`, () => page.workers().length === count);

/** Serves the glue of the core with threads with a text at its end. */
const withGlue = (text) =>
  page.route('**/package/core/threads.js', async (route) => {
    const script = await readFile(path.join(packageFolder, 'core/threads.js'), 'utf8');
    const body = `${text(script)}`;
    assert.notEqual(body, script);
    await route.fulfill({ contentType: 'text/javascript', headers: ISOLATED, body });
  });

/** Has cores tell the page the number of threads of each call, and how many parts helpers have computed before. */
const tellThreads = () =>
  withGlue((script) =>
    script.replace(
      /export function setThreads\((\w+)\) \{/,
      "const channel = new BroadcastChannel('threads');\n$&\n    channel.postMessage({ threads: $1, parts: helpedParts() });",
    ),
  );

test('two threads give the bits of one, for texts in each format of weights and for images, and dispose ends them', async () => {
  await tellThreads();
  await openOn(isolated);
  for (const dtype of ['q8', 'q4', 'f32']) {
    const seen = await page.evaluate(
      async ([model, dtype, texts]) => {
        const bits = [];
        const backends = [];
        const long = texts.join(' ');
        for (const threads of [1, 2]) {
          const embedder = await load('TextEmbedder', model, { dtype, threads, workers: 1, store: 'memory' });
          bits.push(
            [await embedder.embed(long), await embedder.embed(texts), await embedder.embed('a dog')].map(bitsOf),
          );
          backends.push(embedder.backend);
          if (threads === 1) embedder.dispose();
          else window.last = embedder;
        }
        return {
          equal: `${bits[0]}` === `${bits[1]}`,
          count: bits[0].flat().length,
          backends,
          parts: told.at(-1).parts,
        };
      },
      [MINILM, dtype, TEXTS],
    );
    assert.ok(seen.equal, dtype);
    assert.equal(seen.count, 42 * 384);
    assert.deepEqual(
      seen.backends.map(({ threads, worker, simd }) => [threads, worker, simd]),
      [
        [1, true, 'relaxed-simd'],
        [2, true, 'relaxed-simd'],
      ],
    );
    assert.match(seen.backends[1].reason, / It computes with 2 threads\.$/);
    assert.ok(seen.parts > 0, 'the other thread computed nothing');
    await workers(2);
    await page.evaluate(() => last.dispose());
    await workers(0);
  }
  const images = await page.evaluate(async () => {
    const bits = [];
    const pixels = Uint8ClampedArray.from({ length: 64 * 64 * 4 }, (_, i) => (i * 37) % 256);
    for (const threads of [1, 2]) {
      const clip = await load('ImageTextEmbedder', 'test/clip', { threads, workers: 1 });
      bits.push(bitsOf(await clip.embedImages(Array.from({ length: 6 }, () => new ImageData(pixels, 64, 64)))));
      clip.dispose();
    }
    return { equal: `${bits[0]}` === `${bits[1]}`, count: bits[0].length };
  });
  assert.ok(images.equal && images.count > 0);
});

test('a page that is not isolated fetches nothing for threads, and says why where they were asked for', async () => {
  await openOn(open);
  const [auto, two, one] = await page.evaluate(async () => {
    const backends = [];
    for (const threads of ['auto', 2, 1]) {
      const embedder = await load('TextEmbedder', 'test/tiny', { threads });
      await embedder.embed('a dog');
      backends.push(embedder.backend);
    }
    return backends;
  });
  assert.deepEqual([auto.threads, two.threads, one.threads], [1, 1, 1]);
  assert.match(two.reason, / It computes with one thread because the page is not cross-origin isolated\.$/);
  assert.doesNotMatch(auto.reason + one.reason, /thread/);
  assert.ok(asked.some((url) => url.endsWith('/core/relaxed.wasm')));
  assert.deepEqual(
    asked.filter((url) => url.includes('threads')),
    [],
  );
});

test('an isolated page has threads by itself: as many as the device has processors, up to four', async () => {
  for (const [processors, options, expected] of [
    [1, {}, 1],
    [1, { threads: 2 }, 1],
    [2, {}, 2],
    [3, { threads: 2 }, 2],
    [2, { threads: 64 }, 2],
    [16, {}, 4],
    [16, { threads: 1 }, 1],
  ]) {
    await page.close();
    page = await browser.newPage();
    await openOn(isolated, processors);
    asked = [];
    const backend = await page.evaluate(
      async (options) => (await load('TextEmbedder', 'test/tiny', options)).backend,
      options,
    );
    assert.equal(backend.threads, expected, `${processors} processors, ${JSON.stringify(options)}: ${backend.reason}`);
    if (processors === 1) assert.match(backend.reason, /with one thread because the device has only one processor\.$/);
    await workers(expected);
    // The core with threads takes the place of the other one.
    assert.deepEqual(
      asked.filter((url) => url.endsWith('.wasm')).map((url) => path.basename(url)),
      [expected > 1 ? 'threads.wasm' : 'relaxed.wasm'],
    );
  }
});

test('threads that are no number of threads are errors', async () => {
  for (const bench of [isolated, open]) {
    await openOn(bench);
    const seen = await page.evaluate(async () => {
      const seen = [];
      for (const threads of [0, -1, 1.5, Number.NaN, 10_000, '2', null])
        seen.push(await outcome(load('TextEmbedder', 'test/tiny', { threads })));
      return seen;
    });
    for (const { code, message } of seen) {
      assert.equal(code, 'INVALID_INPUT');
      assert.match(message, /^threads: expected 'auto' or a whole number from 1 to 64, got /);
    }
    assert.equal(seen.length, 7);
  }
});

for (const [what, file, body, words] of [
  ['does not compile', 'threads.wasm', 'no module', 'core/threads.wasm: WebAssembly could not be started'],
  ['is missing', 'threads.wasm', undefined, 'core/threads.wasm: the host answered 404'],
  ['has no glue', 'threads.js', undefined, 'core/threads.wasm: '],
])
  test(`where the core with threads ${what}, the other one computes, and backend says why`, async () => {
    await page.route(`**/package/core/${file}`, (route) =>
      route.fulfill({ headers: ISOLATED, ...(body ? { contentType: 'application/wasm', body } : { status: 404 }) }),
    );
    await openOn(isolated);
    const { backend, equal } = await page.evaluate(async () => {
      const [one, two] = [
        await load('TextEmbedder', 'test/tiny', { threads: 1 }),
        await load('TextEmbedder', 'test/tiny', { threads: 2 }),
      ];
      const bits = [bitsOf(await one.embed('a dog')), bitsOf(await two.embed('a dog'))];
      one.dispose();
      return { backend: two.backend, equal: `${bits[0]}` === `${bits[1]}` };
    });
    assert.deepEqual([backend.threads, backend.worker], [1, true], backend.reason);
    assert.ok(backend.reason.includes(` It computes with one thread because ${words}`), backend.reason);
    assert.ok(equal);
    await workers(1);
  });

test('a model on the page’s own thread, and a core of the program’s own, have one thread', async () => {
  await openOn(isolated);
  const own = await page.evaluate(
    async () => (await load('TextEmbedder', 'test/tiny', { worker: false, threads: 2 })).backend,
  );
  await page.reload();
  const given = await page.evaluate(async () => {
    const { init } = await import('/package/web.js');
    await init({ wasm: '/package/core/simd.wasm' });
    return (await load('TextEmbedder', 'test/tiny')).backend;
  });
  assert.deepEqual([own.threads, own.worker], [1, false]);
  assert.match(own.reason, / because worker is false\. It computes with one thread because it has no worker\.$/);
  assert.deepEqual([given.threads, given.worker, given.simd], [1, true, 'simd128']);
  assert.match(given.reason, /with one thread because init was given a core, which has no threads\.$/);
});

test('a list is divided among workers, and workers times threads are not more than processors', async () => {
  await tellThreads();
  await openOn(isolated, 4);
  const seen = await page.evaluate(async (texts) => {
    const one = await load('TextEmbedder', 'test/tiny', { threads: 1, workers: 1 });
    const many = Array.from({ length: 40 }, () => texts).flat();
    const expected = `${bitsOf(await one.embed(many))}`;
    one.dispose();
    window.model = await load('TextEmbedder', 'test/tiny', { threads: 4, workers: 2 });
    const count = async (work) => {
      told.length = 0;
      const bits = `${bitsOf(await work())}`;
      // The channel's messages come after the answer.
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { threads: [...new Set(told.map(({ threads }) => threads))], equal: bits === expected };
    };
    const short = await count(() => model.embed('a dog'));
    const long = [];
    for (let i = 0; i < 3; i += 1) long.push(await count(() => model.embed(many)));
    return { short, long, threads: model.backend.threads };
  }, TEXTS);
  assert.equal(seen.threads, 4);
  assert.deepEqual(seen.short.threads, [4]);
  for (const { threads, equal } of seen.long) {
    assert.ok(equal);
    assert.deepEqual(threads, [2], 'two workers of two threads each');
  }
  // The first has four threads, of which two wait, and the second two.
  await workers(6);
  await page.evaluate(() => model.dispose());
  await workers(0);
});

test('a thread that ends while a call waits for it rejects the call, and the next load starts anew', async () => {
  await openOn(isolated);
  const seen = await page.evaluate(
    async ([model, texts]) => {
      const embedder = await load('TextEmbedder', model, { workers: 1, store: 'memory' });
      const many = Array.from({ length: 100 }, () => texts).flat();
      const call = outcome(embedder.embed(many));
      setTimeout(() => started[1].terminate(), 100);
      const [during, after] = [await call, await outcome(embedder.embed('a dog'))];
      const again = await load('TextEmbedder', model, { workers: 1, store: 'memory' });
      return { during, after, threads: again.backend.threads, dims: (await again.embed(texts)).dims };
    },
    [MINILM, TEXTS],
  );
  assert.deepEqual(seen.during, { code: 'INTERNAL', message: 'a thread was ended; load again' });
  assert.deepEqual(seen.after, seen.during);
  assert.deepEqual([seen.threads, seen.dims], [2, [40, 384]]);
  await workers(2);
});

test('a trap in a thread rejects the call under way', async () => {
  // The thread is told of the call by the server's answer, because its events wait while it computes.
  await withGlue((script) =>
    script.replace(
      /export function help\(\) \{/,
      `$&
    const request = new XMLHttpRequest();
    request.open('GET', '/trap', false);
    request.send();
    throw new WebAssembly.RuntimeError('unreachable');`,
    ),
  );
  let trap;
  const asked = new Promise((resolve) => {
    trap = resolve;
  });
  await page.route('**/trap', async (route) => {
    await asked;
    await route.fulfill({ headers: ISOLATED, body: '' });
  });
  await openOn(isolated);
  await page.evaluate(
    async ([model, texts]) => {
      const embedder = await load('TextEmbedder', model, { workers: 1, store: 'memory' });
      window.call = outcome(embedder.embed(Array.from({ length: 40 }, () => texts).flat()));
    },
    [MINILM, TEXTS],
  );
  trap();
  const { code, message } = await page.evaluate(() => call);
  assert.equal(code, 'INTERNAL');
  assert.match(message, /^a thread failed: .*unreachable.*; load again$/);
  await workers(0);
});
