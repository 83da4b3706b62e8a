import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { diagnose, init, TextEmbedder } from 'pilotlight';
import { filesOf, tinyFolder } from './support/models.mjs';
import { maxAbsError, row } from './support/vectors.mjs';

const load = (options) =>
  TextEmbedder.load('test/tiny', { files: filesOf(tinyFolder('bert-tiny-mean')), store: false, ...options });

describe('embed options', () => {
  let embedder;
  let full;
  before(async () => {
    embedder = await load({ dtype: 'f32' });
    full = await embedder.embed(['The pilot light is warm.', 'a dog by the river']);
  });
  after(() => embedder.dispose());

  test('a text and a list of one text give the same', async () => {
    assert.deepEqual(await embedder.embed('a dog'), await embedder.embed(['a dog']));
  });

  test('dimensions cuts and normalizes again', async () => {
    const cut = await embedder.embed(['The pilot light is warm.', 'a dog by the river'], { dimensions: 8 });
    assert.deepEqual(cut.dims, [2, 8]);
    for (const i of [0, 1]) {
      const head = row(full, i).subarray(0, 8);
      const norm = Math.hypot(...head);
      assert.ok(
        maxAbsError(
          row(cut, i),
          head.map((value) => value / norm),
        ) <= 1e-6,
      );
    }
  });

  test('binary and ubinary pack eight signs into a byte, first value highest', async () => {
    const ubinary = await embedder.embed(['The pilot light is warm.', 'a dog by the river'], { precision: 'ubinary' });
    const binary = await embedder.embed(['The pilot light is warm.', 'a dog by the river'], { precision: 'binary' });
    assert.deepEqual(ubinary.dims, [2, 4]);
    assert.ok(ubinary.data instanceof Uint8Array && binary.data instanceof Int8Array);
    const expected = Array.from({ length: 8 }, (_, byte) =>
      Array.from(full.data.subarray(byte * 8, byte * 8 + 8)).reduce((bits, value) => bits * 2 + (value > 0 ? 1 : 0), 0),
    );
    assert.deepEqual([...ubinary.data], expected);
    assert.deepEqual(
      [...binary.data],
      expected.map((byte) => byte - 128),
    );
  });

  test('int8 and uint8 keep the direction', async () => {
    for (const [precision, type, zero] of [
      ['int8', Int8Array, 0],
      ['uint8', Uint8Array, 128],
    ]) {
      const { data, dims } = await embedder.embed('The pilot light is warm.', { precision });
      assert.ok(data instanceof type, precision);
      assert.deepEqual(dims, [1, 32]);
      const scale =
        Math.max(...Array.from(data, (value) => Math.abs(value - zero))) / Math.max(...row(full, 0).map(Math.abs));
      assert.ok(
        maxAbsError(
          Array.from(data, (value) => (value - zero) / scale),
          row(full, 0),
        ) < 0.02,
        precision,
      );
    }
  });

  for (const [options, says] of [
    [{ dimensions: 0 }, /dimensions/],
    [{ dimensions: 33 }, /dimensions.*32/],
    [{ dimensions: 2.5 }, /dimensions/],
    [{ dimensions: '8' }, /dimensions/],
    [{ dimensions: NaN }, /dimensions/],
    [{ precision: 'float16' }, /precision.*float32/],
    [{ precision: 8 }, /precision/],
    [{ signal: {} }, /signal/],
    [null, /options/],
    ['fast', /options/],
  ]) {
    test(`embed refuses the options ${inspect(options)}`, async () => {
      await assert.rejects(embedder.embed('x', options), {
        name: 'PilotlightError',
        code: 'INVALID_INPUT',
        message: says,
      });
      assert.deepEqual((await embedder.embed('x')).dims, [1, 32]);
    });
  }
});

