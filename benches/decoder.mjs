// Measures decoders: SmolLM2-135M against wllama, which is llama.cpp, in one Chromium, in turn, from the same GGUF file and with the same
// text; then the first 22 layers of Qwen2.5-0.5B. The bare loop of the int8 kernels runs in turn with them.
//
//   node benches/decoder.mjs [--rounds 5] [--json FILE]
//
// Qwen2.5's weights are those that a generator makes: time and memory do not depend on them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { transformSync } from 'esbuild';
import { DATA } from '../tests/data.mjs';
import { QWEN2, TOKENIZER_FILES, tokenizerJson } from '../tests/package/support/qwen2.mjs';
import { launch, markdown, median, openPage, serve } from './browser.mjs';
import { buildKernels, FOLDER } from './build-kernels.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'string' } },
});
const rounds = Number(options.rounds);
const LOADS = 3;
const TOKENS = 256;
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');

const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SMOLLM2 = process.env.PILOTLIGHT_SMOLLM2 ?? path.join(root, '.models/SmolLM2-135M-Instruct-GGUF');
if (!existsSync(path.join(SMOLLM2, GGUF))) {
  console.error(`There is no ${path.join(SMOLLM2, GGUF)}: \`make smollm2\` fetches it, or set PILOTLIGHT_SMOLLM2.`);
  process.exit(1);
}
// Any English text will do, and every checkout has this one.
const TEXT = readFileSync(path.join(root, 'LICENSE-APACHE'), 'utf8').replaceAll(/\s+/g, ' ').trim();

// --- who does what ---

const ours = (dtype, methods, options = {}) => ({
  module: 'decoder-pilotlight',
  options: { core: 'relaxed', dtype, ...options },
  methods,
});
const READ = { likelihoods: {}, 'hidden states, layer 20': { layer: 20 }, 'hidden states, layer 30': { layer: 30 } };
const wllama = (threads) => ({
  module: 'wllama',
  // The fastest of those that were tried, by a tenth at most: one batch for the whole text, no more context than it needs.
  options: { threads, n_ctx: 512, n_batch: 512, n_ubatch: 512, flash_attn: true },
  methods: { prefill: {} },
});
const PEERS = { 'wllama, 1 thread': wllama(1), 'wllama, 2 threads': wllama(2) };
const MODELS = {
  'SmolLM2-135M': {
    files: [path.join(SMOLLM2, GGUF)],
    contestants: { q8: ours('q8', READ, { weights: GGUF }), q4: ours('q4', READ, { weights: GGUF }), ...PEERS },
    blocks: 30,
    // Weights of a block: q and o, k and v, gate, up and down.
    block: 2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536,
    width: 576,
    vocabulary: 49_152,
    bare: { k: 576, n: 1536 },
  },
  'Qwen2.5-0.5B': {
    files: ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => path.join(QWEN2, name)),
    contestants: Object.fromEntries(
      ['q8', 'q4'].map((dtype) => [dtype, ours(dtype, { 'hidden states, layer 22': { layer: 22 } }, { layers: 22 })]),
    ),
    blocks: 22,
    block: 2 * 896 * 896 + 2 * 896 * 128 + 3 * 896 * 4864,
    width: 896,
    vocabulary: 151_936,
    bare: { k: 896, n: 4864 },
  },
};

const missing = [path.join(QWEN2, 'model.safetensors'), ...TOKENIZER_FILES.map((name) => path.join(DATA, name))].find(
  (file) => !existsSync(file),
);
if (missing) {
  console.error(
    `SKIPPED: there is no ${missing}, so Qwen2.5-0.5B is not measured. \`make target/models/qwen2-0.5b/model.safetensors\` makes the weights, and tests/README.md says where the tokenizer is from.`,
  );
  delete MODELS['Qwen2.5-0.5B'];
} else {
  writeFileSync(path.join(QWEN2, 'tokenizer.json'), tokenizerJson());
}

/** The number of operations of a case in 10^9; a multiplication and an addition are two. */
function gop({ blocks, block, width, vocabulary }, method, layer = blocks) {
  // Attention computes no scores of later tokens.
  const attention = 2 * TOKENS * TOKENS * width;
  const head = method === 'likelihoods' ? 2 * TOKENS * vocabulary * width : 0;
  return (layer * (2 * TOKENS * block + attention) + head) / 1e9;
}

// --- the pages ---

