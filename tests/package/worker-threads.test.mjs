// Models in threads of Node, Deno and Bun: the same answers, errors, progress and signals as on the calling thread, and several threads for a
// long list.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import threads from 'node:worker_threads';
import {
  Decoder,
  DigitGenerator,
  ImageTextEmbedder,
  models,
  PilotlightError,
  Reranker,
  SequenceClassifier,
  TextEmbedder,
} from 'pilotlight';
import { DigitClassifier } from 'pilotlight/judge';
import { fileStore } from 'pilotlight/node';
import { startHub } from '../hub/hub.mjs';
import { clipGolden } from './support/clip.mjs';
import { filesOf, golden, MINILM, ROOT, tinyFolder } from './support/models.mjs';
import { startWorker } from './support/workers.mjs';

const TEXTS = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);
const PICTURE = new Uint8Array(
  readFileSync(path.join(ROOT, 'tests/goldens/resize', clipGolden('clip-tiny').pictures[0])),
);
const TINY = 'test/tiny';

const { Worker: Real } = threads;
/** The threads of this process that have not ended, in the order of their start. */
let running = [];
let started = 0;
let hub;
let folder;
before(async () => {
  hub = await startHub({
    models: {
      [TINY]: tinyFolder('bert-tiny-mean'),
      'test/clip': tinyFolder('clip-tiny'),
      'test/labels': tinyFolder('bert-tiny-classifier'),
      'test/ranks': tinyFolder('bert-tiny-reranker'),
      'test/decoder': tinyFolder('llama-tiny'),
    },
  });
});
after(() => hub.close());
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-threads-'));
  hub.requests.length = 0;
  started = 0;
  threads.Worker = class extends Real {
    constructor(...args) {
      super(...args);
      started += 1;
      running.push(this);
      this.on('exit', () => {
        running = running.filter((thread) => thread !== this);
      });
    }
  };
});
afterEach(async () => {
  threads.Worker = Real;
  hub.setFaults([]);
  await Promise.all(running.map((thread) => thread.terminate()));
  rmSync(folder, { recursive: true });
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, isTrue) {
  for (let i = 0; i < 1000; i += 1) {
    if (isTrue()) return;
    await sleep(20);
  }
  assert.fail(what);
}

/** Resolves once so many threads are there. */
const threadsAre = (count) => until(`${running.length} threads, not ${count}`, () => running.length === count);

const load = (Class, model, options = {}) => Class.load(model, { host: hub.url, dtype: 'f32', ...options });
const told = ({ name, code, message, status, file }) => ({ name, code, message, status, file });
const weightRequests = () => hub.requests.filter(({ url }) => url.endsWith('.safetensors')).length;

describe('where a model runs', () => {
  test('on the calling thread, unless a thread or several are asked for', async () => {
    for (const [options, isThread] of [
      [{}, false],
      [{ worker: 'auto' }, false],
      [{ workers: 1 }, false],
      [{ worker: false, workers: 2 }, false],
      [{ worker: true }, true],
      [{ workers: 2 }, true],
      [{ workers: 'auto' }, true],
    ]) {
      const embedder = await load(TextEmbedder, TINY, options);
      const words = JSON.stringify(options);
      assert.equal(embedder.backend.worker, isThread, words);
      assert.equal(started, isThread ? 1 : 0, words);
      const { reason } = embedder.backend;
      assert.equal(/on the calling thread because worker is false/.test(reason), options.worker === false, reason);
      embedder.dispose();
      await threadsAre(0);
      started = 0;
    }
  });

  test('threads that share a call are in pages only, which backend says where several were asked for', async () => {
    for (const [options, words] of [
      [{ threads: 'auto' }, undefined],
      [{ threads: 1, worker: true }, undefined],
      [{ threads: 2 }, 'it has no worker'],
      [{ threads: 2, worker: true }, 'threads are in pages only'],
    ]) {
      const embedder = await load(TextEmbedder, TINY, options);
      const { threads, reason } = embedder.backend;
      embedder.dispose();
      assert.equal(threads, 1);
      assert.equal(/ It computes with one thread because (.*)\.$/.exec(reason)?.[1], words, reason);
    }
    await threadsAre(0);
  });

  test('threads that are no number of threads are errors', async () => {
    started = 0;
    for (const threads of [0, -1, 1.5, Number.NaN, 10_000, '2', Infinity]) {
      await assert.rejects(load(TextEmbedder, TINY, { threads }), (error) => {
        assert.ok(error instanceof PilotlightError);
        assert.equal(error.code, 'INVALID_INPUT');
        assert.match(error.message, /^threads: expected 'auto' or a whole number from 1 to 64, got /);
        return true;
      });
    }
    assert.equal(started, 0);
  });

  test('worker and workers that are none of those expected are errors', async () => {
    for (const options of [
      { worker: 'yes' },
      { worker: 1 },
      ...[0, -1, 1.5, Number.NaN, 10_000, '2', Infinity].map((workers) => ({ workers })),
    ]) {
      const expected =
        'worker' in options
          ? /^worker: expected 'auto', true or false, got /
          : /^workers: expected 'auto' or a whole number from 1 to 64, got /;
      const isExpected = (error) =>
        error instanceof PilotlightError && error.code === 'INVALID_INPUT' && expected.test(error.message);
      await assert.rejects(load(TextEmbedder, TINY, options), isExpected, JSON.stringify(options));
    }
    assert.equal(started, 0);
  });

  test('in workerd on the thread of the request, and backend says why only where a worker was asked for', async (t) => {
    const worker = await startWorker(
      `import { TextEmbedder } from 'pilotlight';
      export default {
        async fetch(request, { HOST }) {
          const reasons = [];
          for (const options of [{ worker: true }, { workers: 2 }, { workers: 'auto' }, {}]) {
            const { backend } = await TextEmbedder.load('${TINY}', { host: HOST, store: false, ...options });
            reasons.push([backend.worker, backend.reason]);
          }
          return Response.json(reasons);
        },
      };`,
      { bindings: { HOST: hub.url } },
    );
    t.after(() => worker.stop());
    const { status, body } = await worker.send('/');
    assert.equal(status, 200, body);
    const reasons = JSON.parse(body);
    for (const [i, [isWorker, reason]] of reasons.entries()) {
      assert.equal(isWorker, false);
      assert.equal(/on the calling thread because workerd has no workers\.$/.test(reason), i < 3, reason);
    }
  });

  test('the last dispose ends the thread, and its calls are errors from then on', async () => {
    const embedder = await load(TextEmbedder, TINY, { worker: true });
    assert.deepEqual((await embedder.embed([])).dims, [0, 32]);
    embedder.dispose();
    await threadsAre(0);
    await assert.rejects(embedder.embed('a'), { code: 'DISPOSED' });
  });

  for (const [what, change] of [
    [
      'the script is missing',
      (copy) => {
        rmSync(path.join(copy, 'core/thread.js'));
      },
    ],
    [
      'threads may not be started',
      () => {
        threads.Worker = class {
          constructor() {
            throw new Error('not here');
          }
        };
      },
    ],
    [
      'the script does not run',
      () => {
        const { Worker } = threads;
        threads.Worker = class extends Worker {
          constructor(_, options) {
            super('throw new Error("broken")', options);
          }
        };
      },
    ],
  ]) {
    test(`where ${what} the model runs on the calling thread, and backend says why`, async () => {
      const copy = path.join(folder, 'package');
      cpSync(path.join(ROOT, 'node_modules/pilotlight'), copy, { recursive: true });
      change(copy);
      const own = await import(pathToFileURL(path.join(copy, 'inline.js')));
      const { backend, ...embedder } = await load(own.TextEmbedder, TINY, { workers: 2 }).then((loaded) => ({
        backend: loaded.backend,
        dims: loaded.embed('a dog').then(({ dims }) => dims),
      }));
      assert.deepEqual([backend.worker, await embedder.dims], [false, [1, 32]]);
      assert.match(
        backend.reason,
        /on the calling thread because (no worker could be started \(|the worker failed: broken)/,
      );
    });
  }
});

describe('the same as on the calling thread', () => {
  test('vectors, to the bit and in order, of one thread and of two, in each precision', async () => {
    const own = await load(TextEmbedder, TINY);
    const one = await load(TextEmbedder, TINY, { worker: true, workers: 1 });
    const two = await load(TextEmbedder, TINY, { workers: 2 });
    for (const { dimensions, maxTokens, layers, prompts } of [one, two])
      assert.deepEqual(
        { dimensions, maxTokens, layers, prompts },
        { dimensions: own.dimensions, maxTokens: own.maxTokens, layers: own.layers, prompts: own.prompts },
      );
    await two.embed(TEXTS);
    await threadsAre(3);
    for (const precision of ['float32', 'int8', 'uint8', 'binary', 'ubinary']) {
      const expected = await own.embed(TEXTS, { precision });
      for (const embedder of [one, two]) assert.deepEqual(await embedder.embed(TEXTS, { precision }), expected);
    }
    const expected = await own.hiddenStates(TEXTS, { pool: 'mean' });
    assert.deepEqual(await two.hiddenStates(TEXTS, { pool: 'mean' }), expected);
  });

  test('images, labels, pairs and decoders; a bad image is named by its index', async () => {
    const answers = [];
    for (const options of [{}, { workers: 2 }]) {
      const clip = await load(ImageTextEmbedder, 'test/clip', options);
      const progress = [];
      const reported = await clip.embedImages([new Blob([PICTURE]), new Uint8Array([1, 2, 3]), PICTURE, 7], {
        onError: 'report',
        onProgress: ({ loaded, total }) => progress.push([loaded, total]),
      });
      const classifier = await load(SequenceClassifier, 'test/labels', options);
      const ranks = await load(Reranker, 'test/ranks', options);
      const decoder = await load(Decoder, 'test/decoder', options);
      answers.push({
        images: await clip.embedImages([PICTURE, PICTURE, PICTURE]),
        reported: [reported.data, reported.indices, reported.errors.map(({ index, error }) => [index, told(error)])],
        progress: progress.at(-1),
        bad: await clip.embedImages([PICTURE, PICTURE, new Uint8Array([1])]).catch(told),
        labels: await clip.classify(PICTURE, ['a dog', 'a cat']),
        classified: await classifier.classify(TEXTS),
        ranked: await ranks.rank('a dog', TEXTS),
        likelihoods: await decoder.likelihoods(TEXTS.slice(0, 40)),
      });
    }
    assert.deepEqual(answers[1], answers[0]);
    assert.match(answers[1].bad.message, /^images\[2\]/);
  });

  test('errors: class, code, message and details', async () => {
    const errors = [];
    for (const worker of [false, true]) {
      const own = [];
      const tried = (work) =>
        work.then(
          () => own.push('no error'),
          (error) => own.push(told(error)),
        );
      await tried(load(TextEmbedder, 'test/missing', { worker }));
      await tried(load(TextEmbedder, 'test/clip', { worker }));
      await tried(load(TextEmbedder, TINY, { worker, dtype: 'q9' }));
      await tried(load(TextEmbedder, TINY, { worker, files: { 'config.json': 7 } }));
      await tried(load(TextEmbedder, TINY, { worker, store: 'cupboard' }));
      const embedder = await load(TextEmbedder, TINY, { worker });
      await tried(embedder.embed(7));
      await tried(embedder.embed(['a', 'b', 8]));
      await tried(embedder.embed([...TEXTS, 8]));
      await tried(embedder.embed('a', { precision: 'float8' }));
      await tried(embedder.embed('a', { signal: 7 }));
      await tried(embedder.hiddenStates('a', { layer: 99 }));
      errors.push(own);
    }
    assert.deepEqual(errors[1], errors[0]);
    assert.ok(
      errors[0].every(({ name }) => name === 'PilotlightError'),
      JSON.stringify(errors[0]),
    );
  });

  test('digits, and a judge of them in the same thread', async () => {
    const generator = await DigitGenerator.load({ worker: true });
    const own = await DigitGenerator.load();
    const steps = [];
    const { data } = await generator.generate({ digits: [3, 7], seed: 1, onStep: ({ step }) => steps.push(step) });
    assert.deepEqual(data, (await own.generate({ digits: [3, 7], seed: 1 })).data);
    assert.ok(steps.length > 1);
    const judge = await DigitClassifier.load(generator);
    assert.deepEqual(
      (await judge.read(data)).map(({ digit }) => digit),
      [3, 7],
    );
    assert.equal(started, 1);
    judge.dispose();
    generator.dispose();
    await threadsAre(0);
  });

  const skip = !existsSync(path.join(MINILM, 'model.safetensors')) && 'needs the real MiniLM: make minilm';
  test('the vectors of the real MiniLM, of q8 weights and two threads', { skip }, async () => {
    const files = filesOf(MINILM);
    const texts = golden('minilm').cases.map(({ text }) => text);
    const many = Array.from({ length: 3 }, () => texts).flat();
    const own = await load(TextEmbedder, 'minilm', { files, dtype: 'q8' });
    const two = await load(TextEmbedder, 'minilm', { files, dtype: 'q8', workers: 2 });
    const expected = await own.embed(many);
    for (let i = 0; i < 2; i += 1) assert.deepEqual(await two.embed(many), expected);
    assert.equal(started, 2);
  });
});

describe('signals and progress', () => {
  test('a load and a call end within 100 ms of their signal, and the model answers the next call', async () => {
    await assert.rejects(load(TextEmbedder, TINY, { worker: true, signal: AbortSignal.abort() }), { code: 'ABORTED' });
    await threadsAre(0);
    const embedder = await load(TextEmbedder, TINY, { worker: true, workers: 1 });
    const many = Array.from({ length: 60 }, () => TEXTS).flat();
    const times = [];
    for (let i = 0; i < 5; i += 1) {
      const aborter = new AbortController();
      const call = embedder.embed(many, { signal: aborter.signal });
      await sleep(30);
      const start = performance.now();
      aborter.abort();
      await assert.rejects(call, { code: 'ABORTED' });
      times.push(performance.now() - start);
      assert.deepEqual((await embedder.embed('a dog')).dims, [1, 32]);
    }
    // The fastest of five: other processes may have the processors.
    assert.ok(Math.min(...times) < 100, `${times} ms`);
  });

  test('one signal ends a divided call in all threads', async () => {
    const two = await load(TextEmbedder, TINY, { workers: 2 });
    await two.embed(TEXTS);
    await threadsAre(2);
    const aborter = new AbortController();
    const call = two.embed(Array.from({ length: 60 }, () => TEXTS).flat(), { signal: aborter.signal });
    await sleep(30);
    aborter.abort();
    await assert.rejects(call, { code: 'ABORTED' });
    assert.deepEqual((await two.embed(TEXTS)).dims, [TEXTS.length, 32]);
  });

  test('progress is told once, by the first thread only', async () => {
    const events = [];
    const onProgress = (event) => events.push(event);
    const store = fileStore(path.join(folder, 'models'));
    const two = await load(TextEmbedder, TINY, { store, workers: 2, onProgress });
    assert.deepEqual([events.at(-1).status, events.at(-1).cached], ['ready', false]);
    assert.ok(events.some(({ status }) => status === 'download'));
    const count = events.length;
    await two.embed(TEXTS);
    await threadsAre(2);
    assert.equal(events.length, count);
  });
});

describe('stores and files', () => {
  const stores = {
    'a folder': () => fileStore(path.join(folder, 'models')),
    memory: () => 'memory',
    'a program’s own': () => {
      const rows = new Map();
      return {
        get: async (key) => rows.get(key),
        put: async (key, bytes) => void rows.set(key, bytes),
        delete: async (key) => void rows.delete(key),
        keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
      };
    },
  };
  for (const [what, make] of Object.entries(stores)) {
    test(`${what} is read by further threads, later loads and the calling thread: one download`, async (t) => {
      const store = make();
      const empty = async () => {
        for (const { key } of await models.list({ store })) await models.delete(key, { store });
      };
      await empty();
      t.after(empty);
      const two = await load(TextEmbedder, TINY, { store, workers: 2 });
      const asked = weightRequests();
      assert.ok(asked > 0);
      const { data } = await two.embed(TEXTS);
      await threadsAre(2);
      two.dispose();
      await threadsAre(0);
      for (const options of [{ worker: true }, {}]) {
        const again = [];
        const embedder = await load(TextEmbedder, TINY, {
          store,
          ...options,
          onProgress: ({ status, cached }) => again.push(cached || status === 'plan'),
        });
        assert.ok(again.length > 0 && again.every(Boolean));
        assert.deepEqual((await embedder.embed(TEXTS)).data, data);
        embedder.dispose();
      }
      const [{ model, whole }] = await models.list({ store });
      assert.deepEqual([model, whole], [TINY, true]);
      assert.equal(weightRequests(), asked);
    });
  }

  test('loads of one model at once share its download, in threads and on the calling thread', async () => {
    const store = fileStore(path.join(folder, 'models'));
    hub.setFaults([{ file: 'model.safetensors', fault: 'drip', value: 400_000, times: 1 }]);
    const loads = [{ worker: true }, { worker: true }, {}].map((options) =>
      load(TextEmbedder, TINY, { store, ...options }),
    );
    await Promise.all(loads);
    const gets = hub.requests.filter(({ method, url }) => method === 'GET' && url.endsWith('.safetensors'));
    const ranges = gets.map(({ headers }) => headers.range);
    assert.deepEqual(ranges, [...new Set(ranges)], 'a part was fetched twice');
  });

  test('a thread that ends while it loads leaves its lock to the next load', async () => {
    const store = fileStore(path.join(folder, 'models'));
    hub.setFaults([{ file: 'model.safetensors', fault: 'stall', value: 70_000, times: 2 }]);
    const stalled = load(TextEmbedder, TINY, { store, worker: true }).catch(told);
    await until('the weights are asked for', () => weightRequests() > 0);
    await running[0].terminate();
    assert.equal((await stalled).code, 'INTERNAL');
    hub.setFaults([]);
    const started = performance.now();
    const embedder = await load(TextEmbedder, TINY, { store });
    assert.deepEqual((await embedder.embed('a dog')).dims, [1, 32]);
    assert.ok(performance.now() - started < 60_000, 'it waited until the holder counted as hung');
  });

  test('bytes, blobs, responses, streams and generators are read through the calling thread, and bytes stay the caller’s', async () => {
    const { 'model.safetensors': weights, ...small } = filesOf(tinyFolder('bert-tiny-mean'));
    const own = await load(TextEmbedder, TINY);
    const { data } = await own.embed(TEXTS);
    const kinds = {
      bytes: () => weights,
      blob: () => new Blob([weights]),
      response: () => new Response(weights),
      stream: () => new Response(weights).body,
      generator: async function* () {
        for (let at = 0; at < weights.length; at += 5000) yield weights.subarray(at, at + 5000);
      },
    };
    for (const [kind, make] of Object.entries(kinds)) {
      const files = { ...small, 'model.safetensors': make() };
      const two = await load(TextEmbedder, 'mine', { files, store: false, workers: 2 });
      for (let i = 0; i < 2; i += 1) assert.deepEqual((await two.embed(TEXTS)).data, data, kind);
      await threadsAre(['bytes', 'blob'].includes(kind) ? 2 : 1);
      two.dispose();
      await threadsAre(0);
    }
    assert.ok(weights.byteLength > 0);
  });
});

describe('threads that end', () => {
  test('one that is killed rejects the call under way, and the next load starts another', async () => {
    const embedder = await load(TextEmbedder, TINY, { worker: true, workers: 1 });
    const call = embedder.embed(Array.from({ length: 60 }, () => TEXTS).flat());
    await sleep(20);
    await Promise.all([
      assert.rejects(call, { name: 'PilotlightError', code: 'INTERNAL', message: /ended; load again/ }),
      running[0].terminate(),
    ]);
    await assert.rejects(embedder.embed('a dog'), { code: 'INTERNAL' });
    embedder.dispose();
    const again = await load(TextEmbedder, TINY, { worker: true });
    assert.deepEqual((await again.embed('a dog')).dims, [1, 32]);
    assert.equal(started, 2);
  });

  test('one that has nothing to do and is killed is noticed by the next call', async () => {
    const embedder = await load(TextEmbedder, TINY, { worker: true });
    await running[0].terminate();
    await assert.rejects(embedder.embed('a dog'), { code: 'INTERNAL' });
  });

  test('a further one that is killed, before a call or in it, is replaced, and no row is lost', async () => {
    const own = await load(TextEmbedder, TINY);
    const two = await load(TextEmbedder, TINY, { workers: 2 });
    const expected = await own.embed(TEXTS);
    await two.embed(TEXTS);
    await threadsAre(2);
    await running[1].terminate();
    // A list finds that it has ended, and a later one has another started, which may be killed while it starts.
    for (let kills = 0; kills < 2; kills += 1) {
      for (let i = 0; i < 20 && running.length < 2; i += 1) {
        assert.deepEqual(await two.embed(TEXTS), expected);
        await sleep(10);
      }
      await threadsAre(2);
      if (kills === 0) await running[1].terminate();
    }
    const many = Array.from({ length: 20 }, () => TEXTS).flat();
    const call = two.embed(many);
    await sleep(30);
    await running[1].terminate();
    const { data } = await call;
    assert.equal(data.length, many.length * 32);
    assert.ok(data.every((value, i) => value === expected.data[i % expected.data.length]));
  });

  test('one without memory rejects with RESOURCE_LIMIT', async () => {
    const { Worker } = threads;
    threads.Worker = class extends Worker {
      constructor(script, options) {
        super(script, { ...options, resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 } });
      }
    };
    const embedder = await load(TextEmbedder, TINY, { worker: true, workers: 1 });
    const many = Array.from({ length: 400_000 }, (_, i) => `text ${i} of many that do not fit`);
    await assert.rejects(embedder.embed(many), { name: 'PilotlightError', code: 'RESOURCE_LIMIT' });
    threads.Worker = Worker;
    const again = await load(TextEmbedder, TINY, { worker: true });
    assert.deepEqual((await again.embed('a dog')).dims, [1, 32]);
  });

  test('messages that are none of the package’s are ignored', async () => {
    const embedder = await load(TextEmbedder, TINY, { worker: true });
    for (const message of [null, 7, 'call', {}, { kind: 'call' }, { kind: 'value', id: 1e9 }, [1], { kind: 'abort' }])
      running[0].postMessage(message);
    assert.deepEqual((await embedder.embed('a dog')).dims, [1, 32]);
  });

  test('calls mixed with aborts, disposals and kills give right rows or errors that say what it was', async () => {
    const expected = (await (await load(TextEmbedder, TINY)).embed(TEXTS)).data;
    const isRight = ({ data }) => data.every((value, i) => value === expected[i % expected.length]);
    let state = 7;
    const random = (below) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % below;
    };
    const outcomes = {};
    let two = await load(TextEmbedder, TINY, { workers: 2 });
    for (let i = 0; i < 200; i += 1) {
      const aborter = new AbortController();
      const texts = random(2) ? TEXTS : TEXTS.slice(0, 1 + random(8));
      const call = two.embed(texts, { signal: aborter.signal }).then(
        (rows) => (isRight(rows) ? 'right' : 'wrong'),
        ({ code }) => code,
      );
      const event = random(12);
      if (event === 0) setTimeout(() => aborter.abort(), random(5));
      else if (event === 1) two.dispose();
      else if (event === 2) running[random(running.length)]?.terminate();
      const outcome = await call;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome === 'INTERNAL' || event === 1) {
        two.dispose();
        two = await load(TextEmbedder, TINY, { workers: 2 });
      }
    }
    two.dispose();
    await threadsAre(0);
    const { right, ABORTED, INTERNAL, DISPOSED, ...others } = outcomes;
    assert.deepEqual(others, {});
    assert.ok(right > 100, JSON.stringify(outcomes));
  });
});
