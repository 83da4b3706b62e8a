// WebGPU in Deno, which has it itself. SwiftShader, which comes with Chromium, stands in for a GPU.
import assert from 'node:assert/strict';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { embedElsewhere, missingGpu, SOFTWARE_GPU } from '../package/support/software-gpu.mjs';
import { CONSUMERS, ROOT } from './support/consumer.mjs';

const DENO = path.join(CONSUMERS, 'runtimes/node_modules/.bin/deno');
const skip = (!existsSync(DENO) && 'npm has no Deno for this machine') || missingGpu;

const PACKAGE = realpathSync(path.join(ROOT, 'node_modules/pilotlight'));

for (const [dtype, most] of [
  // Sums in another order, the rounding of weights to 11 bits, and to 8.
  ['f32', 1e-4],
  ['f16', 1e-3],
  ['q8', 3e-2],
]) {
  test(`Deno computes in ${dtype} on its GPU, agrees with the CPU, and ends by itself`, { skip }, async (t) => {
    const { asked, cpu, webgpuAdapter } = await embedElsewhere(PACKAGE, [DENO, 'run', '--allow-all'], {
      env: SOFTWARE_GPU,
      options: { device: 'webgpu', dtype },
    });
    assert.deepEqual([asked.backend.device, asked.backend.dtype], ['webgpu', dtype], asked.backend.reason);
    assert.deepEqual(asked.dims, cpu.dims);
    const error = Math.max(...asked.data.map((value, i) => Math.abs(value - cpu.data[i])));
    t.diagnostic(`${webgpuAdapter.description}: max abs error ${error.toExponential(1)} from f32 on the CPU`);
    assert.ok(error <= most, `${error}`);
  });
}
