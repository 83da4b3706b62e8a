/** Authentication: a table of keys made from the operations, so that a new one cannot be forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { Authenticator, FAILURES, networkOf } from '../src/http/auth.ts';
import { formatKey, KEY_PATTERN, makeKey, mintKey, parseKey, randomText } from '../src/keys.ts';
import { type Operation, SCOPES } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { MemoryMeter } from '../src/parts/memory-meter.ts';
import { revokeKey } from '../src/tables/keys.ts';
import { call, keyFor } from './support/app.ts';
import { testHost } from './support/host.ts';
import { keepLogs } from './support/logs.ts';

const pathOf = ({ path }: Operation) => path.replace(/\{\w+\+?\}/g, 'some');
const bodyOf = ({ method }: Operation) => (method === 'GET' || method === 'DELETE' ? {} : { json: {} });

/** All of an answer but what differs by nature: its id. */
async function bytesOf(response: Response): Promise<string> {
  const headers = [...response.headers].filter(([name]) => name !== 'x-request-id');
  assert.match(response.headers.get('x-request-id') ?? '', /^[\w-]{8,64}$/);
  return JSON.stringify([response.status, headers, await response.text()]);
}

test('every operation refuses every caller without a valid key by the same bytes', async () => {
  await using host = await testHost({ settings: { LOG_LEVEL: 'info' } });
  using logs = keepLogs();
  const app = createGateway(host);
  const good = await keyFor(host);
  const { id, secret } = parseKey(good) as { id: string; secret: string };
  const expired = await keyFor(host, { expiresAt: Date.now() - 1 });
  const revoked = await mintKey(host.sql, { name: 'revoked', owner: 'owner', scopes: SCOPES });
  await revokeKey(host.sql, revoked.record.id, Date.now());
  const badChecksum = good.slice(0, -1) + (good.endsWith('0') ? '1' : '0');
  const bearer = (value: string) => ({ headers: { authorization: value } });
  const refused: Record<string, { headers?: HeadersInit; query?: string }> = {
    none: {},
    empty: bearer(''),
    'no scheme': bearer(good),
    'another scheme': bearer(`Basic ${good}`),
    malformed: bearer('Bearer hello'),
    'bad checksum': bearer(`Bearer ${badChecksum}`),
    unknown: bearer(`Bearer ${formatKey(randomText(12), secret)}`),
    'wrong secret': bearer(`Bearer ${formatKey(id, randomText(32))}`),
    expired: bearer(`Bearer ${expired}`),
    revoked: bearer(`Bearer ${revoked.key}`),
    'a token of nobody': bearer('Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.'),
    'two headers': { headers: { authorization: `Bearer ${good}`, 'x-api-key': good } },
    'one header twice': bearer(`Bearer ${good}, Bearer ${good}`),
    'x-api-key twice': { headers: { 'x-api-key': `${good}, ${good}` } },
    'x-api-key with a scheme': { headers: { 'x-api-key': `Bearer ${good}` } },
    'in the query alone': { query: `?api_key=${good}` },
    'in the query beside a header': { ...bearer(`Bearer ${good}`), query: `?key=${good}` },
    'in the query by another name': { ...bearer(`Bearer ${good}`), query: `?q=${good}` },
  };
  let address = 0;
  let expected: string | undefined;
  let count = 0;
  for (const operation of operations.filter(({ scope }) => scope !== 'public')) {
    for (const [name, { headers, query = '' }] of Object.entries(refused)) {
      const all = new Headers(headers);
      // Each from an address of its own, as one address may fail 20 times only.
      address += 1;
      all.set('x-test-address', `a${address}`);
      const response = await call(app, operation.method, `${pathOf(operation)}${query}`, {
        ...bodyOf(operation),
        headers: all,
      });
      const bytes = await bytesOf(response);
      expected ??= bytes;
      assert.equal(bytes, expected, `${operation.method} ${operation.path}: ${name}`);
      assert.equal(response.status, 401);
      count += 1;
    }
  }
  assert.ok(count >= 10 * Object.keys(refused).length, `only ${count} were refused`);
  assert.match(expected ?? '', /"www-authenticate","Bearer"/);
  // Neither the secrets nor the whole keys are in the log, although each request had a line there.
  assert.equal(logs.lines.length, count);
  for (const text of [secret, good, expired, revoked.key, badChecksum, 'eyJhbGci', 'Bearer ']) {
    assert.ok(!logs.lines.some((line) => line.includes(text)), `the log has ${text.slice(0, 8)}`);
  }
});

