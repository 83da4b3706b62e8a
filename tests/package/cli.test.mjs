// `pilotlight pull` and `pilotlight verify`, as people run them, and what a page loads from the folder they make.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { filesOf, HUB_MODELS, MINILM, ROOT, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';

const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const { bin, version } = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8'));
const CLI = path.join(PACKAGE, bin.pilotlight);
const LOCK = 'pilotlight-lock.json';
const TINY = 'test/bert-tiny-mean';
const LARGE = 'sentence-transformers/all-MiniLM-L6-v2';
const TEXTS = ['a dog by the river', 'Ein Hund bellt.'];

let hub;
let base;
before(async () => {
  hub = await startHub({ models: HUB_MODELS, port: 0 });
  base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-cli-'));
});
beforeEach(() => {
  hub.requests.length = 0;
  hub.setFaults([]);
});
after(() => {
  rmSync(base, { recursive: true });
  return hub.close();
});

test('check says what a load would read, and writes nothing', async () => {
  const { code, stdout, stderr } = await run(['check', TINY, '--host', hub.url, '--dtype', 'f32']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(
    stdout,
    /^test\/bert-tiny-mean, commit [0-9a-f]{40}\n {2}loaded by {2}TextEmbedder, in f32\n {2}fetches {4}\d+ kB, \d+ tensors\n/,
  );
  assert.match(
    stdout,
    /\n {13}model\.safetensors \d+ kB\n {2}stores {5}\d+ kB\n {2}takes {6}about [\d.]+ MB of memory\n$/,
  );
  // Only the header of the weights is read, which is most of such a small file.
  assert.ok(hub.requests.every(({ url }) => !url.includes('tokenizer.json')));
});

test('check says why a model cannot be loaded', async () => {
  for (const [args, code, message] of [
    [['check', 'test/nothing', '--host', hub.url], 1, /FETCH_FAILED: test\/nothing: .* has no such repository/],
    [['check'], 2, /check takes one MODEL/],
    [['check', TINY, '--out', '.'], 2, /check writes nothing: leave out --out/],
  ]) {
    const got = await run(args);
    assert.equal(got.code, code);
    assert.match(got.stderr, message);
    assert.equal(got.stdout, '');
  }
});

const freshFolder = () => mkdtempSync(path.join(base, 'f-'));
const made = (folder, model = TINY) => path.join(folder, model, 'resolve/main');
const lockOf = (folder) => JSON.parse(readFileSync(path.join(folder, LOCK), 'utf8'));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Runs the program to its end; `meanwhile` gets the process. The token of the tests' own environment is removed. */
async function run(args, { env = {}, meanwhile } = {}) {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, HF_TOKEN: '', ...env }, cwd: base });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  void meanwhile?.(child);
  const [code] = await once(child, 'close');
  return { code, ...output };
}

const pull = (model, out, ...more) => run(['pull', model, '--host', hub.url, '--out', out, ...more]);

async function pulled(model = TINY, ...more) {
  const out = freshFolder();
  const { code, stderr } = await pull(model, out, ...more);
  assert.equal(code, 0, stderr);
  return out;
}

/** A bucket or a web server: files by their paths, ranges, and 404 for all else. `files` may hold other bytes for a path. */
async function serveStatically(t, folder, files = {}) {
  const requests = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://host');
    requests.push(pathname);
    const file = path.join(folder, decodeURIComponent(pathname));
    if (!existsSync(file) || !path.extname(file)) return void response.writeHead(404).end('not found');
    const bytes = files[path.basename(file)] ?? readFileSync(file);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (!range) return void response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
    const [from, to] = [Number(range[1]), Math.min(range[2] ? Number(range[2]) + 1 : bytes.length, bytes.length)];
    response
      .writeHead(206, { 'Content-Range': `bytes ${from}-${to - 1}/${bytes.length}`, 'Content-Length': to - from })
      .end(bytes.subarray(from, to));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

async function vectors(host, dtype, model = TINY) {
  const events = [];
  const embedder = await TextEmbedder.load(model, {
    host,
    dtype,
    device: 'cpu',
    store: false,
    onProgress: (event) => events.push(event),
  });
  const { data } = await embedder.embed(TEXTS);
  embedder.dispose();
  return { data, ready: events.at(-1) };
}

/** The file with one bit changed, by default in its middle. */
function flipped(file, at) {
  const bytes = readFileSync(file);
  bytes[at ?? bytes.length >> 1] ^= 1;
  return bytes;
}

for (const dtype of ['q8', 'f32', 'f16', 'q4']) {
  test(`what pull makes of ${dtype} gives the same vectors from a static host, from the packed file, checked`, async (t) => {
    const out = freshFolder();
    const { code, stdout, stderr } = await pull(TINY, out, '--dtype', dtype);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /resolve\/main: \d+ files, .* MB, commit [0-9a-f]{40}, checked by sha256\n$/);
    assert.match(stderr, /^fetching model\.safetensors/m);
    const direct = await vectors(hub.url, dtype);
    const host = await serveStatically(t, out);
    const { data, ready } = await vectors(host.url, dtype);
    assert.deepEqual(data, direct.data);
    assert.equal(ready.status, 'ready');
    assert.equal(ready.verified, 'sha256');
    const weights = new Set(
      host.requests.filter((url) => url.endsWith('.safetensors')).map((url) => path.basename(url)),
    );
    assert.deepEqual([...weights], [`pilotlight-${dtype}.safetensors`]);
  });
}

