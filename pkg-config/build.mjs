/**
 * Builds the npm package: `node pkg-config/build.mjs [--profile NAME] [--webgpu-later]`.
 *
 * cargo (four cores, and the image decoders) → wasm-bindgen → wasm-opt → TypeScript scripts → dist/package/ → dist/pilotlight-<version>.tgz → node_modules/pilotlight.
 * Each step is skipped while its inputs are unchanged; intermediate files are kept in target/pkg/.
 * `--webgpu-later` leaves out the WebGPU core and the one with threads where they would have to be compiled. Such a package is for the demo, and npm refuses to publish it.
 */
import { parseArgs } from 'node:util';
import { assemble } from './build/assemble.mjs';
import { compileCore, compileImages, FEATURES, isCompiled } from './build/cargo.mjs';
import { finishCore, finishImages, keptCore, keptImages } from './build/finish.mjs';
import { installPackage, pack } from './build/pack.mjs';
import { printSizes } from './build/sizes.mjs';

const { values } = parseArgs({
  options: {
    profile: { type: 'string', default: process.env.PILOTLIGHT_PROFILE ?? 'release' },
    cores: { type: 'string', default: process.env.PILOTLIGHT_CORES ?? 'simd,relaxed,threads,webgpu,images' },
    'webgpu-later': { type: 'boolean', default: false },
  },
});

const { profile } = values;

/** The cores to build. `simd` and `relaxed` share one glue, `core/cpu.js`. */
const CORES = [
  { name: 'simd', glue: 'cpu', features: FEATURES.simd, profile },
  { name: 'relaxed', glue: 'cpu', features: FEATURES.relaxed, enable: ['--enable-relaxed-simd'], profile },
  { name: 'threads', glue: 'threads', features: FEATURES.threads, enable: ['--enable-relaxed-simd'], profile },
  { name: 'webgpu', glue: 'webgpu', features: FEATURES.webgpu, profile },
];

process.on('uncaughtException', ({ message }) => {
  console.error(`pkg-config/build.mjs: ${message}`);
  process.exit(1);
});

const wanted = values.cores.split(',');
const later = values['webgpu-later'];
const cores = CORES.filter((core) => !(later && ['threads', 'webgpu'].includes(core.name)) || isCompiled(core));

// Cargo lets no two builds use the same folder. Each core is finished beside the builds of the next ones, and the largest, which takes longest, first.
const made = {};
for (const core of cores.toReversed())
  made[core.name] = wanted.includes(core.name) ? finishCore(core, await compileCore(core)) : keptCore(core);
const decoders = wanted.includes('images') ? finishImages(await compileImages(profile)) : keptImages();
const [images, ...finished] = await Promise.all([decoders, ...cores.map(({ name }) => made[name])]);
const version = await assemble(finished, images);
const tarball = pack();
installPackage(tarball);
printSizes(finished, images);
console.log(`pilotlight ${version}: ${tarball}`);
