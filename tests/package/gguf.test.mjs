// Models from GGUF files: from bytes of the caller and from a hub, what is fetched, kept and planned, and what is refused.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Decoder, models, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, golden, ROOT, SMOLLM2, tinyFolder } from './support/models.mjs';
import { packedTokenizers } from './support/store-keys.mjs';
import { maxAbsError } from './support/vectors.mjs';

const F32 = 'bert-tiny.f32.gguf';
const Q4_1 = 'bert-tiny.Q4_1.gguf';
const [whole, four] = [F32, Q4_1].map((name) => new Uint8Array(readFileSync(path.join(tinyFolder('gguf'), name))));
const MODEL = 'test/bert-gguf';
const MIXED = 'test/bert-both';
const LONG = 'test/bert-long';
const SMOL = 'test/smollm2';
const { cases } = golden('bert-tiny-mean');
const TEXTS = cases.map(({ text }) => text);

/** The file with one more string of metadata. `more` is a multiple of 32, so that the tensors stay aligned. */
function lengthen(file, more) {
  const head = new Uint8Array(8 + 1 + 4 + 8);
  const [view, count] = [new DataView(head.buffer), new DataView(file.slice(0, 24).buffer)];
  view.setBigUint64(0, 1n, true);
  head[8] = 'x'.charCodeAt(0);
  view.setUint32(9, 8, true); // A string.
  view.setBigUint64(13, BigInt(more - head.length), true);
  count.setBigUint64(16, count.getBigUint64(16, true) + 1n, true);
  const text = new Uint8Array(more - head.length).fill('y'.charCodeAt(0));
  return new Uint8Array(Buffer.concat([new Uint8Array(count.buffer), head, text, file.subarray(24)]));
}

