/**
 * Prints what a download consists of, and the crates and functions of the relaxed core and of the image decoders by size: `make sizes`.
 * It also writes the sizes into README.md. It measures what `make package` built, in the profile `release`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { FEATURES, isCompiled } from './build/cargo.mjs';
import { withNames } from './build/finish.mjs';
import { PACKAGE, ROOT } from './build/steps.mjs';
import { crateOf, demangled, readWasm } from './build/wasm-names.mjs';

/** The least bytes of a crate or function in the lists. */
const LEAST = { crate: 3000, function: 3500 };

const gzipped = (bytes) => (bytes.length === 0 ? 0 : gzipSync(bytes, { level: 9 }).length);
const shown = (bytes) => bytes.toLocaleString('en').padStart(11);
const read = (file) => readFileSync(path.join(PACKAGE, file));

/** The downloads that README.md has, by the words of their rows, in MB after gzip -9. */
const DOWNLOADS = {
  'download of a CPU user, code and glue, gzip': ['core/relaxed.wasm', 'core/cpu.js'],
  'image decoders, fetched with the first image file, gzip': ['core/images.wasm'],
  '`core/webgpu.wasm`, gzip': ['core/webgpu.wasm'],
};

/** Parts of the core that only some programs use, by the names of their functions. */
const PARTS = {
  'regular expressions': /regex_automata|regex_syntax|fancy_regex|aho_corasick|\bregex::|memchr/,
  'language decoders': /::decoder(_config)?::|DecoderHandle/,
  heads: /pilotlight::heads::|text_classifier|ClassifierHandle|FittingHandle/,
  'CLIP and SigLIP': /pilotlight::image::|clip|siglip|image_text|ImageText|Siglip|Clip/,
  VectorIndex: /pilotlight::index::|vector_index|VectorIndex/,
  'ONNX files': /::onnx::/,
  'GGUF files': /gguf|Gguf/,
  'checkpoints of PyTorch': /::pytorch::/,
  digits: /digit_(unet|generator|classifier)|Digit(Generator|Classifier|Unet)/,
};

for (const [name, features] of Object.entries(FEATURES)) {
  if (isCompiled({ name, features, profile: 'release' })) continue;
  console.error(
    `pkg-config/sizes.mjs: core/${name}.wasm is no build of the profile release, or not of this source: run make sizes`,
  );
  process.exit(1);
}

console.log('Files of the package, bytes and after gzip -9:');
for (const file of [
  'core/relaxed.wasm',
  'core/simd.wasm',
  'core/cpu.js',
  'core/images.wasm',
  'core/threads.wasm',
  'core/threads.js',
  'core/webgpu.wasm',
  'core/webgpu.js',
  'web.js',
  'worker.js',
]) {
  const bytes = read(file);
  console.log(`${shown(bytes.length)}${shown(gzipped(bytes))}  ${file}`);
}

/** Groups pieces of code or data by a name, largest first. */
function grouped(pieces, nameOf) {
  const groups = new Map();
  for (const { name, bytes } of pieces) {
    const key = nameOf(name);
    const group = groups.get(key) ?? { key, parts: [], size: 0 };
    group.parts.push(bytes);
    group.size += bytes.length;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.size - a.size);
}

for (const name of ['relaxed', 'images']) {
  const { functions, data } = readWasm(readFileSync(await withNames(name)));
  const total = (pieces) => Buffer.concat(pieces.map(({ bytes }) => bytes));
  const [code, constants] = [total(functions), total(data)];
  console.log(
    `\n${name}.wasm: code${shown(code.length)}${shown(gzipped(code))}, data${shown(constants.length)}${shown(gzipped(constants))}`,
  );
  console.log(
    `\n${name}.wasm by crates, bytes of code, gzip -9 of it by itself, functions. A generic function counts for the crate that defines it:`,
  );
  for (const { key, parts, size } of grouped(functions, crateOf)) {
    if (size >= LEAST.crate)
      console.log(`${shown(size)}${shown(gzipped(Buffer.concat(parts)))}${shown(parts.length)}  ${key}`);
  }
  console.log(`\n${name}.wasm by functions, those made from one generic function as one:`);
  for (const { key, parts, size } of grouped(functions, demangled)) {
    if (size >= LEAST.function)
      console.log(`${shown(size)}${shown(gzipped(Buffer.concat(parts)))}${shown(parts.length)}  ${key.slice(0, 150)}`);
  }
}

const { functions } = readWasm(readFileSync(await withNames('relaxed')));
const sizeOf = (chosen) => gzipped(Buffer.concat(chosen.map(({ bytes }) => bytes)));
const whole = sizeOf(functions);
console.log('\nParts of relaxed.wasm, gzip -9 of all code less that of all other code:');
for (const [part, names] of Object.entries(PARTS)) {
  console.log(`${shown(whole - sizeOf(functions.filter(({ name }) => !names.test(demangled(name)))))}  ${part}`);
}

const file = path.join(ROOT, 'README.md');
let readme = readFileSync(file, 'utf8');
for (const [row, files] of Object.entries(DOWNLOADS)) {
  const megabytes = (files.reduce((sum, name) => sum + gzipped(read(name)), 0) / 1e6).toFixed(2);
  const cell = new RegExp(`(?<=^\\| ${row.replace(/[.*+?^$()|[\]\\]/g, '\\$&')} *\\| )\\d+\\.\\d\\d MB`, 'm');
  if (!cell.test(readme)) throw new Error(`README.md has no row "${row}"`);
  readme = readme.replace(cell, `${megabytes} MB`);
  console.error(`README.md: ${row}: ${megabytes} MB`);
}
writeFileSync(file, readme);
