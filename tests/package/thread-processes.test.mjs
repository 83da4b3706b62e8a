// Processes of Node, Deno and Bun with models in threads: they give the same answers, and end by themselves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TextEmbedder } from 'pilotlight';
import { fileStore } from 'pilotlight/node';
import { startHub } from '../hub/hub.mjs';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';

const TINY = 'test/tiny';

/** Another process with this runtime, and what it printed as JSON. */
async function elsewhere(program, words, more = {}) {
  const { stdout } = await promisify(execFile)(program, words, { cwd: ROOT, timeout: 120_000, ...more });
  return JSON.parse(stdout);
}

const program = path.join(ROOT, 'tests/package/support/thread-process.mjs');
const options = (more) => JSON.stringify({ folder: tinyFolder('bert-tiny-mean'), ...more });

for (const isDisposed of [true, false]) {
  test(`a process ends by itself, ${isDisposed ? 'after dispose' : 'with idle threads'}`, async () => {
    const { dims, equal, lastMs } = await elsewhere(process.execPath, [program, options({ isDisposed })]);
    assert.deepEqual([dims, equal], [[300, 32], true]);
    // Idle threads are ended after 10 s; the process does not wait for that.
    assert.ok(Date.now() - lastMs < 5000, `${Date.now() - lastMs} ms after its last call`);
  });
}

test('a process waits for the refresh of the store after its first answer', async (t) => {
  const hub = await startHub({ models: { [TINY]: tinyFolder('bert-tiny-mean') } });
  t.after(() => hub.close());
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-processes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const store = path.join(folder, 'models');
  await TextEmbedder.load(TINY, { host: hub.url, store: fileStore(store), dtype: 'q8' });
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  await hub.push(TINY, {
    ...files,
    'config.json': new TextEncoder().encode(`${new TextDecoder().decode(files['config.json'])} `),
  });
  hub.setFaults([{ file: 'revision', fault: 'do', value: () => sleep(1000), times: 1 }]);
  await elsewhere(process.execPath, [program, options({ store, host: hub.url, isDisposed: false })]);
  // It has noted that the branch has another commit.
  hub.requests.length = 0;
  await TextEmbedder.load(TINY, { host: hub.url, store: fileStore(store), dtype: 'q8' });
  assert.ok(hub.requests.some(({ url }) => url.endsWith('config.json')));
});

test('where asking for a module of the runtime throws, as in the Edge Runtime of Next.js, calls run where they are made', async (t) => {
  const own = process.getBuiltinModule;
  t.after(() => (process.getBuiltinModule = own));
  process.getBuiltinModule = () => {
    throw new Error('not supported');
  };
  const embedder = await TextEmbedder.load(TINY, { files: filesOf(tinyFolder('bert-tiny-mean')), workers: 2 });
  assert.equal(embedder.backend.worker, false);
  assert.deepEqual((await embedder.embed(['a', 'b', 'c'])).dims, [3, 32]);
});

const modules = path.join(ROOT, 'gateway/tests/node_modules');
for (const [runtime, file, words] of [
  ['Deno', '@deno/linux-x64-glibc/deno', ['run', '--no-prompt', `--allow-read=${tinyFolder('bert-tiny-mean')}`]],
  ['Bun', '@oven/bun-linux-x64/bin/bun', []],
]) {
  const there = path.join(modules, file);
  const skip = !existsSync(there) && `no ${file} in gateway/tests/node_modules: make gateway fetches it`;
  test(`in ${runtime} the bits are the same, signals and kills are heard, and the process ends`, {
    skip,
  }, async () => {
    const seen = await elsewhere(there, [...words, program, options({ faults: true })]);
    assert.deepEqual([seen.dims, seen.equal, seen.worker], [[300, 32], true, true]);
    assert.deepEqual([seen.aborted, seen.killed, seen.again], ['ABORTED', 'INTERNAL', [1, 32]]);
    assert.ok(Date.now() - seen.lastMs < 5000);
  });
}
