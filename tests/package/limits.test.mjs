// What the package promises about size, on the wire and in memory.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { TextEmbedder, diagnose } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';

const MB = 1e6;
const gzipped = (...files) =>
  files.reduce((sum, file) => sum + gzipSync(readFileSync(path.join(ROOT, 'node_modules/pilotlight', file)), { level: 9 }).length, 0);

test('a CPU user downloads at most 1.0 MB of code', (t) => {
  for (const core of ['simd', 'relaxed']) {
    const bytes = gzipped(`core/${core}.wasm`, 'core/cpu.js');
    t.diagnostic(`${core}.wasm and glue: ${bytes} bytes gzip`);
    assert.ok(bytes <= 1.0 * MB, `${core}: ${bytes} bytes`);
  }
});

test('the WebGPU core takes at most 4.5 MB', (t) => {
  const bytes = gzipped('core/webgpu.wasm');
  t.diagnostic(`${bytes} bytes gzip`);
  assert.ok(bytes <= 4.5 * MB, `${bytes} bytes`);
});

// Linear memory never shrinks: what it has afterwards was its peak. This file has a process and an instance of its own.
test('loading MiniLM from f32 to q8 takes at most 48 MB of linear memory', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', { host: hub.url, dtype: 'q8', store: 'memory' });
  const { memoryBytes } = (await diagnose()).cpuCore;
  t.diagnostic(`${(memoryBytes / 2 ** 20).toFixed(1)} MiB`);
  assert.ok(memoryBytes <= 48 * 2 ** 20, `${memoryBytes / 2 ** 20} MiB`);
  // The q8 weights alone: the figure is of a model that is really there.
  assert.ok(memoryBytes >= 22 * MB, `${memoryBytes} bytes`);
  embedder.dispose();
});
