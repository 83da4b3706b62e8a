import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startHub } from './hub.mjs';

const weights = randomBytes(700_001);
const model = 'org/tiny';
let hub;

before(async () => {
  hub = await startHub({
    models: { [model]: { 'config.json': '{"a":1}', '1_Pooling/config.json': '{}', 'model.safetensors': weights } },
  });
});
after(() => hub.close());

const file = (name, init) => fetch(`${hub.url}/${model}/resolve/main/${name}`, init);

test('a file arrives whole, with length, digest, commit and readable headers for other origins', async () => {
  const response = await file('model.safetensors');
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-length'), String(weights.length));
  assert.equal(response.headers.get('etag'), `"${createHash('sha256').update(weights).digest('hex')}"`);
  assert.match(response.headers.get('x-repo-commit'), /^[0-9a-f]{40}$/);
  assert.match(response.headers.get('access-control-expose-headers'), /X-Repo-Commit/);
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), weights);
});

test('a range gives those bytes and says where they lie', async () => {
  for (const [range, from, to] of [
    ['bytes=10-19', 10, 20],
    ['bytes=700000-', 700_000, 700_001],
    ['bytes=-5', 699_996, 700_001],
  ]) {
    const response = await file('model.safetensors', { headers: { range } });
    assert.equal(response.status, 206);
    assert.equal(response.headers.get('content-range'), `bytes ${from}-${to - 1}/700001`);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), weights.subarray(from, to));
  }
  assert.equal((await file('model.safetensors', { headers: { range: 'bytes=700001-' } })).status, 416);
});

test('the tree lists every file with its size and the sha256 of weights', async () => {
  const rows = await (await fetch(`${hub.url}/api/models/${model}/tree/main?recursive=true`)).json();
  assert.deepEqual(
    rows.map((row) => [row.type, row.path, row.size]),
    [
      ['directory', '1_Pooling', 0],
      ['file', '1_Pooling/config.json', 2],
      ['file', 'config.json', 7],
      ['file', 'model.safetensors', 700_001],
    ],
  );
  assert.equal(rows[3].lfs.oid, createHash('sha256').update(weights).digest('hex'));
});

test('a branch resolves to a commit, and the commit resolves too', async () => {
  const { sha } = await (await fetch(`${hub.url}/api/models/${model}/revision/main`)).json();
  assert.equal((await fetch(`${hub.url}/${model}/resolve/${sha}/config.json`)).headers.get('x-repo-commit'), sha);
});

test('what is not there is refused as the hub refuses it', async () => {
  assert.equal((await file('nothing.json')).status, 404);
  assert.equal(
    (await fetch(`${hub.url}/${model}/resolve/v9/config.json`)).headers.get('x-error-code'),
    'RevisionNotFound',
  );
  assert.equal((await fetch(`${hub.url}/no/body/resolve/main/config.json`)).status, 401);
  assert.equal((await fetch(`${hub.url}/no/body/`)).status, 404);
});

test('every fault of the table strikes where it should and as often as it should', async () => {
  const only = (fault) => hub.setFaults([{ file: 'model.safetensors', ...fault }]);
  only({ fault: 'status', value: 503, times: 1 });
  assert.equal((await file('config.json')).status, 200);
  assert.equal((await file('model.safetensors')).status, 503);
  assert.equal((await file('model.safetensors')).status, 200);

  only({ fault: 'html' });
  assert.match(await (await file('model.safetensors')).text(), /^<!doctype html>/);
  only({ fault: 'body', value: 'other' });
  assert.equal(await (await file('model.safetensors')).text(), 'other');
  only({ fault: 'short', value: 1000 });
  assert.equal((await (await file('model.safetensors')).arrayBuffer()).byteLength, 1000);
  for (const fault of ['truncate', 'reset']) {
    only({ fault, value: 300_000 });
    await assert.rejects(async () => (await file('model.safetensors')).arrayBuffer());
  }
  only({ fault: 'stall', value: 300_000 });
  await assert.rejects(
    async () => (await file('model.safetensors', { signal: AbortSignal.timeout(300) })).arrayBuffer(),
    { name: 'TimeoutError' },
  );
  only({ fault: 'drip', value: 2_000_000 });
  const started = performance.now();
  assert.deepEqual(Buffer.from(await (await file('model.safetensors')).arrayBuffer()), weights);
  assert.ok(performance.now() - started > 300, 'it came at once');
  hub.setFaults([]);
});

