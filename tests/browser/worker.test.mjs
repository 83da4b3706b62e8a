// Models of a page in workers of their own: the same answers, errors, progress and signals as on the page's own thread, and several
// workers for a long list.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { goldens, launch, startBench, tinyGolden, until } from './harness.mjs';

const TEXTS = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);

let browser;
let bench;
let page;
before(async () => {
  browser = await launch();
  bench = await startBench({
    'test/tiny': (await tinyGolden('bert-tiny-mean')).folder,
    'test/clip': path.join(goldens, 'clip-tiny'),
    'test/labels': path.join(goldens, 'bert-tiny-classifier'),
    'test/ranks': path.join(goldens, 'bert-tiny-reranker'),
    'test/decoder': path.join(goldens, 'llama-tiny'),
  });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});
beforeEach(async () => {
  page = await browser.newPage();
  await page.goto(bench.url);
  await page.evaluate(() => {
    window.load = async (name, model, options = {}) =>
      (await import('/package/web.js'))[name].load(model, { host: `${location.origin}/hub`, dtype: 'f32', ...options });
    window.told = ({ name, code, message, status, file }) => ({ name, code, message, status, file });
  });
});
afterEach(() => page.close());

/** The page's workers, once there are so many. */
const workers = (count) => until(`${count} workers are there`, () => page.workers().length === count);

test('a model computes in a worker of its own, to the bit as on the page, and dispose ends it', async () => {
  const seen = await page.evaluate(async (texts) => {
    const own = await load('TextEmbedder', 'test/tiny', { worker: false });
    window.beside = await load('TextEmbedder', 'test/tiny', { workers: 1 });
    const [here, there] = [await own.embed(texts), await beside.embed(texts)];
    const { TextEmbedder } = await import('/package/web.js');
    return {
      class: beside instanceof TextEmbedder,
      facts: [own, beside].map(({ dimensions, maxTokens, layers, prompts }) => ({
        dimensions,
        maxTokens,
        layers,
        prompts,
      })),
      backends: [own.backend, beside.backend],
      rows: [here, there].map(({ data, ...rest }) => ({ data: [...data], ...rest })),
    };
  }, TEXTS);
  assert.equal(seen.class, true);
  assert.deepEqual(seen.facts[1], seen.facts[0]);
  assert.deepEqual(seen.rows[1], seen.rows[0]);
  assert.deepEqual(
    seen.backends.map(({ worker }) => worker),
    [false, true],
  );
  assert.match(seen.backends[0].reason, /on the calling thread because worker is false/);
  await workers(1);
  assert.equal(await page.evaluate(() => beside.embed([]).then(({ dims }) => dims[0])), 0);
  await page.evaluate(() => beside.dispose());
  await workers(0);
  assert.equal(await page.evaluate(() => beside.embed('a').catch(({ code }) => code)), 'DISPOSED');
});

test('the page’s thread stays free while a worker computes', async () => {
  const busy = await page.evaluate(async (texts) => {
    let blocked = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) blocked += duration;
    }).observe({ entryTypes: ['longtask'] });
    const sums = [];
    for (const worker of [false, true]) {
      const embedder = await load('TextEmbedder', 'test/tiny', { worker });
      const before = blocked;
      for (let i = 0; i < 10; i += 1) await embedder.embed(texts);
      await new Promise((resolve) => setTimeout(resolve, 100));
      sums.push(blocked - before);
    }
    return sums;
  }, TEXTS);
  assert.ok(busy[0] > 0, 'on the page there are tasks of 50 ms and more');
  assert.ok(busy[1] < busy[0] / 4, `${busy[1]} of ${busy[0]} ms`);
});

