// Tests the package's promises about its size, on the wire and in memory.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { diagnose, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';

const MB = 1e6;
const gzipped = (...files) =>
  files.reduce(
    (sum, file) => sum + gzipSync(readFileSync(path.join(ROOT, 'node_modules/pilotlight', file)), { level: 9 }).length,
    0,
  );

// Text alone took 0.99 MB; the digits and the operations on images have added 0.05, the index of vectors 0.04, CLIP 0.06, and heads 0.08.
// Decoders with their likelihoods, GGUF files with the tokenizers in them, and detectors in the store have added 0.06, classifiers of
// whole texts and prompts 0.02. Encoders of more families, the modules after the pooling, rerankers and heads have added 0.05, checkpoints of
// PyTorch 0.015, and embedding tables that stay in the store 0.013. ONNX files, fused and quantized ones among them, static embeddings, SigLIP, the rules
// of tokenizers' classes, searching by dot products and refusing settings that are not read have added 0.07; ONNX files of one tower, WordPiece
// for ASCII texts and tiles of five rows 0.011, the packed form of WordPiece tokenizers and its way for texts that are not ASCII 0.011,
// parts that threads take and steps that WebGPU joins 0.003, weights in f16 0.0013. Functions in another order and fewer parts of regular expressions took 0.22 away.
test('a CPU user downloads at most 1.2943 MB of code', (t) => {
  for (const core of ['simd', 'relaxed']) {
    const bytes = gzipped(`core/${core}.wasm`, 'core/cpu.js');
    t.diagnostic(`${core}.wasm and glue: ${bytes} bytes gzip`);
    assert.ok(bytes <= 1.2943 * MB, `${core}: ${bytes} bytes`);
  }
});

// It takes the place of the other core, of which it has all code.
test('a page with threads downloads at most 1.32 MB of code', (t) => {
  const bytes = gzipped('core/threads.wasm', 'core/threads.js');
  t.diagnostic(`threads.wasm and glue: ${bytes} bytes gzip`);
  assert.ok(bytes <= 1.32 * MB, `${bytes} bytes`);
});

test('the image decoders take at most 0.2 MB, and only those who decode files fetch them', (t) => {
  const bytes = gzipped('core/images.wasm');
  t.diagnostic(`${bytes} bytes gzip`);
  assert.ok(bytes <= 0.2 * MB, `${bytes} bytes`);
});

// The locks of a page's memory, lent to its workers, and the reasons of those that ended have added 0.3 KB, calling the image decoders 0.6 KB,
// threads 0.7 KB, telling of GPUs that failed 0.2 KB, and testing one while a model loads 0.3 KB.
test('the script of a page’s workers takes at most 17.6 KB', (t) => {
  const bytes = gzipped('worker.js');
  t.diagnostic(`worker.js: ${bytes} bytes gzip`);
  assert.ok(bytes <= 17_600, `${bytes} bytes`);
});

test('the hooks for React take at most 4 KB, and an adapter 2 KB', (t) => {
  for (const [file, most] of [
    ['react.js', 4000],
    ['adapters/ai.js', 2000],
    ['adapters/langchain.js', 2000],
    ['adapters/orama.js', 2000],
  ]) {
    const bytes = gzipped(file);
    t.diagnostic(`${file}: ${bytes} bytes gzip`);
    assert.ok(bytes <= most, `${file}: ${bytes} bytes`);
  }
});

test("the weights of the digits take at most 1.2 MB, the judge's among them", (t) => {
  const bytes = gzipped('weights/generator.js', 'weights/judge.js');
  t.diagnostic(`${bytes} bytes gzip`);
  assert.ok(bytes <= 1.2 * MB, `${bytes} bytes`);
});

test('the WebGPU core takes at most 4.5 MB', (t) => {
  const bytes = gzipped('core/webgpu.wasm');
  t.diagnostic(`${bytes} bytes gzip`);
  assert.ok(bytes <= 4.5 * MB, `${bytes} bytes`);
});

// Linear memory never shrinks: what it has afterwards was its peak. This file has a process and an instance of its own.
test('MiniLM takes at most 48 MB of linear memory while f32 becomes q8, and 40 MB in use, however long', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', {
    host: hub.url,
    dtype: 'q8',
    store: 'memory',
  });
  const { memoryBytes } = (await diagnose()).cpuCore;
  t.diagnostic(`${(memoryBytes / 2 ** 20).toFixed(1)} MiB`);
  assert.ok(memoryBytes <= 48 * 2 ** 20, `${memoryBytes / 2 ** 20} MiB`);
  // The q8 weights alone: the figure is of a model that is really there.
  assert.ok(memoryBytes >= 22 * MB, `${memoryBytes} bytes`);

  // A word of the vocabulary is a token, and two stand around them.
  const texts = Array.from({ length: 32 }, () => Array.from({ length: 126 }, () => 'house').join(' '));
  assert.deepEqual((await embedder.embed(texts)).tokens, new Array(32).fill(128));
  const after = (await diagnose()).cpuCore.memoryBytes;
  t.diagnostic(`after 32 texts of 128 tokens ${(after / 2 ** 20).toFixed(1)} MiB`);
  assert.ok(after <= 40 * 2 ** 20, `${after / 2 ** 20} MiB after 32 texts of 128 tokens`);

  for (let i = 0; i < 5; i += 1) await embedder.embed(texts);
  assert.equal((await diagnose()).cpuCore.memoryBytes, after, 'memory grows from call to call');
  embedder.dispose();
});

test('constructors of the WebGPU core run once for an instance, not at each call', async () => {
  const wasm = readFileSync(path.join(ROOT, 'node_modules/pilotlight/core/webgpu.wasm'));
  const names = WebAssembly.Module.exports(await WebAssembly.compile(wasm)).map(({ name }) => name);
  // The linker has every exported function run them unless it exports what runs them, and then the glue has to.
  assert.ok(names.includes('__wasm_call_ctors'));
  const glue = readFileSync(path.join(ROOT, 'node_modules/pilotlight/core/webgpu.js'), 'utf8');
  assert.equal(glue.match(/wasm\.__wasm_call_ctors\?\.\(\)/g)?.length, 2);
});
