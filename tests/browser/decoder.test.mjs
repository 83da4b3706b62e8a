// Decoders in Chromium: the tiny ones on relaxed SIMD and on WebGPU, against PyTorch in every value, and with a table in IndexedDB.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { decoderGolden, difference, FIELDS } from '../package/support/decoders.mjs';
import { DECODERS, tolerance } from '../package/support/goldens.mjs';
import { tinyFolder } from '../package/support/models.mjs';
import { FIGURES, launch, startBench } from './harness.mjs';

let bench;
before(async () => {
  bench = await startBench(Object.fromEntries(DECODERS.map((name) => [`tiny/${name}`, tinyFolder(name)])));
});
after(() => bench?.close());

/** Hidden states of each text after each layer, of all its tokens, and likelihoods; what is thrown comes back as `{ error }`. */
async function read(browser, request) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    return await readIn(page, request);
  } finally {
    await context.close();
  }
}

async function readIn(page, { name, wasm, options, texts }) {
  const answer = await page.evaluate(
    async ({ model, wasm, options, texts }) => {
      try {
        const { Decoder, init } = await import('/package/web.js');
        if (wasm) await init({ wasm: `/package/core/${wasm}.wasm` });
        const decoder = await Decoder.load(model, { host: `${location.origin}/hub`, store: false, ...options });
        const states = [];
        for (let layer = 0; layer <= decoder.layers; layer++) {
          const { data, dims, tokens } = await decoder.hiddenStates(texts, { layer, pool: 'none' });
          let end = 0;
          const next = (count) => {
            end += count * dims[1];
            return [...data.subarray(end - count * dims[1], end)];
          };
          states.push(tokens.map(next));
        }
        // Arrays of numbers come back as such, typed ones as objects.
        const likelihoods = (await decoder.likelihoods(texts)).map((one) =>
          Object.fromEntries(
            Object.entries(one).map(([key, list]) => [key, list.length === undefined ? list : [...list]]),
          ),
        );
        const { backend, layers } = decoder;
        decoder.dispose();
        return { states, likelihoods, backend, layers };
      } catch (error) {
        return { error: { name: error.name, code: error.code, message: error.message } };
      }
    },
    { model: `tiny/${name}`, wasm, options, texts },
  );
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  return answer;
}

/** The largest differences of hidden states and of likelihoods from PyTorch's, and how many ranks are others. */
function compare({ states, likelihoods, layers }, { cases, values }) {
  const off = { states: 0, likelihoods: 0, ranks: 0 };
  assert.deepEqual([states.length, likelihoods.length], [layers + 1, cases.length]);
  for (const [i, { starts, ranks }] of cases.entries()) {
    const all = values(`hidden_states.${i}`);
    const size = all.length / states.length;
    for (const [layer, texts] of states.entries())
      off.states = Math.max(off.states, difference(texts[i], all.subarray(layer * size, (layer + 1) * size)));
    for (const [field, name] of Object.entries(FIELDS))
      off.likelihoods = Math.max(off.likelihoods, difference(likelihoods[i][field], values(`${name}.${i}`)));
    assert.deepEqual(likelihoods[i].starts, starts);
    off.ranks += ranks.filter((rank, at) => rank !== likelihoods[i].ranks[at]).length;
  }
  return off;
}

test('on relaxed SIMD tiny decoders equal PyTorch in all values', { timeout: 300_000 }, async (t) => {
  const browser = await launch();
  try {
    for (const name of DECODERS) {
      const golden = decoderGolden(name);
      const texts = golden.cases.map(({ text }) => text);
      const answer = await read(browser, { name, wasm: 'relaxed', options: { device: 'cpu', dtype: 'f32' }, texts });
      assert.equal(answer.backend.simd, 'relaxed-simd');
      const off = compare(answer, golden);
      t.diagnostic(`${name}: ${JSON.stringify(off)}`);
      assert.ok(off.states <= tolerance(name), `${name}, hidden states: ${off.states}`);
      assert.ok(off.likelihoods <= tolerance(name), `${name}, likelihoods: ${off.likelihoods}`);
      assert.equal(off.ranks, 0, name);
    }
  } finally {
    await browser.close();
  }
});

