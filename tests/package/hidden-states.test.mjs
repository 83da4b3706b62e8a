// Hidden states of any layer, against PyTorch's and among each other. The models of which only some layers are loaded are in first-layers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { TextClassifier, TextEmbedder } from 'pilotlight';
import { TINY } from './support/goldens.mjs';
import { filesOf, golden, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';
import { seededBert } from './support/seeded-bert.mjs';
import { maxAbsError, normalized, row } from './support/vectors.mjs';

const TEXTS = ['light', 'The pilot light is warm.', '', 'a dog by the river and a small red train'];
const own = (name, more) => TextEmbedder.load('test/own', { files: filesOf(tinyFolder(name)), dtype: 'f32', ...more });

function mean(data, width) {
  const rows = data.length / width;
  const sums = new Float64Array(width);
  for (const [i, value] of data.entries()) sums[i % width] += value;
  return Float32Array.from(sums, (sum) => sum / rows);
}

for (const name of ['bert-tiny-mean', 'distilbert-tiny-mean']) {
  test(`every layer of ${name} is PyTorch's`, async () => {
    const embedder = await own(name);
    const { header, data } = parse(
      new Uint8Array(readFileSync(path.join(tinyFolder(name), 'hidden_states.safetensors'))),
    );
    assert.equal(embedder.layers, 2);
    for (let layer = 0; layer <= 2; layer++) {
      const { data_offsets: offsets } = header[`hidden_states.${layer}`];
      const expected = new Float32Array(data.slice(...offsets).buffer);
      const width = embedder.dimensions;
      for (const [pool, values] of [
        ['none', expected],
        ['mean', mean(expected, width)],
        ['cls', expected.subarray(0, width)],
      ]) {
        const states = await embedder.hiddenStates('The pilot light is warm.', { layer, pool });
        assert.deepEqual(states.dims, [values.length / width, width]);
        // Values up to 4 or so, whose sums run in another order than PyTorch's.
        const error = maxAbsError(states.data, values);
        assert.ok(error < 2e-5, `layer ${layer}, ${pool}: ${error}`);
      }
    }
    embedder.dispose();
  });
}

describe('hiddenStates', () => {
  // A static embedding has no layers, and an empty text no tokens there.
  for (const name of TINY.filter((name) => !name.startsWith('static'))) {
    for (const dtype of ['f32', 'q8']) {
      test(`of ${name} in ${dtype} agree with each other and with embed, alone and in a batch`, async () => {
        const embedder = await own(name, { dtype });
        const width = embedder.dimensions;
        // Hidden states have no prompt.
        const embedded = await embedder.embed(TEXTS, { prompt: '' });
        for (let layer = 0; layer <= embedder.layers; layer++) {
          const all = await embedder.hiddenStates(TEXTS, { layer, pool: 'none' });
          const pooled = await embedder.hiddenStates(TEXTS, { layer });
          const first = await embedder.hiddenStates(TEXTS, { layer, pool: 'cls' });
          assert.ok(all.data instanceof Float32Array && all.data.every(Number.isFinite));
          for (const { tokens, truncated } of [all, pooled, first])
            assert.deepEqual([tokens, truncated], [embedded.tokens, embedded.truncated]);
          assert.deepEqual(all.dims, [all.tokens.reduce((sum, count) => sum + count), width]);
          assert.deepEqual([pooled.dims, first.dims], Array(2).fill([TEXTS.length, width]));
          let start = 0;
          for (const [i, text] of TEXTS.entries()) {
            const rows = all.data.subarray(start, start + all.tokens[i] * width);
            start += rows.length;
            assert.deepEqual(row(first, i), rows.subarray(0, width));
            // Before its last norm a decoder's values grow from layer to layer.
            const largest = rows.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
            assert.ok(maxAbsError(row(pooled, i), mean(rows, width)) < 1e-6 * largest);
            assert.deepEqual((await embedder.hiddenStates(text, { layer, pool: 'none' })).data, rows);
          }
        }
        const pool = { mean: 'mean', cls: 'cls' }[name.split('-').at(-1)];
        if (pool) {
          const last = await embedder.hiddenStates(TEXTS, { pool });
          for (const i of TEXTS.keys()) {
            const vector = pool === 'mean' ? normalized(row(last, i)) : row(last, i);
            assert.ok(maxAbsError(vector, row(embedded, i)) < 1e-6, TEXTS[i]);
          }
        }
        embedder.dispose();
      });
    }
  }

  test('are vectors that a classifier can learn from', async () => {
    const embedder = await own('bert-tiny-mean');
    const layer1 = {
      dimensions: embedder.dimensions,
      backend: embedder.backend,
      embed: (texts, { signal } = {}) => embedder.hiddenStates(texts, { layer: 1, signal }),
    };
    const texts = ['a dog', 'a cat', 'a horse', 'a small red train', 'an old red train', 'a new red car'];
    const labels = ['animal', 'animal', 'animal', 'vehicle', 'vehicle', 'vehicle'];
    const classifier = await TextClassifier.fit(layer1, { texts, labels }, { labelText: false });
    const answers = await classifier.classify(texts);
    assert.deepEqual(
      answers.map(({ label }) => label),
      labels,
    );
    classifier.dispose();
    embedder.dispose();
  });

  test('of no text have no rows, and of a text that is cut its first tokens', async () => {
    const embedder = await own('bert-tiny-mean');
    assert.deepEqual(await embedder.hiddenStates([], { pool: 'none' }), {
      data: new Float32Array(),
      dims: [0, 32],
      tokens: [],
      truncated: [],
    });
    const { max_tokens } = golden('bert-tiny-mean');
    const { dims, tokens, truncated } = await embedder.hiddenStates('light '.repeat(100), { pool: 'none' });
    assert.deepEqual([dims, tokens, truncated], [[max_tokens, 32], [max_tokens], [true]]);
    embedder.dispose();
  });

  for (const [given, says] of [
    [{ layer: 3 }, /^layer is 3, expected 0 to 2/],
    [{ layer: -1 }, /^layer is -1, expected a whole number from 0$/],
    [{ layer: 1.5 }, /^layer is 1.5, expected a whole number from 0$/],
    [{ layer: NaN }, /^layer is NaN/],
    [{ layer: '1' }, /^layer is string/],
    [{ pool: 'max' }, /^pool is 'max', expected 'mean', 'cls', 'last' or 'none'$/],
    [{ pool: null, layer: {} }, /^layer is object/],
    [{ pool: 1 }, /^pool is number/],
    [{ prompt: 'query' }, /^prompt: hidden states have none, got 'query'$/],
    [{ signal: 7 }, /signal/],
    [null, /options/],
  ]) {
    test(`refuse the options ${inspect(given)}`, async () => {
      const embedder = await own('bert-tiny-mean');
      const refused = { name: 'PilotlightError', code: 'INVALID_INPUT', message: says };
      await assert.rejects(embedder.hiddenStates('light', given), refused);
      await assert.rejects(embedder.hiddenStates([7]), { code: 'INVALID_INPUT', message: /texts\[0\]/ });
      embedder.dispose();
      await assert.rejects(embedder.hiddenStates('light'), { code: 'DISPOSED' });
    });
  }

  test('end where the signal fires, also without a layer to compute', async () => {
    const embedder = await TextEmbedder.load('test/own', {
      files: seededBert({ layers: 4, dimensions: 192 }),
      dtype: 'f32',
    });
    await assert.rejects(embedder.hiddenStates('light', { signal: AbortSignal.abort() }), { code: 'ABORTED' });
    const many = Array(2000).fill(TEXTS[3]);
    const whole = Date.now();
    await embedder.hiddenStates(many.slice(0, 200));
    const share = Date.now() - whole;
    for (const layer of [0, 4]) {
      const aborter = new AbortController();
      const start = Date.now();
      // Without layers it takes as many to be longer than the 50 ms between two yields.
      const texts = layer === 0 ? Array(40_000).fill(TEXTS[3]) : many;
      const states = embedder.hiddenStates(texts, { layer, signal: aborter.signal });
      setTimeout(() => aborter.abort(), 20);
      await assert.rejects(states, { code: 'ABORTED' }, `layer ${layer}`);
      assert.ok(Date.now() - start < 2 * share + 200, `${Date.now() - start} ms after all`);
    }
    assert.deepEqual((await embedder.hiddenStates('light')).dims, [1, 192]);
    embedder.dispose();
  });
});