test('every operation asks for its scope, and for no other', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const keys = new Map<string, { all: string; only: string }>();
  for (const scope of SCOPES) {
    keys.set(scope, {
      all: await keyFor(host, { scopes: SCOPES.filter((one) => one !== scope) }),
      only: await keyFor(host, { scopes: [scope] }),
    });
  }
  for (const operation of operations) {
    if (operation.scope === 'public' || operation.scope === 'any') continue;
    const { all, only } = keys.get(operation.scope) as { all: string; only: string };
    const what = `${operation.method} ${operation.path}`;
    const refused = await call(app, operation.method, pathOf(operation), { ...bodyOf(operation), key: all });
    assert.equal(refused.status, 403, what);
    assert.equal((await refused.json()).error.code, 'missing_scope', what);
    for (const headers of [
      { authorization: `Bearer ${only}` },
      { authorization: `bearer ${only}` },
      { authorization: `BEARER  ${only}` },
      { 'x-api-key': only },
    ]) {
      const taken = await call(app, operation.method, pathOf(operation), { ...bodyOf(operation), headers });
      assert.ok(![401, 403, 405, 500].includes(taken.status), `${what}: ${taken.status} ${await taken.text()}`);
    }
  }
});

test('nothing but the public operations answers without a key, whatever the path looks like', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const open = operations.filter(({ scope }) => scope === 'public');
  assert.deepEqual(open.map(({ method, path }) => `${method} ${path}`).sort(), [
    'GET /health',
    'GET /healthz',
    'GET /readyz',
  ]);
  for (const { path } of open) {
    assert.equal((await call(app, 'GET', path)).status, 200, path);
    assert.equal((await call(app, 'GET', `${path}?from=a-probe`)).status, 200, path);
    const head = await call(app, 'HEAD', path);
    assert.deepEqual([head.status, await head.text()], [200, ''], path);
  }
  const tricks = (path: string) => [
    path,
    `/${path}`,
    `${path}/`,
    path.toUpperCase(),
    path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
    `/health/..${path}`,
    `/health/%2e%2e${path}`,
    `/health%2f..${path}`,
    `/health/./..${path}`,
    `/health;${path}`,
    `/health${path}`,
    `/healthz/..;${path}`,
    `/.${path}`,
    `${path}%00`,
    `${path}%20`,
    `${path}?/health`,
    `${path}#/health`,
    path.replaceAll('/', '\\'),
    `${path}.json`,
  ];
  let address = 0;
  for (const operation of operations.filter(({ scope }) => scope !== 'public')) {
    for (const path of tricks(pathOf(operation))) {
      for (const method of new Set([operation.method, 'GET', 'HEAD', 'POST'])) {
        address += 1;
        const response = await call(app, method, path, { headers: { 'x-test-address': `b${address}` } });
        assert.equal(response.status, 401, `${method} ${path}`);
      }
    }
    const options = await call(app, 'OPTIONS', pathOf(operation));
    assert.deepEqual([options.status, await options.text()], [204, ''], operation.path);
  }
  for (const path of ['/', '/v1', '/invocations', '/pooling', '/score', '/admin', '/favicon.ico', '/healthzz']) {
    address += 1;
    const response = await call(app, 'GET', path, { headers: { 'x-test-address': `b${address}` } });
    assert.equal(response.status, 401, path);
  }
});

test('settings can open the docs and the metrics, and nothing else', async () => {
  await using host = await testHost({ settings: { PUBLIC: 'docs openapi.json metrics' } });
  const app = createGateway(host);
  for (const path of ['/docs', '/openapi.json', '/metrics']) assert.equal((await call(app, 'GET', path)).status, 200);
  assert.equal((await call(app, 'GET', '/admin/keys')).status, 401);
  await assert.rejects(testHost({ settings: { PUBLIC: 'admin/keys' } }), /PUBLIC: docs, openapi.json or metrics/);
});

