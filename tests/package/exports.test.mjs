// The shape of the package: what bundlers and runtimes rely on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { ROOT } from './support/models.mjs';

const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const read = (file) => readFileSync(path.join(PACKAGE, file), 'utf8');
const manifest = JSON.parse(read('package.json'));
const scripts = readdirSync(PACKAGE, { recursive: true }).filter(
  (file) => file.endsWith('.js') && !file.endsWith('.b64.js'),
);

test('the tarball holds what dist/package/ holds', () => {
  const [tarball, ...others] = readdirSync(path.join(ROOT, 'dist')).filter((file) => file.endsWith('.tgz'));
  assert.deepEqual(others, []);
  assert.equal(tarball, `pilotlight-${manifest.version}.tgz`);
  const packed = execFileSync('tar', ['-tzf', path.join(ROOT, 'dist', tarball)], { encoding: 'utf8' });
  const files = packed
    .trim()
    .split('\n')
    .map((line) => line.replace('package/', ''));
  const built = readdirSync(path.join(ROOT, 'dist/package'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.relative(path.join(ROOT, 'dist/package'), path.join(parentPath, name)));
  assert.deepEqual(files.sort(), built.sort());
  for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md']) assert.ok(files.includes(licence), licence);
});

test("the version is the crate's", () => {
  assert.match(
    readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8'),
    new RegExp(`^version = "${manifest.version}"$`, 'm'),
  );
});

test('every export exists and puts types first', () => {
  for (const [name, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') {
      assert.ok(existsSync(path.join(PACKAGE, target)), name);
      continue;
    }
    assert.equal(Object.keys(target)[0], 'types', name);
    assert.equal(Object.keys(target).at(-1), 'default', name);
    for (const file of Object.values(target)) assert.ok(existsSync(path.join(PACKAGE, file)), `${name}: ${file}`);
  }
});

test('the command is a script for Node', () => {
  assert.deepEqual(Object.keys(manifest.bin), ['pilotlight']);
  assert.match(read(manifest.bin.pilotlight), /^#!\/usr\/bin\/env node\n/);
});

test('node:fs is for those who ask for files: no other entry imports it', () => {
  for (const file of scripts) {
    if (!/^(?:node|cli|vite|node-[\w-]+)\.js$/.test(file)) assert.doesNotMatch(read(file), /from ['"]node:/, file);
  }
});

test('entries beside the core have none of it: they import the main entry, or nothing', () => {
  const imported = (file) =>
    [...read(file).matchAll(/^(?:import|export) .*? from ['"](.*?)['"]/gms)].map(([, name]) => name);
  assert.deepEqual([...new Set(imported('react.js'))].sort(), ['pilotlight', 'react']);
  for (const name of ['ai', 'langchain', 'orama']) assert.deepEqual(imported(`adapters/${name}.js`), [], name);
  for (const name of imported('vite.js').filter((name) => !name.startsWith('node:')))
    assert.doesNotMatch(read(name), /core\//, name);
});

test('each runtime gets its own entry', () => {
  const order = Object.keys(manifest.exports['.']);
  assert.deepEqual(order, ['types', 'workerd', 'edge-light', 'deno', 'bun', 'node', 'browser', 'default']);
});

test('no entry awaits at its top level, and only the web entry, its worker and the script of the WebGPU core have URLs', () => {
  for (const file of scripts) {
    assert.doesNotMatch(read(file), /^(?:const .*= )?await /m, file);
    if (!['web.js', 'worker.js', 'webgpu.js'].includes(file))
      assert.doesNotMatch(read(file), /new URL\(['"`]|import\.meta/, file);
  }
  // A worker gets the image decoders of its page.
  for (const [file, count] of [
    ['web.js', 4],
    ['worker.js', 4],
    ['webgpu.js', 1],
  ])
    assert.equal(read(file).match(/new URL\(['"]\.\/core\/\w+\.wasm['"], import\.meta\.url\)/g).length, count, file);
});

test('a CPU user never loads the WebGPU code', () => {
  for (const file of scripts) {
    assert.doesNotMatch(read(file), /from ['"].*webgpu\.js['"]/, file);
  }
  assert.match(read('web.js'), /import\(['"]\.\/core\/webgpu\.js['"]\)/);
});

test('the worker is one script: Vite up to 7 builds no other', () => {
  assert.deepEqual(read('worker.js').match(/import\([^)]*['"].*?\)/g), null);
});

test('a bundle has the weights of the digits only where digits are drawn', async () => {
  const { base64 } = await import('../../node_modules/pilotlight/weights/generator.js');
  for (const [used, has] of [
    ['TextEmbedder', false],
    ['models, diagnose', false],
    ['DigitGenerator', true],
  ]) {
    for (const condition of ['browser', 'node', 'workerd']) {
      const stdin = { contents: `import { ${used} } from 'pilotlight'; console.log(${used});`, resolveDir: ROOT };
      const options = {
        bundle: true,
        write: false,
        format: 'esm',
        outdir: 'out',
        conditions: [condition],
        loader: { '.wasm': 'file' },
      };
      const { outputFiles } = await build({ stdin, ...options });
      const script = outputFiles.find(({ path }) => path.endsWith('.js')).text;
      assert.equal(script.includes(base64.slice(1000, 1100)), has, `${used} for ${condition}`);
    }
  }
});

test('a bundle has the code of what is used, and of no other class', async () => {
  const classes = ['TextEmbedder', 'ImageTextEmbedder', 'VectorIndex', 'DigitGenerator'];
  for (const used of [...classes, 'models', 'PilotlightError']) {
    for (const condition of ['browser', 'node', 'workerd', 'edge-light']) {
      const contents = `import { ${used} } from 'pilotlight'; console.log(${used});`;
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: ROOT },
        bundle: true,
        write: false,
        format: 'esm',
        conditions: [condition],
        external: ['./core/*', './weights/*'],
      });
      const [{ text }] = outputFiles;
      // Each constructor names its class to those who may not call it.
      const found = classes.filter((name) => text.includes(`checkConstruct(key, "${name}"`));
      assert.deepEqual(found, classes.includes(used) ? [used] : [], `${used} for ${condition}`);
    }
  }
});

test('the base64 forms are the same bytes as the wasm files and the weights', async () => {
  for (const core of ['simd', 'relaxed', 'images']) {
    const { base64 } = await import(`../../node_modules/pilotlight/core/${core}.b64.js`);
    assert.ok(Buffer.from(base64, 'base64').equals(readFileSync(path.join(PACKAGE, 'core', `${core}.wasm`))), core);
  }
  for (const name of ['generator', 'judge']) {
    const { base64 } = await import(`../../node_modules/pilotlight/weights/${name}.js`);
    assert.ok(
      Buffer.from(base64, 'base64').equals(readFileSync(path.join(ROOT, 'weights', `${name}.safetensors`))),
      name,
    );
  }
});

test('the baseline and WebGPU cores compile here, and the relaxed one where the engine knows relaxed SIMD', () => {
  for (const core of ['simd', 'webgpu'])
    assert.ok(WebAssembly.validate(readFileSync(path.join(PACKAGE, 'core', `${core}.wasm`))), core);
  if (process.versions.node.startsWith('20.')) {
    // It would pass for the wrong reason if no relaxed instruction were in it.
    assert.equal(WebAssembly.validate(readFileSync(path.join(PACKAGE, 'core/relaxed.wasm'))), false);
  } else {
    assert.ok(WebAssembly.validate(readFileSync(path.join(PACKAGE, 'core/relaxed.wasm'))));
  }
});

test('nothing in the package names the machine that built it', () => {
  for (const file of readdirSync(PACKAGE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())) {
    const bytes = readFileSync(path.join(file.parentPath, file.name), 'latin1');
    for (const place of [ROOT, process.env.HOME, '.cargo/registry']) {
      assert.ok(!place || place === '/' || !bytes.includes(place), `${file.name} names ${place}`);
    }
  }
});
