import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { ask, digest, filesUnder, isDone, KEPT, ROOT, runBeside, unlessDone } from './steps.mjs';

const TARGET = 'wasm32-unknown-unknown';

/** The features of each module. */
export const FEATURES = {
  simd: [],
  relaxed: ['relaxed-simd'],
  threads: ['threads'],
  webgpu: ['webgpu'],
  images: ['pilotlight-images/module'],
};

/** Leaves out unused features of dependencies, and compiles the crates that run in several threads with atomics. */
const WRAPPER = 'pkg-config/build/rustc.sh';

/**
 * Compiles the crate for one core and returns the path of its raw wasm.
 * Cargo gives all builds the same file name, so alternating between them links each anew: hence our own digest of the inputs, and a copy.
 */
export async function compileCore(core) {
  const { name, features, profile } = core;
  const output = rawWasm(core);
  await unlessDone(output, inputsOf(core), async () => {
    console.log(`cargo: ${name} (profile ${profile})`);
    const folder = await build(['--lib'], { features, profile });
    copyFileSync(path.join(folder, 'pilotlight.wasm'), output);
  });
  return path.relative(ROOT, output);
}

/** Compiles the decoders of images and returns the path of the raw wasm. */
export async function compileImages(profile) {
  const output = path.join(KEPT, 'images', 'cargo.wasm');
  const features = FEATURES.images;
  await unlessDone(output, inputsOf({ features, profile }), async () => {
    console.log(`cargo: images (profile ${profile})`);
    const folder = await build(['--lib', '--package', 'pilotlight-images'], { features, profile });
    copyFileSync(path.join(folder, 'pilotlight_images.wasm'), output);
  });
  return path.relative(ROOT, output);
}

/** Whether the raw wasm of a core is up to date. */
export function isCompiled(core) {
  return isDone(rawWasm(core), inputsOf(core));
}

const rawWasm = ({ name }) => path.join(KEPT, name, 'cargo.wasm');

function inputsOf({ features, profile }) {
  return digest({
    texts: [profile, ...features, process.env.RUSTFLAGS ?? '', ask('rustc', ['--version'])],
    files: [
      ...filesUnder('src', 'kernels', 'images', '.cargo'),
      'build.rs',
      'Cargo.toml',
      'Cargo.lock',
      'rust-toolchain.toml',
      'pkg-config/build/cargo.mjs',
      WRAPPER,
    ],
  });
}

/** Runs `cargo build` and returns the folder with its output. */
export async function build(what, options) {
  const targetFolder = await cargo('build', what, options);
  // Cargo's folder for the profile `dev` is called `debug`.
  return path.join(targetFolder, TARGET, options.profile === 'dev' ? 'debug' : options.profile);
}

/** Runs `cargo test` for WebAssembly. */
export function test(what, options) {
  return cargo('test', what, options);
}

/** Runs a command of cargo and returns cargo's target folder. */
async function cargo(command, what, { features, profile }) {
  const { packages, target_directory: targetFolder } = JSON.parse(
    ask('cargo', ['metadata', '--locked', '--format-version', '1']),
  );
  const flags = ['--locked', ...what, '--profile', profile, '--target', TARGET];
  if (features.length > 0) flags.push('--features', features.join(','));
  const wrapper = `build.rustc-wrapper=${JSON.stringify(path.join(ROOT, WRAPPER))}`;
  await runBeside('cargo', [command, ...flags, '--config', wrapper, '--config', flagsFor(packages)]);
  return targetFolder;
}

/**
 * Returns a cargo setting that shortens the paths of dependencies in panic messages to `crates/<name>-<version>/…`. Cargo adds its
 * flags to those of .cargo/config.toml.
 */
function flagsFor(packages) {
  const folders = packages
    .filter(({ source }) => source)
    .map(({ manifest_path: manifest }) => path.dirname(path.dirname(manifest)));
  const flags = [...new Set(folders)].map((folder) => `--remap-path-prefix=${folder}=crates`);
  // If the component rust-src is installed, panic messages name the standard library by its path there.
  flags.push(`--remap-path-prefix=${ask('rustc', ['--print', 'sysroot'])}/lib/rustlib/src/rust=rust`);
  // Cargo compiles anew when flags change, and not when the wrapper does.
  flags.push(`--cfg=wrapper_${digest({ files: [WRAPPER] }).slice(0, 8)}`);
  return `target.${TARGET}.rustflags=${JSON.stringify(flags)}`;
}
