// Measures encoders of other families than MiniLM's against onnxruntime-web: in one Chromium, in turn, on the same 128 tokens, each in a
// page of its own.
//
//   node benches/families.mjs [--rounds 15] [--few] [--json FILE]
//
// Weights are seeded: time does not depend on them. Both must give the same vector, though, so that they compute the same.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createHub } from '../tests/hub/hub.mjs';
import { launch, markdown, median, openPage, serve } from './browser.mjs';
import { ofTokens, wholeWords } from './inputs.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, json: { type: 'string' }, few: { type: 'boolean' } },
});
const rounds = Number(options.rounds);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
// Times the peer's speed that is asked of the package.
const ASKED = 1.8;
const FAMILIES = ['modernbert-base', 'xlm-roberta-base'];
const KINDS = { QUInt8: 'quint8', QInt8: 'qint8' };
const folder = (family) => path.join(root, 'target/models', family);
const onnx = (family, kind) => path.join(here, 'onnx', `${family}-${kind}.onnx`);

const files = FAMILIES.flatMap((family) => [
  path.join(folder(family), 'model.safetensors'),
  ...Object.values(KINDS).map((kind) => onnx(family, kind)),
]);
const missing = files.filter((file) => !existsSync(file));
if (missing.length > 0) {
  const names = missing.map((file) => path.relative(root, file)).join(', ');
  console.error(`SKIPPED: there is no ${names}, so nothing is compared. \`make bench-onnx\` makes them.`);
  process.exit(0);
}

const hub = createHub({
  prefix: '/hub',
  models: Object.fromEntries(FAMILIES.map((family) => [`bench/${family}`, folder(family)])),
});
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/peers/': path.join(here, 'node_modules'),
    '/onnx/': path.join(here, 'onnx'),
    '/hub/': (request, response) => hub.handle(request, response),
  },
  '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>',
);

const ours = (family, core, dtype) => ({
  module: 'pilotlight',
  options: { core, dtype, model: `bench/${family}`, host: `${server.origin}/hub`, store: false },
});
const input = ofTokens(wholeWords(MINILM), 1, 128);
const browser = await launch();

async function open({ module, options }) {
  const page = await openPage(await browser.newContext(), server.origin);
  await page.evaluate(([module, options]) => window.bench.load(module, options), [module, options]);
  await page.evaluate((input) => window.bench.keep('1x128', [input]), input);
  return page;
}

function cosine(a, b) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

async function measure(family) {
  const contestants = {
    'pilotlight q8': ours(family, 'relaxed', 'q8'),
    ...(options.few
      ? {}
      : { 'pilotlight q8, simd128': ours(family, 'simd', 'q8'), 'pilotlight f32': ours(family, 'relaxed', 'f32') }),
  };
  for (const [name, kind] of Object.entries(KINDS)) {
    contestants[`onnxruntime-web ${name}`] = {
      module: 'onnxruntime',
      options: { threads: 1, onnx: `/onnx/${family}-${kind}.onnx` },
    };
  }
  const names = Object.keys(contestants);
  const pages = {};
  for (const name of names) pages[name] = await open(contestants[name]);
  const vectors = {};
  for (const name of names) vectors[name] = await pages[name].evaluate((i) => window.bench.call('first', i), input);
  const time = (name) => pages[name].evaluate(() => window.bench.time('hidden', '1x128', 1));
  for (const name of names) for (let i = 0; i < 3; i += 1) await time(name);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) for (const name of names) times[name].push(await time(name));
  for (const page of Object.values(pages)) await page.context().close();
  return names.map((name) => {
    const ratio = (peer) =>
      name.startsWith('pilotlight') ? median(times[name].map((ms, round) => times[peer][round] / ms)) : undefined;
    return {
      family,
      case: name,
      ms: median(times[name]),
      'least ms': Math.min(...times[name]),
      ...Object.fromEntries(Object.keys(KINDS).map((kind) => [`${kind} / ours`, ratio(`onnxruntime-web ${kind}`)])),
      asked: name === 'pilotlight q8' ? ASKED : undefined,
      'cosine to q8': cosine(vectors[name], vectors['pilotlight q8']),
    };
  });
}

const rows = [];
for (const family of FAMILIES) rows.push(...(await measure(family)));
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; 1x128 tokens, one thread; medians of ${rounds} rounds`;
await browser.close();
server.close();
console.log(`${machine}\n\n${markdown(rows)}\n`);
// Random weights round far worse than trained ones, but vectors of two models would have nothing in common.
const strange = rows.filter((row) => !(row['cosine to q8'] > 0.9));
if (strange.length > 0) throw new Error(`Vectors are not those of the same model: ${JSON.stringify(strange)}`);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