test('the folder holds what the lock file says, tensor by tensor, and nothing else', async () => {
  const out = await pulled();
  assert.deepEqual(readdirSync(out), ['test'], 'the work folder is still there');
  const folder = made(out);
  const { version, commit, files } = lockOf(folder);
  assert.equal(version, 1);
  assert.match(commit, /^[0-9a-f]{40}$/);
  const found = filesOf(folder);
  delete found[LOCK];
  assert.deepEqual(Object.keys(files), Object.keys(found).sort());
  assert.ok('1_Pooling/config.json' in files);
  for (const [file, bytes] of Object.entries(found)) {
    const { size, sha256: digest, tensors } = files[file];
    assert.deepEqual([size, digest], [bytes.length, sha256(bytes)], file);
    assert.equal(tensors !== undefined, file === 'pilotlight-q8.safetensors', file);
  }
  const { header, data } = parse(found['pilotlight-q8.safetensors']);
  delete header.__metadata__;
  const expected = Object.entries(header).map(
    ([
      name,
      {
        data_offsets: [from, to],
      },
    ]) => [name, sha256(data.subarray(from, to))],
  );
  assert.ok(expected.length > 10);
  assert.deepEqual(files['pilotlight-q8.safetensors'].tensors, Object.fromEntries(expected));
});

test('dtypes of one commit lie side by side; another commit starts anew and leaves nothing of the one before', async (t) => {
  const source = filesOf(tinyFolder('bert-tiny-mean'));
  const changing = await startHub({ models: { 'a/b': source } });
  t.after(() => changing.close());
  const out = freshFolder();
  const folder = made(out, 'a/b');
  async function again(dtype) {
    const { code, stderr } = await run(['pull', 'a/b', '--host', changing.url, '--out', out, '--dtype', dtype]);
    assert.equal(code, 0, stderr);
  }
  const weights = () =>
    Object.keys(filesOf(folder))
      .filter((file) => file.endsWith('.safetensors'))
      .sort();
  await again('q8');
  await again('f32');
  const { commit, files } = lockOf(folder);
  assert.deepEqual(weights(), ['pilotlight-f32.safetensors', 'pilotlight-q8.safetensors']);
  assert.ok(weights().every((file) => file in files));
  writeFileSync(path.join(folder, 'mine.txt'), "not pilotlight's");

  source['README.md'] = 'another commit';
  delete source['sentence_bert_config.json'];
  await again('f32');
  assert.notEqual(lockOf(folder).commit, commit);
  assert.deepEqual(weights(), ['pilotlight-f32.safetensors']);
  assert.ok(!('sentence_bert_config.json' in filesOf(folder)));
  assert.ok('mine.txt' in filesOf(folder), 'what the lock file did not list was removed');
  assert.equal((await run(['verify', out])).code, 0);
});

test('a lock file that leads out of its folder removes nothing there', async () => {
  const out = await pulled();
  const precious = path.join(out, 'precious.txt');
  writeFileSync(precious, 'x');
  const lock = {
    version: 1,
    commit: 'another',
    files: { '../../../../precious.txt': { size: 1, sha256: sha256('x') } },
  };
  writeFileSync(path.join(made(out), LOCK), JSON.stringify(lock));
  assert.match(
    (await run(['verify', out])).stdout,
    /^wrong .*: it lists '\.\.\/.*', which is no path inside its folder$/m,
  );
  assert.equal((await pull(TINY, out)).code, 0);
  assert.ok(existsSync(precious));
  assert.equal((await run(['verify', out])).code, 0);
});

