/**
 * Builds the package and the page, and serves it: `node www/demo.mjs`, with the options of pkg-config/build.mjs.
 *
 * The WebGPU core takes as long to compile as all the rest. Where it is not up to date, the page is served without it, and the core is
 * built meanwhile and laid beside the page.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT, run, startGroup } from '../pkg-config/build/steps.mjs';
import { explainAbsence, putCore } from './build/late-webgpu.mjs';
import { serveHere } from './serve.mjs';

const BUILD = ['pkg-config/build.mjs', ...process.argv.slice(2)];
const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const DIST = path.join(ROOT, 'www/dist');

process.on('uncaughtException', ({ message }) => {
  console.error(`www/demo.mjs: ${message}`);
  process.exit(1);
});

run(process.execPath, [...BUILD, '--webgpu-later']);
const late = !existsSync(path.join(PACKAGE, 'core/webgpu.wasm'));
run('node_modules/.bin/tsc', ['-p', 'www']);
run('node_modules/.bin/vite', ['build', 'www', '--logLevel', 'warn', ...(late ? ['--mode', 'late-webgpu'] : [])]);
if (late) explainAbsence(DIST, 'the WebGPU core is still being built; reload the page in a few minutes');
await serveHere();
if (late) await addWebgpu();

async function addWebgpu() {
  console.log(
    'The page runs on the CPU. The WebGPU core is being built, which takes some minutes and slows the page down.',
  );
  const build = startGroup(process.execPath, BUILD);
  process.on('exit', build.stop);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, (_, number) => process.exit(128 + number));
  try {
    await build.ended;
    putCore(DIST, PACKAGE);
    console.log('The WebGPU core is built: reload the page to use it.');
  } catch ({ message }) {
    explainAbsence(DIST, 'the WebGPU core could not be built; the terminal of the demo says why');
    console.error(`The WebGPU core could not be built (${message}). The page goes on without it.`);
  }
}
