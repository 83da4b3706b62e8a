// `fileStore` of pilotlight/node: four methods over a folder, alone, in two processes, and as a model's store.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { models, TextEmbedder } from 'pilotlight';
import { fileStore } from 'pilotlight/node';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => bytes && new TextDecoder().decode(bytes);

let base;
before(async () => (base = await fs.mkdtemp(path.join(os.tmpdir(), 'pilotlight-store-'))));
after(() => fs.rm(base, { recursive: true }));

/** Makes a store in a folder that does not exist yet. */
async function fresh() {
  const folder = path.join(await fs.mkdtemp(path.join(base, 'f-')), 'not', 'there yet');
  return { folder, store: fileStore(folder) };
}

/** Runs a module's text in another process and returns what it printed. */
async function inProcess(script, ...args) {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script, ...args], {
    cwd: ROOT,
  });
  return stdout.trim();
}

const ODD_KEYS = [
  'pilotlight/3/https://huggingface.co/a/b#chunk/01/pilotlight-q8.safetensors/0',
  'pilotlight/3/https://huggingface.co/A/b#chunk/01/pilotlight-q8.safetensors/0',
  '',
  ' ',
  '.',
  '..',
  '../../outside',
  'C:\\con\\aux.txt',
  'a%2Fb',
  'a/b',
  'a@b:c#d?e*f<g>h|i"j',
  'a\nb\r\u2028c\0d',
  'é',
  'e\u0301',
  '\u{1f525}',
  '\ud83d',
  '\ud83e',
  'x'.repeat(5000),
  `${'x'.repeat(4999)}y`,
  '/'.repeat(300),
];

test('every key is a key: odd ones, long ones, and those that differ in little', async () => {
  const { folder, store } = await fresh();
  assert.deepEqual(await store.keys(''), []);
  assert.equal(await store.get('a'), undefined);
  await store.delete('a');
  for (const [i, key] of ODD_KEYS.entries()) await store.put(key, bytes(`value ${i}`));
  for (const reader of [store, fileStore(folder)]) {
    for (const [i, key] of ODD_KEYS.entries())
      assert.equal(text(await reader.get(key)), `value ${i}`, JSON.stringify(key));
    assert.deepEqual((await reader.keys('')).sort(), [...ODD_KEYS].sort());
  }
  assert.deepEqual(await fs.readdir(path.dirname(folder)), ['there yet'], 'nothing lies outside');
  for (const key of ODD_KEYS) await store.delete(key);
  assert.deepEqual(await fs.readdir(folder), []);
});

test('keys(prefix) gives all that start with it and no others, also what came and went by another store', async () => {
  const { folder, store } = await fresh();
  const all = ['a', 'a/', 'a/b', 'a/b#1', 'a/B', 'ab', 'a%', 'b', 'A'];
  for (const key of all) await store.put(key, bytes(key));
  for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b#', 'a%', '%', 'b', 'c', 'A']) {
    assert.deepEqual((await store.keys(prefix)).sort(), all.filter((key) => key.startsWith(prefix)).sort(), prefix);
  }
  const other = fileStore(folder);
  await other.delete('a/b');
  await other.put('a/c', bytes(''));
  assert.deepEqual((await store.keys('a/')).sort(), ['a/', 'a/B', 'a/b#1', 'a/c']);
});

test('many keys are listed quickly', async () => {
  const { folder, store } = await fresh();
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.put(`model/${i}`, bytes('x'))));
  const reader = fileStore(folder);
  const started = performance.now();
  assert.equal((await reader.keys('model/')).length, 500);
  const first = performance.now() - started;
  assert.equal((await reader.keys('model/1')).length, 111);
  const second = performance.now() - started - first;
  assert.ok(first < 1000 && second < 200, `${first} ms, then ${second} ms`);
});

test('values come back byte for byte, are replaced, and are plain arrays of their own', async () => {
  const { store } = await fresh();
  const large = Uint8Array.from({ length: 5_000_000 }, (_, i) => i * 31);
  await store.put('k', large.subarray(1, -1));
  assert.ok(Buffer.from(large.subarray(1, -1)).equals(await store.get('k')));
  await store.put('k', new Uint8Array(0));
  const empty = await store.get('k');
  assert.equal(empty.length, 0);
  assert.equal(Object.getPrototypeOf(empty), Uint8Array.prototype);
});

test('a put that a dying process leaves unfinished changes nothing, and its file goes in time', async () => {
  const { folder, store } = await fresh();
  await store.put('k', bytes('old'));
  const [name] = await fs.readdir(folder);
  const [young, old] = ['1', '2'].map((number) => path.join(folder, `${name}.${number}.part`));
  for (const file of [young, old]) await fs.writeFile(file, '"k"\nne');
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await fs.utimes(old, longAgo, longAgo);

  const next = fileStore(folder);
  assert.equal(text(await next.get('k')), 'old');
  assert.deepEqual(await next.keys(''), ['k']);
  await next.put('l', bytes('another'));
  // The young one may be another process's that is still at it.
  const parts = (await fs.readdir(folder)).filter((file) => file.endsWith('.part'));
  assert.deepEqual(parts, [path.basename(young)]);
  assert.equal(text(await next.get('k')), 'old');
});

