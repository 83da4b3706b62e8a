// Faults around workers: workers that end, loads that are given up, and values that cannot be cloned. Each case is compared with the same
// on the page's own thread where there is one.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { clipGolden } from '../package/support/clip.mjs';
import { FIGURES, goldens, keepWorkers, launch, packageFolder, startBench, tinyGolden, until } from './harness.mjs';

const TEXTS = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);
const PICTURE = path.join(goldens, 'resize', clipGolden('clip-tiny').pictures[0]);

let browser;
let bench;
let page;
let uncaught;
before(async () => {
  browser = await launch();
  bench = await startBench({
    'test/tiny': (await tinyGolden('bert-tiny-mean')).folder,
    'test/clip': path.join(goldens, 'clip-tiny'),
  });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});
beforeEach(async () => {
  page = await browser.newPage();
  uncaught = [];
  page.on('pageerror', ({ message }) => uncaught.push(message));
  await page.goto(bench.url);
  await page.evaluate(keepWorkers);
  await page.evaluate(() => {
    window.sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    window.load = async (name, model, options = {}) =>
      (await import('/package/web.js'))[name].load(model, { host: `${location.origin}/hub`, dtype: 'f32', ...options });
    window.told = ({ code, message }) => ({ code, message });
    /** The small files of the tiny model, and its weights. */
    window.filesOfTiny = async () => {
      const small = {};
      for (const name of ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json']) {
        const response = await fetch(`/hub/test/tiny/resolve/main/${name}`);
        if (response.ok) small[name] = await response.blob();
      }
      const weights = await (await fetch('/hub/test/tiny/resolve/main/model.safetensors')).arrayBuffer();
      return { small, weights: new Uint8Array(weights) };
    };
  });
});
afterEach(async () => {
  await page.close();
  assert.deepEqual(uncaught, []);
});

const workers = (count) => until(`${count} workers are there`, () => page.workers().length === count);
const weightRequests = () => bench.requests.filter(({ url }) => url.endsWith('.safetensors')).length;

/** Runs a text in each worker of the package before its own script. */
const inWorkers = (text) =>
  page.route('**/package/worker.js', async (route) => {
    const script = await readFile(path.join(packageFolder, 'worker.js'), 'utf8');
    await route.fulfill({ contentType: 'text/javascript', body: `${text}\n${script}` });
  });

const ABSENT = `Object.defineProperty(navigator, 'locks', { value: undefined });`;
const DENIED = `LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));`;

/** Loads the tiny model for two workers, and waits until both are there. */
async function loadTwo() {
  await page.evaluate(async (texts) => {
    window.own = await load('TextEmbedder', 'test/tiny', { worker: false });
    window.two = await load('TextEmbedder', 'test/tiny', { workers: 2 });
    await two.embed(texts);
  }, TEXTS);
  await workers(2);
}

test('two workers that are both there give the bits of one, in each precision', async () => {
  await loadTwo();
  const equal = await page.evaluate(async (texts) => {
    const equal = {};
    for (const precision of ['float32', 'int8', 'uint8', 'binary', 'ubinary']) {
      const [there, here] = [await two.embed(texts, { precision }), await own.embed(texts, { precision })];
      equal[precision] = there.data.every((value, i) => value === here.data[i]) && `${there.dims}` === `${here.dims}`;
    }
    return equal;
  }, TEXTS);
  assert.deepEqual(Object.values(equal), [true, true, true, true, true], JSON.stringify(equal));
});

test('a further worker that ends, before a call or in it, is replaced, and no row is lost', async () => {
  await loadTwo();
  const seen = await page.evaluate(async (texts) => {
    const expected = (await own.embed(texts)).data;
    const isRight = ({ data }) => data.length === expected.length && data.every((value, i) => value === expected[i]);
    started[1].terminate();
    const before = isRight(await two.embed(texts));
    await sleep(500);
    const many = Array.from({ length: 60 }, () => texts).flat();
    const call = two.embed(many);
    setTimeout(() => started.at(-1).terminate(), 50);
    const { data, dims } = await call;
    const during = dims[0] === many.length && data.every((value, i) => value === expected[i % expected.length]);
    return { before, during, after: isRight(await two.embed(texts)) };
  }, TEXTS);
  assert.deepEqual(seen, { before: true, during: true, after: true });
});

