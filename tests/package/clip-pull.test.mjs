// Tests the files that `pull` makes of CLIPs, whole and in shards, and that a page loads the same vectors from them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { fileOf, hub, load, SAFETENSORS, SHARDED, sent, setUp, TINY } from './support/clip-towers.mjs';
import { mapStore } from './support/map-store.mjs';
import { ROOT } from './support/models.mjs';

setUp();

describe('a folder that pull made', () => {
  const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
  const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
  let base;
  before(() => (base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-clip-'))));
  after(() => rmSync(base, { recursive: true }));

  async function pull(model, dtype) {
    const out = mkdtempSync(path.join(base, 'f-'));
    const child = spawn(process.execPath, [CLI, 'pull', model, '--host', hub.url, '--out', out, '--dtype', dtype], {
      env: { ...process.env, HF_TOKEN: '' },
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, errors);
    return path.join(out, model, 'resolve/main');
  }

  for (const model of [TINY, SHARDED, 'test/image-cut']) {
    for (const dtype of ['q8', 'f32', 'f16', 'q4']) {
      test(`of ${model} in ${dtype} gives the same vectors for less, from a hub and from a bucket`, async (t) => {
        const folder = await pull(model, dtype);
        const files = readdirSync(folder);
        for (const file of ['config.json', 'tokenizer.json', 'preprocessor_config.json', 'pilotlight-lock.json'])
          assert.ok(files.includes(file), `${file} is not among ${files}`);
        assert.ok(
          files.some((file) => file.startsWith(`pilotlight-${dtype}-text`)) &&
            files.some((file) => file.startsWith(`pilotlight-${dtype}-image`)),
          files.join(),
        );
        hub.requests.length = 0;
        const direct = await load(model, false, { dtype });
        const before = sent();
        for (const [what, traits] of [
          ['hub', {}],
          ['bucket', { api: false }],
        ]) {
          const packed = await startHub({ models: { [model]: folder }, traits });
          t.after(() => packed.close());
          const events = [];
          const store = mapStore();
          const open = { dtype, host: packed.url, onProgress: (event) => events.push(event) };
          assert.deepEqual(await load(model, store, open), direct, what);
          assert.equal(events.at(-1).verified, 'sha256');
          const weights = packed.requests.map(fileOf).filter((file) => SAFETENSORS.test(file));
          assert.ok(
            weights.length >= 2 &&
              packed.requests.every(
                (request) =>
                  !SAFETENSORS.test(fileOf(request)) ||
                  fileOf(request).startsWith('pilotlight-') ||
                  request.status === 404,
              ),
            weights.join(),
          );
          const bytes = packed.requests
            .filter(({ url }) => url.includes('/resolve/'))
            .reduce((sum, request) => sum + request.bytes, 0);
          t.diagnostic(`${what}: ${bytes} bytes instead of ${before}`);
          // In f16, config files and what stays in f32 are more than half.
          const most = dtype === 'f16' ? 0.51 : 0.5;
          if (dtype !== 'f32' && model === 'test/image-cut')
            assert.ok(bytes < before * most, `${bytes} bytes instead of ${before}`);
          // A tower of it alone, and from the store.
          packed.requests.length = 0;
          const text = await load(model, mapStore(), { ...open, towers: ['text'] });
          assert.deepEqual(text.text, direct.text);
          assert.deepEqual(
            packed.requests.map(fileOf).filter((file) => file.includes('image')),
            [],
          );
          packed.setFaults([{ fault: 'reset' }]);
          assert.deepEqual(await load(model, store, { dtype, host: packed.url }), direct);
        }
      });
    }
  }
});