// The loop is the bound, whichever version of the package it was compiled with; `benches/kernels.mjs` leaves a new one.
if (!existsSync(path.join(FOLDER, 'relaxed/kernels.js'))) await buildKernels('relaxed');
const features = transformSync(readFileSync(path.join(root, 'pkg-config/src/detector/features.ts'), 'utf8'), {
  loader: 'ts',
}).code;
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/peers/': path.join(here, 'node_modules'),
    '/kernels/': path.join(FOLDER, 'relaxed'),
    '/features.js': (_, response) => response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(features),
  },
  '<!doctype html><title>bench</title><input type="file" multiple><script type="module" src="/page.js"></script>',
);
const browser = await launch();

async function open({ module, options }, files = []) {
  const page = await openPage(await browser.newContext(), server.origin);
  await page.setInputFiles('input', files);
  const load = await page.evaluate(([module, options]) => window.bench.load(module, options), [module, options]);
  const call = (method, input) => page.evaluate(([method, input]) => window.bench.call(method, input), [method, input]);
  const memory = () => page.evaluate(() => window.bench.memory());
  return { page, load, call, memory, close: () => page.context().close() };
}

/** Loads a contestant, and runs each of its cases until the engine has compiled what is hot. */
async function prepare(name, { methods, ...contestant }, files, text) {
  const loads = [];
  let opened;
  while (loads.length < LOADS) {
    await opened?.close();
    opened = await open(contestant, files);
    loads.push(opened.load);
  }
  const ready = await opened.memory();
  text ??= await opened.call('cut', { text: TEXT, tokens: TOKENS });
  const cases = [];
  for (const [method, input] of Object.entries(methods)) {
    const inputs = [{ text, tokens: TOKENS, ...input }];
    await opened.page.evaluate(([method, inputs]) => window.bench.keep(method, inputs), [method, inputs]);
    const call = method.split(/[ ,]/)[0];
    const time = () => opened.page.evaluate((args) => window.bench.time(...args), [call, method, 1]);
    for (let spent = 0; spent < 1000; ) spent += await time();
    cases.push({ method, layer: input.layer, time, times: [] });
  }
  return { name, opened, load: median(loads), ready, text, cases };
}

/** A row for each case of a model's contestants, and the rate of the bare loop. */
async function measure(model) {
  const bare = await open({ module: 'bare-loop', options: model.bare });
  const contestants = [];
  for (const [name, contestant] of Object.entries(model.contestants))
    contestants.push(await prepare(name, contestant, model.files, contestants[0]?.text));

  const rates = [[], []];
  /** The times of the peers' prefills by their own measurements, without the message to their worker and back. */
  const prefills = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [way, rate] of (await bare.call('rates')).entries()) rates[way].push(rate);
    for (const { name, opened, cases } of contestants) {
      for (const { time, times } of cases) times.push(await time());
      if (!PEERS[name]) continue;
      prefills[name] ??= [];
      prefills[name].push((await opened.call('timings')).prompt_ms);
    }
  }

  const rows = [];
  for (const { name, opened, load, ready, cases } of contestants) {
    const after = await opened.memory();
    for (const { method, layer, times } of cases) {
      const own = prefills[name] ?? times;
      const ratios = Object.entries(PEERS[name] ? {} : prefills).map(([peer, list]) => [
        `${peer} / ours`,
        median(times.map((time, round) => list[round] / time)),
      ]);
      rows.push({
        case: `${name}, ${method}`,
        ms: median(own),
        'least ms': Math.min(...own),
        // Both at their best, because other work of the machine weighs on a long call and not on a short loop.
        'share of the bare loop %': (1e5 * gop(model, method, layer)) / Math.min(...own) / Math.max(...rates.flat()),
        ...Object.fromEntries(ratios),
        'load, ms': load,
        'memory when ready, MB': (ready.linear ?? ready.page) / 1e6,
        'after, MB': (after.linear ?? after.page) / 1e6,
      });
    }
    await opened.close();
  }
  await bare.close();
  return { 'bare loop, Gop/s': Math.max(...rates.map(median)), 'its best': Math.max(...rates.flat()), rows };
}

const before = os.loadavg()[0];
const results = {};
for (const [name, model] of Object.entries(MODELS)) results[name] = await measure(model);
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${rounds} rounds`;
await browser.close();
server.close();

const load = { before, after: os.loadavg()[0] };
console.log(`${machine}; load average ${before.toFixed(1)} before, ${load.after.toFixed(1)} after\n`);
for (const [name, { rows, ...bare }] of Object.entries(results)) {
  const [rate, best] = Object.values(bare).map((value) => value.toFixed(0));
  console.log(`${name}, ${TOKENS} tokens; the bare loop: ${rate} Gop/s, ${best} at best\n\n${markdown(rows)}\n`);
}
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, load, ...results }, null, 2)}\n`);
}
