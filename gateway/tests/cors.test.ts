/** Browsers of other origins, headers of all answers, and methods that a path does not take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { operations } from '../src/operations.ts';
import { call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { testHost } from './support/host.ts';

const ORIGIN = 'https://app.example.com';
const cors = (response: Response) =>
  [...response.headers].filter(([name]) => name.startsWith('access-control-')).map(([name]) => name);

test('only the origins of the settings may read answers, errors too', async () => {
  await using host = await testHost({ settings: { CORS_ORIGINS: `${ORIGIN} https://b.example.com` } });
  const app = createGateway(host, [echo]);
  const key = await keyFor(host);
  const json = { model: 'stub', input: 'a' };
  const ask = (origin: string | undefined, options = {}) =>
    call(app, 'POST', '/v1/echo', { key, json, headers: origin === undefined ? {} : { origin }, ...options });
  for (const response of [await ask(ORIGIN), await ask(ORIGIN, { json: {} }), await ask(ORIGIN, { key: 'wrong' })]) {
    assert.equal(response.headers.get('access-control-allow-origin'), ORIGIN);
    assert.equal(response.headers.get('vary'), 'origin');
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
    const exposed = (response.headers.get('access-control-expose-headers') ?? '').split(', ');
    for (const name of ['x-request-id', 'ratelimit', 'x-ratelimit-remaining-tokens', 'retry-after', 'x-cache']) {
      assert.ok(exposed.includes(name), name);
    }
  }
  for (const origin of [
    'https://evil.example.com',
    'http://app.example.com',
    `${ORIGIN}.evil.com`,
    `${ORIGIN}:8443`,
    'https://APP.example.com',
    'null',
    '*',
    `${ORIGIN}, https://b.example.com`,
    undefined,
  ]) {
    const response = await ask(origin);
    assert.deepEqual([response.status, cors(response), response.headers.get('vary')], [200, [], 'origin'], origin);
  }
});

test('a preflight tells what the path takes, needs no key, and tells other origins nothing', async () => {
  await using host = await testHost({ settings: { CORS_ORIGINS: ORIGIN } });
  const app = createGateway(host);
  const ask = (path: string, origin: string) =>
    call(app, 'OPTIONS', path, {
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });
  const allowed = await ask('/admin/keys', ORIGIN);
  assert.deepEqual(
    [allowed.status, allowed.headers.get('access-control-allow-methods'), await allowed.text()],
    [204, 'GET, HEAD, POST', ''],
  );
  assert.equal(allowed.headers.get('access-control-max-age'), '600');
  const headers = (allowed.headers.get('access-control-allow-headers') ?? '').split(', ');
  for (const name of ['authorization', 'content-type', 'x-api-key']) assert.ok(headers.includes(name), name);
  const other = await ask('/admin/keys', 'https://evil.example.com');
  assert.deepEqual([other.status, cors(other)], [204, []]);
  await using closed = await testHost();
  const none = await call(createGateway(closed), 'OPTIONS', '/v1/usage', {
    headers: { origin: ORIGIN, 'access-control-request-method': 'GET' },
  });
  assert.deepEqual([none.status, cors(none), none.headers.get('vary')], [204, [], null]);
});

test('every answer has an id and the headers that keep it from being misused', async () => {
  await using host = await testHost();
  const app = createGateway(host, [...operations, echo]);
  const key = await keyFor(host);
  const json = { model: 'stub', input: 'a' };
  const answers: [number, Response][] = [
    [200, await call(app, 'GET', '/health')],
    [200, await call(app, 'POST', '/v1/echo', { key, json })],
    [200, await call(app, 'GET', '/docs', { key })],
    [204, await call(app, 'OPTIONS', '/v1/usage')],
    [400, await call(app, 'POST', '/v1/echo', { key, json: {} })],
    [401, await call(app, 'GET', '/v1/usage')],
    [403, await call(app, 'GET', '/admin/keys', { key: await keyFor(host, { scopes: ['embed'] }) })],
    [404, await call(app, 'GET', '/nothing', { key })],
    [405, await call(app, 'DELETE', '/v1/usage', { key })],
    [500, await call(app, 'POST', '/v1/echo', { key, json: { ...json, fail: true } })],
  ];
  const ids = new Set<string>();
  for (const [status, { status: got, headers }] of answers) {
    assert.equal(got, status);
    ids.add(headers.get('x-request-id') ?? '');
    assert.equal(headers.get('x-content-type-options'), 'nosniff', `${status}`);
    assert.equal(headers.get('x-frame-options'), 'DENY', `${status}`);
    assert.equal(headers.get('referrer-policy'), 'no-referrer', `${status}`);
    assert.match(headers.get('strict-transport-security') ?? '', /^max-age=\d{8}/, `${status}`);
    assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none';.*frame-ancestors 'none'$/);
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin', `${status}`);
    assert.equal(headers.get('cache-control'), 'private, no-store', `${status}`);
    for (const name of ['server', 'x-powered-by', 'set-cookie']) assert.equal(headers.get(name), null);
  }
  assert.equal(ids.size, answers.length);
  assert.ok(!ids.has(''));
});

test('a path says which methods it takes', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  const taken = new Map<string, Set<string>>();
  for (const { method, path } of operations) {
    // What the parts of a path are called makes no other path.
    const one = path.replace(/\{\w+/g, '{some');
    taken.set(one, (taken.get(one) ?? new Set()).add(method));
  }
  for (const [path, methods] of taken) {
    const address = path.replace(/\{\w+\+?\}/g, 'some');
    if (methods.has('GET')) methods.add('HEAD');
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
      if (methods.has(method)) continue;
      const response = await call(app, method, address, { key });
      const what = `${method} ${path}`;
      assert.equal(response.status, 405, what);
      assert.equal(response.headers.get('allow'), [...methods].sort().join(', '), what);
      const text = await response.text();
      if (method === 'HEAD') assert.equal(text, '', what);
      else assert.equal(JSON.parse(text).error.code, 'method_not_allowed', what);
    }
  }
  const missing = await call(app, 'GET', '/nothing', { key });
  assert.deepEqual([missing.status, (await missing.json()).error.code], [404, 'not_found']);
});

test('readiness names the silent part to a key alone, and asks the parts once in two seconds', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  const get = async (options = {}) => {
    const response = await call(app, 'GET', '/readyz', options);
    return { status: response.status, body: await response.json() };
  };
  assert.deepEqual(await get(), { status: 200, body: { status: 'ok' } });
  assert.deepEqual((await get({ key })).body.models, [{ id: 'stub', loaded: true }]);
  let asked = 0;
  host.blobs.get = () => {
    asked += 1;
    return Promise.reject(new Error('down'));
  };
  assert.equal((await get()).status, 200);
  t.mock.timers.tick(2_000);
  const answers = await Promise.all([get(), get({ key }), get({ key: 'wrong' })]);
  assert.deepEqual(
    answers.map(({ status, body }) => [status, body.error.code, body.error.message]),
    [
      [503, 'not_ready', 'Not ready.'],
      [503, 'not_ready', 'Not ready: no answer of the blobs in time.'],
      [503, 'not_ready', 'Not ready.'],
    ],
  );
  assert.equal(asked, 1);
});