test('each fault of what is sent does what it says', async () => {
  const only = (fault) => hub.setFaults([{ file: 'model.safetensors', ...fault }]);
  const range = { headers: { range: 'bytes=1000-1999' } };
  const bytes = async (init) => Buffer.from(await (await file('model.safetensors', init)).arrayBuffer());
  only({ fault: 'long', value: 10 });
  assert.equal((await bytes()).length, weights.length + 10);
  only({ fault: 'length', value: 10 });
  await assert.rejects(bytes());
  only({ fault: 'gzip' });
  const gzipped = await file('model.safetensors');
  assert.equal(gzipped.headers.get('content-encoding'), 'gzip');
  assert.notEqual(gzipped.headers.get('content-length'), String(weights.length));
  assert.deepEqual(Buffer.from(await gzipped.arrayBuffer()), weights);
  only({ fault: 'unranged' });
  assert.deepEqual(await bytes(range), weights);
  only({ fault: 'shift', value: 7 });
  assert.equal((await file('model.safetensors', range)).headers.get('content-range'), 'bytes 1007-1999/700001');
  assert.deepEqual(await bytes(range), weights.subarray(1007, 2000));
  only({ fault: 'lie', value: 7 });
  assert.equal((await file('model.safetensors', range)).headers.get('content-range'), 'bytes 1000-1999/700001');
  assert.deepEqual(await bytes(range), weights.subarray(1007, 2007));
  only({ fault: 'etag', value: 'x', skip: 1, times: 1 });
  const etags = [];
  for (let i = 0; i < 3; i += 1) etags.push((await file('model.safetensors', { method: 'HEAD' })).headers.get('etag'));
  assert.deepEqual(
    etags.map((etag) => etag === '"x"'),
    [false, true, false],
  );
  only({ fault: 'other', value: 'x' });
  assert.deepEqual(
    await bytes(range),
    weights.subarray(1000, 2000).map((byte) => byte ^ 1),
  );
  only({ fault: 'redirect', value: '' });
  await assert.rejects(bytes());
  only({ fault: 'redirect', value: hub.url, times: 1 });
  assert.deepEqual(await bytes(), weights);
  hub.setFaults([]);
});

test('a push gives the branch a new commit, and the one before can be had by its name unless it is gone', async () => {
  const files = (a) => ({ 'config.json': JSON.stringify({ a }) });
  const moving = await startHub({ models: { 'org/x': files(1) } });
  const get = async (revision) => (await fetch(`${moving.url}/org/x/resolve/${revision}/config.json`)).json();
  const head = async () => (await (await fetch(`${moving.url}/api/models/org/x/revision/main`)).json()).sha;
  const first = await head();
  const second = await moving.push('org/x', files(2));
  assert.equal(await head(), second);
  assert.deepEqual([await get('main'), await get(first), await get(second)], [{ a: 2 }, { a: 1 }, { a: 2 }]);
  await moving.push('org/x', files(3), { gone: true });
  assert.equal((await fetch(`${moving.url}/org/x/resolve/${second}/config.json`)).status, 404);
  await moving.close();
});

test('a tree in pages is whole when one follows its links', async () => {
  const paged = await startHub({ models: { 'org/x': { a: '1', b: '2', 'c/d': '3' } }, traits: { page: 2 } });
  const names = [];
  let pages = 0;
  for (let url = `${paged.url}/api/models/org/x/tree/main?recursive=true`; url; pages += 1) {
    const response = await fetch(url);
    names.push(...(await response.json()).map((row) => row.path));
    url = /<(.+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  }
  assert.deepEqual([names, pages], [['c', 'a', 'b', 'c/d'], 2]);
  await paged.close();
});

test('a bucket knows no API, and need not say how long or which a file is', async () => {
  const bucket = await startHub({
    models: { 'org/x': { a: '1234' } },
    traits: { api: false, missing: 403, etag: false, length: false, ranges: false },
  });
  assert.equal((await fetch(`${bucket.url}/api/models/org/x/revision/main`)).status, 404);
  assert.equal((await fetch(`${bucket.url}/org/x/resolve/main/b`)).status, 403);
  const response = await fetch(`${bucket.url}/org/x/resolve/main/a`, { headers: { range: 'bytes=1-2' } });
  assert.deepEqual(
    ['etag', 'content-length', 'x-repo-commit'].map((name) => response.headers.get(name)),
    [null, null, null],
  );
  assert.equal(await response.text(), '1234');
  await bucket.close();
});

test('the record tells what was asked and how much was sent', async () => {
  hub.requests.length = 0;
  await (await file('config.json', { headers: { authorization: 'Bearer secret' } })).text();
  const [{ method, url, headers, status, bytes }] = hub.requests;
  assert.deepEqual(
    { method, url, status, bytes, token: headers.authorization },
    { method: 'GET', url: `/${model}/resolve/main/config.json`, status: 200, bytes: 7, token: 'Bearer secret' },
  );
});
