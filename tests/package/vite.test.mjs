// Tests `pilotlight/vite` without a run of Vite; `make test-consumers` tests it in each version of Vite.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { pilotlight } from 'pilotlight/vite';
import { startHub } from '../hub/hub.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';

const MODEL = 'test/bert-tiny-mean';
const LOCK = 'pilotlight-lock.json';
const WEIGHTS = 'pilotlight-q8.safetensors';

let hub;
let publicDir;
let logged;
before(async () => {
  hub = await startHub({ models: { [MODEL]: filesOf(tinyFolder('bert-tiny-mean')) } });
});
beforeEach(() => {
  publicDir = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-vite-'));
  logged = { info: [], error: [] };
  hub.requests.length = 0;
});
afterEach(() => rmSync(publicDir, { recursive: true }));
after(() => hub.close());

const fileOf = (file, folder = 'models') => path.join(publicDir, folder, MODEL, 'resolve/main', file);

/** Gives the plugin the settings that Vite resolved. */
function resolve(options, { command = 'build', ...more } = {}) {
  const logger = { info: (text) => logged.info.push(text), error: (text) => logged.error.push(text) };
  return pilotlight(options).configResolved({ command, publicDir, base: '/', build: {}, logger, ...more });
}

const wanted = (more) => ({ models: [{ model: MODEL, host: hub.url, ...more }] });

test('a model is pulled once, with its lock file', async () => {
  await resolve(wanted());
  const { commit, files } = JSON.parse(readFileSync(fileOf(LOCK), 'utf8'));
  assert.ok(WEIGHTS in files && 'config.json' in files);
  assert.deepEqual(logged.info, [`pilotlight: ${MODEL} is in ${path.dirname(fileOf(LOCK))}, commit ${commit}`]);
  hub.requests.length = 0;
  for (const command of ['build', 'serve']) await resolve(wanted(), { command });
  assert.deepEqual(hub.requests, []);
  // Another form of it is not there yet.
  await resolve(wanted({ layers: 1 }));
  await resolve(wanted({ dtype: 'q4' }), { command: 'serve' });
  const listed = JSON.parse(readFileSync(fileOf(LOCK), 'utf8')).files;
  for (const file of [WEIGHTS, 'pilotlight-q8-layers1.safetensors', 'pilotlight-q4.safetensors']) {
    assert.ok(file in listed, file);
    assert.ok(existsSync(fileOf(file)), file);
  }
  hub.requests.length = 0;
  for (const more of [{}, { layers: 1 }, { dtype: 'q4' }]) await resolve(wanted(more));
  assert.deepEqual(hub.requests, []);
});

test('what is missing or altered is made again from the commit of the lock file, not from the newest', async (t) => {
  await resolve(wanted());
  const lock = readFileSync(fileOf(LOCK), 'utf8');
  const bytes = readFileSync(fileOf(WEIGHTS));
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  const newest = await hub.push(MODEL, { ...files, 'added.txt': new TextEncoder().encode('more') });
  t.after(() => hub.push(MODEL, files));
  rmSync(fileOf(WEIGHTS));
  await resolve(wanted());
  assert.equal(readFileSync(fileOf(LOCK), 'utf8'), lock);
  assert.deepEqual(readFileSync(fileOf(WEIGHTS)), bytes);

  const altered = Buffer.from(bytes);
  altered[altered.length - 1] ^= 1;
  writeFileSync(fileOf(WEIGHTS), altered);
  await resolve(wanted(), { command: 'serve' });
  assert.deepEqual(readFileSync(fileOf(WEIGHTS)), altered, 'the dev server compares lengths');
  await resolve(wanted());
  assert.deepEqual(readFileSync(fileOf(WEIGHTS)), bytes);

  rmSync(fileOf(LOCK));
  await resolve(wanted());
  const { commit } = JSON.parse(readFileSync(fileOf(LOCK), 'utf8'));
  assert.notEqual(commit, JSON.parse(lock).commit);
  assert.equal(commit, newest);
});

test('another host or other weights are pulled anew, and the same ones are not', async (t) => {
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  const other = await startHub({ models: { [MODEL]: files } });
  t.after(() => other.close());
  const stranger = await startHub({ models: { [MODEL]: { ...files, 'added.txt': new Uint8Array(3) } } });
  t.after(() => stranger.close());
  const commitNow = () => JSON.parse(readFileSync(fileOf(LOCK), 'utf8')).commit;
  await resolve(wanted());
  const commit = commitNow();
  const changes = [{ weights: 'safetensors' }, { weights: 'safetensors', host: other.url }, { host: other.url }, {}];
  for (const change of changes) {
    const { host } = { host: hub.url, ...change };
    for (const { requests } of [hub, other]) requests.length = 0;
    await resolve(wanted(change), { command: 'serve' });
    const asked = host === other.url ? [other, hub] : [hub, other];
    assert.ok(asked[0].requests.length > 0, `nothing was asked of the host for ${JSON.stringify(change)}`);
    assert.deepEqual(asked[1].requests, []);
    const { from } = JSON.parse(readFileSync(fileOf(LOCK), 'utf8')).files[WEIGHTS];
    assert.deepEqual(from, { host, ...(change.weights && { weights: change.weights }) });
    asked[0].requests.length = 0;
    await resolve(wanted(change));
    assert.deepEqual(asked[0].requests, []);
  }
  assert.equal(commitNow(), commit);
  await resolve(wanted({ host: stranger.url }));
  assert.notEqual(commitNow(), commit, 'that host has no such commit');
});