test('a key has one form, and a checksum that finds each wrong character', async () => {
  const { key, record, statement } = await makeKey({ name: 'a', owner: 'b', scopes: ['embed'] });
  assert.equal(key.length, 55);
  assert.match(key, KEY_PATTERN);
  const { id, secret } = parseKey(key) as { id: string; secret: string };
  assert.equal(id, record.id);
  assert.ok(!JSON.stringify(statement).includes(secret), 'the secret itself is not kept');
  for (let at = 3; at < key.length; at += 1) {
    if (key[at] === '_') continue;
    const changed = key.slice(0, at) + (key[at] === 'x' ? 'y' : 'x') + key.slice(at + 1);
    assert.equal(parseKey(changed), undefined, `character ${at}`);
  }
  // The checksum is CRC-32, as other tools have it.
  assert.equal(
    formatKey('0'.repeat(12), '0'.repeat(32)).slice(-6),
    crc('pl_000000000000_00000000000000000000000000000000'),
  );
  const counts = new Map<string, number>();
  for (let at = 0; at < 62; at += 1) {
    for (const letter of randomText(1000)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  }
  assert.equal(counts.size, 62);
  for (const [letter, count] of counts) assert.ok(Math.abs(count - 1000) < 200, `${letter} came ${count} times`);
});

test('a key that is rotated holds for its grace, and a revoked one not at all', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const admin = await keyFor(host, { scopes: ['admin'] });
  const made = await call(app, 'POST', '/admin/keys', { key: admin, json: { name: 'client', scopes: ['history'] } });
  assert.equal(made.status, 201);
  const { id, key: first } = await made.json();
  const works = async (key: string) => (await call(app, 'GET', '/v1/history', { key })).status === 200;
  assert.ok(await works(first));
  const rotate = async (json: unknown) =>
    (await (await call(app, 'POST', `/admin/keys/${id}/rotate`, { key: admin, json })).json()).key as string;
  const second = await rotate({});
  assert.deepEqual([await works(first), await works(second)], [true, true]);
  const third = await rotate({ grace_seconds: 0 });
  // The first is two rotations old, and the second had no grace.
  assert.deepEqual([await works(first), await works(second), await works(third)], [false, false, true]);
  const shown = await (await call(app, 'GET', `/admin/keys/${id}`, { key: admin })).json();
  assert.equal(shown.key, undefined);
  assert.equal((await call(app, 'DELETE', `/admin/keys/${id}`, { key: admin })).status, 200);
  assert.equal(await works(third), false);
  const again = await call(app, 'POST', `/admin/keys/${id}/rotate`, { key: admin });
  assert.equal(again.status, 409);
});

test('a secret that was made elsewhere holds at once, and wrong ones make no flood of reads', async (t) => {
  await using host = await testHost();
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const [here, elsewhere] = [createGateway(host), new Authenticator(host)];
  const admin = await keyFor(host, { scopes: ['admin'] });
  const { key, record } = await mintKey(host.sql, { name: 'a', owner: 'a', scopes: ['embed'] });
  const as = async (text: string) =>
    (await elsewhere.identify(new Headers({ 'x-api-key': text }), 'http://gateway.test/')) !== undefined;
  assert.ok(await as(key));
  t.mock.timers.tick(1_000);
  const rotated = await call(here, 'POST', `/admin/keys/${record.id}/rotate`, { key: admin });
  const { key: second } = await rotated.json();
  assert.deepEqual([await as(second), await as(key)], [true, true]);
  let reads = 0;
  const all = host.sql.all.bind(host.sql);
  host.sql.all = (sql, params) => {
    reads += 1;
    return all(sql, params);
  };
  t.mock.timers.tick(1_000);
  for (let at = 0; at < 50; at += 1) assert.equal(await as(formatKey(record.id, randomText(32))), false);
  assert.equal(reads, 1);
  t.mock.timers.reset();
});

