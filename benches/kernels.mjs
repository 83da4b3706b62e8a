// Times the kernels alone in Chromium: Gop/s of linear layers by shape, beside what the bare integer loop reaches in the same run, and a
// single row beside a loop that only reads as many bytes as it has weights.
//
//   node benches/kernels.mjs [--rounds 9] [--few] [--json FILE]
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { launch, markdown, median, serve } from './browser.mjs';
import { buildKernels, FOLDER } from './build-kernels.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'string' }, few: { type: 'boolean' } },
});
const BUILDS = ['relaxed', 'simd'];
for (const name of BUILDS) await buildKernels(name);

// [m, k, n]: MiniLM's layers, then CLIP's and Qwen2.5's sizes, then few rows and many.
const SHAPES = [
  [128, 384, 384],
  [128, 384, 1536],
  [128, 1536, 384],
  ...(options.few
    ? []
    : [
        [128, 512, 512],
        [128, 768, 768],
        [128, 768, 3072],
        [128, 3072, 768],
        [128, 896, 4864],
        [128, 4864, 896],
      ]),
  [16, 384, 1536],
  [50, 768, 3072],
  [2048, 384, 1536],
  [1, 384, 1536],
  [1, 896, 4864],
  [1, 4864, 896],
];

const server = await serve({ '/kernels/': FOLDER });
const browser = await launch();
const page = await browser.newPage();
await page.goto(server.origin);
const results = await page.evaluate(measure, {
  shapes: SHAPES,
  builds: BUILDS,
  rounds: Number(options.rounds),
});
await browser.close();
server.close();

async function measure({ shapes, builds, rounds }) {
  const modules = {};
  for (const name of builds) {
    modules[name] = await import(`/kernels/${name}/kernels.js`);
    await modules[name].default();
  }
  const results = [];
  for (const [m, k, n] of shapes) {
    const runs = {};
    for (const dtype of ['q8', 'q4', 'f32']) {
      for (const name of builds) {
        const layer = modules[name].LinearBench.of(dtype, m, k, n);
        runs[`${dtype} ${name}`] = { call: (repeats) => layer.run(repeats, false), free: () => layer.free() };
      }
    }
    const bare = m >= 3 ? new modules.relaxed.BareLoop(m, k, n) : undefined;
    if (bare) {
      runs['bare dot'] = { call: (repeats) => bare.dot(repeats), rows: m - (m % 3), free: () => bare.free() };
      runs['bare pairs'] = { call: (repeats) => bare.pairs(repeats), rows: m - (m % 3), free: () => {} };
      // In registers alone: 12 vectors of four sums.
      const steps = Math.ceil((m * k * n) / 48);
      runs['bare madd'] = { call: (repeats) => modules.relaxed.bareMadd(steps * repeats), free: () => {} };
    }
    if (m === 1) {
      for (const [dtype, bytes] of [
        ['q8', k * n],
        ['q4', (k * n * 9) / 16],
      ]) {
        const read = new modules.relaxed.BareRead(bytes);
        const call = (repeats) => {
          for (let i = 0; i < repeats; i += 1) read.run();
        };
        runs[`${dtype} read`] = { call, free: () => read.free() };
      }
    }
    const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
    const repeats = {};
    for (const [name, { call }] of Object.entries(runs)) {
      call(1);
      const start = performance.now();
      call(1);
      repeats[name] = Math.max(1, Math.round(20 / (performance.now() - start + 0.05)));
      call(repeats[name]);
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, { call, rows = m }] of Object.entries(runs)) {
        const start = performance.now();
        call(repeats[name]);
        times[name].push((((performance.now() - start) / repeats[name]) * m) / rows);
      }
    }
    for (const { free } of Object.values(runs)) free();
    results.push({ m, k, n, times });
  }
  return results;
}

function share(times, dtype) {
  const read = times[`${dtype} read`];
  return read && (100 * median(read)) / median(times[`${dtype} relaxed`]);
}

const rows = results.map(({ m, k, n, times }) => {
  const gops = (name) => (times[name] ? (2 * m * k * n) / median(times[name]) / 1e6 : undefined);
  const ceiling = times['bare dot'] ? Math.max(gops('bare dot'), gops('bare pairs')) : undefined;
  const q8 = gops('q8 relaxed');
  return {
    shape: `${m}x${k}x${n}`,
    'q8 relaxed': q8,
    'bare dot': gops('bare dot'),
    'bare pairs': gops('bare pairs'),
    'share of bare %': ceiling && (100 * q8) / ceiling,
    'q8 simd': gops('q8 simd'),
    'q4 relaxed': gops('q4 relaxed'),
    'f32 relaxed': gops('f32 relaxed'),
    'bare madd': gops('bare madd'),
    'f32 share of bare %': times['bare madd'] && (100 * gops('f32 relaxed')) / gops('bare madd'),
    'f32 simd': gops('f32 simd'),
    'q4 simd': gops('q4 simd'),
    // One row reads every weight once: its limit is the speed of memory.
    'q8 GB/s of weights': m === 1 ? (k * n) / median(times['q8 relaxed']) / 1e6 : undefined,
    'q8 share of bare read %': share(times, 'q8'),
    'q4 share of bare read %': share(times, 'q4'),
  };
});
console.log(
  `Gop/s, medians of ${options.rounds} rounds; a multiplication and an addition are two\n\n${markdown(rows)}\n`,
);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}
