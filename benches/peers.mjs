// Measures this package against its peers: in one Chromium, in turn, on the same inputs.
//
//   node benches/peers.mjs [--rounds 15] [--only PATTERN] [--json FILE]
//
// Every contestant has a page of its own. A round runs each case once in every page, and a ratio is the median of the rounds' ratios:
// a machine that gets slower for a while slows all of them. Absolute times mean little; they are printed to be checked.
import { readFileSync, existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { createHub } from '../tests/hub/hub.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');
const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '15' }, only: { type: 'string', default: '' }, json: { type: 'string' } } });

const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const ONNX = { q8: process.env.PILOTLIGHT_ONNX_Q8 ?? path.join(root, '../shared/bench/minilm-quint8.onnx'), f32: process.env.PILOTLIGHT_ONNX_F32 ?? path.join(root, '.models/bench/minilm-f32.onnx') };
const STS = path.join(process.env.PILOTLIGHT_DATA ?? path.join(root, '../shared/data'), 'sts/stsb-en-test.csv');
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';

const files = (folder, names) => Object.fromEntries(names.map((name) => [name, readFileSync(path.join(folder, name))]));
const hub = createHub({
  prefix: '/hub',
  models: {
    [MODEL]: MINILM,
    'bench/minilm-onnx': { ...files(MINILM, ['config.json', 'tokenizer.json', 'tokenizer_config.json']), 'onnx/model_quantized.onnx': readFileSync(ONNX.q8) },
  },
});

const FOLDERS = { package: path.join(root, 'dist/package'), contestants: path.join(here, 'contestants'), peers: path.join(here, 'node_modules') };
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
// The page is isolated, so that clocks are fine-grained, threads can be had and the page's memory can be asked for.
const HEADERS = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname.startsWith('/hub/')) return hub.handle(request, response);
  const send = (type, body) => response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Cache-Control': 'max-age=3600' }).end(body);
  if (url.pathname === '/') return send('text/html', '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>');
  if (url.pathname === '/page.js') return send('text/javascript', readFileSync(path.join(here, 'page.js')));
  if (url.pathname.startsWith('/onnx/')) return send('application/octet-stream', readFileSync(ONNX[url.pathname.slice('/onnx/'.length)]));
  const [, folder, ...rest] = path.posix.normalize(url.pathname).split('/');
  const file = FOLDERS[folder] && path.join(FOLDERS[folder], ...rest);
  if (!file || !existsSync(file)) return response.writeHead(404, HEADERS).end();
  send(TYPES[path.extname(file)] ?? 'application/octet-stream', readFileSync(file));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

// --- inputs ---

// Whole words of the vocabulary, so that ids are known without a tokenizer: a word's id is its line.
const vocabulary = readFileSync(path.join(MINILM, 'vocab.txt'), 'utf8').split('\n');
const words = vocabulary.map((word, id) => ({ word, id })).filter(({ word }) => /^[a-z]{4,8}$/.test(word));
function ofTokens(batch, tokens) {
  const rows = Array.from({ length: batch }, (_, row) => Array.from({ length: tokens - 2 }, (_, i) => words[(row * 977 + i * 131) % words.length]));
  return [{ ids: rows.map((row) => [101, ...row.map(({ id }) => id), 102]), texts: rows.map((row) => row.map(({ word }) => word).join(' ')) }];
}
const sentences = [...new Set(readFileSync(STS, 'utf8').split(/\r?\n/).flatMap((line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, 2).map(([, field]) => field.replace(/^"|"$/g, '').replaceAll('""', '"'))))].filter(Boolean).slice(0, 256);
const INPUTS = {
  '1x16': ofTokens(1, 16),
  '1x128': ofTokens(1, 128),
  '32x32': ofTokens(32, 32),
  'one sentence': sentences.slice(0, 16).map((text) => ({ texts: [text] })),
  '256 sentences, batch 32': Array.from({ length: 8 }, (_, batch) => ({ texts: sentences.slice(batch * 32, batch * 32 + 32) })),
  'one text of 143 tokens': ofTokens(1, 143),
};

// --- contestants ---

