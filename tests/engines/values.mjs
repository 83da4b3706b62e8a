// The package's results in an engine: against PyTorch in every value, and against the record of bits.
import assert from 'node:assert/strict';
import { names } from '../bits/cases.mjs';
import { record } from '../bits/runs.mjs';
import { maxAbsError } from '../browser/harness.mjs';
import { clipGolden, unit } from '../package/support/clip.mjs';
import { decoderGolden, difference, FIELDS } from '../package/support/decoders.mjs';
import { CLASSIFIERS, CLIPS, DECODERS, TINY, tolerance } from '../package/support/goldens.mjs';
import { golden } from '../package/support/models.mjs';

const RECORD = record();

const near = (name, what, error) => assert.ok(error <= tolerance(name), `${name}, ${what}: ${error}`);

/** Decimal rows of a tensor, and as a part of its largest value how far others are from them. */
const relativeError = (rows, expected) =>
  maxAbsError(rows, expected) / Math.max(...expected.flatMap((row) => row.map(Math.abs)));

/** @type {Record<string, import('./engines.test.mjs').Scenario>} */
export const values = {
  async 'sentence encoders in f32 equal PyTorch in all values'({ bench, tab }) {
    const page = await tab(bench.url);
    for (const name of TINY) {
      const { cases, dimensions, max_tokens } = golden(name);
      const answer = await page.call(
        async ({ model, texts }) => {
          const { TextEmbedder } = await import('/package/web.js');
          const embedder = await TextEmbedder.load(model, { host: '/hub', device: 'cpu', dtype: 'f32', store: false });
          const { data, tokens, truncated } = await embedder.embed(texts);
          const { dimensions, maxTokens, backend } = embedder;
          embedder.dispose();
          // JSON has no Infinity, which is where no text is too long.
          return {
            data: [...data],
            tokens,
            truncated,
            dimensions,
            maxTokens: maxTokens === Infinity ? null : maxTokens,
            backend,
          };
        },
        { model: `test/${name}`, texts: cases.map(({ text }) => text) },
      );
      assert.equal(answer.backend.worker, true, answer.backend.reason);
      assert.deepEqual([answer.dimensions, answer.maxTokens], [dimensions, max_tokens ?? null]);
      assert.deepEqual(
        answer.tokens,
        cases.map(({ ids }) => ids.length),
      );
      assert.deepEqual(
        answer.truncated,
        cases.map(({ truncated }) => truncated),
      );
      near(name, 'vectors', maxAbsError([answer.data], [cases.flatMap(({ embedding }) => embedding)]));
    }
  },

  async 'classifiers in f32 equal PyTorch in all values'({ bench, tab }) {
    const page = await tab(bench.url);
    for (const name of CLASSIFIERS) {
      const { cases, labels } = golden(name);
      const rows = await page.call(
        async ({ model, texts }) => {
          const { SequenceClassifier } = await import('/package/web.js');
          const classifier = await SequenceClassifier.load(model, {
            host: '/hub',
            device: 'cpu',
            dtype: 'f32',
            store: false,
          });
          const results = await classifier.classify(texts);
          classifier.dispose();
          return results.map(({ scores }) => scores);
        },
        { model: `test/${name}`, texts: cases.map(({ text }) => text) },
      );
      for (const [i, { logits, probabilities }] of cases.entries()) {
        assert.deepEqual(
          rows[i].map(({ label }) => label),
          labels,
        );
        const got = rows[i].flatMap(({ logit, probability }) => [logit, probability]);
        near(name, `text ${i}`, maxAbsError([got], [logits.flatMap((logit, j) => [logit, probabilities[j]])]));
      }
    }
  },

  async 'decoders in f32 equal PyTorch in all hidden states and likelihoods'({ bench, tab }) {
    const page = await tab(bench.url);
    for (const name of DECODERS) {
      const { cases, values } = decoderGolden(name);
      const { states, likelihoods } = await page.call(
        async ({ model, texts }) => {
          const { Decoder } = await import('/package/web.js');
          const decoder = await Decoder.load(model, { host: '/hub', device: 'cpu', dtype: 'f32', store: false });
          const states = texts.map(() => []);
          for (let layer = 0; layer <= decoder.layers; layer++) {
            const { data, dims, tokens } = await decoder.hiddenStates(texts, { layer, pool: 'none' });
            let end = 0;
            for (const [i, count] of tokens.entries()) {
              const from = end;
              end += count * dims[1];
              states[i].push(...data.subarray(from, end));
            }
          }
          const likelihoods = (await decoder.likelihoods(texts)).map(({ ranks, starts, ...rest }) => ({
            ranks: [...ranks],
            starts: [...starts],
            logProbabilities: [...rest.logProbabilities],
            entropies: [...rest.entropies],
            variances: [...rest.variances],
          }));
          decoder.dispose();
          return { states, likelihoods };
        },
        { model: `test/${name}`, texts: cases.map(({ text }) => text) },
      );
      for (const [i, { starts, ranks }] of cases.entries()) {
        near(name, `states of text ${i}`, difference(states[i], values(`hidden_states.${i}`)));
        for (const [field, tensor] of Object.entries(FIELDS))
          near(name, `${field} of text ${i}`, difference(likelihoods[i][field], values(`${tensor}.${i}`)));
        assert.deepEqual([likelihoods[i].starts, likelihoods[i].ranks], [starts, ranks]);
      }
    }
  },

  async 'both towers of CLIP and SigLIP in f32 equal transformers in all values'({ bench, tab }) {
    const page = await tab(bench.url);
    for (const name of CLIPS) {
      const { texts, pictures, tensors } = clipGolden(name);
      const answer = await page.call(
        async ({ model, texts, pictures }) => {
          const { ImageTextEmbedder } = await import('/package/web.js');
          const embedder = await ImageTextEmbedder.load(model, {
            host: '/hub',
            device: 'cpu',
            dtype: 'f32',
            store: false,
          });
          const rows = ({ data, dims: [count, width] }) =>
            Array.from({ length: count }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
          const files = await Promise.all(
            pictures.map(async (picture) => (await fetch(`/hub/test/resize/resolve/main/${picture}`)).blob()),
          );
          const answer = {
            texts: rows(await embedder.embedTexts(texts)),
            images: rows(await embedder.embedImages(files)),
          };
          embedder.dispose();
          return answer;
        },
        { model: `test/${name}`, texts: texts.map(({ text }) => text), pictures },
      );
      const expected = (tensor) => tensor.map((row) => [...unit(row)]);
      near(name, 'texts', relativeError(answer.texts, expected(tensors.text_features)));
      near(name, 'images', relativeError(answer.images, expected(tensors.image_features)));
    }
  },

  'on simd.wasm the bits are those of the record': (place, t) => sameBits('simd', place, t),
  'on relaxed.wasm the bits are those of the record, or the engine has no relaxed SIMD and simd.wasm is chosen': (
    place,
    t,
  ) => (place.lacks.has('relaxed SIMD') ? refusesRelaxed(place) : sameBits('relaxed', place, t)),
};

/** The core that is chosen in an engine without relaxed SIMD, on the page and in a worker, and the error of a program that gives the other one. */
async function refusesRelaxed({ bench, tab }) {
  const page = await tab(bench.url);
  const seen = await page.call(async () => {
    const { diagnose, init, TextEmbedder } = await import('/package/web.js');
    const refusal = await init({ wasm: '/package/core/relaxed.wasm' }).then(
      () => 'it was started',
      ({ name, code, message }) => ({ name, code, message }),
    );
    const { wasm, cpuCore } = await diagnose();
    const { backend } = await TextEmbedder.load('test/bert-tiny-mean', { host: '/hub', store: false });
    return { refusal, wasm, page: cpuCore.simd, worker: backend.worker && backend.simd };
  });
  const { name, code, message } = seen.refusal;
  assert.deepEqual([name, code], ['PilotlightError', 'BACKEND_UNAVAILABLE'], JSON.stringify(seen.refusal));
  assert.match(message, /^the CPU core: WebAssembly could not be started: /);
  assert.deepEqual(seen.wasm, { simd128: true, relaxedSimd: false });
  assert.deepEqual([seen.page, seen.worker], ['simd128', 'simd128']);
}

/** All cases of the record, in f32, q8 and q4: sentence encoders, CLIP, digits and their judge, and indices. */
async function sameBits(build, { bench, tab }, t) {
  const page = await tab(bench.url);
  const part = await page.call(async (build) => {
    const [pilotlight, judge, { arithmetic, digests }] = await Promise.all([
      import('/package/web.js'),
      import('/package/judge.js'),
      import('/cases.mjs'),
    ]);
    await pilotlight.init({ wasm: `/package/core/${build}.wasm` });
    window.digestsOf = (name) => digests(name, { pilotlight, judge, host: `${location.origin}/hub` });
    return arithmetic((await pilotlight.diagnose()).cpuCore.simd);
  }, build);
  t.diagnostic(`arithmetic: ${part}`);
  for (const name of names)
    assert.deepEqual(await page.call((name) => window.digestsOf(name), name), RECORD[part][name], name);
}