test('a process that is killed while it writes leaves old or new values, whole ones', async () => {
  const { folder, store } = await fresh();
  const value = (letter) => bytes(letter.repeat(300_000));
  await store.put('k', value('o'));
  const script = `import { fileStore } from 'pilotlight/node';
    const store = fileStore(process.argv[1]);
    console.log('ready');
    for (;;) await store.put('k', new TextEncoder().encode('n'.repeat(300000)));`;
  for (const delay of [0, 3, 10, 25]) {
    const child = execFile(process.execPath, ['--input-type=module', '--eval', script, folder], { cwd: ROOT });
    const ended = new Promise((resolve) => child.once('close', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill('SIGKILL');
    await ended;
    const found = text(await fileStore(folder).get('k'));
    assert.equal(found.length, 300_000);
    assert.match(found, /^(o+|n+)$/);
  }
});

test('two processes write the same keys at once, and every value is one that was put', async () => {
  const { folder, store } = await fresh();
  const script = `import { fileStore } from 'pilotlight/node';
    const [folder, letter] = process.argv.slice(1);
    const store = fileStore(folder);
    const value = new TextEncoder().encode(letter.repeat(50000));
    for (let i = 0; i < 20; i++) {
      await Promise.all(['a', 'b', letter].map((key) => store.put(key, value)));
      const found = new TextDecoder().decode(await store.get('a'));
      if (!/^(x{50000}|y{50000})$/.test(found)) throw new Error('torn');
      await store.keys('');
      await store.delete(letter);
    }`;
  await Promise.all([inProcess(script, folder, 'x'), inProcess(script, folder, 'y')]);
  assert.deepEqual((await store.keys('')).sort(), ['a', 'b']);
  for (const key of ['a', 'b']) assert.match(text(await store.get(key)), /^(x{50000}|y{50000})$/);
  assert.equal((await fs.readdir(folder)).length, 2, 'nothing unfinished is left');
});

test("what is not the store's is not read and not touched", async () => {
  const { folder, store } = await fresh();
  await store.put('k', bytes('v'));
  const [name] = await fs.readdir(folder);
  const strangers = {
    'README.md': 'mine',
    [`${'0'.repeat(64)}`]: 'no key',
    [`${'1'.repeat(64)}`]: '"other"\nvalue',
    [`${'2'.repeat(64)}`]: '{\n',
  };
  for (const [file, content] of Object.entries(strangers)) await fs.writeFile(path.join(folder, file), content);
  const next = fileStore(folder);
  assert.deepEqual(await next.keys(''), ['k']);
  await fs.writeFile(path.join(folder, name), '"other"\nvalue');
  assert.equal(await next.get('k'), undefined);
  for (const [file, content] of Object.entries(strangers))
    assert.equal(await fs.readFile(path.join(folder, file), 'utf8'), content);
});

test('a folder must be named, and one that cannot be written is an error with its path', async () => {
  for (const wrong of [undefined, '', 5, null])
    assert.throws(() => fileStore(wrong), { name: 'TypeError', message: /path of a folder/ });
  const file = path.join(base, 'a file');
  await fs.writeFile(file, '');
  await assert.rejects(fileStore(file).put('k', bytes('v')), { message: new RegExp(file) });
});

/** Lets `node:fs/promises` open files that can take no more, for as long as `work` takes. */
async function onFullDisk(t, code, work) {
  const { open } = fs;
  const mock = t.mock.method(fs, 'open', async (...args) => {
    const handle = await open(...args);
    const full = Object.assign(new Error(`${code}: no space left on device, write`), { code });
    if (args[1] === 'wx') handle.writeFile = () => Promise.reject(full);
    return handle;
  });
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    mock.mock.restore();
    syncBuiltinESMExports();
  }
}

test('a full disk is a QuotaExceededError, to the loader QUOTA_EXCEEDED, and nothing unfinished stays', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const { folder, store } = await fresh();
    await onFullDisk(t, code, async () => {
      await assert.rejects(store.put('k', bytes('v')), { name: 'QuotaExceededError', code });
      await assert.rejects(TextEmbedder.load('test/bert-tiny-mean', { host: hub.url, store }), {
        code: 'QUOTA_EXCEEDED',
      });
    });
    assert.deepEqual(await fs.readdir(folder), []);
    (await TextEmbedder.load('test/bert-tiny-mean', { host: hub.url, store })).dispose();
  }
});

test('a second process starts from the folder without a request, and gives the same vector with the host gone', async () => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  const { folder, store } = await fresh();
  const options = { host: hub.url, dtype: 'q8', device: 'cpu', store };
  const embedder = await TextEmbedder.load('test/bert-tiny-mean', options);
  const { data } = await embedder.embed('a dog by the river');
  embedder.dispose();
  const script = `import { TextEmbedder } from 'pilotlight';
    import { fileStore } from 'pilotlight/node';
    const [folder, host, text] = process.argv.slice(1);
    const embedder = await TextEmbedder.load('test/bert-tiny-mean', { host, dtype: 'q8', device: 'cpu', store: fileStore(folder) });
    if (text) console.log(JSON.stringify(Array.from((await embedder.embed(text)).data)));
    embedder.dispose();`;
  hub.requests.length = 0;
  await inProcess(script, folder, hub.url, '');
  assert.deepEqual(hub.requests, []);
  await hub.close();
  assert.deepEqual(JSON.parse(await inProcess(script, folder, hub.url, 'a dog by the river')), Array.from(data));

  const [row, ...others] = await models.list({ store });
  assert.deepEqual([row.model, row.dtype, row.whole, others.length], ['test/bert-tiny-mean', 'q8', true, 0]);
  assert.equal(await models.delete(row.key, { store }), true);
  assert.deepEqual(await fs.readdir(folder), []);
});
