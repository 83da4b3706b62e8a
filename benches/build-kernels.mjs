// Compiles benches/kernels.rs for all the benches that time kernels alone.
import path from 'node:path';
import { build } from '../pkg-config/build/cargo.mjs';
import { ROOT, run } from '../pkg-config/build/steps.mjs';

export const FOLDER = path.join(ROOT, 'target/bench');
const FEATURES = { relaxed: ['relaxed-simd'], simd: [] };

/** Puts `kernels.js` and its wasm in the build's folder of `FOLDER`. */
export async function buildKernels(name) {
  // The crate is compiled to be small; the bare loops, which stand in the example, shall be compiled like the kernels.
  const made = await build(['--example', 'kernels', '--config', 'profile.release.opt-level=3'], {
    features: FEATURES[name],
    profile: 'release',
  });
  run(path.join(ROOT, '.tools/bin/wasm-bindgen'), [
    '--target',
    'web',
    '--no-typescript',
    '--out-dir',
    path.join(FOLDER, name),
    path.join(made, 'examples/kernels.wasm'),
  ]);
}
