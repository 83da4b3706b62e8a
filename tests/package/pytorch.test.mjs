// Models from checkpoints of PyTorch: from bytes of the caller and from a hub, what is fetched, kept and planned, and what is refused.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { models, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, golden, tinyFolder } from './support/models.mjs';
import { maxAbsError } from './support/vectors.mjs';

const BIN = 'pytorch_model.bin';
const INDEX = 'pytorch_model.bin.index.json';
const SHARDS = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'];
const WEIGHTS = 'model.safetensors';
const read = (name) => new Uint8Array(readFileSync(path.join(tinyFolder('pytorch'), name)));
const whole = read('plain.bin');

/** The files of a tiny BERT, with others in place of its safetensors. */
function repository(name, weights) {
  const { [WEIGHTS]: _, ...configs } = filesOf(tinyFolder(name));
  return { ...configs, ...weights };
}
const PLAIN = repository('bert-tiny-mean', { [BIN]: whole });
const SHARDED = repository('bert-tiny-max', Object.fromEntries([INDEX, ...SHARDS].map((name) => [name, read(name)])));

let hub;
before(async () => {
  hub = await startHub({
    models: {
      'test/bin': PLAIN,
      'test/shards': SHARDED,
      'test/both': { ...filesOf(tinyFolder('bert-tiny-mean')), [BIN]: whole },
    },
  });
});
beforeEach(() => {
  hub.requests.length = 0;
});
after(() => hub.close());

const options = (more) => ({ host: hub.url, device: 'cpu', dtype: 'f32', store: false, ...more });

async function embed(model, folder, more) {
  const { cases } = golden(folder);
  const events = [];
  const embedder = await TextEmbedder.load(model, { ...options(more), onProgress: (event) => events.push(event) });
  const { data } = await embedder.embed(cases.map(({ text }) => text));
  embedder.dispose();
  const error = maxAbsError(
    data,
    cases.flatMap(({ embedding }) => embedding),
  );
  assert.ok(error <= 2e-5, `${error}`);
  return { data, events };
}

/** The files with weights that the hub was asked for. */
const asked = () => {
  const names = hub.requests.filter(({ url }) => url.includes('/resolve/')).map(({ url }) => path.posix.basename(url));
  return [...new Set(names.filter((name) => /\.(bin|safetensors)/.test(name)))].sort();
};

describe('a checkpoint of PyTorch of the caller', () => {
  for (const [what, source] of [
    ['bytes', () => whole],
    ['a blob', () => new Blob([whole])],
  ]) {
    test(`as ${what} gives PyTorch's values`, async () => {
      await embed('own/model', 'bert-tiny-mean', { files: { ...PLAIN, [BIN]: source() } });
      assert.equal(hub.requests.length, 0);
    });
  }

  test('that is broken, of another kind or a stream is refused by a code and a sentence', async () => {
    for (const [source, code, message] of [
      [whole.slice(0, 5000), 'INVALID_WEIGHTS', /^pytorch_model\.bin: is a zip archive without its end/],
      [read('legacy.bin'), 'UNSUPPORTED_MODEL', /is in the format of PyTorch before 1\.6.*safe_serialization=True/],
      [read('module.bin'), 'UNSUPPORTED_MODEL', /asks for 'torch\.nn\.modules\.linear\.Linear'/],
      [read('dtypes.bin'), 'INVALID_WEIGHTS', /tensor 'embeddings\.word_embeddings\.weight' is missing/],
      [new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'), 'INVALID_WEIGHTS', /Git LFS/],
      [new Blob([whole]).stream(), 'INVALID_INPUT', /is a stream, .* expected a Blob or bytes/],
    ]) {
      await assert.rejects(embed('own/model', 'bert-tiny-mean', { files: { ...PLAIN, [BIN]: source } }), {
        name: 'PilotlightError',
        code,
        message,
      });
    }
  });
});

describe('a checkpoint of PyTorch of a host', () => {
  test('is fetched once and verified; with its store a second load asks for nothing', async () => {
    const store = mapStore();
    const first = await embed('test/bin', 'bert-tiny-mean', { store });
    assert.deepEqual(asked(), [BIN]);
    const { loaded, total, verified, cached } = first.events.at(-1);
    assert.deepEqual([loaded, verified, cached], [total, 'sha256', false]);
    hub.requests.length = 0;
    const second = await embed('test/bin', 'bert-tiny-mean', { store });
    assert.deepEqual(second.data, first.data);
    assert.deepEqual([hub.requests.length, second.events.at(-1).cached], [0, true]);
  });

  test('may be in shards', async () => {
    const store = mapStore();
    await embed('test/shards', 'bert-tiny-max', { store });
    assert.deepEqual(asked(), [...SHARDS, INDEX].sort());
    hub.requests.length = 0;
    await embed('test/shards', 'bert-tiny-max', { store });
    assert.equal(hub.requests.length, 0);
  });

  test('comes after safetensors unless it is asked for, and is kept by itself', async () => {
    const store = mapStore();
    await embed('test/both', 'bert-tiny-mean', { store });
    assert.deepEqual(asked(), [WEIGHTS]);
    for (const weights of ['pytorch', BIN]) {
      hub.requests.length = 0;
      await embed('test/both', 'bert-tiny-mean', { store, weights });
      assert.deepEqual(asked(), [BIN], weights);
    }
    const listed = await models.list({ store });
    assert.deepEqual(new Set(listed.map(({ weights }) => weights)), new Set([undefined, 'pytorch', BIN]));
    await assert.rejects(embed('test/bin', 'bert-tiny-mean', { weights: 'safetensors' }), {
      code: 'FETCH_FAILED',
      status: 404,
    });
  });

  test('is planned with what a load then fetches', async () => {
    const plan = await models.plan('test/bin', options({ store: mapStore() }));
    const { bytes } = plan.files.find(({ path: name }) => name === BIN);
    assert.ok(bytes > whole.length && bytes <= whole.length + 65536, `${bytes}`);
    const { events } = await embed('test/bin', 'bert-tiny-mean', { store: mapStore() });
    assert.equal(events.at(-1).loaded, plan.fetchBytes);
  });
});
