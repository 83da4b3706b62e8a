// Tests bundles of the browser's script by a bundler that leaves `new URL` alone, as Rollup, Bun and Angular do too: they work, or fail with the
// remedy in the message.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { runInThisContext } from 'node:vm';
import { build } from 'esbuild';
import { ROOT } from './support/models.mjs';

let folder;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pilotlight-bundlers-'));
});
after(() => rm(folder, { recursive: true }));

/** Bundles a program that exports `started`, and returns what it came to: 'ok', or its error. */
async function startedBy(name, source, { format = 'esm', loader = {} } = {}) {
  await build({
    stdin: { contents: source, resolveDir: ROOT },
    bundle: true,
    format,
    globalName: 'program',
    platform: 'browser',
    loader,
    outfile: path.join(folder, name, 'app.js'),
    logLevel: 'silent',
  });
  const file = path.join(folder, name, 'app.js');
  const { started } =
    format === 'esm'
      ? await import(pathToFileURL(file))
      : runInThisContext(`${await readFile(file, 'utf8')};program`, { filename: file });
  return started().then(
    () => 'ok',
    (error) => error,
  );
}

/** Calls `work` with a `fetch` that gives these answers. */
async function answering(answer, work) {
  const own = globalThis.fetch;
  globalThis.fetch = answer;
  try {
    return await work();
  } finally {
    globalThis.fetch = own;
  }
}

const PLAIN = "import { init } from 'pilotlight'; export const started = () => init();";
const ADVICE = /init\(\{ wasm \}\).*pilotlight\/inline.*README, "Bundlers"/;

for (const [what, options, answer, expected] of [
  ['of one script, which knows no address', { format: 'iife' }, undefined, {}],
  ['that misses the file', {}, () => new Response('', { status: 404 }), { status: 404, reason: 'status' }],
  [
    'whose host answers with its page',
    {},
    () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html; charset=utf-8' } }),
    { reason: 'html' },
  ],
]) {
  test(`a bundle ${what} says what to do`, async () => {
    const error = await answering(answer, () => startedBy(what, PLAIN, options));
    const { code, message, status, reason } = error;
    assert.equal(code, 'FETCH_FAILED', String(error));
    assert.match(message, ADVICE);
    assert.deepEqual({ status, reason }, { status: undefined, reason: undefined, ...expected });
  });
}

test('without a network the message is not about bundlers', async () => {
  const cut = () => Promise.reject(new TypeError('Failed to fetch'));
  const { code, message } = await answering(cut, () => startedBy('cut', PLAIN));
  assert.deepEqual([code, message], ['FETCH_FAILED', 'the CPU core: Failed to fetch']);
});

for (const format of ['iife', 'esm']) {
  test(`a bundle of pilotlight/inline starts (${format})`, async () => {
    const source = PLAIN.replace('pilotlight', 'pilotlight/inline');
    const never = () => assert.fail('it was fetched');
    assert.equal(await answering(never, () => startedBy(`inline-${format}`, source, { format })), 'ok');
  });
}

test('a bundle that gives the address of its copy to init({ wasm }) starts', async () => {
  const source = `import { init } from 'pilotlight'; import wasm from 'pilotlight/simd.wasm'; export const started = () => init({ wasm });`;
  const fetched = [];
  const answer = async (address) => {
    fetched.push(address);
    const bytes = await readFile(path.join(folder, 'copy', address));
    return new Response(bytes, { headers: { 'content-type': 'application/wasm' } });
  };
  assert.equal(await answering(answer, () => startedBy('copy', source, { loader: { '.wasm': 'file' } })), 'ok');
  const copies = (await readdir(path.join(folder, 'copy'))).filter((name) => /^simd-\w+\.wasm$/.test(name));
  assert.deepEqual(fetched, [`./${copies[0]}`]);
});

// Parcel 2 and other bundlers that do not read `exports`.
test("main is the browser's script, and the other entries are files of their names", async () => {
  const folder = path.join(ROOT, 'node_modules/pilotlight');
  const { main, exports } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  assert.equal(main, exports['.'].browser);
  const files = await readdir(folder);
  for (const entry of ['inline', 'judge', 'node']) assert.ok(files.includes(`${entry}.js`), entry);
});
