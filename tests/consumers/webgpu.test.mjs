// WebGPU in Deno, which has it itself. SwiftShader, which comes with Chromium, stands in for a GPU.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { tinyFolder } from '../package/support/models.mjs';
import { CONSUMERS, ROOT } from './support/consumer.mjs';

const DENO = path.join(CONSUMERS, 'runtimes/node_modules/.bin/deno');
const PROGRAM = path.join(ROOT, 'tests/package/support/webgpu-process.mjs');
/** Debian's Chromium brings a Vulkan loader and SwiftShader. */
const CHROMIUM_FILES = '/usr/lib/chromium';
const SOFTWARE_GPU = {
  LD_LIBRARY_PATH: CHROMIUM_FILES,
  VK_DRIVER_FILES: path.join(CHROMIUM_FILES, 'vk_swiftshader_icd.json'),
};
const skip = !existsSync(DENO) && 'npm has no Deno for this machine';

/** Loads and embeds in a process of Deno, and returns what it printed. */
async function inDeno(dtype, env) {
  const script = pathToFileURL(path.join(realpathSync(path.join(ROOT, 'node_modules/pilotlight')), 'inline.js')).href;
  const words = JSON.stringify({ folder: tinyFolder('bert-tiny-mean'), script, options: { device: 'webgpu', dtype } });
  const { stdout } = await promisify(execFile)(DENO, ['run', '--no-prompt', '--allow-all', PROGRAM, words], {
    env: { ...process.env, LD_LIBRARY_PATH: '', VK_DRIVER_FILES: '', ...env },
    timeout: 300_000,
  });
  return JSON.parse(stdout);
}

for (const dtype of ['f32', 'f16', 'q8']) {
  test(`Deno computes in ${dtype} on its GPU, agrees with the CPU, and ends by itself`, { skip }, async (t) => {
    const { asked, cpu, webgpuAdapter } = await inDeno(dtype, SOFTWARE_GPU);
    assert.deepEqual([asked.backend.device, asked.backend.dtype], ['webgpu', dtype], asked.backend.reason);
    assert.deepEqual(asked.dims, cpu.dims);
    const error = Math.max(...asked.data.map((value, i) => Math.abs(value - cpu.data[i])));
    t.diagnostic(`${webgpuAdapter.description}: max abs error ${error.toExponential(1)} from f32 on the CPU`);
    // The rounding of weights to 11 bits, and to 8.
    assert.ok(error <= { f32: 1e-4, f16: 1e-3, q8: 3e-2 }[dtype], `${error}`);
  });
}

test('without a GPU Deno computes on the CPU, and says why', { skip }, async () => {
  const { asked, cpu } = await inDeno('f32', { VK_DRIVER_FILES: '/dev/null' });
  assert.equal(asked.backend.device, 'cpu');
  assert.match(asked.backend.reason, /^The CPU was taken because /);
  assert.deepEqual(asked.data, cpu.data);
});