test('a commit can be pulled by its name, and a page asks for it by the same', async (t) => {
  const { sha } = await (await fetch(`${hub.url}/api/models/${TINY}/revision/main`)).json();
  const out = await pulled(TINY, '--revision', sha);
  const host = await serveStatically(t, out);
  const embedder = await TextEmbedder.load(TINY, { host: host.url, revision: sha, device: 'cpu', store: false });
  embedder.dispose();
});

for (const file of ['pilotlight-q8.safetensors', 'config.json', 'tokenizer.json']) {
  test(`a bit that changed in ${file} on the static host is an INTEGRITY error`, async (t) => {
    const out = await pulled();
    const host = await serveStatically(t, out, { [file]: flipped(path.join(made(out), file)) });
    await assert.rejects(vectors(host.url, 'q8'), { code: 'INTEGRITY', message: new RegExp(file) });
  });
}

test('verify passes what pull made, with a line for each file', async () => {
  const out = await pulled();
  const { code, stdout } = await run(['verify', out]);
  assert.equal(code, 0);
  const names = Object.keys(lockOf(made(out)).files);
  for (const name of names) assert.match(stdout, new RegExp(`^ok +${TINY}/resolve/main/${name}: \\d+ bytes$`, 'm'));
  assert.equal(stdout.trim().split('\n').length, names.length + 1);
});

/** Damages of a folder, each with the line in which verify reports it. */
const DAMAGE = {
  'a changed bit in a tensor': {
    damage: (folder) => {
      const file = path.join(folder, 'pilotlight-q8.safetensors');
      writeFileSync(file, flipped(file, readFileSync(file).length - 1));
    },
    line: /^wrong .*q8\.safetensors: has the sha256 [0-9a-f]{64} instead of [0-9a-f]{64}; other bytes in [\w.]+$/m,
  },
  'a changed bit in the header of the weights': {
    damage: (folder) => {
      const file = path.join(folder, 'pilotlight-q8.safetensors');
      writeFileSync(file, flipped(file, 8));
    },
    line: /^wrong .*q8\.safetensors: has the sha256 .*; its header cannot be read/m,
  },
  'a changed bit in a small file': {
    damage: (folder) => writeFileSync(path.join(folder, 'config.json'), flipped(path.join(folder, 'config.json'))),
    line: /^wrong .*\/config\.json: has the sha256/m,
  },
  'a missing file': {
    damage: (folder) => rmSync(path.join(folder, 'tokenizer.json')),
    line: /^wrong .*tokenizer\.json: is missing$/m,
  },
  'a file that was cut': {
    damage: (folder) => truncateSync(path.join(folder, 'pilotlight-q8.safetensors'), 1000),
    line: /^wrong .*q8\.safetensors: has 1000 bytes instead of \d+$/m,
  },
  'a lock file that was cut': {
    damage: (folder) => truncateSync(path.join(folder, LOCK), 100),
    line: /^wrong .*pilotlight-lock\.json: /m,
  },
  'a lock file with another tensor': {
    damage: (folder) => {
      const lock = lockOf(folder);
      const { tensors } = lock.files['pilotlight-q8.safetensors'];
      tensors[Object.keys(tensors)[0]] = sha256('');
      writeFileSync(path.join(folder, LOCK), JSON.stringify(lock));
    },
    line: /^wrong .*q8\.safetensors: has the right sha256; other bytes in /m,
  },
};

for (const [name, { damage, line }] of Object.entries(DAMAGE)) {
  test(`verify finds ${name}`, async () => {
    const out = await pulled();
    damage(made(out));
    const { code, stdout } = await run(['verify', out]);
    assert.equal(code, 1);
    assert.match(stdout, line);
    assert.match(stdout, /1 wrong/);
  });
}

