// Times VectorIndex in Chromium and in Node, beside a loop that only reads the same bytes, and measures what the prefilter finds.
//
//   node benches/search.mjs [--rounds 31] [--rows 100000] [--json FILE]
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { VectorIndex } from 'pilotlight';
import { ROOT } from '../pkg-config/build/steps.mjs';
import { launch, markdown, median, serve } from './browser.mjs';
import { buildKernels, FOLDER } from './build-kernels.mjs';
import { DIMENSIONS, sentenceVectors, split } from './sentences.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '31' },
    rows: { type: 'string', default: '100000' },
    json: { type: 'string' },
  },
});
await buildKernels('simd');
const folder = path.join(FOLDER, 'simd');

const size = { rows: Number(options.rows), dimensions: 512, rounds: Number(options.rounds) };

async function inNode() {
  const kernels = await import(path.join(folder, 'kernels.js'));
  await kernels.default({ module_or_path: readFileSync(path.join(folder, 'kernels_bg.wasm')) });
  return measure({ ...size, VectorIndex, kernels });
}

async function inChromium() {
  const server = await serve({ '/kernels/': folder, '/package/': path.join(ROOT, 'node_modules/pilotlight') });
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(server.origin);
  const times = await page.evaluate(`(async () => {
    const kernels = await import('/kernels/kernels.js');
    await kernels.default();
    const { VectorIndex } = await import('/package/web.js');
    return (${measure})({ ...${JSON.stringify(size)}, VectorIndex, kernels });
  })()`);
  const version = browser.version();
  await browser.close();
  server.close();
  return { times, version };
}

/** Milliseconds of each round, in turn. */
async function measure({ rows, dimensions, rounds, VectorIndex, kernels }) {
  let state = 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
  // Around as many centres as there are topics: values without any would leave the prefilter nothing to find.
  const centres = Float32Array.from({ length: 200 * dimensions }, random);
  const vectors = new Float32Array(rows * dimensions);
  for (let row = 0; row < rows; row += 1) {
    const centre = (row % 200) * dimensions;
    for (let i = 0; i < dimensions; i += 1) vectors[row * dimensions + i] = centres[centre + i] + 1.5 * random();
  }
  const queries = Array.from({ length: 16 }, (_, q) =>
    vectors.slice(q * 37 * dimensions, (q * 37 + 1) * dimensions).map((x) => x + random()),
  );
  const ids = Array.from({ length: rows }, (_, i) => i);
  const texts = ids.map((i) => `note ${i}`);
  const int8 = await VectorIndex.create({ dimensions, prefilter: true });
  const times = { 'building, integer ids': [], 'building, texts as ids': [] };
  for (let i = 0; i < 3; i += 1) {
    for (const [name, keys] of [
      ['building, integer ids', ids],
      ['building, texts as ids', texts],
    ]) {
      const index = await VectorIndex.create({ dimensions });
      const start = performance.now();
      index.add(keys, vectors);
      times[name].push(performance.now() - start);
      index.dispose();
    }
  }
  int8.add(ids, vectors, { tags: ids.map((i) => [i % 10 ? 'many' : 'tenth']) });
  const float32 = await VectorIndex.create({ dimensions, precision: 'float32' });
  float32.add(ids, vectors);
  const binary = await VectorIndex.create({ dimensions, precision: 'binary' });
  binary.add(ids, vectors);
  const bare = new kernels.BareRead(rows * dimensions);
  const runs = {
    'bare loop over the int8 rows': () => bare.run(),
    'int8, exact': (query) => int8.search(query, 10, { exact: true }),
    'int8, prefilter': (query) => int8.search(query, 10),
    'int8, exact, a tag of a tenth': (query) => int8.search(query, 10, { exact: true, filter: { tags: ['tenth'] } }),
    'int8, exact, a function': (query) => int8.search(query, 10, { exact: true, filter: (id) => id % 2 === 0 }),
    'float32, exact': (query) => float32.search(query, 10),
    binary: (query) => binary.search(query, 10),
  };
  // Engines compile WebAssembly well only after a while.
  for (let i = 0; i < 10; i += 1) for (const call of Object.values(runs)) call(queries[i]);
  for (const name of Object.keys(runs)) times[name] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, call] of Object.entries(runs)) {
      const start = performance.now();
      call(queries[round % queries.length]);
      times[name].push(performance.now() - start);
    }
  }
  let start = performance.now();
  const bytes = int8.toBytes();
  times['toBytes, int8'] = [performance.now() - start];
  start = performance.now();
  (await VectorIndex.fromBytes(bytes)).dispose();
  times['fromBytes, int8 with prefilter'] = [performance.now() - start];
  for (const index of [int8, float32, binary]) index.dispose();
  return times;
}

