// One process of benches/bounds.mjs: makes the kernel that it is asked for, then times it each time that it is asked.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { FOLDER } from './build-kernels.mjs';

const folder = path.join(FOLDER, process.argv[2]);
const module = await import(pathToFileURL(path.join(folder, 'kernels.js')).href);
module.initSync({ module: readFileSync(path.join(folder, 'kernels_bg.wasm')) });

let kernel;
let repeats;
process.on('message', ({ make, milliseconds }) => {
  if (make) {
    const [type, ...args] = make;
    kernel?.free();
    kernel = module[type].of(...args);
    kernel.run(2);
    repeats = undefined;
    process.send(process.version);
    return;
  }
  repeats ??= Math.max(1, Math.round(milliseconds / time(3)));
  process.send(time(repeats));
});

/** Returns the milliseconds of one run, as the mean of `count` runs. */
function time(count) {
  const start = performance.now();
  kernel.run(count, false);
  return (performance.now() - start) / count;
}
