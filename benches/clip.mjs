// Measures CLIP ViT-B/32 against onnxruntime-web: in one Chromium, in turn, on the same image, each in a page of its own.
//
//   node benches/clip.mjs [--rounds 11] [--json FILE]
//
// Weights are those that a generator makes: time and memory do not depend on them.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createHub } from '../tests/hub/hub.mjs';
import { launch, markdown, median, openPage, serve } from './browser.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '11' }, json: { type: 'string' } },
});
const rounds = Number(options.rounds);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');
const CLIP = path.join(root, 'target/models/clip-vit-b32');
const ONNX = path.join(here, 'onnx/clip-vision-quint8.onnx');
const TOKENIZER = path.join(CLIP, 'tokenizer.json');
const ours = (core, dtype, towers) => ({
  module: 'clip-pilotlight',
  method: towers[0],
  options: { core, dtype, towers },
});
const onnxruntime = (threads) => ({
  module: 'clip-onnxruntime',
  method: 'image',
  options: { threads, onnx: '/onnx/clip' },
});
const CONTESTANTS = {
  'image, q8': ours('relaxed', 'q8', ['image']),
  'image, q8, 2 threads': {
    module: 'clip-pilotlight',
    method: 'image',
    options: { dtype: 'q8', towers: ['image'], worker: true, workers: 1, threads: 2 },
  },
  'image, q8, simd128': ours('simd', 'q8', ['image']),
  'image, q4': ours('relaxed', 'q4', ['image']),
  'image, f32': ours('relaxed', 'f32', ['image']),
  'text, q8': ours('relaxed', 'q8', ['text']),
  'image, onnxruntime-web QUInt8': onnxruntime(1),
  'image, onnxruntime-web QUInt8, 2 threads': onnxruntime(2),
};
const PEER = 'image, onnxruntime-web QUInt8';
/** The contestant that one of ours is compared with: with as many threads. */
const peerOf = (name) => (name.endsWith(', 2 threads') ? `${PEER}, 2 threads` : PEER);
if (!existsSync(ONNX)) {
  console.error(
    `SKIPPED: there is no ${path.relative(root, ONNX)}, so nothing is compared. \`make bench-onnx\` makes it.`,
  );
  delete CONTESTANTS[PEER];
  delete CONTESTANTS[`${PEER}, 2 threads`];
}
if (!existsSync(TOKENIZER)) {
  console.error(`SKIPPED: there is no ${TOKENIZER}, so the text tower is not measured.`);
  delete CONTESTANTS['text, q8'];
}

const hub = createHub({ prefix: '/hub', models: { 'bench/clip': CLIP } });
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/peers/': path.join(here, 'node_modules'),
    '/onnx/clip': ONNX,
    '/hub/': (request, response) => hub.handle(request, response),
  },
  '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>',
);

const EDGE = 224;
const inputs = {
  image: [
    {
      edge: EDGE,
      pixels: Array.from({ length: 4 * EDGE * EDGE }, (_, i) => (i % 4 === 3 ? 255 : (i * 2654435761) >>> 24)),
    },
  ],
  text: [{ text: 'A woman in a coat and cat is towing luggage through an airport.' }],
};
const browser = await launch();
const pages = {};
const memory = {};
for (const [name, { module, options, method }] of Object.entries(CONTESTANTS)) {
  const page = await openPage(await browser.newContext(), server.origin);
  await page.evaluate(
    ([module, options]) => window.bench.load(module, options),
    [module, { ...options, host: `${server.origin}/hub` }],
  );
  await page.evaluate(([method, inputs]) => window.bench.keep(method, inputs), [method, inputs[method]]);
  for (let i = 0; i < 3; i += 1) await page.evaluate((method) => window.bench.time(method, method, 1), method);
  memory[name] = (await page.evaluate(() => window.bench.memory())).linear;
  pages[name] = page;
}
const times = Object.fromEntries(Object.keys(pages).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const [name, page] of Object.entries(pages)) {
    const { method } = CONTESTANTS[name];
    times[name].push(await page.evaluate((method) => window.bench.time(method, method, 1), method));
  }
}
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${rounds} rounds`;
await browser.close();
server.close();

const rows = Object.keys(pages).map((name) => ({
  case: name,
  ms: median(times[name]),
  'onnxruntime-web / ours':
    !name.startsWith(PEER) && times[PEER] && name.startsWith('image')
      ? median(times[name].map((ms, round) => times[peerOf(name)][round] / ms))
      : undefined,
  'linear memory MB': memory[name] === undefined ? undefined : memory[name] / 1e6,
}));
console.log(`${machine}\n\n${markdown(rows)}\n`);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