let hub;
before(async () => {
  hub = await startHub({
    models: {
      // Repositories with GGUF files often have a config with nothing but the model's type.
      [MODEL]: { [F32]: whole, [Q4_1]: four, 'config.json': '{"model_type": "bert"}' },
      [MIXED]: { ...filesOf(tinyFolder('bert-tiny-mean')), [F32]: whole },
      [LONG]: { [F32]: lengthen(whole, 5 << 20) },
      [SMOL]: SMOLLM2,
    },
  });
});
beforeEach(() => {
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (more) => ({ host: hub.url, device: 'cpu', dtype: 'f32', store: false, ...more });

async function embed(model, more) {
  const events = [];
  const embedder = await TextEmbedder.load(model, { ...options(more), onProgress: (event) => events.push(event) });
  const { dimensions, maxTokens } = embedder;
  const embeddings = await embedder.embed(TEXTS);
  embedder.dispose();
  return { ...embeddings, dimensions, maxTokens, events };
}

/** The files that the hub was asked for; the API's answers are not among them. */
const asked = () =>
  hub.requests.filter(({ url }) => url.includes('/resolve/')).map(({ url }) => path.posix.basename(url));

function assertEqualsPyTorch({ data, tokens, truncated, dimensions, maxTokens }) {
  assert.deepEqual([dimensions, maxTokens], [32, 24]);
  assert.deepEqual(
    tokens,
    cases.map(({ ids }) => ids.length),
  );
  assert.deepEqual(
    truncated,
    cases.map((one) => one.truncated),
  );
  const error = maxAbsError(
    data,
    cases.flatMap(({ embedding }) => embedding),
  );
  assert.ok(error <= 2e-5, `${error}`);
}

describe('a GGUF file of the caller', () => {
  for (const [what, source] of [
    ['bytes', () => whole],
    ['a blob', () => new Blob([whole])],
    ['a stream', () => new Blob([whole]).stream()],
  ]) {
    test(`as ${what} is a whole repository, and gives PyTorch's values`, async () => {
      assertEqualsPyTorch(await embed('own/model', { files: { 'model.gguf': source() } }));
      assert.equal(hub.requests.length, 0);
    });
  }

  test('that is broken or of another kind is refused by a code and a sentence', async () => {
    const changed = (at, bytes) => {
      const copy = whole.slice();
      copy.set(bytes, at);
      return copy;
    };
    const replaced = (from, to) => changed(Buffer.from(whole).indexOf(from), Buffer.from(to));
    for (const [bytes, code, message] of [
      [whole.slice(0, 5000), 'INVALID_WEIGHTS', /^model\.gguf: /],
      [whole.slice(0, -4096), 'INVALID_WEIGHTS', /^model\.gguf: the file has \d+ bytes, but its header describes/],
      [changed(0, [0x47, 0x47, 0x4d, 0x4c]), 'INVALID_WEIGHTS', /does not begin with 'GGUF'/],
      [changed(4, [9]), 'UNSUPPORTED_MODEL', /version is 9, expected 2 or 3/],
      [changed(8, new Uint8Array(8).fill(255)), 'INVALID_WEIGHTS', /claims at least/],
      [replaced('general.architecture', 'general.architectur_'), 'UNSUPPORTED_MODEL', /general\.architecture is ''/],
      [
        replaced('blk.1.attn_q.weight', 'blk.1.attn_q.weighs'),
        'INVALID_WEIGHTS',
        /tensor 'blk\.1\.attn_q\.weight' is missing/,
      ],
    ]) {
      await assert.rejects(embed('own/model', { files: { 'model.gguf': bytes } }), {
        name: 'PilotlightError',
        code,
        message,
      });
    }
  });
});

describe('a GGUF file of a host', () => {
  test('is all that is asked for; with its store a second load asks for nothing', async () => {
    const store = mapStore();
    const first = await embed(MODEL, { store });
    assertEqualsPyTorch(first);
    assert.deepEqual([...new Set(asked())], [F32]);
    const { loaded, total, verified, cached } = first.events.at(-1);
    assert.deepEqual([loaded, total, verified, cached], [whole.length, whole.length, 'sha256', false]);
    assert.ok(first.events.every((event) => event.loaded <= event.total));
    hub.requests.length = 0;
    const second = await embed(MODEL, { store });
    assert.deepEqual(second.data, first.data);
    assert.deepEqual([hub.requests.length, second.events.at(-1).cached], [0, true]);
  });

  test('is the one that suits the dtype, or the one that is named, and each is kept by itself', async () => {
    const store = mapStore();
    await embed(MODEL, { store, dtype: 'q4' });
    assert.deepEqual([...new Set(asked())], [Q4_1]);
    const named = await embed(MODEL, { store, weights: Q4_1 });
    assert.ok(maxAbsError(named.data, (await embed(MODEL, { store })).data) > 1e-3);
    const listed = await models.list({ store });
    assert.deepEqual(
      new Set(listed.map(({ dtype, weights }) => `${dtype} ${weights}`)),
      new Set(['q4 undefined', `f32 ${Q4_1}`, 'f32 undefined']),
    );
    hub.requests.length = 0;
    assert.deepEqual((await embed(MODEL, { store, weights: Q4_1 })).data, named.data);
    assert.equal(hub.requests.length, 0);
  });

  test('comes after safetensors unless it is asked for', async () => {
    await embed(MIXED);
    assert.ok(!asked().includes(F32) && asked().includes('model.safetensors'));
    hub.requests.length = 0;
    assertEqualsPyTorch(await embed(MIXED, { weights: 'gguf' }));
    assert.deepEqual([...new Set(asked())], [F32]);
    for (const [weights, code, message] of [
      ['none.gguf', 'FETCH_FAILED', /^none\.gguf: the repository has no such file/],
      ['../x.gguf', 'INVALID_INPUT', /^weights is '\.\.\/x\.gguf', expected/],
      [7, 'INVALID_INPUT', /weights/],
    ]) {
      await assert.rejects(embed(MIXED, { weights }), { code, message });
    }
  });

  test('is planned by its header, and by its first layers where only they are loaded', async () => {
    const store = mapStore();
    const plan = await models.plan(MODEL, options({ store }));
    assert.deepEqual(
      [plan.class, plan.files, plan.fetchBytes, plan.whole],
      ['TextEmbedder', [{ path: F32, bytes: whole.length }], whole.length, false],
    );
    await embed(MODEL, { store });
    const [{ bytes }] = await models.list({ store });
    assert.equal(bytes, plan.storeBytes + packedTokenizers(store));
    assert.ok((await models.plan(MODEL, options({ store }))).whole);

    const embedder = await TextEmbedder.load(MODEL, options({ weights: 'gguf', layers: 1, store: mapStore() }));
    assert.equal(embedder.layers, 1);
    embedder.dispose();
  });

  test('has its header read once by a plan and once by a load, and not much more than it', async () => {
    const MIB = 1 << 20;
    /** Bytes of each answer with a part of the file. */
    const sent = () => hub.requests.filter(({ url }) => url.endsWith('.gguf')).map(({ bytes }) => bytes);
    const plan = async (model, more) => {
      hub.requests.length = 0;
      await models.plan(model, options({ store: mapStore(), dtype: 'q4', ...more }));
      return sent();
    };
    // The vocabulary of SmolLM2 takes 1.7 MB.
    assert.deepEqual(await plan(SMOL), [2 * MIB]);
    assert.deepEqual(await plan(SMOL, { layers: 2 }), [2 * MIB]);
    hub.requests.length = 0;
    const decoder = await Decoder.load(SMOL, options({ store: mapStore(), dtype: 'q4', layers: 2 }));
    const [first, ...rest] = sent();
    assert.deepEqual([first, decoder.layers], [2 * MIB, 2]);
    decoder.dispose();
    assert.ok(
      rest.every((bytes) => bytes > 2 * MIB),
      `${rest}`,
    );

    // The number of layers is read from the header, before the load that verifies the whole file.
    const { events } = await embed(LONG, { store: mapStore(), layers: 2 });
    assert.equal(events.at(-1).verified, 'sha256');

    // A header that is longer takes more requests, of which none begins anew.
    for (const more of [{}, { layers: 1 }]) {
      const [front, ...next] = await plan(LONG, { dtype: 'f32', ...more });
      assert.deepEqual([front, next.length], [2 * MIB, 2]);
      const all = front + next[0] + next[1];
      assert.ok(all > 5 * MIB && all <= 5 * MIB + whole.length, `${all} bytes`);
    }
    hub.requests.length = 0;
    assertEqualsPyTorch(await embed(LONG, { store: mapStore() }));
    assert.ok(sent().reduce((sum, bytes) => sum + bytes) <= 5 * MIB + whole.length, `${sent()}`);
  });

  test('is pulled as a folder from which a page loads without it', async (t) => {
    const out = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-gguf-'));
    t.after(() => rmSync(out, { recursive: true }));
    const bin = path.join(ROOT, 'node_modules/pilotlight/package.json');
    const cli = path.join(path.dirname(bin), JSON.parse(readFileSync(bin, 'utf8')).bin.pilotlight);
    const words = ['pull', MODEL, '--host', hub.url, '--out', out, '--dtype', 'q4', '--weights', Q4_1];
    const child = spawn(process.execPath, [cli, ...words], { env: { ...process.env, HF_TOKEN: '' } });
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    const files = filesOf(path.join(out, MODEL, 'resolve/main'));
    assert.deepEqual(Object.keys(files).sort(), [
      '1_Pooling/config.json',
      'config.json',
      'modules.json',
      'pilotlight-lock.json',
      'pilotlight-q4.safetensors',
      'sentence_bert_config.json',
      'tokenizer.json',
    ]);
    const own = await embed('own/model', { files, dtype: 'q4' });
    assert.deepEqual(own.data, (await embed(MODEL, { dtype: 'q4', weights: Q4_1 })).data);
  });
});
