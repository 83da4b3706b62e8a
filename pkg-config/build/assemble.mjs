import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { ask, PACKAGE, ROOT, run } from './steps.mjs';

/** The types of an import of a `.wasm` file; they lie beside the cores. */
const WASM_TYPES = 'wasm-module.d.ts';

const SOURCE = path.join(ROOT, 'pkg-config/src');

/** Writes dist/package/ from the finished cores and the image decoders, and returns its version. The WebGPU core may be missing. */
export async function assemble(cores, images) {
  const core = path.join(PACKAGE, 'core');
  rmSync(PACKAGE, { recursive: true, force: true });
  mkdirSync(core, { recursive: true });

  const version = crateVersion();
  const { name, ...manifest } = JSON.parse(readFileSync(path.join(ROOT, 'pkg-config/package.json'), 'utf8'));
  // npm publishes no private package, so a package that lacks a core stays here.
  const lacksCore = !['threads', 'webgpu'].every((core) => cores.some(({ name }) => name === core));
  const published = { name, version, ...(lacksCore && { private: true }), ...manifest };
  writeFileSync(path.join(PACKAGE, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  const types = path.join(ROOT, 'pkg-config/types');
  cpSync(types, PACKAGE, { recursive: true });
  renameSync(path.join(PACKAGE, WASM_TYPES), path.join(core, WASM_TYPES));
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE-MIT', 'LICENSE-APACHE']) {
    if (existsSync(path.join(ROOT, file))) copyFileSync(path.join(ROOT, file), path.join(PACKAGE, file));
  }

  await layScripts(version);
  const [simd, relaxed] = cores;
  if (!readFileSync(simd.script).equals(readFileSync(relaxed.script))) {
    throw new Error(
      'the glue of the simd core and that of the relaxed core differ, so core/cpu.js cannot serve both: ship two and choose in src/runtime/',
    );
  }
  for (const { name, glue, wasm, script } of cores) {
    copyFileSync(wasm, path.join(core, `${name}.wasm`));
    copyFileSync(script, path.join(core, `${glue}.js`));
  }
  copyFileSync(images, path.join(core, 'images.wasm'));
  for (const { name, wasm } of [simd, relaxed, { name: 'images', wasm: images }])
    writeFileSync(path.join(core, `${name}.b64.js`), base64Script(wasm));
  await layThread(core);
  layWeights();
  return version;
}

/** Writes the weights of the bundled networks as scripts, which every runtime and bundler can import. */
function layWeights() {
  const folder = path.join(PACKAGE, 'weights');
  mkdirSync(folder);
  for (const name of ['generator', 'judge']) {
    writeFileSync(path.join(folder, `${name}.js`), base64Script(path.join(ROOT, 'weights', `${name}.safetensors`)));
  }
}

function base64Script(file) {
  return `export const base64 = '${readFileSync(file).toString('base64')}';\n`;
}

/** The runtimes, each with one bundled script: a page without a bundler would fetch separate modules one after the other. */
const RUNTIMES = ['web', 'inline', 'workerd', 'edge-light'];

/** The scripts that contain no core. They import the package's main entry by its name, so that there is one copy of it. */
const BESIDE = {
  react: 'react/index.ts',
  ...Object.fromEntries(['ai', 'langchain', 'orama'].map((name) => [`adapters/${name}`, `adapters/${name}.ts`])),
};

/** The scripts for Node by their names in the package. They are compiled with Node's types, which the others must not see. */
const NODE_SCRIPTS = { node: 'node/index.ts', cli: 'node/cli.ts', vite: 'vite/index.ts' };

/** Keeps cores and weights out of the bundled scripts: these import them on demand from the files beside them. The same for the main entry. */
const besideScripts = {
  name: 'beside-scripts',
  setup({ onResolve }) {
    onResolve({ filter: /^#pilotlight$/ }, () => ({ path: 'pilotlight', external: true }));
    onResolve({ filter: /^#(core|weights)\// }, ({ path: name }) => ({ path: `./${name.slice(1)}`, external: true }));
  },
};

/** The script of a thread of Node, Deno or Bun, as text: neither bundlers of servers nor Deno without permissions find files beside a script. */
async function layThread(core) {
  const beside = {
    name: 'glue',
    setup: ({ onResolve }) => onResolve({ filter: /^#core\/cpu\.js$/ }, () => ({ path: path.join(core, 'cpu.js') })),
  };
  const { outputFiles } = await build({
    absWorkingDir: SOURCE,
    entryPoints: ['worker/thread.ts'],
    conditions: ['thread'],
    bundle: true,
    write: false,
    minify: true,
    format: 'iife',
    target: 'es2022',
    plugins: [beside],
  });
  writeFileSync(path.join(core, 'thread.js'), `export const script = ${JSON.stringify(outputFiles[0].text)};\n`);
}

async function layScripts(version) {
  for (const config of ['tsconfig.json', 'tsconfig.node.json']) {
    run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `pkg-config/${config}`]);
  }
  const options = {
    absWorkingDir: SOURCE,
    outdir: PACKAGE,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    define: { __PILOTLIGHT_VERSION__: JSON.stringify(version) },
    plugins: [besideScripts],
    logLevel: 'warning',
  };
  const scripts = [
    ...RUNTIMES.map((runtime) => ({ entryPoints: { [runtime]: 'index.ts' }, conditions: [runtime] })),
    { entryPoints: { judge: 'judge.ts', webgpu: 'webgpu.ts' } },
    { entryPoints: { worker: 'worker/entry.ts' }, conditions: ['beside'] },
    { entryPoints: BESIDE, external: ['react'] },
    {
      entryPoints: NODE_SCRIPTS,
      conditions: ['inline'],
      platform: 'node',
      splitting: true,
      chunkNames: 'node-[name]-[hash]',
    },
  ];
  // The runtimes' scripts differ only in `#runtime` of src/package.json, which the condition resolves.
  await Promise.all(scripts.map((script) => build({ ...options, ...script })));
}

function crateVersion() {
  const { packages } = JSON.parse(ask('cargo', ['metadata', '--no-deps', '--format-version', '1']));
  return packages.find(({ name }) => name === 'pilotlight').version;
}