const ours = (core, dtype) => ({ module: 'pilotlight', options: { core, dtype, model: MODEL, host: `${origin}/hub` } });
const ort = (dtype, threads) => ({ module: 'onnxruntime', options: { threads, onnx: `/onnx/${dtype}` } });
const CONTESTANTS = {
  'pilotlight q8': ours('relaxed', 'q8'),
  'pilotlight q8 simd128': ours('simd', 'q8'),
  'pilotlight f32': ours('relaxed', 'f32'),
  'onnxruntime-web q8': ort('q8', 1),
  'onnxruntime-web q8, 2 threads': ort('q8', 2),
  'onnxruntime-web f32': ort('f32', 1),
  'transformers.js q8': { module: 'transformers', options: { threads: 1, dtype: 'q8', model: 'bench/minilm-onnx', host: `${origin}/hub/` } },
};
const F32_MISSING = !existsSync(ONNX.f32);
if (F32_MISSING) {
  console.error(`SKIPPED: there is no ${ONNX.f32}, so onnxruntime-web f32 is not measured; make bench-onnx exports it`);
  delete CONTESTANTS['onnxruntime-web f32'];
}

const hidden = ['pilotlight q8', 'pilotlight q8 simd128', 'pilotlight f32', 'onnxruntime-web q8', 'onnxruntime-web q8, 2 threads', 'onnxruntime-web f32'];
const embed = ['pilotlight q8', 'transformers.js q8'];
const CASES = [
  ...['1x16', '1x128', '32x32'].map((input) => ({ input, method: 'hidden', contestants: hidden })),
  ...['one sentence', '256 sentences, batch 32', 'one text of 143 tokens'].map((input) => ({ input, method: 'embed', contestants: embed })),
].filter(({ input }) => input.includes(options.only));

const COMPARISONS = [
  ['1x128', 'pilotlight q8', 'onnxruntime-web q8', 2.2],
  ['1x16', 'pilotlight q8', 'onnxruntime-web q8', 2.5],
  ['32x32', 'pilotlight q8', 'onnxruntime-web q8', 2.3],
  ['1x128', 'pilotlight q8', 'onnxruntime-web q8, 2 threads'],
  ['1x128', 'pilotlight f32', 'onnxruntime-web f32', 1.4],
  ['one sentence', 'pilotlight q8', 'transformers.js q8', 4],
  ['256 sentences, batch 32', 'pilotlight q8', 'transformers.js q8', 2.5],
  ['one text of 143 tokens', 'pilotlight q8', 'transformers.js q8', 2.2],
  ['1x128', 'pilotlight q8 simd128', 'onnxruntime-web q8', 0.95],
];

// --- run ---

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', '--disable-background-timer-throttling'],
});
const used = new Set(CASES.flatMap(({ contestants }) => contestants));
const pages = new Map();
for (const [name, { module, options }] of Object.entries(CONTESTANTS)) {
  if (!used.has(name)) continue;
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => console.error(`${name}: ${error.message}`));
  await page.goto(origin);
  await page.waitForFunction(() => window.bench);
  await page.evaluate(([module, options]) => window.bench.load(module, options), [module, options]);
  for (const { input } of CASES) await page.evaluate(([name, input]) => window.bench.keep(name, input), [input, INPUTS[input]]);
  pages.set(name, page);
}

const times = {};
for (const { input, method, contestants } of CASES) {
  const here = contestants.filter((name) => pages.has(name));
  const time = (name, repeats) => pages.get(name).evaluate(([method, input, repeats]) => window.bench.time(method, input, repeats), [method, input, repeats]);
  const repeats = {};
  for (const name of here) {
    await time(name, 3);
    repeats[name] = Math.max(1, Math.round(60 / (await time(name, 2))));
  }
  times[input] = Object.fromEntries(here.map((name) => [name, []]));
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const name of round % 2 ? here.toReversed() : here) times[input][name].push(await time(name, repeats[name]));
  }
}

const rows = COMPARISONS.filter(([input, ours, peer]) => times[input]?.[peer] && times[input][ours]).map(([input, ours, peer, target]) => {
  const [a, b] = [times[input][ours], times[input][peer]];
  return { case: input, ours, 'ours ms': median(a), peer, 'peer ms': median(b), ratio: median(a.map((time, round) => b[round] / time)), target };
});
console.table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toFixed(2)) : value]))));
if (options.json) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
await browser.close();
server.close();
server.closeAllConnections();
