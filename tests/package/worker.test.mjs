// examples/cloudflare-worker in workerd, with weights from the test hub.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { startHub } from '../hub/hub.mjs';
import { golden, HUB_MODELS, ROOT } from './support/models.mjs';
import { cosine } from './support/vectors.mjs';

const EXAMPLE = path.join(ROOT, 'examples/cloudflare-worker');
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const { cases } = golden('minilm');

let hub;
let worker;
let outdir;

before(async () => {
  hub = await startHub({ models: HUB_MODELS, port: 0 });
  outdir = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-worker-'));
  // As wrangler does it: its conditions, and .wasm files beside the script as compiled modules.
  await build({
    entryPoints: [path.join(EXAMPLE, 'src/index.js')],
    outdir,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.wasm': 'copy' },
  });
  worker = start(MODEL);
});

after(async () => {
  await worker?.dispose();
  await hub.close();
  rmSync(outdir, { recursive: true, force: true });
});

function start(model) {
  return new Miniflare({
    modules: true,
    rootPath: outdir,
    modulesRoot: outdir,
    scriptPath: 'index.js',
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2026-07-01',
    bindings: { MODEL: model, MODEL_HOST: hub.url },
  });
}

const post = (body) =>
  worker.dispatchFetch('http://worker/', {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

test("the first requests share one load and get PyTorch's vectors", async () => {
  const texts = cases.slice(0, 8).map(({ text }) => text);
  const responses = await Promise.all([
    post(texts),
    post(texts),
    worker.dispatchFetch(`http://worker/?text=${encodeURIComponent(texts[0])}`),
  ]);
  const [first, second, single] = await Promise.all(
    responses.map(async (response) => {
      const answer = await response.json();
      assert.equal(response.status, 200, JSON.stringify(answer));
      return answer;
    }),
  );
  assert.deepEqual(first.dims, [8, 384]);
  assert.deepEqual(
    first.tokens,
    cases.slice(0, 8).map(({ ids }) => ids.length),
  );
  for (const [i, embedding] of first.embeddings.entries()) {
    const similarity = cosine(embedding, cases[i].embedding);
    assert.ok(similarity >= 0.975, `${similarity}: ${texts[i]}`);
  }
  assert.deepEqual(second.embeddings, first.embeddings);
  assert.deepEqual(single.embeddings, [first.embeddings[0]]);
  const weights = hub.requests.filter(({ method, url }) => method === 'GET' && url.endsWith('.safetensors'));
  // Its front, then the rest of it.
  assert.deepEqual(
    weights.map(({ headers }) => headers.range),
    ['bytes=0-65535', 'bytes=65536-'],
  );
});

for (const [what, body] of [
  ['a body that is not JSON', 'hello'],
  ['a number', 7],
  ['a list with a number', ['fine', 7]],
]) {
  test(`${what} is answered with 400 and words, and the next request works`, async () => {
    const response = await post(body);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 'INVALID_INPUT');
    assert.equal((await post(['next'])).status, 200);
  });
}

test('a host without the model is answered with 503, and a later request tries again', async (t) => {
  const other = start('test/nothing');
  t.after(() => other.dispose());
  for (let i = 0; i < 2; i++) {
    hub.requests.length = 0;
    const response = await other.dispatchFetch('http://worker/?text=x');
    assert.equal(response.status, 503);
    assert.equal((await response.json()).code, 'FETCH_FAILED');
    assert.ok(hub.requests.length > 0);
  }
});
