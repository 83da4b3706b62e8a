// Decoders: every hidden state and prediction of the tiny ones against PyTorch's, texts of all kinds, options and calls.
// The real SmolLM2 is in smollm2.test.mjs, a full-size Qwen2 in qwen2.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Decoder, diagnose, TextEmbedder } from 'pilotlight';
import { decoderGolden, difference, FIELDS, loadTiny, mean, meanRow, statesOf } from './support/decoders.mjs';
import { DECODERS, tolerance } from './support/goldens.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { cosine, row } from './support/vectors.mjs';

for (const name of DECODERS) {
  const expected = decoderGolden(name);
  const { cases } = expected;
  const texts = cases.map(({ text }) => text);
  /** PyTorch's states of text `i` after a layer, `[t, d]`. */
  const statesAt = (layer, i) => {
    const { shape, data } = expected.tensor(`hidden_states.${i}`);
    const size = shape[1] * shape[2];
    return data.subarray(layer * size, (layer + 1) * size);
  };

  describe(name, () => {
    test('has PyTorch’s hidden states after every layer, of each token and pooled', async () => {
      const decoder = await loadTiny(name);
      const { dimensions: width, layers } = decoder;
      assert.deepEqual([layers + 1, cases[0].ids.length, width], expected.tensor('hidden_states.0').shape);
      for (let layer = 0; layer <= layers; layer++) {
        const all = await decoder.hiddenStates(texts, { layer, pool: 'none' });
        const pooled = await decoder.hiddenStates(texts, { layer });
        const last = await decoder.hiddenStates(texts, { layer, pool: 'last' });
        assert.deepEqual(all.dims, [cases.reduce((sum, { ids }) => sum + ids.length, 0), width]);
        assert.deepEqual([pooled.dims, last.dims], Array(2).fill([texts.length, width]));
        for (const { tokens, truncated } of [all, pooled, last]) {
          assert.deepEqual(
            tokens,
            cases.map(({ ids }) => ids.length),
          );
          assert.deepEqual(truncated, Array(texts.length).fill(false));
        }
        for (const i of texts.keys()) {
          const states = statesAt(layer, i);
          for (const [pool, got, wanted] of [
            ['none', statesOf(all, i), states],
            ['mean', row(pooled, i), meanRow(states, width)],
            ['last', row(last, i), states.subarray(-width)],
          ]) {
            const error = difference(got, wanted);
            assert.ok(error <= tolerance(name), `layer ${layer}, text ${i}, ${pool}: ${error}`);
          }
        }
      }
      assert.deepEqual(await decoder.hiddenStates(texts), await decoder.hiddenStates(texts, { layer: layers }));
      decoder.dispose();
    });

    test('has PyTorch’s likelihoods of every token', async () => {
      const decoder = await loadTiny(name);
      const all = await decoder.likelihoods(texts);
      assert.equal(all.length, texts.length);
      for (const [i, { starts, ranks }] of cases.entries()) {
        assert.deepEqual(all[i].starts, Uint32Array.from(starts), `text ${i}`);
        assert.deepEqual(all[i].ranks, Uint32Array.from(ranks), `text ${i}`);
        assert.equal(all[i].truncated, false);
        for (const [field, tensor] of Object.entries(FIELDS)) {
          assert.ok(all[i][field] instanceof Float32Array);
          const error = difference(all[i][field], expected.values(`${tensor}.${i}`));
          assert.ok(error <= tolerance(name), `text ${i}, ${field}: ${error}`);
        }
      }
      decoder.dispose();
    });

    // Its weights are random, so that nothing evens out what rounding changes, and its rows are shorter than the real models' groups: in real
    // weights the errors are ten times smaller (smollm2.test.mjs). Measured, on simd128 and relaxed SIMD: cosines at least 0.997 and 0.85,
    // means of ln p within 0.061 and 0.32.
    for (const [dtype, leastCosine, mostOff] of [
      ['q8', 0.99, 0.1],
      ['q4', 0.8, 0.5],
    ]) {
      test(`stays near PyTorch in ${dtype}`, async (t) => {
        const decoder = await loadTiny(name, { dtype });
        const cosines = [];
        for (let layer = 0; layer <= decoder.layers; layer++) {
          const states = await decoder.hiddenStates(texts, { layer, pool: 'none' });
          for (const i of texts.keys()) cosines.push(cosine(statesOf(states, i), statesAt(layer, i)));
        }
        const all = await decoder.likelihoods(texts);
        const off = all.map(({ logProbabilities }, i) =>
          Math.abs(mean(logProbabilities) - mean(expected.values(`log_probabilities.${i}`))),
        );
        t.diagnostic(
          `${decoder.backend.simd}: cosine ${Math.min(...cosines).toFixed(4)} at least, ln p ${Math.max(...off).toFixed(3)} at most`,
        );
        assert.ok(Math.min(...cosines) >= leastCosine, `cosine ${Math.min(...cosines)}`);
        assert.ok(Math.max(...off) <= mostOff, `ln p differs by ${Math.max(...off)}`);
        decoder.dispose();
      });
    }

    for (const dtype of ['f32', 'f16', 'q8', 'q4']) {
      test(`gives each text in ${dtype} the same bits alone and in any batch`, async () => {
        const decoder = await loadTiny(name, { dtype });
        // There are enough tokens for several batches.
        const many = [...texts, ...texts.toReversed(), ...texts, ...texts];
        const states = await decoder.hiddenStates(many, { layer: 2, pool: 'none' });
        const pooled = await decoder.hiddenStates(many);
        const likelihoods = await decoder.likelihoods(['', ...many]);
        assert.equal(likelihoods[0].ranks.length, 0);
        for (const text of texts) {
          const alone = await decoder.hiddenStates(text, { layer: 2, pool: 'none' });
          const { data: vector } = await decoder.hiddenStates(text);
          const [told] = await decoder.likelihoods(text);
          for (const [i, other] of many.entries()) {
            if (other !== text) continue;
            assert.deepEqual(statesOf(states, i), alone.data);
            assert.deepEqual(row(pooled, i), vector);
            assert.deepEqual(likelihoods[i + 1], told);
          }
        }
        decoder.dispose();
      });
    }
  });
}

