// Values of the host program are known by what they can do: another realm, a polyfill or a library has classes of its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { init, models, TextEmbedder, VectorIndex } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';

const MODEL = 'test/bert-tiny-mean';
const WEIGHTS = 'model.safetensors';
const FILES = filesOf(tinyFolder('bert-tiny-mean'));

const own = globalThis.fetch;
let hub;
let vector;

/** Replaces the global `Response` as @hono/node-server does when it is imported: fetch's answers are then no instances of it. */
async function withOtherResponse(work) {
  const { Response } = globalThis;
  globalThis.Response = class {};
  try {
    return await work();
  } finally {
    globalThis.Response = Response;
  }
}

/** Evaluates code in another realm, whose classes are not this one's. */
const elsewhere = (code, values = {}) => runInNewContext(code, values);
const bytesElsewhere = (bytes) => elsewhere('Uint8Array.from(values)', { values: Array.from(bytes) });

/** Returns a view whose buffer was transferred away. */
function emptied(view) {
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

async function load(options) {
  const embedder = await TextEmbedder.load(MODEL, { store: false, dtype: 'f32', ...options });
  try {
    return Array.from((await embedder.embed('light')).data);
  } finally {
    embedder.dispose();
  }
}

const withWeights = (weights) => load({ files: { ...FILES, [WEIGHTS]: weights } });

/** Loads from the hub with this `fetch`. */
async function fetching(fetch, options) {
  globalThis.fetch = fetch;
  try {
    return await load({ host: hub.url, ...options });
  } finally {
    globalThis.fetch = own;
  }
}

/** The outcome of starting the core, which is done once in a process. */
let started;

before(async () => {
  hub = await startHub({ models: { [MODEL]: FILES } });
  const core = fileURLToPath(import.meta.resolve('pilotlight/simd.wasm'));
  const wasm = new Response(readFileSync(core), { headers: { 'content-type': 'application/wasm' } });
  started = await withOtherResponse(() => init({ wasm })).catch((error) => error);
  vector = await load({ files: FILES });
});
after(() => hub.close());

test('a core starts from a Response that is none of the global class', () => assert.equal(started, undefined));

describe('from a host', () => {
  test('where the global Response was replaced', () =>
    withOtherResponse(async () => {
      assert.deepEqual(await load({ host: hub.url }), vector);
      const { fits } = await models.plan(MODEL, { host: hub.url, store: false });
      assert.equal(fits, true);
    }));

  const polyfill =
    (more) =>
    async (...request) => {
      const { status, headers, body, ...response } = await own(...request).then(async (response) => ({
        status: response.status,
        headers: response.headers,
        text: () => response.text(),
        arrayBuffer: () => response.arrayBuffer(),
        body: response.body,
      }));
      return { status, headers, ...response, ...more(body) };
    };

  for (const [what, more] of [
    ['streams', (body) => ({ body })],
    ['has no streams', () => ({})],
    ["gives Node's streams", (body) => ({ body: body && Readable.fromWeb(body) })],
  ]) {
    test(`by a fetch of somebody else that ${what}`, async () => {
      assert.deepEqual(await fetching(polyfill(more)), vector);
    });
  }

  test('without fetch it is an error, and the next load works', async () => {
    await assert.rejects(fetching(undefined), { name: 'PilotlightError', code: 'FETCH_FAILED' });
    assert.deepEqual(await load({ host: hub.url }), vector);
  });
});

// All at once: most are tried again, and wait before that.
describe('a fetch that is no good is an error, and the next load works: one that', { concurrency: true }, () => {
  const answers = [
    undefined,
    null,
    7,
    'text',
    {},
    { status: 200 },
    { status: '200', headers: new Headers() },
    { status: 200, headers: new Headers() },
    { status: 200, headers: new Headers(), body: 'text', text: () => 7 },
    { status: 200, headers: { get: () => 7 }, body: null },
    { status: 200, headers: { get: () => assert.fail('no header') } },
    { status: 200, headers: new Headers(), arrayBuffer: async () => 'text' },
    { status: 200, headers: new Headers(), body: { getReader: () => ({}) } },
    { status: 200, headers: new Headers(), body: { getReader: () => ({ read: () => ({ value: 'text' }) }) } },
    { status: Number.NaN, headers: new Headers() },
  ];
  const bad = [
    ['throws at once', () => assert.fail('no network')],
    ['rejects with nothing', () => Promise.reject()],
    ...answers.map((answer) => [
      `gives ${inspect(answer, { compact: true, breakLength: Infinity })}`,
      async () => answer,
    ]),
  ];
  before(() => {
    globalThis.fetch = (url, ...request) => {
      const at = /^http:\/\/bad-(\d+)\./.exec(url)?.[1];
      return at === undefined ? own(url, ...request) : bad[at][1]();
    };
  });
  after(() => {
    globalThis.fetch = own;
  });

  bad.forEach(([what], at) => {
    test(what, async () => {
      await assert.rejects(load({ host: `http://bad-${at}.invalid` }), ({ name, code }) => {
        assert.deepEqual([name, ['FETCH_FAILED', 'INVALID_INPUT'].includes(code)], ['PilotlightError', true], code);
        return true;
      });
      assert.deepEqual(await load({ host: hub.url }), vector);
    });
  });
});

describe('from files', () => {
  const bytes = FILES[WEIGHTS];
  const buffer = () => bytes.slice().buffer;
  const blobWithout = (...methods) =>
    new Proxy(new Blob([bytes]), {
      get(blob, name) {
        if (methods.includes(name)) return undefined;
        const value = blob[name];
        return typeof value === 'function' ? value.bind(blob) : value;
      },
    });

  for (const [what, weights] of [
    ['a Uint8Array of another realm', () => bytesElsewhere(bytes)],
    ['an ArrayBuffer of another realm', () => bytesElsewhere(bytes).buffer],
    ['a DataView', () => new DataView(buffer())],
    ["a part of Node's Buffer", () => Buffer.concat([Buffer.from('front'), bytes]).subarray(5)],
    ['a SharedArrayBuffer', shared],
    ['a Blob without streams', () => blobWithout('stream')],
    ['a Blob without streams and slices', () => blobWithout('stream', 'slice')],
    ['a Response of no class', () => ({ ok: true, status: 200, body: new Blob([bytes]).stream() })],
    ['a Response without streams', () => ({ ok: true, status: 200, arrayBuffer: async () => buffer() })],
    ['an object of R2', () => ({ size: bytes.length, body: new Blob([bytes]).stream(), arrayBuffer: buffer })],
    ["a stream of Node's", () => Readable.from([bytes.subarray(0, 999), bytes.subarray(999)])],
    ['a stream of arrays of another realm', () => ReadableStream.from([bytesElsewhere(bytes)])],
    ['a stream of ArrayBuffers', () => ReadableStream.from([buffer()])],
  ]) {
    test(`${what} is as good as any`, async () => {
      assert.deepEqual(await withWeights(weights()), vector);
      const aborts = new AbortController();
      assert.deepEqual(
        await load({ files: { ...FILES, [WEIGHTS]: weights() }, signal: aborts.signal }),
        vector,
        'with a signal',
      );
    });
  }

  function shared() {
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
    copy.set(bytes);
    return copy;
  }

  for (const [what, weights, code] of [
    ['a number', () => 5, 'INVALID_INPUT'],
    ['a text', () => 'text', 'INVALID_INPUT'],
    ['an object', () => ({}), 'INVALID_INPUT'],
    ['a Response without a body', () => ({ ok: true, status: 200, body: null }), 'INVALID_INPUT'],
    ['a Response of text', () => ({ ok: true, status: 200, body: 'text' }), 'INVALID_INPUT'],
    ['a Blob whose bytes are none', () => ({ size: 9, arrayBuffer: async () => 'text' }), 'INVALID_INPUT'],
    ['a stream of texts', () => ReadableStream.from(['text']), 'INVALID_INPUT'],
    ['a stream whose reader is none', () => ({ getReader: () => undefined }), 'FETCH_FAILED'],
    ['a DataView of bytes that were transferred', () => emptied(new DataView(new ArrayBuffer(9))), 'INVALID_INPUT'],
    ['bytes that were transferred', () => emptied(bytes.slice()), 'INVALID_INPUT'],
  ]) {
    test(`${what} is an error that names the file, and the next load works`, async () => {
      await assert.rejects(withWeights(weights()), { name: 'PilotlightError', code, message: /model\.safetensors/ });
      assert.deepEqual(await withWeights(bytes), vector);
    });
  }

  test('a Response, as a Response, can be read once', async () => {
    const weights = new Response(bytes);
    assert.deepEqual(await withWeights(weights), vector);
    await assert.rejects(withWeights(weights), { code: 'INVALID_INPUT', message: /read before/ });
  });
});

describe('from a store', () => {
  /** A store whose answers go through `change`. */
  const changed = (store, change) => ({ ...store, get: async (key) => change(await store.get(key)) });

  test('bytes and lists of another realm are as good as any', async () => {
    const store = mapStore();
    const there = {
      ...changed(store, (bytes) => bytes && bytesElsewhere(bytes)),
      keys: async (prefix) => elsewhere('[...keys]', { keys: await store.keys(prefix) }),
    };
    assert.deepEqual(await load({ host: hub.url, store: there }), vector);
    const before = hub.requests.length;
    assert.deepEqual(await load({ host: hub.url, store: there }), vector);
    const weights = hub.requests.slice(before).filter(({ url }) => url.endsWith(WEIGHTS));
    assert.deepEqual(weights, [], 'it was fetched again');
  });

  for (const [what, change] of [
    ['a text', () => 'text'],
    ['an object', () => ({})],
    ['a DataView of bytes that were transferred', () => emptied(new DataView(new ArrayBuffer(9)))],
  ]) {
    test(`${what} in place of bytes is an error, and the next load works`, async () => {
      const store = mapStore();
      await assert.rejects(load({ host: hub.url, store: changed(store, change) }), {
        name: 'PilotlightError',
        code: 'INVALID_INPUT',
        message: /store\.get/,
      });
      assert.deepEqual(await load({ host: hub.url, store }), vector);
    });
  }

  test('what it throws need not be an Error', async () => {
    for (const thrown of [undefined, null, 7, 'text', {}, elsewhere('new Error("text")')]) {
      const store = { ...mapStore(), get: () => Promise.reject(thrown) };
      await assert.rejects(load({ host: hub.url, store }), {
        name: 'PilotlightError',
        code: 'INTERNAL',
        message: /store\.get/,
      });
    }
  });
});

test('options, texts and vectors of another realm are as good as any', async () => {
  const embedder = await TextEmbedder.load(MODEL, { files: FILES, store: false, dtype: 'f32' });
  const options = elsewhere('({ dimensions: 8 })');
  assert.deepEqual((await embedder.embed(elsewhere('["light"]'), options)).dims, [1, 8]);
  assert.deepEqual((await embedder.embed('light', Object.assign(Object.create(null), { dimensions: 8 }))).dims, [1, 8]);
  embedder.dispose();

  const index = await VectorIndex.create({ dimensions: 2 });
  index.add(['a'], elsewhere('new Float32Array([1, 0])'));
  index.add(['b'], elsewhere('[new Float32Array([0, 1])]'));
  index.add(['c'], elsewhere('({ data: new Float32Array([0, -1]), dims: [1, 2] })'));
  const nearest = (index, query) => index.search(query, 1)[0].id;
  assert.equal(nearest(index, elsewhere('new Float32Array([0.9, 0.1])')), 'a');
  assert.equal(nearest(index, elsewhere('new Float64Array([0.1, 0.9])')), 'b');
  const again = await VectorIndex.fromBytes(bytesElsewhere(index.toBytes()));
  assert.equal(nearest(again, elsewhere('[0.1, -0.9]')), 'c');
  again.dispose();
  index.dispose();
});