test('rows of a table in IndexedDB are those of one in memory, to the bit', { timeout: 300_000 }, async () => {
  const browser = await launch();
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(bench.url);
    const [expected, fetched, stored, lost] = await page.evaluate(async (model) => {
      const { Decoder, models } = await import('/package/web.js');
      const options = { host: `${location.origin}/hub`, device: 'cpu', dtype: 'q4', store: 'indexeddb' };
      const states = async (embeddings) => {
        const decoder = await Decoder.load(model, { ...options, embeddings });
        return [decoder, [...(await decoder.hiddenStates('The pilot light is on.', { pool: 'none' })).data]];
      };
      const [, fetched] = await states('store');
      const [decoder, stored] = await states('store');
      const [, expected] = await states('memory');
      await models.delete((await models.list())[0].key);
      const lost = await decoder.hiddenStates('Cold water.').catch(({ name, code }) => ({ name, code }));
      return [expected, fetched, stored, lost];
    }, `tiny/${DECODERS[0]}`);
    assert.ok(expected.length > 0 && expected.every(Number.isFinite));
    assert.deepEqual([fetched, stored], [expected, expected]);
    assert.deepEqual(lost, { name: 'PilotlightError', code: 'INTEGRITY' });
  } finally {
    await browser.close();
  }
});

// Chromium's own software adapter stands in for a GPU: it computes the same shaders, in seconds instead of milliseconds.
test('on WebGPU tiny decoders are within 1e-3 of PyTorch in all values of a text', {
  timeout: 900_000,
}, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    // One page without workers has one GPU device, for which each shader is compiled once.
    const page = await browser.newPage();
    await page.goto(bench.url);
    for (const name of DECODERS) {
      const { cases, ...others } = decoderGolden(name);
      // Each token of a text takes some dispatches of its own, and all texts would take two minutes here.
      const golden = { ...others, cases: cases.slice(0, FIGURES ? 2 : 1) };
      const texts = golden.cases.map(({ text }) => text);
      const answer = await readIn(page, { name, options: { device: 'webgpu', dtype: 'f32', worker: false }, texts });
      assert.deepEqual([answer.backend.device, answer.backend.dtype], ['webgpu', 'f32'], answer.backend.reason);
      const off = compare(answer, golden);
      t.diagnostic(`${name}: ${JSON.stringify(off)}`);
      assert.ok(off.states <= 1e-3, `${name}, hidden states: ${off.states}`);
      assert.ok(off.likelihoods <= 1e-3, `${name}, likelihoods: ${off.likelihoods}`);
      // Logits nearer than 1e-3 may change places; in each text most do not.
      const count = golden.cases.reduce((sum, { ranks }) => sum + ranks.length, 0);
      assert.ok(off.ranks <= count / 20, `${name}: ${off.ranks} of ${count} ranks differ`);
    }
    // The errors of int8 weights alone; the CPU's activations add theirs.
    const golden = { ...decoderGolden(DECODERS[0]) };
    golden.cases = golden.cases.slice(0, 1);
    const texts = golden.cases.map(({ text }) => text);
    const off = {};
    for (const device of ['webgpu', 'cpu']) {
      const answer = await readIn(page, { name: DECODERS[0], options: { device, dtype: 'q8', worker: false }, texts });
      assert.deepEqual([answer.backend.device, answer.backend.dtype], [device, 'q8'], answer.backend.reason);
      off[device] = compare(answer, golden);
    }
    t.diagnostic(`${DECODERS[0]} in q8: ${JSON.stringify(off)}`);
    assert.ok(off.webgpu.likelihoods <= 1.1 * off.cpu.likelihoods, 'likelihoods in q8');
    assert.ok(off.webgpu.states <= 1.1 * off.cpu.states, 'hidden states in q8');
  } finally {
    await browser.close();
  }
});