describe('a decoder', () => {
  let decoder;
  before(async () => {
    decoder = await loadTiny('qwen2-tiny');
  });
  after(() => decoder.dispose());

  test('says what it has', () => {
    assert.deepEqual([decoder.dimensions, decoder.layers, decoder.maxTokens], [48, 3, 128]);
    assert.deepEqual([decoder.backend.device, decoder.backend.dtype], ['cpu', 'f32']);
    assert.throws(() => new Decoder(), { message: /Decoder\.load/ });
  });

  test('answers no texts with nothing, and an empty text with empty lists where they mean something', async () => {
    assert.deepEqual(await decoder.likelihoods([]), []);
    for (const pool of ['mean', 'last', 'none']) {
      assert.deepEqual(await decoder.hiddenStates([], { pool }), {
        data: new Float32Array(),
        dims: [0, 48],
        tokens: [],
        truncated: [],
      });
      await assert.rejects(decoder.hiddenStates(['a', ''], { pool }), {
        name: 'PilotlightError',
        code: 'INVALID_INPUT',
        message: /^texts\[1\] has no tokens/,
      });
    }
    const none = new Float32Array();
    const nothing = {
      starts: new Uint32Array(),
      logProbabilities: none,
      entropies: none,
      variances: none,
      ranks: new Uint32Array(),
      truncated: false,
    };
    assert.deepEqual(await decoder.likelihoods(''), [nothing]);
    const [first, empty, third] = await decoder.likelihoods(['a', '', 'a']);
    assert.deepEqual([first, empty], [third, nothing]);
  });

  test('cuts a text at maxTokens, and what is left has the values that it had', async () => {
    const text = 'The pilot light is on, and the water isn’t cold.';
    const [whole] = await decoder.likelihoods(text);
    const [cut] = await decoder.likelihoods(text, { maxTokens: 7 });
    assert.deepEqual([whole.truncated, cut.truncated], [false, true]);
    for (const [field, values] of Object.entries(cut)) {
      if (field === 'truncated') continue;
      assert.equal(values.length, 7, field);
      assert.ok(difference(values, whole[field].subarray(0, 7)) < 1e-6, field);
    }
    const [exact] = await decoder.likelihoods(text, { maxTokens: whole.ranks.length });
    assert.deepEqual(exact, whole);
  });

  test('cuts a text of 1 MB, says so, and takes little memory', async () => {
    const before = (await diagnose()).cpuCore.memoryBytes;
    for (const text of ['word '.repeat(200_000), 'x'.repeat(1e6), '火'.repeat(333_333), ' '.repeat(1e6)]) {
      const [{ starts, logProbabilities, truncated }] = await decoder.likelihoods(text);
      const states = await decoder.hiddenStates(text, { pool: 'last' });
      if (text.startsWith(' ')) {
        // One word, however many blanks there are, for this tokenizer.
        assert.ok(starts.length <= 127 && states.tokens[0] <= 128);
      } else {
        assert.deepEqual([starts.length, truncated], [127, true], text.slice(0, 5));
        assert.deepEqual([states.tokens, states.truncated], [[128], [true]], text.slice(0, 5));
      }
      assert.ok(logProbabilities.every(Number.isFinite) && states.data.every(Number.isFinite));
    }
    const grown = (await diagnose()).cpuCore.memoryBytes - before;
    assert.ok(grown <= 16 << 20, `memory grew by ${grown} bytes`);
  });

  test('reads a lone surrogate as the replacement character, and NUL as a character', async () => {
    assert.deepEqual(await decoder.likelihoods('a\ud83db'), await decoder.likelihoods('a\ufffdb'));
    const [{ starts, logProbabilities }] = await decoder.likelihoods('a\0b');
    assert.deepEqual([...starts], [0, 1, 2]);
    assert.ok(logProbabilities.every(Number.isFinite));
  });

  for (const [method, given, says] of [
    ['likelihoods', { maxTokens: 0 }, /^maxTokens is 0, expected 1 to 127$/],
    ['likelihoods', { maxTokens: 128 }, /^maxTokens is 128, expected 1 to 127$/],
    ['likelihoods', { maxTokens: 1e9 }, /^maxTokens is 1000000000, expected/],
    ['likelihoods', { maxTokens: -1 }, /^maxTokens is -1, expected a whole number from 1$/],
    ['likelihoods', { maxTokens: 1.5 }, /^maxTokens is 1.5, expected a whole number from 1$/],
    ['likelihoods', { maxTokens: NaN }, /^maxTokens is NaN/],
    ['likelihoods', { maxTokens: '7' }, /^maxTokens is string/],
    ['hiddenStates', { layer: 4 }, /^layer is 4, expected 0 to 3/],
    ['hiddenStates', { layer: -1 }, /^layer is -1, expected a whole number from 0$/],
    ['hiddenStates', { layer: '1' }, /^layer is string/],
    ['hiddenStates', { pool: 'max' }, /^pool is 'max', expected /],
    ['likelihoods', { signal: 7 }, /^signal/],
    ['hiddenStates', { signal: 7 }, /^signal/],
    ['likelihoods', null, /^options/],
    ['hiddenStates', null, /^options/],
  ]) {
    test(`refuses ${method} with the options ${inspect(given)}, and goes on`, async () => {
      const refused = { name: 'PilotlightError', code: 'INVALID_INPUT', message: says };
      await assert.rejects(decoder[method]('light', given), refused);
      assert.equal((await decoder.likelihoods('a')).length, 1);
    });
  }

  for (const [what, texts, says] of [
    ['undefined', undefined, /^texts is undefined/],
    ['a number', 7, /^texts is number/],
    ['an object', { text: 'x' }, /^texts is object/],
    ['a number in a list', ['fine', 7], /^texts\[1\] is number/],
    ['a list in a list', [['deep']], /^texts\[0\] is an array/],
  ]) {
    test(`refuses ${what} for texts`, async () => {
      const refused = { name: 'PilotlightError', code: 'INVALID_INPUT', message: says };
      await assert.rejects(decoder.likelihoods(texts), refused);
      await assert.rejects(decoder.hiddenStates(texts), refused);
    });
  }

  test('finishes the calls that were made before it is disposed, and refuses later ones', async () => {
    const other = await loadTiny('qwen2-tiny');
    const calls = [other.likelihoods('light'), other.hiddenStates('light')];
    other.dispose();
    other.dispose();
    const [[{ ranks }], { dims }] = await Promise.all(calls);
    assert.deepEqual([ranks.length > 0, dims], [true, [1, 48]]);
    for (const method of ['likelihoods', 'hiddenStates'])
      await assert.rejects(other[method]('light'), { code: 'DISPOSED', message: /Decoder/ });
  });

  test('computes nothing for a signal that has fired', async () => {
    const signal = AbortSignal.abort();
    for (const method of ['likelihoods', 'hiddenStates'])
      await assert.rejects(decoder[method]('light', { signal }), { code: 'ABORTED' });
    await assert.rejects(loadTiny('qwen2-tiny', { signal }), { code: 'ABORTED' });
  });

  test('has hidden states from which a sentence embedder is told apart', async () => {
    const files = filesOf(tinyFolder('qwen2-tiny'));
    await assert.rejects(TextEmbedder.load('test/own', { files, store: false }), {
      name: 'PilotlightError',
      code: 'UNSUPPORTED_MODEL',
      message: /^modules\.json: .* Decoder$/,
    });
  });
});