/** Measures the recall of each way of searching: the share of the ten nearest by exact float32 search that it finds. */
async function recall() {
  const vectors = await sentenceVectors();
  const { rows, queries } = split(vectors);
  const ids = rows.map((_, i) => i);
  const make = async (options) => {
    const index = await VectorIndex.create({ dimensions: DIMENSIONS, ...options });
    index.add(ids, rows);
    return index;
  };
  const [float32, int8, binary] = [
    await make({ precision: 'float32', prefilter: true }),
    await make({ prefilter: true }),
    await make({ precision: 'binary' }),
  ];
  const best = queries.map((query) => new Set(float32.search(query, 10, { exact: true }).map(({ id }) => id)));
  const of = (search) => {
    let found = 0;
    for (const [i, query] of queries.entries()) found += search(query).filter(({ id }) => best[i].has(id)).length;
    return found / (10 * queries.length);
  };
  const table = [20, 50, 100, 150, 200, 300, 400, 800].map((candidates) => ({
    candidates,
    'float32 rows': of((query) => float32.search(query, 10, { candidates })),
    'int8 rows': of((query) => int8.search(query, 10, { candidates })),
  }));
  table.push({
    candidates: 'default',
    'float32 rows': of((query) => float32.search(query, 10)),
    'int8 rows': of((query) => int8.search(query, 10)),
  });
  table.push({
    candidates: 'exact',
    'float32 rows': 1,
    'int8 rows': of((query) => int8.search(query, 10, { exact: true })),
  });
  const found = {
    sentences: rows.length,
    queries: queries.length,
    binary: of((query) => binary.search(query, 10)),
    table,
  };
  for (const index of [float32, int8, binary]) index.dispose();
  return found;
}

const found = await recall();
const node = await inNode();
const { times: chromium, version } = await inChromium();
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${version}, Node ${process.versions.node}`;
const what = `${size.rows} x ${size.dimensions}, the best 10; ms, medians of ${size.rounds} rounds and the least`;
const least = (times) => Math.min(...times);
const timed = Object.keys(chromium).map((name) => ({
  search: name,
  Chromium: median(chromium[name]),
  'its least': least(chromium[name]),
  Node: median(node[name]),
  'the least there': least(node[name]),
}));
const ratio = (name, to, of) => ({
  ratio: `${name} / ${to}`,
  Chromium: of(chromium[name]) / of(chromium[to]),
  Node: of(node[name]) / of(node[to]),
});
const ratios = [median, least].flatMap((of) => [
  ratio('int8, exact', 'bare loop over the int8 rows', of),
  ratio('int8, prefilter', 'int8, exact', of),
]);
console.log(
  `${machine}\n\n${what}\n\n${markdown(timed)}\n\nof the medians, then of the least\n\n${markdown(ratios)}\n`,
);
if (found.table)
  console.log(
    `recall of the ten nearest, ${found.sentences} sentences, ${found.queries} queries; binary alone ${found.binary.toFixed(3)}\n\n${markdown(found.table)}\n`,
  );
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, what, timed, ratios, recall: found }, null, 2)}\n`);
}