test('a bad image is named by its index whichever worker reads it', async () => {
  const picture = (await readFile(PICTURE)).toString('base64');
  const errors = await page.evaluate(async (picture) => {
    const blob = await (await fetch(`data:;base64,${picture}`)).blob();
    const errors = [];
    for (let i = 0; i < 6; i += 1) {
      const clip = await load('ImageTextEmbedder', 'test/clip', { workers: 2 });
      const images = [...Array(11).fill(blob), new Uint8Array([1, 2, 3]), blob];
      errors.push(await clip.embedImages(images).then(() => 'no error', told));
      clip.dispose();
    }
    return errors;
  }, picture);
  for (const { code, message } of errors) {
    assert.equal(code, 'INVALID_INPUT');
    assert.match(message, /^images\[11\]/);
  }
});

test('a load that is given up, or that cannot begin, leaves no worker and no timer', async () => {
  const { codes, timers } = await page.evaluate(async () => {
    const timers = new Set();
    const { setInterval, clearInterval } = window;
    window.setInterval = (...words) => {
      const timer = setInterval(...words);
      timers.add(timer);
      return timer;
    };
    window.clearInterval = (timer) => {
      timers.delete(timer);
      clearInterval(timer);
    };
    const given = { signal: AbortSignal.abort() };
    const codes = [await load('TextEmbedder', 'test/tiny', given).catch(({ code }) => code)];
    for (let i = 0; i < 3; i += 1) {
      const aborter = new AbortController();
      const loading = load('TextEmbedder', 'test/tiny', { signal: aborter.signal }).catch(({ code }) => code);
      const before = started.length;
      while (started.length === before) await sleep(0);
      aborter.abort();
      codes.push(await loading);
    }
    codes.push(await load('TextEmbedder', 'test/tiny', { onProgress: 5 }).catch(({ code }) => code));
    const { DigitGenerator } = await import('/package/web.js');
    codes.push(
      await DigitGenerator.load({ weights: Promise.reject(new Error('no weights')) }).catch(({ code }) => code),
    );
    await sleep(100);
    return { codes, timers: timers.size };
  });
  assert.deepEqual(codes, ['ABORTED', 'ABORTED', 'ABORTED', 'ABORTED', 'INVALID_INPUT', 'INTERNAL']);
  assert.equal(timers, 0);
  await workers(0);
});

test('no progress is reported after a load has rejected', async () => {
  const late = await page.evaluate(async () => {
    const aborter = new AbortController();
    let isOver = false;
    let late = 0;
    const onProgress = () => {
      if (isOver) late += 1;
      aborter.abort();
    };
    await load('TextEmbedder', 'test/tiny', { store: false, signal: aborter.signal, onProgress }).catch(() => {});
    isOver = true;
    await sleep(300);
    return late;
  });
  assert.equal(late, 0);
});

test('a relative host is an address of the page', async () => {
  const seen = await page.evaluate(async () => {
    const seen = [];
    for (const host of ['/hub', 'hub', './hub']) {
      for (const worker of [false, true])
        seen.push(await load('TextEmbedder', 'test/tiny', { host, worker, store: false }).then(() => 'loaded', told));
    }
    return seen;
  });
  assert.deepEqual(seen, Array(6).fill('loaded'));
});

test('a store may be an object with fields of its own, and a full one is told by the name of its error', async () => {
  const seen = await page.evaluate(async () => {
    const store = {
      rows: new Map(),
      async get(key) {
        return this.rows.get(key);
      },
      async put(key, bytes) {
        this.rows.set(key, bytes);
      },
      async delete(key) {
        this.rows.delete(key);
      },
      async keys(prefix) {
        return [...this.rows.keys()].filter((key) => key.startsWith(prefix));
      },
    };
    await load('TextEmbedder', 'test/tiny', { store });
    const full = {
      ...store,
      rows: new Map(),
      async put() {
        throw new DOMException('full', 'QuotaExceededError');
      },
    };
    return {
      rows: store.rows.size,
      code: await load('TextEmbedder', 'test/tiny', { store: full }).catch(({ code }) => code),
    };
  });
  assert.ok(seen.rows > 0);
  assert.equal(seen.code, 'QUOTA_EXCEEDED');
});