describe('load options', () => {
  for (const [options, says] of [
    [{ device: 'gpu' }, /device.*'auto', 'cpu', 'webgpu'.*'gpu'/],
    [{ device: 1 }, /device/],
    [{ dtype: 'bf16' }, /dtype.*'f32', 'f16', 'q8', 'q4'.*'bf16'/],
    [{ device: 'webgpu', dtype: 'bf16' }, /dtype.*'f32', 'f16', 'q8', 'q4'.*'bf16'/],
    [{ signal: 'now' }, /signal/],
    [{ store: 'disk' }, /store/],
    [{ store: {}, files: undefined, host: 'http://127.0.0.1:9' }, /store.*get/],
    [{ onProgress: 1 }, /onProgress/],
    [{ files: 'config.json' }, /files/],
    [{ files: { 'config.json': 5 } }, /config\.json/],
    [{ host: 5 }, /host/],
    [{ revision: 5 }, /revision/],
    [{ revision: '' }, /revision/],
    [{ revision: '../../other/main' }, /revision/],
    [{ token: 5 }, /token/],
  ]) {
    test(`load refuses the options ${inspect(options)}`, async () => {
      await assert.rejects(load(options), { name: 'PilotlightError', code: 'INVALID_INPUT', message: says });
      (await load()).dispose();
    });
  }

  for (const model of [undefined, null, 7, '', ' ', '..', '../secret', 'a/../b', './a', '/a', 'a//b', 'a/']) {
    test(`load refuses the model name ${inspect(model)}`, async () => {
      await assert.rejects(TextEmbedder.load(model, { host: 'http://127.0.0.1:9' }), {
        name: 'PilotlightError',
        code: 'INVALID_INPUT',
        message: /model/,
      });
    });
  }

  for (const [options, device, dtype, reason] of [
    [{ device: 'cpu' }, 'cpu', 'q8', /asked for/],
    [{ device: 'cpu', dtype: 'f32' }, 'cpu', 'f32', /asked for/],
    [{}, 'cpu', 'q8', /WebGPU/],
    [{ dtype: 'q8' }, 'cpu', 'q8', /WebGPU/],
    [{ dtype: 'q4' }, 'cpu', 'q4', /WebGPU/],
    [{ dtype: 'f32' }, 'cpu', 'f32', /WebGPU/],
    [{ device: 'webgpu' }, 'cpu', 'q8', /WebGPU/],
    [{ device: 'webgpu', dtype: 'q4' }, 'cpu', 'q4', /WebGPU/],
    [{ device: 'webgpu', dtype: 'f32' }, 'cpu', 'f32', /WebGPU/],
  ]) {
    test(`in Node, ${inspect(options)} runs on ${device} in ${dtype} and says why`, async () => {
      const embedder = await load(options);
      assert.equal(embedder.backend.device, device);
      assert.equal(embedder.backend.dtype, dtype);
      assert.match(embedder.backend.reason, reason);
      assert.match(embedder.backend.reason, /^[A-Z].*\.$/);
      assert.equal(embedder.backend.products, (await diagnose()).cpuCore.products);
      embedder.dispose();
    });
  }

  test('progress counts up to the whole and ends with ready', async () => {
    const events = [];
    const embedder = await load({ onProgress: (event) => events.push(event) });
    assert.equal(events.at(-1).status, 'ready');
    assert.equal(events.filter(({ status }) => status === 'ready').length, 1);
    const loaded = events.map((event) => event.loaded);
    assert.deepEqual(
      loaded,
      loaded.toSorted((a, b) => a - b),
    );
    assert.ok(
      events.every((event) => event.total === 0 || event.loaded <= event.total),
      JSON.stringify(events),
    );
    embedder.dispose();
  });

  test('a progress listener that throws does not break the load', async () => {
    const embedder = await load({
      onProgress() {
        throw new Error('from the page');
      },
    });
    assert.deepEqual((await embedder.embed('x')).dims, [1, 32]);
    embedder.dispose();
  });
});

test('init may be called again and again', async () => {
  await Promise.all([init(), init()]);
  await init();
});

test('diagnose gives one JSON with versions, SIMD level and memory', async () => {
  const report = JSON.parse(JSON.stringify(await diagnose()));
  assert.equal(report.entry, 'inline');
  assert.match(report.version, /^\d+\.\d+\.\d+/);
  assert.equal(report.version, report.cpuCore.version);
  assert.equal(report.runtime.versions.node, process.versions.node);
  assert.equal(report.wasm.simd128, true);
  // Node 20 computes relaxed SIMD wrongly.
  if (process.versions.node.startsWith('20.')) assert.equal(report.cpuCore.simd, 'simd128');
  assert.match(report.cpuCore.products, /^(?:dot|pairs)$/);
  assert.ok(report.cpuCore.memoryBytes > 0);
  // The package webgpu is installed here, and finds a GPU only where there is a driver.
  assert.match(JSON.stringify(report.webgpuAdapter), /no adapter|vendor/);
});
