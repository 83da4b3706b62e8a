// Tests the way of bytes to WebAssembly: they are gathered into larger pieces, and hashed by the runtime if it can.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { filesOf, lockOf, tinyFolder } from './support/models.mjs';
import { behind } from './support/safetensors.mjs';

const WEIGHTS = 'model.safetensors';
const LOCK = 'pilotlight-lock.json';
/** The bytes of a chunk of R2's streams. */
const PIECE = 4096;

const FILES = filesOf(tinyFolder('bert-tiny-mean'));
const LARGE = behind(FILES[WEIGHTS], 2 << 20);
const PIECES = LARGE.length / PIECE;

/** Less than the memory of a core that has just started, and more than pieces are gathered to. */
const MEMORY = 1 << 20;

/** A stream of small pieces, with a rest after each. */
function stream(bytes, { piece = PIECE, rest } = {}) {
  let at = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        if (rest !== undefined && at > 0) await sleep(rest);
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at + piece));
        at += piece;
      },
    },
    { highWaterMark: 0 },
  );
}

/** Loads a model from given files, or from `host`. */
async function load(weights, { files, ...options } = {}) {
  let verified;
  const embedder = await TextEmbedder.load('test/pieces', {
    ...(weights && { files: { ...FILES, ...files, [WEIGHTS]: weights } }),
    store: false,
    dtype: 'f32',
    onProgress: (event) => (verified = event.verified ?? verified),
    ...options,
  });
  const { data } = await embedder.embed('light');
  embedder.dispose();
  return { vector: Array.from(data), verified };
}

let vector;
before(async () => ({ vector } = await load(FILES[WEIGHTS])));

/** Counts the copies of bytes from JavaScript into WebAssembly's memory during `work`. */
async function copies(work) {
  const { set } = Uint8Array.prototype;
  let count = 0;
  Object.defineProperty(Uint8Array.prototype, 'set', {
    configurable: true,
    writable: true,
    value(source, ...offset) {
      // A memory's buffer cannot be had otherwise, and is larger than any array in which pieces are gathered.
      count += this.buffer.byteLength > MEMORY && source.buffer !== this.buffer ? 1 : 0;
      return Reflect.apply(set, this, [source, ...offset]);
    },
  });
  try {
    await work();
  } finally {
    delete Uint8Array.prototype.set;
  }
  return count;
}

describe('small pieces', () => {
  for (const [what, weights] of [
    ['a stream', () => stream(LARGE)],
    ['a Response', () => new Response(stream(LARGE))],
    [
      'an iterable',
      async function* pieces() {
        for (let at = 0; at < LARGE.length; at += PIECE) yield LARGE.slice(at, at + PIECE);
      },
    ],
  ]) {
    test(`of ${what} cross into WebAssembly many at a time`, async () => {
      let loaded;
      const count = await copies(async () => (loaded = await load(weights())));
      assert.deepEqual(loaded.vector, vector);
      assert.ok(count > 8 && count < PIECES / 4, `${count} copies of ${PIECES} pieces`);
    });
  }

  test("of a host's answer too", async () => {
    const { fetch } = globalThis;
    globalThis.fetch = async (url) => {
      const name = decodeURIComponent(new URL(url).pathname.split('/main/')[1] ?? '');
      const bytes = name === WEIGHTS ? LARGE : FILES[name];
      return bytes ? new Response(stream(bytes)) : new Response('nothing', { status: 404 });
    };
    try {
      let loaded;
      const count = await copies(async () => {
        loaded = await load(undefined, { host: 'http://host.invalid' });
      });
      assert.deepEqual(loaded.vector, vector);
      assert.ok(count > 8 && count < PIECES / 4, `${count} copies of ${PIECES} pieces`);
    } finally {
      globalThis.fetch = fetch;
    }
  });

  test('of a slow stream are told of as they come', async () => {
    const weights = FILES[WEIGHTS];
    const loaded = [];
    const onProgress = (event) => event.file === WEIGHTS && loaded.push(event.loaded);
    const slow = stream(weights, { piece: Math.ceil(weights.length / 8), rest: 60 });
    assert.deepEqual((await load(slow, { onProgress })).vector, vector);
    assert.ok(new Set(loaded).size >= 6, `${loaded}`);
  });

  test('before a silence are told of, and then the silence ends the load', async () => {
    const loaded = [];
    const weights = FILES[WEIGHTS];
    const silent = new ReadableStream({ start: (controller) => controller.enqueue(weights.slice(0, 60_000)) });
    const onProgress = (event) => event.file === WEIGHTS && loaded.push(event.loaded);
    await assert.rejects(load(silent, { timeout: 200, onProgress }), {
      name: 'PilotlightError',
      code: 'FETCH_FAILED',
      message: /model\.safetensors.*nothing for 0\.2 s/,
    });
    assert.ok(loaded.at(-1) >= 60_000, `${loaded}`);
    assert.deepEqual((await load(weights)).vector, vector);
  });

  test('before a failure are told of', async () => {
    const loaded = [];
    const weights = FILES[WEIGHTS];
    let pieces = 0;
    const failing = new ReadableStream({
      pull(controller) {
        if (pieces === 10) controller.error(new Error('the disk is gone'));
        else controller.enqueue(weights.slice(pieces * PIECE, (pieces + 1) * PIECE));
        pieces += 1;
      },
    });
    const onProgress = (event) => event.file === WEIGHTS && loaded.push(event.loaded);
    await assert.rejects(load(failing, { onProgress }), { code: 'FETCH_FAILED', message: /disk is gone/ });
    assert.ok(loaded.at(-1) >= 9 * PIECE, `${loaded}`);
  });

  test('of a stream that nobody wants any more are not asked for', async () => {
    const aborts = new AbortController();
    let cancelled;
    let at = 0;
    const slow = new ReadableStream({
      async pull(controller) {
        await sleep(5);
        controller.enqueue(LARGE.slice(at, at + 8));
        at += 8;
      },
      cancel() {
        cancelled = true;
      },
    });
    const loading = load(slow, { signal: aborts.signal });
    await sleep(100);
    aborts.abort();
    await assert.rejects(loading, { code: 'ABORTED' });
    await sleep(20);
    assert.equal(cancelled, true);
  });
});

