// `make demo` serves the page before the WebGPU core is built, and lays the core beside it when it is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ROOT, startGroup } from '../../pkg-config/build/steps.mjs';
import { explainAbsence, putCore } from '../../www/build/late-webgpu.mjs';
import { serve } from '../../www/serve.mjs';
import { demo, launch, packageFolder, tinyGolden } from './harness.mjs';

const MODEL = 'tiny/bert-tiny-mean';

/** Runs `body` with an empty folder, which is removed afterwards. */
async function inFolder(body) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-late-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('the page runs on the CPU and says that WebGPU is being built, and takes it after a reload', () =>
  inFolder(async (dist) => {
    const vite = path.join(ROOT, 'node_modules/vite/bin/vite.js');
    const flags = ['build', 'www', '--logLevel', 'warn', '--mode', 'late-webgpu', '--outDir', dist];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [vite, ...flags], { cwd: ROOT });
    assert.equal(stdout + stderr, '');
    explainAbsence(dist, 'the WebGPU core is still being built');
    const site = await serve({ dist, models: { [MODEL]: (await tinyGolden('bert-tiny-mean')).folder } });
    const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
    try {
      const page = await demo.open(await browser.newContext(), site.url);
      await demo.load(page, { model: MODEL, device: 'WebGPU' });
      await demo.ready(page);
      await page.getByText('Runs on the CPU').waitFor();
      assert.equal(
        await page.locator('.ready-reason.notice').innerText(),
        'The CPU was taken because WebGPU could not be used (core/webgpu.wasm: the WebGPU core is still being built).',
      );
      await demo.embedded(page);

      // The service worker has the page by now, and must not keep the core's absence.
      await page.evaluate(() => navigator.serviceWorker.ready);
      putCore(dist, packageFolder);
      await page.reload();
      await demo.ready(page);
      await page.getByText('Runs on WebGPU').waitFor();
    } finally {
      await browser.close();
      await site.close();
    }
  }));

test('a build behind the page ends with all that it has started', () =>
  inFolder(async (folder) => {
    const file = path.join(folder, 'heard');
    const heard = () => readFile(file, 'utf8').catch(() => '');
    const until = async (words) => {
      const deadline = Date.now() + 10_000;
      while ((await heard()) !== words && Date.now() < deadline) await pause(20);
      assert.equal(await heard(), words);
    };
    const started = `exec 2> /dev/null; trap "echo ended >> '${file}'; exit" TERM; echo started >> '${file}'; while :; do sleep 1; done`;
    const build = startGroup('bash', ['-c', '(eval "$0") & wait', started]);
    const failed = assert.rejects(build.ended, /^Error: bash -c failed \(SIGTERM\)$/);
    await until('started\n');
    build.stop();
    await failed;
    await until('started\nended\n');
    // The server that ends later stops it again.
    build.stop();
  }));