test('an administrator makes, lists, changes and finds keys, and errors name the field', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const admin = await keyFor(host, { scopes: ['admin'] });
  const post = (json: unknown) => call(app, 'POST', '/admin/keys', { key: admin, json });
  for (const [json, param] of [
    [{}, 'name'],
    [{ name: '', scopes: ['embed'] }, 'name'],
    [{ name: 'a', scopes: [] }, 'scopes'],
    [{ name: 'a', scopes: ['embed', 'everything'] }, 'scopes[1]'],
    [{ name: 'a', scopes: ['embed'], limits: { rpm: 0 } }, 'limits.rpm'],
    [{ name: 'a', scopes: ['embed'], limits: { rps: 1 } }, 'limits.rps'],
    [{ name: 'a', scopes: ['embed'], models: [] }, 'models'],
    [{ name: 'a', scopes: ['embed'], history: 'all' }, 'history'],
    [{ name: 'a', scopes: ['embed'], hash: 'b' }, 'hash'],
    [{ name: 'a', scopes: ['embed'], expires_at: '2030-01-01' }, 'expires_at'],
  ] as const) {
    const response = await post(json);
    assert.equal(response.status, 400, JSON.stringify(json));
    assert.equal((await response.json()).error.param, param);
  }
  const made = [];
  for (const name of ['one', 'two', 'three']) {
    made.push(await (await post({ name, owner: 'team', scopes: ['embed'], limits: { rpm: 5 } })).json());
  }
  const list = async (query: string) =>
    (await call(app, 'GET', `/admin/keys?owner=team&${query}`, { key: admin })).json();
  const page = await list('limit=2');
  assert.deepEqual([page.data.length, page.has_more], [2, true]);
  const rest = await list(`limit=2&after=${page.data[1].id}`);
  assert.deepEqual([rest.data.length, rest.has_more], [1, false]);
  const names = [...page.data, ...rest.data].map(({ name }: { name: string }) => name).sort();
  assert.deepEqual(names, ['one', 'three', 'two']);
  assert.ok(!JSON.stringify([page, rest]).includes('"key":'));
  const patched = await call(app, 'PATCH', `/admin/keys/${made[0].id}`, {
    key: admin,
    json: { scopes: ['history'], models: ['stub'], expires_at: 4_102_444_800 },
  });
  const { scopes, models, limits, expires_at } = await patched.json();
  assert.deepEqual([scopes, models, limits, expires_at], [['history'], ['stub'], { rpm: 5 }, 4_102_444_800]);
  assert.equal((await call(app, 'GET', '/v1/history', { key: made[0].key })).status, 200);
  assert.equal((await call(app, 'GET', '/admin/keys/nothing', { key: admin })).status, 404);
});

test('records are kept for 30 seconds and unknown ids for 10, and a flood of ids does not grow the memory', async (t) => {
  await using host = await testHost();
  let looked = 0;
  const all = host.sql.all.bind(host.sql);
  host.sql.all = (sql, params) => {
    looked += 1;
    return all(sql, params);
  };
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const authenticator = new Authenticator(host);
  const key = await keyFor(host);
  const as = (text: string) =>
    authenticator.identify(new Headers({ 'x-api-key': text }), 'http://gateway.test/v1/models');
  const unknown = formatKey(randomText(12), randomText(32));
  for (const text of [key, key, unknown, unknown]) await as(text);
  assert.equal(looked, 2);
  await revokeKey(host.sql, parseKey(key)?.id ?? '', Date.now());
  looked = 0;
  t.mock.timers.tick(10_001);
  await as(unknown);
  assert.deepEqual([(await as(key)) !== undefined, looked], [true, 1]);
  t.mock.timers.tick(20_000);
  assert.deepEqual([await as(key), looked], [undefined, 2]);
  await Promise.all([as(unknown), as(unknown)]);
  looked = 0;
  for (let at = 0; at < 6000; at += 1) await as(formatKey(at.toString().padStart(12, 'a'), '0'.repeat(32)));
  assert.equal(looked, 6000);
  looked = 0;
  // The last 5,000 are known, and those before them were forgotten.
  await as(formatKey('5999'.padStart(12, 'a'), '0'.repeat(32)));
  await as(formatKey('999'.padStart(12, 'a'), '0'.repeat(32)));
  assert.equal(looked, 1);
});

test('an address may fail 20 times a minute, and valid keys that were used before still work', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  const headers = { 'x-test-address': '198.51.100.7' };
  assert.equal((await call(app, 'GET', '/v1/usage', { headers, key })).status, 200);
  const statuses: number[] = [];
  for (let at = 0; at < 25; at += 1) statuses.push((await call(app, 'GET', '/v1/usage', { headers })).status);
  assert.deepEqual(statuses, [...Array(20).fill(401), ...Array(5).fill(429)]);
  const refused = await call(app, 'GET', '/v1/usage', { headers });
  assert.equal(refused.headers.get('retry-after'), '60');
  t.mock.timers.tick(45_000);
  // Its record is read again after 30 seconds, and a revocation holds.
  assert.equal((await call(app, 'GET', '/v1/usage', { headers, key })).status, 200);
  await revokeKey(host.sql, parseKey(key)?.id ?? '', Date.now());
  t.mock.timers.tick(31_000);
  for (let at = 0; at < 20; at += 1) await call(app, 'GET', '/v1/usage', { headers });
  assert.equal((await call(app, 'GET', '/v1/usage', { headers, key })).status, 429);
  assert.equal((await call(app, 'GET', '/v1/usage', { headers: { 'x-test-address': 'other' } })).status, 401);
  // A client without a known address must not shut out all others.
  const unknown = { 'x-test-address': '' };
  for (let at = 0; at < 25; at += 1) await call(app, 'GET', '/v1/usage', { headers: unknown });
  assert.equal((await call(app, 'GET', '/v1/usage', { headers: unknown, key: await keyFor(host) })).status, 200);
});