for (const hasLocks of [true, false])
  test(`two loads of one model into one store of the program fetch the weights once${hasLocks ? '' : ', where there are no web locks'}`, async () => {
    if (!hasLocks) {
      await inWorkers(ABSENT);
      await page.evaluate(ABSENT);
    }
    const counts = [];
    for (const loads of [1, 2]) {
      const before = weightRequests();
      await page.evaluate(async (loads) => {
        const rows = new Map();
        const store = {
          get: async (key) => rows.get(key),
          put: async (key, bytes) => void rows.set(key, bytes),
          delete: async (key) => void rows.delete(key),
          keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
        };
        await Promise.all(Array.from({ length: loads }, () => load('TextEmbedder', 'test/tiny', { store })));
      }, loads);
      counts.push(weightRequests() - before);
    }
    assert.ok(counts[0] > 0);
    assert.equal(counts[1], counts[0]);
  });

test('a model in the memory of the page asks the host for nothing more', async () => {
  await page.evaluate(async () => {
    const first = await load('TextEmbedder', 'test/tiny', { store: 'memory' });
    await first.embed('a dog');
    first.dispose();
  });
  await workers(0);
  const asked = bench.requests.length;
  await page.evaluate(async () => {
    const second = await load('TextEmbedder', 'test/tiny', { store: 'memory' });
    await second.embed('a dog');
    await sleep(500);
  });
  assert.deepEqual(
    bench.requests.slice(asked).map(({ url }) => url),
    [],
  );
});

test('files of other classes, and in pieces, are read as on the page', async () => {
  const seen = await page.evaluate(async () => {
    const { small, weights } = await filesOfTiny();
    class Piece {
      constructor(bytes) {
        this.bytes = bytes;
      }
      get size() {
        return this.bytes.length;
      }
      slice(from, to) {
        return new Piece(this.bytes.subarray(from, to));
      }
      async arrayBuffer() {
        return this.bytes.slice().buffer;
      }
    }
    class Answer {
      status = 200;
      ok = true;
      async arrayBuffer() {
        return weights.slice().buffer;
      }
    }
    const used = new Response(weights);
    await used.arrayBuffer();
    const kinds = {
      generator: async function* () {
        for (let at = 0; at < weights.length; at += 5000) yield weights.subarray(at, at + 5000);
      },
      blob: () => new Piece(weights),
      answer: () => new Answer(),
      used: () => used,
    };
    const seen = {};
    for (const [kind, make] of Object.entries(kinds)) {
      seen[kind] = [];
      for (const worker of [false, true]) {
        const files = { ...small, 'model.safetensors': make() };
        const embedded = load('TextEmbedder', 'mine', { worker, store: false, files }).then((embedder) =>
          embedder.embed('a dog'),
        );
        seen[kind].push(await embedded.then(({ data }) => [...data], told));
      }
    }
    return seen;
  });
  for (const [kind, [here, there]] of Object.entries(seen)) assert.deepEqual(there, here, kind);
  assert.equal(seen.generator[0].length, 32);
  assert.equal(seen.used[0].code, 'INVALID_INPUT');
});

test('a file that can be read once has one worker, however many lists come', async () => {
  const count = await page.evaluate(async (texts) => {
    const { small, weights } = await filesOfTiny();
    const files = { ...small, 'model.safetensors': new Response(weights) };
    const embedder = await load('TextEmbedder', 'mine', { files, store: false, workers: 2 });
    for (let i = 0; i < 3; i += 1) await embedder.embed(texts);
    return started.length;
  }, TEXTS);
  assert.equal(count, 1);
});

test('a stream whose worker has ended is cancelled', async () => {
  const seen = await page.evaluate(async () => {
    const { small, weights } = await filesOfTiny();
    let isCancelled = false;
    let at = 0;
    const stream = new ReadableStream({
      async pull(controller) {
        await sleep(20);
        controller.enqueue(weights.slice(at, at + 10));
        at += 10;
        if (at === 100) started[0].terminate();
      },
      cancel: () => {
        isCancelled = true;
      },
    });
    const loading = load('TextEmbedder', 'mine', { files: { ...small, 'model.safetensors': stream }, store: false });
    const { code } = await loading.catch(told);
    await sleep(200);
    return { code, isCancelled };
  });
  assert.deepEqual(seen, { code: 'INTERNAL', isCancelled: true });
});

test('a judge cannot be had of a generator that was disposed of, in a worker or not', async () => {
  const codes = await page.evaluate(async () => {
    const { DigitGenerator } = await import('/package/web.js');
    const { DigitClassifier, DigitJudge = DigitClassifier } = await import('/package/judge.js');
    const codes = [];
    for (const worker of [false, true]) {
      const generator = await DigitGenerator.load({ worker });
      generator.dispose();
      codes.push(await DigitJudge.load(generator).catch(({ code }) => code));
    }
    return codes;
  });
  assert.deepEqual(codes, ['DISPOSED', 'DISPOSED']);
});