test('verify warns of files that no lock file lists, checks every model below, and wants at least one', async () => {
  const out = await pulled();
  assert.equal((await pull('test/bert-tiny-cls', out)).code, 0);
  writeFileSync(path.join(made(out), 'notes.txt'), '');
  const { code, stdout } = await run(['verify', out]);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^unlisted +test\/bert-tiny-mean\/resolve\/main\/notes\.txt: is not in .*pilotlight-lock\.json$/m,
  );
  assert.match(stdout, /^ok +test\/bert-tiny-cls\//m);
  assert.match(stdout, /files checked: all as they should be, and 1 that no lock file lists/);

  const none = await run(['verify', freshFolder()]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^pilotlight: there is no lock file below/);
  assert.match((await run(['verify', path.join(out, 'nowhere')])).stderr, /^pilotlight: ENOENT.*nowhere'\n$/);
});

/** Bytes of the weights that the hub has sent. */
const weightBytes = () =>
  hub.requests.filter(({ url }) => url.endsWith('.safetensors')).reduce((sum, { bytes }) => sum + bytes, 0);
const WEIGHTS = readFileSync(path.join(MINILM, 'model.safetensors')).length;

test('a pull that breaks says why, and the next one goes on from there', async (t) => {
  const out = freshFolder();
  hub.setFaults([
    // The front comes by a request of its own.
    { file: 'model.safetensors', fault: 'drip', value: 1e9, times: 1 },
    { file: 'model.safetensors', fault: 'reset', value: 50e6 },
  ]);
  const broken = await run(['pull', LARGE, '--host', hub.url, '--out', out], {
    // A reset alone would be tried again for a minute.
    meanwhile: (child) =>
      child.stderr.on(
        'data',
        (text) => / 50 %/.test(text) && hub.setFaults([{ file: 'model.safetensors', fault: 'status', value: 403 }]),
      ),
  });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr.trim().split('\n').at(-1), /^pilotlight: FETCH_FAILED: model\.safetensors: .*403/);
  assert.deepEqual(readdirSync(out), ['.pilotlight'], 'something can be served already');

  hub.setFaults([]);
  hub.requests.length = 0;
  const whole = await pull(LARGE, out);
  assert.equal(whole.code, 0, whole.stderr);
  assert.ok(weightBytes() < WEIGHTS - 40e6, `${weightBytes()} bytes were fetched again`);
  assert.deepEqual(readdirSync(out), ['sentence-transformers']);
  const host = await serveStatically(t, out);
  assert.deepEqual((await vectors(host.url, 'q8', LARGE)).data, (await vectors(hub.url, 'q8', LARGE)).data);
});

for (const signal of ['SIGINT', 'SIGKILL']) {
  test(`after ${signal} the next pull goes on`, async () => {
    const out = freshFolder();
    hub.setFaults([{ file: 'model.safetensors', fault: 'drip', value: 40e6 }]);
    const stopped = await run(['pull', LARGE, '--host', hub.url, '--out', out], {
      meanwhile: (child) =>
        child.stderr.on('data', (text) => /model\.safetensors.* [5-9]\d %/.test(text) && child.kill(signal)),
    });
    if (signal === 'SIGINT') {
      assert.equal(stopped.code, 1);
      assert.match(stopped.stderr, /pilotlight: stopped; the same command goes on from here\n$/);
    }
    // Another dtype of the model has a work folder of its own, and leaves this one.
    hub.setFaults([]);
    assert.equal((await pull(TINY, out, '--dtype', 'q4')).code, 0);
    hub.requests.length = 0;
    const whole = await pull(LARGE, out);
    assert.equal(whole.code, 0, whole.stderr);
    assert.ok(weightBytes() < WEIGHTS - 30e6, `${weightBytes()} bytes were fetched again`);
    assert.equal((await run(['verify', out])).code, 0);
    assert.ok(!existsSync(path.join(out, '.pilotlight')));
  });
}

test('a host without the model is one line with the code, and leaves nothing', async () => {
  const out = freshFolder();
  for (const [model, host] of [
    ['no/such', hub.url],
    [TINY, 'http://127.0.0.1:9'],
  ]) {
    const { code, stderr } = await run(['pull', model, '--host', host, '--out', out]);
    assert.equal(code, 1);
    assert.match(stderr.trim().split('\n').at(-1), /^pilotlight: FETCH_FAILED: /);
    assert.doesNotMatch(stderr, / at .*\.js:\d+/);
  }
  assert.deepEqual(readdirSync(out), []);
});

test('a folder that cannot be written is one line with the code', async () => {
  const file = path.join(freshFolder(), 'file');
  appendFileSync(file, '');
  const { code, stderr } = await pull(TINY, file);
  assert.equal(code, 1);
  assert.match(stderr.trim().split('\n').at(-1), /^pilotlight: [A-Z_]+: .*(ENOTDIR|EEXIST)/);
});