test('a lock file that does not say where its weights are from is taken as it is', async () => {
  await resolve(wanted());
  const lock = JSON.parse(readFileSync(fileOf(LOCK), 'utf8'));
  for (const file of Object.values(lock.files)) delete file.from;
  writeFileSync(fileOf(LOCK), JSON.stringify(lock));
  hub.requests.length = 0;
  await resolve(wanted({ weights: 'safetensors' }));
  assert.deepEqual(hub.requests, []);
});

test('a model that cannot be had ends a build, and is told by the dev server', async () => {
  const options = wanted({ model: 'test/none' });
  await assert.rejects(resolve(options), /^Error: pilotlight: test\/none: /);
  await resolve(options, { command: 'serve' });
  assert.match(logged.error.join(), /^pilotlight: test\/none: /);
  await assert.rejects(resolve({ models: [{ model: '../up', host: hub.url }] }), /model: expected a name/);
  await assert.rejects(resolve(wanted(), { publicDir: '' }), /'publicDir' is false/);
});

test('nothing is pulled for a preview, and the folder can be another', async () => {
  await resolve(wanted(), { command: 'serve', isPreview: true });
  assert.deepEqual(hub.requests, []);
  await resolve({ ...wanted(), folder: 'weights' });
  assert.ok(existsSync(fileOf(WEIGHTS, 'weights')));
});

test('settings leave the package as it is, make workers modules, and isolate pages where asked', () => {
  const settings = { optimizeDeps: { exclude: ['pilotlight'] }, worker: { format: 'es' } };
  assert.deepEqual(pilotlight().config({}), settings);
  assert.deepEqual(pilotlight().config({ worker: { format: 'iife' } }).worker, { format: 'iife' });
  for (const [isolation, embedder] of [
    [true, 'require-corp'],
    ['credentialless', 'credentialless'],
  ]) {
    const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': embedder };
    assert.deepEqual(pilotlight({ isolation }).config({}), { ...settings, server: { headers }, preview: { headers } });
  }
});

const chunk = (fileName, isEntry, imports = [], code = fileName) => ({
  type: 'chunk',
  fileName,
  isEntry,
  imports,
  code,
});
const asset = (fileName, source = fileName) => ({ type: 'asset', fileName, source });

/** The list of files of a build. */
async function listOf(files, { options = {}, context = {}, more = {} } = {}) {
  const plugin = pilotlight(options);
  await plugin.configResolved({ command: 'build', publicDir, base: '/', build: {}, ...more });
  let emitted;
  const bundle = Object.fromEntries(files.map((file) => [file.fileName, file]));
  plugin.generateBundle.handler.call({ emitFile: (file) => (emitted = file), ...context }, {}, bundle);
  return emitted && { name: emitted.fileName, ...JSON.parse(emitted.source) };
}

test('the list of files says what a page starts with, and what may come later', async () => {
  const files = [
    asset('index.html'),
    asset('about/index.html'),
    asset('a.css'),
    chunk('main.js', true, ['shared.js', 'external']),
    chunk('shared.js', false, ['main.js']),
    chunk('later.js', false),
    chunk('main.js.map', false),
    asset('relaxed.wasm', new Uint8Array([1])),
  ];
  const { name, version, shell, onUse } = await listOf(files);
  assert.equal(name, 'pilotlight-files.json');
  assert.deepEqual(shell, ['a.css', 'about/', './', 'main.js', 'shared.js']);
  assert.deepEqual(onUse, ['later.js', 'relaxed.wasm']);
  assert.match(version, /^[0-9a-f]{12}$/);
  assert.equal((await listOf(files.toReversed())).version, version);
  for (const changed of [asset('relaxed.wasm', new Uint8Array([2])), chunk('later.js', false, [], 'new')]) {
    const others = files.filter(({ fileName }) => fileName !== changed.fileName);
    assert.notEqual((await listOf([...others, changed])).version, version, changed.fileName);
  }
});

test('there is no list where it is not wanted, nor in a build for a server', async () => {
  const files = [asset('index.html')];
  assert.equal((await listOf(files, { options: { files: 'keep.json' } })).name, 'keep.json');
  assert.equal(await listOf(files, { options: { files: false } }), undefined);
  assert.equal(await listOf(files, { more: { build: { ssr: true } } }), undefined);
  assert.equal(await listOf(files, { context: { environment: { name: 'ssr' } } }), undefined);
  assert.ok(await listOf(files, { context: { environment: { name: 'client' } } }));
});