describe('digests of a lock file', () => {
  const weights = FILES[WEIGHTS];
  const altered = weights.slice();
  altered[altered.length >> 1] ^= 1;
  const lock = { [LOCK]: lockOf(FILES) };

  const kinds = [
    ['bytes', (bytes) => bytes],
    ['a Blob', (bytes) => new Blob([bytes])],
    ['a stream', (bytes) => stream(bytes)],
    ['a Response', (bytes) => new Response(bytes)],
  ];

  /** Runs `work` with another global `crypto`. */
  async function withCrypto(value, work) {
    const before = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
    Object.defineProperty(globalThis, 'crypto', { configurable: true, value });
    try {
      await work();
    } finally {
      Object.defineProperty(globalThis, 'crypto', before);
    }
  }

  const { subtle } = globalThis.crypto;
  const getRandomValues = (to) => to;
  /** The bytes that the runtime hashed. */
  let hashed = [];
  const counting = {
    getRandomValues,
    subtle: {
      digest(name, bytes) {
        hashed.push(bytes.length);
        return subtle.digest(name, bytes);
      },
    },
  };
  /** A `DigestStream` like that of Cloudflare's workerd. */
  class DigestStream extends WritableStream {
    constructor(name) {
      assert.equal(name, 'SHA-256');
      const hash = createHash('sha256');
      let settle;
      const digest = new Promise((resolve, reject) => (settle = { resolve, reject }));
      super({
        write: (piece) => void hash.update(piece),
        close() {
          const bytes = hash.digest();
          hashed.push('stream');
          settle.resolve(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
        },
        abort: (reason) => settle.reject(reason),
      });
      this.digest = digest;
    }
  }

  for (const [runtime, crypto] of [
    ['with WebCrypto', globalThis.crypto],
    ['with DigestStream', { ...counting, DigestStream }],
    ['on plain HTTP, without crypto.subtle', { getRandomValues }],
    ['without crypto', undefined],
    ['where crypto.subtle refuses', { subtle: { digest: () => Promise.reject(new Error('not here')) } }],
    [
      'where crypto.subtle throws',
      {
        subtle: {
          digest() {
            throw new Error('not here');
          },
        },
      },
    ],
  ]) {
    for (const [what, of] of kinds) {
      test(`${runtime}, ${what} is checked`, () =>
        withCrypto(crypto, async () => {
          const right = await load(of(weights), { files: lock });
          assert.deepEqual(right, { vector, verified: 'sha256' });
          await assert.rejects(load(of(altered), { files: lock }), {
            name: 'PilotlightError',
            code: 'INTEGRITY',
            message: /model\.safetensors/,
          });
          assert.deepEqual(await load(of(weights), { files: lock }), { vector, verified: 'sha256' });
        }));
    }
  }

  test('are left to the runtime where all bytes are at hand', () =>
    withCrypto(counting, async () => {
      for (const of of [kinds[0][1], kinds[1][1]]) {
        hashed = [];
        await load(of(weights), { files: lock });
        assert.ok(hashed.includes(weights.length), `${hashed}`);
      }
    }));

  test('are left to the runtime where it hashes streams', () =>
    withCrypto({ getRandomValues, DigestStream }, async () => {
      hashed = [];
      await load(stream(weights), { files: lock });
      assert.deepEqual(hashed, ['stream']);
    }));

  test('a download is hashed as before, because it may go on at another visit', () =>
    withCrypto({ ...counting, DigestStream }, async () => {
      const hub = await startHub({ models: { 'test/pieces': FILES } });
      try {
        hashed = [];
        const loaded = await load(undefined, { host: hub.url });
        assert.deepEqual([loaded, hashed], [{ vector, verified: 'sha256' }, []]);
      } finally {
        await hub.close();
      }
    }));

  for (const [what, bytes] of [
    ['shorter', weights.slice(0, -4)],
    ['longer', Uint8Array.of(...weights, 0)],
  ]) {
    test(`a stream that is ${what} than they say is refused`, async () => {
      await assert.rejects(load(stream(bytes), { files: lock }), {
        name: 'PilotlightError',
        code: /INTEGRITY|INVALID_WEIGHTS|FETCH_FAILED/,
        message: /model\.safetensors/,
      });
      assert.deepEqual(await load(stream(weights), { files: lock }), { vector, verified: 'sha256' });
    });
  }

  test('a load that is aborted while the runtime hashes ends, and the next one works', () => {
    const aborts = new AbortController();
    let release;
    const slow = {
      subtle: {
        digest(name, bytes) {
          aborts.abort();
          return new Promise((resolve) => (release = () => resolve(subtle.digest(name, bytes))));
        },
      },
    };
    return withCrypto(slow, async () => {
      await assert.rejects(load(weights, { files: lock, signal: aborts.signal }), { code: 'ABORTED' });
      release();
      await sleep(20);
      assert.deepEqual((await load(weights)).vector, vector);
    });
  });

  after(() => assert.equal(typeof globalThis.crypto.subtle.digest, 'function'));
});
