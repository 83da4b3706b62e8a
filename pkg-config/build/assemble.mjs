import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { ask, KEPT, PACKAGE, ROOT, run } from './steps.mjs';

/** Lays out dist/package/ from the finished cores and returns its version. */
export function assemble(cores) {
  const core = path.join(PACKAGE, 'core');
  rmSync(PACKAGE, { recursive: true, force: true });
  mkdirSync(core, { recursive: true });

  const version = crateVersion();
  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'pkg-config/package.json'), 'utf8'));
  writeFileSync(path.join(PACKAGE, 'package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  for (const types of ['index.d.ts', 'judge.d.ts', 'node.d.ts'])
    copyFileSync(path.join(ROOT, 'pkg-config/types', types), path.join(PACKAGE, types));
  copyFileSync(path.join(ROOT, 'pkg-config/types/wasm-module.d.ts'), path.join(core, 'wasm-module.d.ts'));
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE-MIT', 'LICENSE-APACHE']) {
    if (existsSync(path.join(ROOT, file))) copyFileSync(path.join(ROOT, file), path.join(PACKAGE, file));
  }

  layEntries(version);
  const [simd, relaxed] = cores;
  if (!readFileSync(simd.script).equals(readFileSync(relaxed.script))) {
    throw new Error(
      'the glue of the simd and the relaxed core differ: core/cpu.js cannot serve both; ship two and choose in the entries',
    );
  }
  for (const { name, glue, wasm, script } of cores) {
    copyFileSync(wasm, path.join(core, `${name}.wasm`));
    copyFileSync(script, path.join(core, `${glue}.js`));
  }
  for (const { name, wasm } of [simd, relaxed]) writeFileSync(path.join(core, `${name}.b64.js`), base64Script(wasm));
  layWeights();
  return version;
}

/** The small networks that come with the package: as scripts, which every runtime and bundler knows how to find. */
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

/** One file for each runtime: a page without a bundler fetches module after module, each when the one before is there. */
const ENTRIES = ['web', 'inline', 'workerd', 'edge-light', 'judge'];

/** What needs files, by the names in the package: it is compiled with Node's types, which the others must not see. */
const NODE_ENTRIES = { node: 'node/index.js', cli: 'node/cli.js' };

function layEntries(version) {
  const compiled = path.join(KEPT, 'entries');
  rmSync(compiled, { recursive: true, force: true });
  for (const config of ['tsconfig.json', 'tsconfig.node.json']) {
    run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `pkg-config/${config}`]);
  }
  const versionFile = path.join(compiled, 'version.js');
  const text = readFileSync(versionFile, 'utf8');
  if (!text.includes('__PILOTLIGHT_VERSION__')) throw new Error('version.js has no place for the version');
  writeFileSync(versionFile, text.replace('__PILOTLIGHT_VERSION__', version));
  const options = {
    absWorkingDir: compiled,
    outdir: PACKAGE,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    external: ['./core/*', './weights/*'],
    logLevel: 'warning',
  };
  buildSync({ ...options, entryPoints: ENTRIES.map((name) => path.join(compiled, `${name}.js`)) });
  buildSync({ ...options, entryPoints: NODE_ENTRIES, platform: 'node' });
}

function crateVersion() {
  const { packages } = JSON.parse(ask('cargo', ['metadata', '--no-deps', '--format-version', '1']));
  return packages.find(({ name }) => name === 'pilotlight').version;
}
