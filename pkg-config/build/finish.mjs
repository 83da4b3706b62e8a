import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withEqualClosureNames } from './closure-names.mjs';
import { patchGlue } from './glue.mjs';
import { digest, KEPT, ROOT, run, runBeside, unlessDone } from './steps.mjs';

const WASM_BINDGEN = path.join(ROOT, '.tools/bin/wasm-bindgen');
const WASM_OPT = path.join(ROOT, 'node_modules/binaryen/bin/wasm-opt');

/** Makes the two files of a core that are shipped, wasm and glue, from cargo's wasm. */
export async function finishCore({ name, glue, optimize }, rawWasm) {
  if (!existsSync(WASM_BINDGEN)) throw new Error('.tools/bin/wasm-bindgen is missing: run `make package`');
  const folder = path.join(KEPT, name);
  const wasm = path.join(folder, `${name}.wasm`);
  const script = path.join(folder, `${glue}.js`);
  const scripts = ['finish', 'closure-names', 'glue'].map((step) => `pkg-config/build/${step}.mjs`);
  const tools = ['Cargo.lock', 'node_modules/binaryen/package.json', ...scripts];
  const bound = path.join(folder, `${glue}_bg.wasm`);

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
    writeFileSync(script, patchGlue(named.glue));
  });
  await unlessDone(wasm, digest({ texts: [bindgenInputs, ...optimize] }), async () => {
    const start = Date.now();
    // Features come from the file's own target_features section. Never --all-features: engines refuse the result.
    await runBeside(WASM_OPT, [...optimize, bound, '-o', `${wasm}.part`]);
    renameSync(`${wasm}.part`, wasm);
    console.log(`wasm-opt: ${name} in ${((Date.now() - start) / 1000).toFixed(0)} s`);
  });
  return { name, glue, wasm, script };
}

/** Returns the files of a core from an earlier build, for edit-and-test loops in which that core does not matter. */
export function keptCore({ name, glue }) {
  const folder = path.join(KEPT, name);
  const core = { name, glue, wasm: path.join(folder, `${name}.wasm`), script: path.join(folder, `${glue}.js`) };
  if (!existsSync(core.wasm)) throw new Error(`the core ${name} was never built: run once without --cores`);
  return core;
}
