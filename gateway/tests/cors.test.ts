/** Browsers of other origins, headers of all answers, and methods that a path does not take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { formatKey, randomText } from '../src/keys.ts';
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

test('a preflight needs no key, does not tell which paths there are, and tells other origins nothing', async () => {
  await using host = await testHost({ settings: { CORS_ORIGINS: ORIGIN } });
  const app = createGateway(host);
  const ask = (path: string, origin: string) =>
    call(app, 'OPTIONS', path, {
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });
  const allowed = await ask('/admin/keys', ORIGIN);
  assert.deepEqual(
    [allowed.status, allowed.headers.get('access-control-allow-methods'), await allowed.text()],
    [204, 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT', ''],
  );
  const shown = ({ status, headers }: Response) =>
    JSON.stringify([status, [...headers].filter(([name]) => name !== 'x-request-id')]);
  for (const path of ['/', '/nothing', '/health', '/v1/files/some/content', '/admin/keys/..%2f', '/v1/usage?a=1&a=2']) {
    assert.equal(shown(await ask(path, ORIGIN)), shown(allowed), path);
  }
  assert.equal(shown(await call(app, 'OPTIONS', '/nothing')), shown(await call(app, 'OPTIONS', '/admin/keys')));
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
    // Two paths that differ in the names of their parameters alone are one.
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

test('HEAD has the headers of GET, and leaves no body open', async () => {
  await using host = await testHost();
  let [opened, ended, most] = [0, 0, 0];
  const { get } = host.blobs;
  host.blobs.get = async (key, range) => {
    const blob = await get.call(host.blobs, key, range);
    if (!blob) return undefined;
    opened += 1;
    most = Math.max(most, range?.length ?? blob.size);
    const reader = blob.body.getReader();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await reader.read();
          if (value) controller.enqueue(value);
          if (!done) return;
          ended += 1;
          controller.close();
        },
        cancel(reason) {
          ended += 1;
          return reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
    return { ...blob, body };
  };
  const app = createGateway(host);
  const key = await keyFor(host);
  const type = { 'content-type': 'application/octet-stream' };
  const made = await call(app, 'PUT', '/v1/files/a', { key, headers: type, body: 'x'.repeat(100_000) });
  const { id } = await made.json();
  const path = `/v1/files/${id}/content`;
  const head = await call(app, 'HEAD', path, { key });
  assert.deepEqual([head.status, head.body, head.headers.get('content-length')], [200, null, '100000']);
  assert.deepEqual([opened, ended, most], [1, 1, 1]);
  const whole = await call(app, 'GET', path, { key });
  assert.equal((await whole.text()).length, 100_000);
  const names = ({ headers }: Response) => [...headers].filter(([name]) => name !== 'x-request-id');
  assert.deepEqual(names(head), names(whole));
  for (const other of ['/v1/models', '/docs', '/health']) {
    const response = await call(app, 'HEAD', other, { key });
    assert.deepEqual([response.status, response.body], [200, null], other);
  }
});

test('a part that hangs keeps no check longer than a second, is asked once, and leaves no timer', async (t) => {
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  assert.equal((await call(app, 'GET', '/readyz', { key })).status, 200);
  const { all } = host.sql;
  let asked = 0;
  const answers: (() => void)[] = [];
  host.sql.all = () => {
    asked += 1;
    return new Promise((resolve) => answers.push(() => resolve([])));
  };
  let blobs = 0;
  let cancelled = 0;
  const body = () =>
    new ReadableStream<Uint8Array>({
      cancel() {
        cancelled += 1;
      },
    });
  host.blobs.get = async () => {
    blobs += 1;
    return { body: body(), size: 1, etag: 'a' };
  };
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  try {
    for (let at = 1; at <= 3; at += 1) {
      t.mock.timers.tick(2_000);
      const started = performance.now();
      const response = await call(app, 'GET', '/readyz', { key: formatKey(randomText(12), randomText(32)) });
      assert.equal(response.status, 503);
      assert.ok(performance.now() - started < 1_800, `${performance.now() - started} ms`);
      assert.deepEqual([blobs, cancelled], [at, at]);
    }
    // Once by the checks, and once for each key.
    assert.equal(asked, 1 + 3);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(timers() <= before, `${timers()} timers, ${before} before`);
  } finally {
    for (const answer of answers) answer();
  }
  host.sql.all = all;
  t.mock.timers.tick(10_000);
  assert.equal((await call(app, 'GET', '/readyz')).status, 200);
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
