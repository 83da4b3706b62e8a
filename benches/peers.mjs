// Measures this package against its peers: in one Chromium, in turn, on the same inputs.
//
//   node benches/peers.mjs [--rounds 15] [--only '2 threads'] [--json FILE]
//
// `--only` measures the speed of the contestants with these words in their names, and of those that they are compared with, and nothing else.
// Every contestant has a page of its own. A round runs each case once in every page, and a ratio is the median of the rounds'
// ratios, peer's time over ours: a machine that gets slower for a while slows all of them. Absolute times are there to be checked.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { DATA } from '../tests/data.mjs';
import { createHub } from '../tests/hub/hub.mjs';
import { launch, markdown, median, openPage, serve } from './browser.mjs';
import { readInputs } from './inputs.mjs';
import { packModel } from './pack-model.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const rounds = Number(options.rounds);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');

const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const STS = path.join(DATA, 'sts/stsb-en-test.csv');
const ONNX = {
  q8: process.env.PILOTLIGHT_ONNX_Q8 ?? path.join(here, 'onnx/minilm-quint8.onnx'),
  f32: process.env.PILOTLIGHT_ONNX_F32 ?? path.join(here, 'onnx/minilm-f32.onnx'),
};

if (!existsSync(ONNX.q8)) {
  console.error(
    `There is no ${ONNX.q8}, which the peers need: \`make bench-onnx\` makes it, or set PILOTLIGHT_ONNX_Q8.`,
  );
  process.exit(1);
}

// --- the server ---

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const files = (names) => Object.fromEntries(names.map((name) => [name, readFileSync(path.join(MINILM, name))]));
const models = {
  [MODEL]: MINILM,
  'bench/onnx': {
    ...files(['config.json', 'tokenizer.json', 'tokenizer_config.json']),
    'onnx/model_quantized.onnx': readFileSync(ONNX.q8),
  },
};
const places = {
  '/page.js': path.join(here, 'page.js'),
  '/contestants/': path.join(here, 'contestants'),
  '/package/': path.join(root, 'node_modules/pilotlight'),
  '/peers/': path.join(here, 'node_modules'),
  '/onnx/q8': ONNX.q8,
  '/onnx/f32': ONNX.f32,
  '/hub/': (request, response) => hub.handle(request, response),
};
const server = await serve(places, '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>');
const host = `${server.origin}/hub`;
let hub = createHub({ prefix: '/hub', models });
models['bench/packed'] = {
  ...files(['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'sentence_bert_config.json']),
  'pilotlight-q8.safetensors': await packModel(MODEL, host),
};
hub = createHub({ prefix: '/hub', models });

// --- who runs what ---

const ours = (core, dtype, model = MODEL) => ({ module: 'pilotlight', options: { core, dtype, model, host } });
const onnxruntime = (dtype, threads) => ({ module: 'onnxruntime', options: { threads, onnx: `/onnx/${dtype}` } });
const transformers = (dtype, threads) => ({
  module: 'transformers',
  options: { threads, dtype, model: 'bench/onnx', host: `${host}/` },
});
/** Threads are those of a worker; the core is the one that the package takes by itself. */
const threaded = (dtype, threads) => ({
  module: 'pilotlight',
  options: { dtype, model: MODEL, host, worker: true, workers: 1, threads },
});
const CONTESTANTS = {
  'pilotlight q8': ours('relaxed', 'q8'),
  'pilotlight q8, 2 threads': threaded('q8', 2),
  'pilotlight q8, simd128': ours('simd', 'q8'),
  'pilotlight f32': ours('relaxed', 'f32'),
  'onnxruntime-web QUInt8': onnxruntime('q8', 1),
  'onnxruntime-web QUInt8, 2 threads': onnxruntime('q8', 2),
  'onnxruntime-web f32': onnxruntime('f32', 1),
  'transformers.js q8': transformers('q8', 1),
};
if (!existsSync(ONNX.f32)) {
  console.error(`SKIPPED: there is no ${ONNX.f32}, so f32 is not compared. \`make bench-onnx\` makes it.`);
  delete CONTESTANTS['onnxruntime-web f32'];
}
// The least speed of the package, as a multiple of the peer's.
const COMPARISONS = [
  ['ids to hidden state', '1x128', 'pilotlight q8', 'onnxruntime-web QUInt8', 2.2],
  ['ids to hidden state', '1x16', 'pilotlight q8', 'onnxruntime-web QUInt8', 2.5],
  ['ids to hidden state', '32x32', 'pilotlight q8', 'onnxruntime-web QUInt8', 2.3],
  ['ids to hidden state', '1x128', 'pilotlight q8, 2 threads', 'onnxruntime-web QUInt8, 2 threads', 1.6],
  ['ids to hidden state', '32x32', 'pilotlight q8, 2 threads', 'onnxruntime-web QUInt8, 2 threads', 1.6],
  ['ids to hidden state', '1x16', 'pilotlight q8, 2 threads', 'pilotlight q8'],
  ['ids to hidden state', '1x128', 'pilotlight q8, 2 threads', 'pilotlight q8'],
  ['ids to hidden state', '32x32', 'pilotlight q8, 2 threads', 'pilotlight q8'],
  ['ids to hidden state', '1x128', 'pilotlight f32', 'onnxruntime-web f32', 1.4],
  ['ids to hidden state', '1x128', 'pilotlight q8, simd128', 'onnxruntime-web QUInt8', 0.95],
  ['text to embedding', 'sentence', 'pilotlight q8', 'transformers.js q8', 4],
  ['text to embedding', '256 sentences', 'pilotlight q8', 'transformers.js q8', 2.5],
  ['text to embedding', '143 tokens', 'pilotlight q8', 'transformers.js q8', 2.2],
].filter(([, , us, peer]) => us.includes(options.only) && CONTESTANTS[us] && CONTESTANTS[peer]);

const inputs = readInputs(MINILM, STS);
const browser = await launch();
const open = (context, hash = '') => openPage(context, `${server.origin}/${hash}`);

// --- speed ---

async function speed() {
  const pages = {};
  const compared = new Set(COMPARISONS.flatMap(([, , us, peer]) => [us, peer]));
  for (const [name, { module, options }] of Object.entries(CONTESTANTS)) {
    if (!compared.has(name)) continue;
    const page = await open(await browser.newContext());
    pages[name] = page;
    await page.evaluate(([module, options]) => window.bench.load(module, options), [module, options]);
    for (const entry of Object.entries(inputs))
      await page.evaluate(([name, input]) => window.bench.keep(name, input), entry);
  }
  const times = {};
  for (const input of new Set(COMPARISONS.map(([, input]) => input))) {
    const ours = COMPARISONS.filter((comparison) => comparison[1] === input);
    const method = ours[0][0].startsWith('ids') ? 'hidden' : 'embed';
    const names = [...new Set(ours.flatMap(([, , us, peer]) => [us, peer]))];
    const time = (name, repeats) =>
      pages[name].evaluate((args) => window.bench.time(...args), [method, input, repeats]);
    const repeats = {};
    for (const name of names) {
      // Engines compile what is hot in the background, and what is not yet compiled is slow: a second of it, then the count.
      const once = await time(name, 1);
      await time(name, Math.ceil(1000 / once));
      repeats[name] = Math.max(1, Math.round(80 / (await time(name, 1))));
    }
    times[input] = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const name of round % 2 ? names.toReversed() : names)
        times[input][name].push(await time(name, repeats[name]));
    }
  }
  for (const page of Object.values(pages)) await page.context().close();
  return COMPARISONS.map(([what, input, us, peer, asked]) => {
    const [a, b] = [times[input][us], times[input][peer]];
    const calls = inputs[input].length;
    return {
      what: `${what}, ${input}`,
      ours: us,
      ms: median(a) / calls,
      peer,
      'its ms': median(b) / calls,
      ratio: median(a.map((time, round) => b[round] / time)),
      asked,
    };
  });
}