test('errors have the same class, code, message and details as on the page', async () => {
  const seen = await page.evaluate(async () => {
    const errors = [];
    for (const worker of [false, true]) {
      const own = [];
      const tried = (work) =>
        work.then(
          () => own.push('no error'),
          (error) => own.push(told(error)),
        );
      await tried(load('TextEmbedder', 'test/missing', { worker }));
      await tried(load('TextEmbedder', 'test/clip', { worker }));
      await tried(load('TextEmbedder', 'test/tiny', { worker, dtype: 'q9' }));
      await tried(load('TextEmbedder', 'test/tiny', { worker, files: { 'config.json': 7 } }));
      await tried(load('TextEmbedder', 'test/tiny', { worker, store: 'cupboard' }));
      const embedder = await load('TextEmbedder', 'test/tiny', { worker });
      await tried(embedder.embed(7));
      await tried(embedder.embed(['a', 'b', 8]));
      await tried(embedder.embed('a', { precision: 'float8' }));
      await tried(embedder.embed('a', { signal: 7 }));
      await tried(embedder.hiddenStates('a', { layer: 99 }));
      embedder.dispose();
      await tried(embedder.embed('a'));
      errors.push(own);
    }
    return errors;
  });
  assert.deepEqual(seen[1], seen[0]);
  assert.ok(seen[0].every(({ name }) => name === 'PilotlightError'));
});

test('worker and workers that are none of those expected are errors', async () => {
  const seen = await page.evaluate(async () => {
    const codes = [];
    for (const options of [
      { worker: 'yes' },
      { worker: 1 },
      ...[0, -1, 1.5, Number.NaN, 10_000, '2'].map((workers) => ({ workers })),
    ])
      codes.push(await load('TextEmbedder', 'test/tiny', options).then(() => 'loaded', told));
    return codes;
  });
  for (const [i, { code, message }] of seen.entries()) {
    assert.equal(code, 'INVALID_INPUT');
    assert.match(
      message,
      i < 2
        ? /^worker: expected 'auto', true or false, got /
        : /^workers: expected 'auto' or a whole number from 1 to 64/,
    );
  }
});

test('a load and a call end soon after their signal fires, and the model answers the next call', async () => {
  const seen = await page.evaluate(async (texts) => {
    const stopped = AbortSignal.abort();
    const before = await load('TextEmbedder', 'test/tiny', { signal: stopped }).catch(({ code }) => code);
    const embedder = await load('TextEmbedder', 'test/tiny', { workers: 1 });
    const aborter = new AbortController();
    const many = Array.from({ length: 20 }, () => texts).flat();
    const call = embedder.embed(many, { signal: aborter.signal }).catch(({ code }) => code);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const start = performance.now();
    aborter.abort();
    const code = await call;
    const ms = performance.now() - start;
    return { before, code, ms, next: (await embedder.embed('a dog')).dims };
  }, TEXTS);
  assert.deepEqual([seen.before, seen.code, seen.next], ['ABORTED', 'ABORTED', [1, 32]]);
  // 100 ms are asked for; this machine may be busy.
  assert.ok(seen.ms < 1000, `${seen.ms} ms`);
});