test('where IndexedDB cannot be opened, all workers and later loads share the model in the memory of the page', async () => {
  const deny = `IDBFactory.prototype.open = () => { throw new DOMException('denied', 'SecurityError'); };`;
  await inWorkers(deny);
  await page.evaluate(deny);
  const warnings = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  const before = weightRequests();
  await loadTwo();
  const fetched = weightRequests();
  assert.ok(fetched > before);
  const seen = await page.evaluate(async (texts) => {
    const { models } = await import('/package/web.js');
    const expected = (await own.embed(texts)).data;
    const isRight = ({ data }) => data.every((value, i) => value === expected[i]);
    const later = await load('TextEmbedder', 'test/tiny');
    const right = [isRight(await two.embed(texts)), isRight(await later.embed(texts))];
    return { right, worker: later.backend.worker, list: (await models.list()).map(({ model }) => model) };
  }, TEXTS);
  assert.deepEqual(seen, { right: [true, true], worker: true, list: ['test/tiny'] });
  assert.equal(weightRequests(), fetched);
  assert.equal(warnings.filter((text) => text.includes('IndexedDB')).length, 1, warnings.join());
});

test('a model that is disposed of ends a further worker that still starts', async () => {
  await page.evaluate(async (texts) => {
    const embedder = await load('TextEmbedder', 'test/tiny', { workers: 2 });
    const { Worker: Real } = window;
    // It never answers.
    window.Worker = class extends Real {
      constructor() {
        super(URL.createObjectURL(new Blob([])));
      }
    };
    await embedder.embed(texts);
    window.two = embedder;
  }, TEXTS);
  await workers(2);
  await page.evaluate(() => two.dispose());
  await workers(0);
});

test('where a worker is ended while it starts, the model runs on the page', async () => {
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  await page.route('**/core/*.wasm', async (route) => {
    await released;
    await route.continue();
  });
  const asked = page.waitForRequest('**/core/*.wasm');
  const loading = page.evaluate(async () => {
    const embedder = await load('TextEmbedder', 'test/tiny');
    return { backend: embedder.backend, dims: (await embedder.embed('a dog')).dims };
  });
  await asked;
  await page.evaluate(() => started[0].terminate());
  release();
  const { backend, dims } = await loading;
  assert.deepEqual([backend.worker, dims], [false, [1, 32]]);
  assert.match(backend.reason, /on the calling thread because the worker was ended\.$/);
});

/** Has the page ask its workers so many times as often whether they live; one that does not answer for 10 seconds counts as ended. */
const askOften = (times) =>
  page.evaluate((times) => {
    const { setInterval: real } = window;
    window.setInterval = (work, ms) => real(work, ms / times);
  }, times);

for (const [where, deny] of [
  ['the page has no locks', () => page.evaluate(ABSENT)],
  ['the page gets no locks', () => page.evaluate(DENIED)],
  ['the worker gets no locks', () => inWorkers(DENIED)],
  ...(FIGURES ? [['the worker has no locks', () => inWorkers(ABSENT)]] : []),
])
  test(`a worker that is ended is noticed by questions where ${where}`, async () => {
    await deny();
    await askOften(10);
    const seen = await page.evaluate(async (texts) => {
      const embedder = await load('TextEmbedder', 'test/tiny', { workers: 1 });
      const call = embedder.embed(Array.from({ length: 60 }, () => texts).flat()).catch(told);
      await sleep(20);
      started[0].terminate();
      return call;
    }, TEXTS);
    assert.deepEqual(seen, { code: 'INTERNAL', message: 'the worker does not answer; load again' });
  });

test('a worker that computes for longer than it may be silent answers questions', async () => {
  await page.evaluate(ABSENT);
  await askOften(5);
  const seen = await page.evaluate(async (texts) => {
    const embedder = await load('TextEmbedder', 'test/tiny', { workers: 1 });
    for (let lists = 10; ; lists *= 2) {
      const start = performance.now();
      const { dims } = await embedder.embed(Array.from({ length: lists }, () => texts).flat());
      const ms = performance.now() - start;
      if (ms > 2000) return { rows: dims[0], lists };
    }
  }, TEXTS);
  assert.equal(seen.rows, seen.lists * TEXTS.length);
});
