// Times the digit generator in Chromium: its convolutions and whole digits, beside the speed that the bare f32 loop reaches in the same run.
//
//   node benches/digits.mjs [--rounds 9] [--json FILE]
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../pkg-config/build/steps.mjs';
import { launch, markdown, median, serve } from './browser.mjs';
import { buildKernels, FOLDER } from './build-kernels.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'string' } },
});
await buildKernels('relaxed');
const folder = path.join(FOLDER, 'relaxed');

/** Multiply-adds of the network for one digit: each convolution's pixels, inputs and outputs. */
const WIDTH = 48;
const conv = (edge, window, c, n) => edge ** 2 * window ** 2 * c * n;
const NETWORK =
  conv(14, 3, 1, WIDTH) +
  8 * conv(14, 3, WIDTH, WIDTH) +
  conv(7, 3, WIDTH, 2 * WIDTH) +
  6 * conv(7, 3, 2 * WIDTH, 2 * WIDTH) +
  conv(7, 1, 2 * WIDTH, WIDTH) +
  conv(14, 3, WIDTH, 4);
/** [digits, edge, inputs, outputs] */
const SHAPES = [
  [2, 14, 48, 48],
  [2, 7, 96, 96],
  [64, 14, 48, 48],
  [64, 7, 96, 96],
  [2, 14, 48, 4],
];

/** The runs of the network for a digit: one at each of 7 steps, and one more in the two where guidance acts (`src/tasks/digit_generator.rs`). */
const EVALUATIONS = { one: 7 + 2, unguided: 7, hundred: 100 * (7 + 2) };

const server = await serve(
  { '/kernels/': folder, '/package/': path.join(ROOT, 'node_modules/pilotlight') },
  `<!doctype html><title>digits</title><script type="module">
    if (location.hash === '#first') {
      const { DigitGenerator } = await import('/package/web.js');
      const generator = await DigitGenerator.load({ worker: false });
      const loaded = performance.now();
      await generator.generate({ digit: 3 });
      window.times = { loaded, first: performance.now() };
    }
  </script>`,
);
const browser = await launch();
const context = await browser.newContext();
const page = await context.newPage();
await page.goto(server.origin);
const rounds = Number(options.rounds);
const times = await page.evaluate(measure, { shapes: SHAPES, rounds });
await page.close();

/** New pages whose files are in the HTTP cache, as after a first visit. */
const opened = [];
for (let round = 0; round < rounds + 2; round += 1) {
  const page = await context.newPage();
  await page.goto(`${server.origin}/#first`);
  await page.waitForFunction(() => window.times);
  opened.push(await page.evaluate(() => window.times));
  await page.close();
}
opened.splice(0, 2);
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${rounds} rounds`;
await browser.close();
server.close();

async function measure({ shapes, rounds }) {
  const kernels = await import('/kernels/kernels.js');
  await kernels.default();
  const { DigitGenerator } = await import('/package/web.js');
  const generator = await DigitGenerator.load({ device: 'cpu' });
  if (generator.backend.simd !== 'relaxed-simd') throw new Error('this Chromium has no relaxed SIMD');
  const convs = shapes.map((shape) => kernels.ConvBench.of(...shape));
  const repeats = shapes.map(([b]) => (b > 2 ? 1 : 20));
  const runs = {
    bare: () => kernels.bareMadd(1e6),
    ...Object.fromEntries(shapes.map((shape, i) => [`conv ${shape}`, () => convs[i].run(repeats[i])])),
    one: () => generator.generate({ digit: 3, seed: 1 }),
    unguided: () => generator.generate({ digit: 3, seed: 1, guidance: 1 }),
    hundred: () => generator.generate({ text: '0123456789', count: 10, seed: 1 }),
  };
  const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (const call of Object.values(runs)) await call();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, call] of Object.entries(runs)) {
      const start = performance.now();
      await call();
      times[name].push(performance.now() - start);
    }
  }
  for (const [i, shape] of shapes.entries())
    times[`conv ${shape}`] = times[`conv ${shape}`].map((ms) => ms / repeats[i]);
  return times;
}

const BARE_STEPS = 1e6;
const BARE_SUMS = 12;
const bare = (8 * BARE_SUMS * BARE_STEPS) / median(times.bare) / 1e6;
const gflops = (madds, name) => (2 * madds) / median(times[name]) / 1e6;
const convolutions = SHAPES.map((shape) => {
  const [b, edge, c, n] = shape;
  const reached = gflops(b * conv(edge, 3, c, n), `conv ${shape}`);
  return {
    convolution: `${b} x ${edge} x ${edge} x ${c} to ${n}`,
    'Gflop/s': reached,
    'share of bare %': (100 * reached) / bare,
  };
});
const whole = Object.entries(EVALUATIONS).map(([name, evaluations]) => ({
  what: { one: 'one digit', unguided: 'one digit, guidance 1', hundred: '100 digits' }[name],
  ms: median(times[name]),
  'Gflop/s': gflops(evaluations * NETWORK, name),
  'times the bare loop': bare / gflops(evaluations * NETWORK, name),
}));
whole.push({ what: 'first digit after the page opens, files cached', ms: median(opened.map(({ first }) => first)) });
console.log(
  `${machine}; bare f32 loop ${bare.toFixed(1)} Gflop/s\n\n${markdown(convolutions)}\n\n${markdown(whole)}\n`,
);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, bare, convolutions, whole }, null, 2)}\n`);
}
