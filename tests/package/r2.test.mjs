// Weights of a bucket in Cloudflare's workerd: its streams give 4 KiB at a time, and it hashes streams itself.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { TextEmbedder } from 'pilotlight';
import { filesOf, lockOf, tinyFolder } from './support/models.mjs';
import { behind } from './support/safetensors.mjs';

const WEIGHTS = 'model.safetensors';
const SMALL = filesOf(tinyFolder('bert-tiny-mean'));
const FILES = { ...SMALL, [WEIGHTS]: behind(SMALL[WEIGHTS], 2 << 20) };
const PIECES = FILES[WEIGHTS].length / 4096;

/** The code that loads from the bucket and returns the outcome; `weights` is the form in which the weights are passed. */
const WORKER = `
import { TextEmbedder } from 'pilotlight';

let copies = 0;
const { set } = Uint8Array.prototype;
Uint8Array.prototype.set = function (source, ...offset) {
  // Only WebAssembly's memory is larger than the weights.
  if (this.buffer.byteLength > ${FILES[WEIGHTS].length} && source.buffer !== this.buffer) copies += 1;
  return set.call(this, source, ...offset);
};

const forms = {
  body: (object) => object.body,
  object: (object) => object,
  response: (object) => new Response(object.body),
  bytes: (object) => object.arrayBuffer(),
};

export default {
  async fetch(request, { BUCKET }) {
    const { pathname, searchParams } = new URL(request.url);
    const files = {};
    for (const { key } of (await BUCKET.list()).objects) {
      if (key.startsWith('altered')) continue;
      const isWeights = key === '${WEIGHTS}';
      const object = await BUCKET.get(isWeights && searchParams.has('altered') ? 'altered' : key);
      files[key] = await (isWeights ? forms[pathname.slice(1)](object) : object.arrayBuffer());
    }
    copies = 0;
    let verified;
    const onProgress = (event) => (verified = event.verified);
    try {
      const embedder = await TextEmbedder.load('test/r2', { files, store: false, dtype: 'f32', onProgress });
      const loaded = copies;
      const { data } = await embedder.embed('light');
      embedder.dispose();
      return Response.json({ vector: Array.from(data), verified, copies: loaded });
    } catch ({ name, code, message }) {
      return Response.json({ name, code, message });
    }
  },
};
`;

let outdir;
let worker;
let vector;

before(async () => {
  outdir = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-r2-'));
  const resolveDir = path.dirname(fileURLToPath(import.meta.url));
  // As wrangler does it: its conditions, and .wasm files beside the script as compiled modules.
  await build({
    stdin: { contents: WORKER, resolveDir },
    outfile: path.join(outdir, 'index.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.wasm': 'copy' },
  });
  worker = new Miniflare({
    modules: true,
    rootPath: outdir,
    modulesRoot: outdir,
    scriptPath: 'index.js',
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2026-07-01',
    r2Buckets: ['BUCKET'],
  });
  const bucket = await worker.getR2Bucket('BUCKET');
  const altered = FILES[WEIGHTS].slice();
  altered[altered.length - 8] ^= 1;
  const objects = { ...FILES, 'pilotlight-lock.json': lockOf(FILES), altered };
  for (const [key, bytes] of Object.entries(objects)) await bucket.put(key, bytes);

  const embedder = await TextEmbedder.load('test/r2', { files: FILES, store: false, dtype: 'f32' });
  vector = Array.from((await embedder.embed('light')).data);
  embedder.dispose();
});

after(async () => {
  await worker?.dispose();
  rmSync(outdir, { recursive: true, force: true });
});

const ask = async (what) => (await worker.dispatchFetch(`http://worker/${what}`)).json();

for (const form of ['body', 'object', 'response', 'bytes']) {
  test(`weights as ${form} cross many at a time, and are checked`, async () => {
    const loaded = await ask(form);
    assert.equal(loaded.verified, 'sha256', JSON.stringify(loaded));
    assert.ok(loaded.copies < PIECES / 4, `${loaded.copies} copies`);
    // Relaxed SIMD may round otherwise.
    for (const [i, value] of loaded.vector.entries())
      assert.ok(Math.abs(value - vector[i]) < 1e-4, `${i}: ${value}, expected ${vector[i]}`);
  });

  test(`weights as ${form} that were altered are refused, and the next load works`, async () => {
    const { name, code, message } = await ask(`${form}?altered`);
    assert.deepEqual([name, code], ['PilotlightError', 'INTEGRITY'], message);
    assert.match(message, /model\.safetensors/);
    assert.equal((await ask(form)).verified, 'sha256');
  });
}