test('an address in the way of a finished file is an error that says so', async () => {
  const out = freshFolder();
  mkdirSync(path.join(made(out), 'config.json', 'x'), { recursive: true });
  const { code, stderr } = await pull(TINY, out);
  assert.equal(code, 1);
  assert.match(stderr.trim().split('\n').at(-1), /^pilotlight: E[A-Z]+: .*config\.json/);
});

test('wrong usage is exit code 2, with a word on what is wrong', async () => {
  for (const [args, words] of [
    [[], /a command is missing/],
    [['push', 'a/b'], /there is no command 'push'/],
    [['pull'], /takes one MODEL/],
    [['pull', 'a/b', 'c/d'], /takes one MODEL/],
    [['pull', 'a/b', '--dtype', 'q5'], /--dtype is q8, q4, f16 or f32, not 'q5'/],
    [['pull', 'a/b', '--host', 'huggingface.co'], /--host is an address/],
    [['pull', 'a/b', '--host', 'file:///etc'], /--host is an address/],
    [['pull', 'a/b', '--speed', '9'], /--speed/],
    [['pull', 'a/b', '--dtype'], /--dtype/],
    [['pull', 'a/b', '--token', 'hf_secret'], /HF_TOKEN/],
    [['pull', 'a/b', '--token=hf_secret'], /HF_TOKEN/],
    [['pull', 'a/b', '--token-env', 'NO_SUCH_VARIABLE'], /NO_SUCH_VARIABLE has no token/],
    [['pull', '../b'], /model: expected a name/],
    [['pull', 'a/b', '--revision', '..'], /revision: expected a branch/],
    [['verify'], /takes one DIR/],
    [['verify', 'a', 'b'], /takes one DIR/],
    [['verify', '--all', '.'], /--all/],
  ]) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, words);
    assert.match(stderr, /pilotlight --help/);
    assert.doesNotMatch(stderr, /hf_secret/);
    assert.equal(stdout, '');
  }
});

test('help and version', async () => {
  for (const flag of ['--help', '-h']) {
    const { code, stdout } = await run([flag]);
    assert.equal(code, 0);
    for (const word of [
      'pull MODEL',
      'verify DIR',
      '--dtype',
      '--layers',
      '--vocabulary',
      '--dimensions',
      '--evaluate',
      '--out',
      '--revision',
      '--host',
      '--token-env',
      'HF_TOKEN',
    ])
      assert.ok(stdout.includes(word), word);
    assert.ok(stdout.split('\n').every((line) => line.length <= 110));
  }
  assert.deepEqual(await run(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('the token comes from the environment, goes to the host alone, and stands nowhere else', async (t) => {
  const elsewhere = [];
  const bytes = readFileSync(path.join(tinyFolder('bert-tiny-mean'), 'model.safetensors'));
  const cdn = createServer((request, response) => {
    elsewhere.push(request.headers);
    response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
  });
  await new Promise((resolve) => cdn.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    cdn.close();
    cdn.closeAllConnections();
  });
  // The hub sends large files from another origin.
  const there = `http://127.0.0.1:${cdn.address().port}/model.safetensors?signed`;
  for (const [env, more] of [
    [{ HF_TOKEN: 'hf_secret' }, []],
    [{ HF_TOKEN: 'hf_other', MY_TOKEN: 'hf_secret' }, ['--token-env', 'MY_TOKEN']],
  ]) {
    hub.setFaults([{ file: 'model.safetensors', fault: 'status', value: 302, headers: { Location: there } }]);
    hub.requests.length = 0;
    elsewhere.length = 0;
    const out = freshFolder();
    const { code, stdout, stderr } = await run(['pull', TINY, '--host', hub.url, '--out', out, ...more], { env });
    assert.equal(code, 0, stderr);
    assert.ok(hub.requests.length > 3 && elsewhere.length > 0);
    for (const { url, headers } of hub.requests) {
      assert.equal(headers.authorization, 'Bearer hf_secret', url);
      assert.doesNotMatch(url, /secret/);
    }
    for (const headers of elsewhere) assert.equal(headers.authorization, undefined);
    assert.doesNotMatch(stdout + stderr, /secret/);
    for (const [file, content] of Object.entries(filesOf(out)))
      assert.ok(!Buffer.from(content).includes('hf_secret'), file);
  }
  assert.equal((await pull(TINY, freshFolder())).code, 0);
  assert.equal(hub.requests.at(-1).headers.authorization, undefined);
});