// --- start, download and memory ---

async function start() {
  const STARTERS = {
    'pilotlight q8': ours(undefined, 'q8'),
    'pilotlight q8, packed file': ours(undefined, 'q8', 'bench/packed'),
    'transformers.js q8': CONTESTANTS['transformers.js q8'],
  };
  const results = Object.fromEntries(Object.keys(STARTERS).map((name) => [name, { cold: [], warm: [] }]));
  const text = inputs.sentence[0].texts[0];
  for (let round = 0; round < Math.max(3, Math.ceil(rounds / 3)); round += 1) {
    for (const [name, starter] of Object.entries(STARTERS)) {
      const context = await browser.newContext();
      server.takeSent();
      const before = hub.requests.length;
      for (const visit of ['cold', 'warm']) {
        const page = await open(context, `#${encodeURIComponent(JSON.stringify({ ...starter, text }))}`);
        results[name][visit].push(await page.evaluate(() => window.started));
        if (visit === 'cold') {
          results[name].code = server
            .takeSent()
            .filter((file) => !file.startsWith(here) || file.includes('node_modules'))
            .reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
          results[name].model = hub.requests.slice(before).reduce((sum, { bytes }) => sum + bytes, 0);
        } else {
          await page.evaluate(
            ([input]) => {
              window.bench.keep('memory', input);
              return window.bench.time('embed', 'memory', 1);
            },
            [inputs['32x128']],
          );
          results[name].memory = await page.evaluate(() => window.bench.memory());
        }
        await page.close();
      }
      await context.close();
    }
  }
  const peer = results['transformers.js q8'];
  return Object.entries(results).map(([name, { cold, warm, code, model, memory }]) => ({
    '': name,
    'first visit, ms': median(cold),
    'later visits, ms': median(warm),
    'ratio of later visits': median(warm.map((time, round) => peer.warm[round] / time)),
    'code, gzip, MB': code / 1e6,
    'model, MB': model / 1e6,
    'linear memory, MiB': memory.linear && memory.linear / 2 ** 20,
    'page memory, MiB': memory.page / 2 ** 20,
  }));
}

const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${rounds} rounds`;
const result = { machine, speed: await speed(), ...(options.only === '' && { start: await start() }) };
await browser.close();
server.close();
console.log(`${machine}\n\n${markdown(result.speed)}`);
if (result.start) {
  console.log(
    `\nFrom opening the page to the first embedding; memory after a batch of 32 texts of 128 tokens.\n\n${markdown(result.start)}`,
  );
}
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
}
