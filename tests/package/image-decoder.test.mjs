// The module of the image decoders: where it comes from, and what becomes of a model when it fails.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ImageTextEmbedder, init } from 'pilotlight';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';

const WASM = readFileSync(fileURLToPath(import.meta.resolve('pilotlight/images.wasm')));
const CORE = readFileSync(fileURLToPath(import.meta.resolve('pilotlight/simd.wasm')));
const png = new Uint8Array(readFileSync(`${ROOT}/tests/goldens/resize/24x24.png`));

/**
 * A module with the exports of the decoders, of which `decode` traps:
 * (module (memory (export "memory") 1) (func (export "reserve") (param i32) (result i32) i32.const 8)
 *   (func (export "decode") (result i32) unreachable))
 */
const TRAPS = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 10, 2, 96, 1, 127, 1, 127, 96, 0, 1, 127, 3, 3, 2, 0, 1, 5, 3, 1, 0, 1, 7, 29, 3, 6,
  109, 101, 109, 111, 114, 121, 2, 0, 7, 114, 101, 115, 101, 114, 118, 101, 0, 0, 6, 100, 101, 99, 111, 100, 101, 0, 1,
  10, 10, 2, 4, 0, 65, 8, 11, 3, 0, 0, 11,
]);

let embedder;
before(async () => {
  embedder = await ImageTextEmbedder.load('test/clip-tiny', { files: filesOf(tinyFolder('clip-tiny')), dtype: 'f32' });
});

test('code that cannot be had is an error of the call that needs it, and of no other; the next call asks again', async () => {
  let answer = () => new Response('no', { status: 404 });
  const asked = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (url) => {
    asked.push(String(url));
    return answer();
  };
  try {
    await init({ images: 'https://example.com/images.wasm' });
    assert.deepEqual(asked, [], 'it was fetched before there was an image');
    const pixels = { width: 1, height: 1, data: new Uint8ClampedArray([1, 2, 3, 255]) };
    const { data } = await embedder.embedImages(pixels);
    await embedder.embedTexts('a dog');
    assert.deepEqual(asked, [], 'it was fetched for texts and pixels');

    const missing = { name: 'PilotlightError', code: 'FETCH_FAILED', message: /core\/images\.wasm.*404/, status: 404 };
    await assert.rejects(embedder.embedImages(png), missing);
    await assert.rejects(embedder.embedImages(png, { onError: 'report' }), missing);
    await assert.rejects(embedder.classify(png, ['a', 'b']), missing);
    answer = () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } });
    await assert.rejects(embedder.embedImages(png), { code: 'FETCH_FAILED', reason: 'html' });
    answer = () => Promise.reject(new TypeError('fetch failed'));
    await assert.rejects(embedder.embedImages(png), { code: 'FETCH_FAILED', message: /images\.wasm: fetch failed/ });
    answer = () => new Response(new Uint8Array([0, 1, 2, 3]));
    await assert.rejects(embedder.embedImages(png), { code: 'BACKEND_UNAVAILABLE', message: /images\.wasm/ });
    answer = () => new Response(new ReadableStream({ pull: (stream) => stream.error(new TypeError('reset')) }));
    const cut = { code: 'FETCH_FAILED', message: /images\.wasm: the download broke off: .*reset/ };
    await assert.rejects(embedder.embedImages(png), cut);
    answer = () => new Response(CORE);
    await assert.rejects(embedder.embedImages(png), {
      code: 'INVALID_INPUT',
      message: /init\(\{ images \}\): expected the code of pilotlight\/images\.wasm/,
    });
    await init({ images: 'https://example.com/other.wasm' });
    assert.deepEqual((await embedder.embedImages(pixels)).data, data);

    // A decoder that traps loses its instance, and the model none.
    answer = () => new Response(TRAPS);
    await assert.rejects(embedder.embedImages(png), {
      name: 'PilotlightError',
      code: 'INTERNAL',
      message: /images\[0\]: the image could not be decoded: unreachable/,
    });
    assert.equal(asked.at(-1), 'https://example.com/other.wasm', 'the address that was given last is asked');
    assert.deepEqual((await embedder.embedImages(pixels)).data, data);
  } finally {
    globalThis.fetch = fetch;
  }
});

test('the module imports nothing, so that it needs no glue', async () => {
  const module = await WebAssembly.compile(WASM);
  assert.deepEqual(WebAssembly.Module.imports(module), []);
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  for (const name of ['memory', 'reserve', 'decode', 'output', 'length', 'width'])
    assert.ok(names.includes(name), name);
});

test('the CPU cores have no decoders', () => {
  for (const core of ['simd', 'relaxed']) {
    const bytes = readFileSync(fileURLToPath(import.meta.resolve(`pilotlight/${core}.wasm`)));
    for (const words of ['Invalid PNG signature', 'zune-jpeg', 'image-webp'])
      assert.ok(!bytes.includes(words), `${core}: ${words}`);
  }
  assert.ok(WASM.includes('zune-jpeg'));
});
