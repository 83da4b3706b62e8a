import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withEqualClosureNames } from './closure-names.mjs';
import { patchGlue } from './glue.mjs';
import { withOrderedNames } from './order.mjs';
import { digest, KEPT, ROOT, run, runBeside, unlessDone } from './steps.mjs';

const WASM_BINDGEN = path.join(ROOT, '.tools/bin/wasm-bindgen');
const WASM_OPT = path.join(ROOT, 'node_modules/binaryen/bin/wasm-opt');

/**
 * LLVM has optimized already: at -O1 wasm-opt makes the download smaller, while -O2, -O3, -Os and -Oz inline more and made it 5 % larger.
 * Functions get the order of `order.mjs`.
 */
const OPTIMIZE = ['-O1', '--reorder-functions-by-name'];

/** Makes the two files of a core that are shipped, wasm and glue, from cargo's wasm. */
export async function finishCore({ name, glue, enable = [] }, rawWasm) {
  if (!existsSync(WASM_BINDGEN)) throw new Error('.tools/bin/wasm-bindgen is missing: run `make package`');
  const folder = path.join(KEPT, name);
  const wasm = path.join(folder, `${name}.wasm`);
  const script = path.join(folder, `${glue}.js`);
  const scripts = ['finish', 'closure-names', 'glue', 'order', 'wasm-names'].map(
    (step) => `pkg-config/build/${step}.mjs`,
  );
  const tools = ['Cargo.lock', 'node_modules/binaryen/package.json', ...scripts];
  const bound = path.join(folder, `${glue}_bg.wasm`);
  const ordered = path.join(folder, 'ordered.wasm');

  const bindgenInputs = digest({ files: [rawWasm, ...tools] });
  await unlessDone(script, bindgenInputs, () => {
    const flags = [
      '--target',
      'web',
      '--omit-default-module-path',
      '--experimental-reset-state-function',
      '--no-typescript',
    ];
    run(WASM_BINDGEN, [...flags, '--out-dir', folder, '--out-name', glue, rawWasm]);
    const named = withEqualClosureNames({ glue: readFileSync(script, 'utf8'), wasm: readFileSync(bound) });
    writeFileSync(bound, named.wasm);
    writeFileSync(ordered, withOrderedNames(named.wasm));
    writeFileSync(script, patchGlue(named.glue, { threads: name === 'threads', webgpu: name === 'webgpu' }));
  });
  const flags = [...OPTIMIZE, ...enable];
  await unlessDone(wasm, digest({ texts: [bindgenInputs, ...flags] }), async () => {
    const start = Date.now();
    // Features come from the file's own target_features section. Never --all-features: engines refuse the result.
    await runBeside(WASM_OPT, [...flags, ordered, '-o', `${wasm}.part`]);
    renameSync(`${wasm}.part`, wasm);
    console.log(`wasm-opt: ${name} in ${((Date.now() - start) / 1000).toFixed(0)} s`);
  });
  return { name, glue, wasm, script };
}

/** Makes the file of the image decoders that is shipped; they have no glue. */
export async function finishImages(rawWasm) {
  const wasm = imagesWasm();
  const scripts = ['finish', 'order', 'wasm-names'].map((step) => `pkg-config/build/${step}.mjs`);
  const inputs = digest({ texts: OPTIMIZE, files: [rawWasm, 'node_modules/binaryen/package.json', ...scripts] });
  await unlessDone(wasm, inputs, async () => {
    const ordered = path.join(KEPT, 'images', 'ordered.wasm');
    writeFileSync(ordered, withOrderedNames(readFileSync(path.join(ROOT, rawWasm))));
    await runBeside(WASM_OPT, [...OPTIMIZE, ordered, '-o', `${wasm}.part`]);
    renameSync(`${wasm}.part`, wasm);
  });
  return wasm;
}

/** Returns the image decoders of an earlier build. */
export function keptImages() {
  const wasm = imagesWasm();
  if (!existsSync(wasm)) throw new Error('the image decoders were never built: run once without --cores');
  return wasm;
}

/** Makes the file of a core, or of the image decoders (`images`), with the names of its functions, which those that are shipped do not have. */
export async function withNames(name) {
  const folder = path.join(KEPT, name);
  const own = { images: 'cargo.wasm', threads: 'threads_bg.wasm', webgpu: 'webgpu_bg.wasm' };
  const bare = path.join(folder, own[name] ?? 'cpu_bg.wasm');
  const named = path.join(folder, 'named.wasm');
  const enable = ['relaxed', 'threads'].includes(name) ? ['--enable-relaxed-simd'] : [];
  const files = [path.relative(ROOT, bare), 'node_modules/binaryen/package.json', 'pkg-config/build/finish.mjs'];
  await unlessDone(named, digest({ texts: OPTIMIZE, files }), async () => {
    await runBeside(WASM_OPT, [...OPTIMIZE, ...enable, '--debuginfo', bare, '-o', `${named}.part`]);
    renameSync(`${named}.part`, named);
  });
  return named;
}

const imagesWasm = () => path.join(KEPT, 'images', 'images.wasm');

/** Returns the files of a core from an earlier build, for edit-and-test loops in which that core does not matter. */
export function keptCore({ name, glue }) {
  const folder = path.join(KEPT, name);
  const core = { name, glue, wasm: path.join(folder, `${name}.wasm`), script: path.join(folder, `${glue}.js`) };
  if (!existsSync(core.wasm)) throw new Error(`the core ${name} was never built: run once without --cores`);
  return core;
}