test('an address that is blocked makes the database work no more, by any route, and is heard again after a minute', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const meter = new MemoryMeter();
  await using host = await testHost({
    parts: { allowFailure: async (address) => (await meter.take(address, [FAILURES])).allowed },
  });
  const app = createGateway(host);
  let reads = 0;
  const all = host.sql.all.bind(host.sql);
  host.sql.all = (sql, params) => {
    if (sql.includes('api_keys')) reads += 1;
    return all(sql, params);
  };
  let id = 0;
  const guess = (path = '/v1/usage') => {
    id += 1;
    return call(app, 'GET', path, {
      key: formatKey(randomText(12), randomText(32)),
      // A client with one address of a network of IPv6 has 2^64 of them.
      headers: { 'x-test-address': `2001:db8::${id.toString(16)}` },
    });
  };
  for (let at = 0; at < 10; at += 1) assert.equal((await guess()).status, 401);
  for (let at = 0; at < 10; at += 1) assert.equal((await guess('/readyz')).status, 200);
  assert.equal((await guess()).status, 429);
  assert.equal(reads, 21);
  t.mock.timers.tick(20_000);
  const refused = await guess();
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '40']);
  await guess('/readyz');
  const valid = await keyFor(host);
  const unused = await call(app, 'GET', '/v1/usage', { key: valid, headers: { 'x-test-address': '2001:db8::1' } });
  assert.equal(unused.status, 429);
  assert.equal(reads, 21);
  t.mock.timers.tick(40_000);
  assert.equal((await guess()).status, 401);
  assert.equal(reads, 22);
});

test('addresses of one network of IPv6 count as one, and ports do not count', () => {
  for (const [address, network] of [
    ['198.51.100.7', '198.51.100.7'],
    ['198.51.100.7:50123', '198.51.100.7'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:2::9', '2001:db8:1:2::/64'],
    ['[2001:db8::1]:443', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
    ['unknown', 'unknown'],
    ['', ''],
  ] as const) {
    assert.equal(networkOf(address), network, address);
  }
});

test('keys are refused as before when the meter of failures fails, and a silent database is no refusal', async (t) => {
  await using host = await testHost({ parts: { allowFailure: () => Promise.reject(new Error('down')) } });
  const app = createGateway(host);
  assert.equal((await call(app, 'GET', '/v1/usage')).status, 401);
  const key = await keyFor(host);
  const { all } = host.sql;
  host.sql.all = () => Promise.reject(new Error('the disk is gone'));
  const failed = await call(app, 'GET', '/v1/usage', { key });
  assert.deepEqual([failed.status, (await failed.json()).error.code], [503, 'not_ready']);
  let answer = () => {};
  host.sql.all = () =>
    new Promise((resolve) => {
      answer = () => resolve([]);
    });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const hanging = call(app, 'GET', '/v1/usage', { key });
  for (let at = 0; at < 10; at += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(1_000);
  }
  assert.deepEqual([(await hanging).status, (await hanging).headers.get('retry-after')], [503, '1']);
  answer();
  t.mock.timers.reset();
  host.sql.all = () => Promise.reject(new Error('the disk is gone'));
  const ready = await call(app, 'GET', '/readyz', { key });
  const { error } = await ready.json();
  assert.deepEqual([ready.status, error.message], [503, 'Not ready.']);
  host.sql.all = all;
  assert.equal((await call(app, 'GET', '/v1/usage', { key })).status, 200);
});

test('a key for some models may use no other', async () => {
  const { echo } = await import('./support/echo.ts');
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const json = { model: 'stub', input: 'hello' };
  const own = await keyFor(host, { models: ['stub'] });
  const other = await keyFor(host, { models: ['another'] });
  assert.equal((await call(app, 'POST', '/v1/echo', { key: own, json })).status, 200);
  const refused = await call(app, 'POST', '/v1/echo', { key: other, json });
  assert.deepEqual([refused.status, (await refused.json()).error.code], [403, 'model_not_allowed']);
});

function crc(text: string): string {
  // Bit by bit, unlike the table that is tested.
  let sum = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  let rest = ~sum >>> 0;
  let digits = '';
  for (let at = 0; at < 6; at += 1) {
    digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'[rest % 62] + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}