test('progress arrives, and a program’s own store, bytes, responses and streams are read through the page', async () => {
  const seen = await page.evaluate(async () => {
    const events = [];
    const rows = new Map();
    class OwnStore {
      async get(key) {
        return rows.get(key);
      }
      async put(key, bytes) {
        rows.set(key, bytes);
      }
      async delete(key) {
        rows.delete(key);
      }
      async keys(prefix) {
        return [...rows.keys()].filter((key) => key.startsWith(prefix));
      }
    }
    const store = new OwnStore();
    const first = await load('TextEmbedder', 'test/tiny', {
      store,
      onProgress: ({ status, cached }) => events.push([status, cached]),
    });
    const again = [];
    const second = await load('TextEmbedder', 'test/tiny', {
      store,
      onProgress: ({ status, cached }) => again.push([status, cached]),
    });
    const file = (name) => fetch(`/hub/test/tiny/resolve/main/${name}`);
    const names = [
      'config.json',
      'tokenizer.json',
      'modules.json',
      '1_Pooling/config.json',
      'sentence_bert_config.json',
    ];
    const small = {};
    for (const name of names) {
      const response = await file(name);
      if (response.ok) small[name] = await response.blob();
    }
    const weights = 'model.safetensors';
    const kinds = {
      bytes: new Uint8Array(await (await file(weights)).arrayBuffer()),
      response: await file(weights),
      stream: (await file(weights)).body,
    };
    const vectors = [[...(await first.embed('a dog')).data], [...(await second.embed('a dog')).data]];
    for (const source of Object.values(kinds)) {
      const embedder = await load('TextEmbedder', 'mine', { files: { ...small, [weights]: source }, store: false });
      vectors.push([...(await embedder.embed('a dog')).data]);
    }
    return { events, again, rows: rows.size, vectors, kept: kinds.bytes.byteLength };
  });
  assert.deepEqual(seen.events.at(-1), ['ready', false]);
  assert.ok(seen.events.some(([status]) => status === 'download'));
  assert.ok(
    seen.again.length > 0 && seen.again.every(([status, cached]) => cached || status === 'plan'),
    JSON.stringify(seen.again),
  );
  assert.ok(seen.rows > 0);
  for (const vector of seen.vectors) assert.deepEqual(vector, seen.vectors[0]);
  assert.ok(seen.kept > 0, 'the caller keeps its bytes');
});

test('images, labels, pairs and decoders give the same from a worker, and a bad image is named by its index', async () => {
  const picture = (await readFile(path.join(goldens, 'resize', (await tinyGoldenPictures())[0]))).toString('base64');
  const seen = await page.evaluate(async (picture) => {
    const blob = await (await fetch(`data:;base64,${picture}`)).blob();
    const answers = [];
    for (const options of [{ worker: false }, { worker: true, workers: 2 }]) {
      const clip = await load('ImageTextEmbedder', 'test/clip', options);
      const images = await clip.embedImages([blob, blob, blob]);
      const progress = [];
      const reported = await clip.embedImages([blob, new Uint8Array([1, 2, 3]), blob, 7], {
        onError: 'report',
        onProgress: ({ loaded, total }) => progress.push([loaded, total]),
      });
      const bad = await clip.embedImages([blob, blob, new Uint8Array([1])]).catch(told);
      const labels = await clip.classify(blob, ['a dog', 'a cat']);
      const classifier = await load('SequenceClassifier', 'test/labels', options);
      const ranks = await load('Reranker', 'test/ranks', options);
      const decoder = await load('Decoder', 'test/decoder', options);
      const [likelihoods] = await decoder.likelihoods('a dog in the park');
      answers.push({
        images: [[...images.data], images.dims],
        reported: [
          [...reported.data],
          reported.indices,
          reported.errors.map(({ index, error }) => [index, error.code, error.message]),
        ],
        progress: progress.at(-1),
        bad,
        labels,
        classified: await classifier.classify(['a dog', 'a cat']),
        ranked: await ranks.rank('a dog', ['a cat', 'the park', 'a dog']),
        likelihoods: Object.fromEntries(
          Object.entries(likelihoods).map(([name, value]) => [name, ArrayBuffer.isView(value) ? [...value] : value]),
        ),
      });
    }
    return answers;
  }, picture);
  assert.deepEqual(seen[1], seen[0]);
  assert.match(seen[1].bad.message, /^images\[2\]/);
});

async function tinyGoldenPictures() {
  return JSON.parse(await readFile(path.join(goldens, 'clip-tiny', 'expected.json'), 'utf8')).pictures;
}

test('a judge reads what a generator in a worker drew, in the same worker', async () => {
  const readings = await page.evaluate(async () => {
    const { DigitGenerator } = await import('/package/web.js');
    const { DigitClassifier, DigitJudge = DigitClassifier } = await import('/package/judge.js');
    const generator = await DigitGenerator.load();
    const steps = [];
    const { data } = await generator.generate({ digits: [3, 7], seed: 1, onStep: ({ step }) => steps.push(step) });
    const judge = await DigitJudge.load(generator);
    const readings = await judge.read(data);
    judge.dispose();
    generator.dispose();
    return { digits: readings.map(({ digit }) => digit), steps, worker: generator.backend.worker };
  });
  assert.deepEqual(readings.digits, [3, 7]);
  assert.ok(readings.steps.length > 1);
  assert.equal(readings.worker, true);
  await workers(0);
});

