// WebGPU in Node, which has it by the package `webgpu` (Dawn). SwiftShader, which comes with Chromium, stands in for a GPU.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT } from './support/models.mjs';
import { embedElsewhere, SOFTWARE_GPU } from './support/software-gpu.mjs';

const PACKAGE = realpathSync(path.join(ROOT, 'node_modules/pilotlight'));

/** A folder with the package and no other, into which a test lays a package `webgpu` of its own. */
let apart;
before(() => {
  apart = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-webgpu-'));
  cpSync(PACKAGE, path.join(apart, 'node_modules/pilotlight'), { recursive: true });
});
after(() => rmSync(apart, { recursive: true }));

/** Loads and embeds in a process of Node, and returns what it printed. */
const elsewhere = ({ from = PACKAGE, env, options = { device: 'webgpu' } } = {}) =>
  embedElsewhere(from, [process.execPath], { env, options });

const alone = () => path.join(apart, 'node_modules/pilotlight');

/** Lays a package `webgpu` with this text. */
function layDawn(text) {
  const folder = path.join(apart, 'node_modules/webgpu');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'webgpu', type: 'module', main: 'index.js' }),
  );
  writeFileSync(path.join(folder, 'index.js'), text);
}

test('Node computes on the GPU of the package webgpu, agrees with the CPU, and ends by itself', async (t) => {
  const { asked, cpu, webgpuAdapter, webgpuCore, globals } = await elsewhere({ env: SOFTWARE_GPU });
  assert.equal(asked.backend.device, 'webgpu', asked.backend.reason);
  assert.equal(asked.backend.adapter.software, true);
  assert.deepEqual(asked.dims, cpu.dims);
  const error = Math.max(...asked.data.map((value, i) => Math.abs(value - cpu.data[i])));
  t.diagnostic(`max abs error ${error.toExponential(1)}`);
  // Sums in another order; the self-test of the GPU allows as much.
  assert.ok(error <= 1e-4, `max abs error ${error}`);
  assert.match(webgpuAdapter.description, /SwiftShader/);
  assert.equal(webgpuCore.webgpu, true);
  assert.equal(globals, false, 'the global objects of the program were changed');
});

test("a device of 'auto' leaves the package webgpu alone", async () => {
  layDawn("throw new Error('loaded');");
  const { asked } = await elsewhere({ from: alone(), env: SOFTWARE_GPU, options: {} });
  assert.deepEqual(
    [asked.backend.device, asked.backend.reason],
    ['cpu', 'The CPU was taken because WebGPU does not exist here (no navigator.gpu).'],
  );
});

test('without the package webgpu the CPU computes, and the reason says what to install', async () => {
  rmSync(path.join(apart, 'node_modules/webgpu'), { recursive: true, force: true });
  const { asked, cpu, webgpuAdapter } = await elsewhere({ from: alone() });
  assert.equal(asked.backend.device, 'cpu');
  assert.match(
    asked.backend.reason,
    /the package webgpu, which has it for Node, is not installed \(npm install webgpu\)/,
  );
  assert.match(webgpuAdapter, /npm install webgpu/);
  assert.deepEqual(asked.data, cpu.data);
});

test('a package webgpu that cannot be loaded, and a machine without a GPU, are reasons too', async () => {
  layDawn("throw new Error('no library');");
  const broken = await elsewhere({ from: alone() });
  assert.match(broken.asked.backend.reason, /the package webgpu could not be loaded \(no library\)/);
  const { asked } = await elsewhere();
  assert.deepEqual([asked.backend.device, asked.backend.dtype], ['cpu', 'f32']);
  assert.match(asked.backend.reason, /WebGPU has no adapter on this machine/);
});