test('several workers give the bits of one, start for long lists only, and read the weights from the store', async () => {
  const vectors = await page.evaluate(async (texts) => {
    window.two = await load('TextEmbedder', 'test/tiny', { workers: 2 });
    const own = await load('TextEmbedder', 'test/tiny', { worker: false });
    await two.embed('a dog');
    return { expected: [...(await own.embed(texts)).data] };
  }, TEXTS);
  await workers(1);
  const asked = bench.requests.length;
  const seen = await page.evaluate(async (texts) => {
    const first = await two.embed(texts);
    const second = await two.embed(texts, { precision: 'int8' });
    const wrong = await two.embed([...texts, 7]).catch(told);
    const aborter = new AbortController();
    const call = two
      .embed(Array.from({ length: 60 }, () => texts).flat(), { signal: aborter.signal })
      .catch(({ code }) => code);
    setTimeout(() => aborter.abort(), 20);
    return { first: [...first.data], tokens: first.tokens.length, dims: second.dims, wrong, code: await call };
  }, TEXTS);
  await workers(2);
  assert.deepEqual(seen.first, vectors.expected);
  assert.equal(seen.tokens, TEXTS.length);
  assert.deepEqual(seen.dims, [TEXTS.length, 32]);
  assert.match(seen.wrong.message, /^texts\[300\]/);
  assert.equal(seen.code, 'ABORTED');
  const fetched = bench.requests.slice(asked).filter(({ url }) => url.endsWith('.safetensors'));
  assert.deepEqual(fetched, []);
  await page.evaluate(() => two.dispose());
  await workers(0);
});

describe('where a worker ends or cannot be started', () => {
  test('a worker that is ended rejects the call under way, and the next load starts another', async () => {
    const seen = await page.evaluate(async (texts) => {
      const { Worker: Real } = window;
      const started = [];
      window.Worker = class extends Real {
        constructor(...args) {
          super(...args);
          started.push(this);
        }
      };
      const embedder = await load('TextEmbedder', 'test/tiny', { workers: 1 });
      const call = embedder.embed(Array.from({ length: 20 }, () => texts).flat()).catch(told);
      setTimeout(() => started[0].terminate(), 20);
      const { code, message } = await call;
      const later = await embedder.embed('a dog').catch(({ code }) => code);
      const again = await load('TextEmbedder', 'test/tiny');
      return { code, message, later, dims: (await again.embed('a dog')).dims, worker: again.backend.worker };
    }, TEXTS);
    assert.deepEqual([seen.code, seen.later], ['INTERNAL', 'INTERNAL']);
    assert.match(seen.message, /the worker was ended; load again/);
    assert.deepEqual([seen.dims, seen.worker], [[1, 32], true]);
  });

  const refusals = {
    'its script is missing': (route) => route.fulfill({ status: 404, body: 'no' }),
    'its script is a web page': (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }),
    'its script does not run': (route) =>
      route.fulfill({ contentType: 'text/javascript', body: 'throw new Error("broken")' }),
  };
  for (const [name, answer] of Object.entries(refusals)) {
    test(`the model runs on the page where ${name}, and backend says why`, async () => {
      await page.route('**/package/worker.js', answer);
      const { backend, dims } = await embedTiny();
      assert.deepEqual([backend.worker, dims], [false, [1, 32]]);
      assert.match(backend.reason, /on the calling thread because the worker failed: /);
    });
  }

  const embedTiny = () =>
    page.evaluate(async () => {
      const { TextEmbedder } = await import('/package/web.js');
      const embedder = await TextEmbedder.load('test/tiny', { host: `${location.origin}/hub`, store: false });
      return { backend: embedder.backend, dims: (await embedder.embed('a dog')).dims };
    });
});
