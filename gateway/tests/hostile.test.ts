/** Requests that no honest client sends: each gets an error that names what is wrong, leaves no trace, and does no harm. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createGateway } from '../src/app.ts';
import { guarded, LEAST_RATE, parseJson, readBytes, readForm } from '../src/http/body.ts';
import { GatewayError } from '../src/http/errors.ts';
import { readItems } from '../src/jobs/index-items.ts';
import { readRequest } from '../src/jobs/request-line.ts';
import { operation } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { allModels } from './support/all-models.ts';
import { type CallOptions, call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { StubModels, testHost } from './support/host.ts';
import { keepLogs } from './support/logs.ts';

const CANARY = 'canary-7f3a';
const JSON_TYPE = { 'content-type': 'application/json' };
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));
const body = (text: string | Uint8Array): CallOptions => ({ headers: JSON_TYPE, body: text as BodyInit });
const stream = (next: (controller: ReadableStreamDefaultController<Uint8Array>) => void | Promise<void>) =>
  new ReadableStream<Uint8Array>({ pull: next });

/** A body, and the status, the code and the field of its answer. */
const HOSTILE: Record<string, [CallOptions, number, string, string | null]> = {
  'no body': [{}, 400, 'invalid_request', 'model'],
  'an empty body': [body(''), 400, 'invalid_json', null],
  'blanks alone': [body('   '), 400, 'invalid_json', null],
  'no JSON': [body(`${CANARY}`), 400, 'invalid_json', null],
  'half of JSON': [body(`{"model":"${CANARY}`), 400, 'invalid_json', null],
  'JSON twice': [body('{"model":"stub","input":"a"}{"model":"stub","input":"a"}'), 400, 'invalid_json', null],
  'a comma at the end': [body('{"model":"stub","input":"a",}'), 400, 'invalid_json', null],
  NaN: [body('{"model":"stub","input":NaN}'), 400, 'invalid_json', null],
  null: [body('null'), 400, 'invalid_request', null],
  'a number': [body('42'), 400, 'invalid_request', null],
  'a string': [body(`"${CANARY}"`), 400, 'invalid_request', null],
  'a list': [body('[{"model":"stub","input":"a"}]'), 400, 'invalid_request', null],
  '60,000 levels of lists': [body('['.repeat(60_000) + ']'.repeat(60_000)), 400, 'invalid_request', null],
  '60,000 levels of objects': [body('{"a":'.repeat(60_000) + 1 + '}'.repeat(60_000)), 400, 'invalid_request', null],
  '60,000 levels that never end': [body('['.repeat(60_000)), 400, 'invalid_json', null],
  '200,000 levels': [body('['.repeat(200_000)), 413, 'body_too_large', null],
  '300,000 empty lists': [body(`[${'[],'.repeat(299_999)}[]]`), 413, 'body_too_large', null],
  '70,000 fields': [
    body(`{${Array.from({ length: 70_000 }, (_, at) => `"${at}":1`).join()}}`),
    413,
    'body_too_large',
    null,
  ],
  '70,000 numbers behind a string with quotes': [
    body(`{"model":"\\\\\\"","input":[${'1,'.repeat(70_000)}1]}`),
    413,
    'body_too_large',
    null,
  ],
  '65 levels in a field': [
    body(`{"model":"stub","input":${'['.repeat(65)}${']'.repeat(65)}}`),
    400,
    'invalid_request',
    null,
  ],
  'a byte that is no UTF-8': [body(bytes('{"model":"stub","input":"', [0xff], '"}')), 400, 'invalid_json', null],
  'UTF-8 that is cut': [body(bytes('{"model":"stub","input":"', [0xe2, 0x82], '"}')), 400, 'invalid_json', null],
  'an overlong form': [body(bytes('{"model":"stub","input":"', [0xc0, 0x80], '"}')), 400, 'invalid_json', null],
  'a surrogate in UTF-8': [
    body(bytes('{"model":"stub","input":"', [0xed, 0xa0, 0x80], '"}')),
    400,
    'invalid_json',
    null,
  ],
  'UTF-16': [body(Buffer.from('{"model":"stub","input":"a"}', 'utf16le')), 400, 'invalid_json', null],
  'half of a surrogate pair': [body('{"model":"stub","input":"a\\ud83d"}'), 400, 'invalid_request', 'input'],
  'the other half in a list': [body('{"model":"stub","input":["a","\\ude00b"]}'), 400, 'invalid_request', 'input[1]'],
  'half of a pair in a name': [body('{"model":"stub","input":"a","\\ud83d":1}'), 400, 'invalid_request', null],
  'half of a pair below a name of 100,000 characters': [
    body(`{"${'n'.repeat(100_000)}":"\\ud83d"}`),
    400,
    'invalid_request',
    'n'.repeat(200),
  ],
  'a null character in a name of a field': [body('{"model":{"a":{"b\\u0000":1}}}'), 400, 'invalid_request', 'model.a'],
  'a null character in a model': [body('{"model":"st\\u0000ub","input":"a"}'), 400, 'invalid_request', 'model'],
  'a path in a model': [body('{"model":"../../etc/passwd","input":"a"}'), 400, 'invalid_request', 'model'],
  'a model of 10,000 characters': [
    body(`{"model":"${'m'.repeat(10_000)}","input":"a"}`),
    400,
    'invalid_request',
    'model',
  ],
  'a model that there is not': [body(`{"model":"${CANARY}","input":"a"}`), 404, 'model_not_found', 'model'],
  'a model that is a list': [body('{"model":["stub"],"input":"a"}'), 400, 'invalid_request', 'model'],
  'no input': [body('{"model":"stub"}'), 400, 'invalid_request', 'input'],
  'an empty input': [body('{"model":"stub","input":""}'), 400, 'invalid_request', 'input'],
  'no texts': [body('{"model":"stub","input":[]}'), 400, 'invalid_request', 'input'],
  'a token array': [body('{"model":"stub","input":[101,2023,102]}'), 400, 'invalid_request', 'input'],
  '257 texts': [body(JSON.stringify({ model: 'stub', input: Array(257).fill('a') })), 400, 'invalid_request', 'input'],
  'a number among texts': [body('{"model":"stub","input":["a",5]}'), 400, 'invalid_request', 'input'],
  'a field that there is not': [body(`{"model":"stub","input":"a","${CANARY}":1}`), 400, 'invalid_request', CANARY],
  'the name of the prototype': [
    body('{"model":"stub","input":"a","__proto__":{"fail":true}}'),
    400,
    'invalid_request',
    '__proto__',
  ],
  'the name of the constructor': [
    body('{"model":"stub","input":"a","constructor":{"prototype":{}}}'),
    400,
    'invalid_request',
    'constructor',
  ],
  'a body over the limit': [body(`{"model":"stub","input":"${'a'.repeat(1 << 20)}"}`), 413, 'body_too_large', null],
  'a length that is a lie': [
    { headers: { ...JSON_TYPE, 'content-length': '99999999999' }, body: '{}' },
    413,
    'body_too_large',
    null,
  ],
  'a length that is no number': [
    { headers: { ...JSON_TYPE, 'content-length': '-1' }, body: '{}' },
    400,
    'invalid_request',
    null,
  ],
  'a body that never ends': [
    { headers: JSON_TYPE, body: stream((controller) => controller.enqueue(new Uint8Array(65_536).fill(32))) },
    413,
    'body_too_large',
    null,
  ],
  'a body that breaks': [
    { headers: JSON_TYPE, body: stream((controller) => controller.error(new Error(CANARY))) },
    499,
    'client_closed',
    null,
  ],
  'a bomb of gzip': [
    {
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
      body: gzipSync(Buffer.alloc(50 << 20, 32)) as unknown as BodyInit,
    },
    415,
    'unsupported_media_type',
    null,
  ],
  'an encoding twice': [
    { headers: { ...JSON_TYPE, 'content-encoding': 'identity, br' }, body: '{}' },
    415,
    'unsupported_media_type',
    null,
  ],
  'a form': [
    { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'model=stub&input=a' },
    415,
    'unsupported_media_type',
    null,
  ],
  'plain text': [
    { headers: { 'content-type': 'text/plain' }, body: '{"model":"stub","input":"a"}' },
    415,
    'unsupported_media_type',
    null,
  ],
  'a type twice': [
    { headers: { 'content-type': 'application/json, text/html' }, body: '{"model":"stub","input":"a"}' },
    415,
    'unsupported_media_type',
    null,
  ],
  'a type that only begins like JSON': [
    { headers: { 'content-type': 'application/jsonp' }, body: '{"model":"stub","input":"a"}' },
    415,
    'unsupported_media_type',
    null,
  ],
  'another charset': [
    { headers: { 'content-type': 'application/json; charset=utf-16' }, body: '{"model":"stub","input":"a"}' },
    415,
    'unsupported_media_type',
    null,
  ],
};

test('each hostile body gets the status, the code and the field, fast, and the next request is served', async (t) => {
  const models = new StubModels();
  await using host = await testHost({ models, settings: { LOG_LEVEL: 'info' } });
  using logs = keepLogs();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { history: 'full' });
  assert.ok(Object.keys(HOSTILE).length >= 35);
  for (const [name, [options, status, code, param]] of Object.entries(HOSTILE)) {
    const started = performance.now();
    const response = await call(app, 'POST', '/v1/echo', { ...options, key });
    const ms = performance.now() - started;
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code, error.param], [status, code, param], name);
    assert.ok(error.message.length > 10 && error.message.length < 500, `${name}: ${error.message}`);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/, name);
    // The machine of a test may be busy; alone, none takes 50 ms.
    assert.ok(ms < 2000, `${name}: ${ms} ms`);
  }
  const good = await call(app, 'POST', '/v1/echo', { key, json: { model: 'stub', input: ['a', '😀 b'] } });
  assert.equal(good.status, 200);
  await host.settled();
  await t.test('nothing of it is stored or logged', async () => {
    const rows = await host.sql.all('SELECT * FROM predictions');
    assert.equal(rows.length, 1);
    assert.deepEqual(models.embedded, ['a', '😀 b']);
    assert.equal(logs.lines.length, Object.keys(HOSTILE).length + 1);
    for (const line of logs.lines) assert.ok(!line.includes(CANARY), line);
    assert.ok(!JSON.stringify(host.events.list).includes(CANARY));
  });
});

test('no operation answers a hostile body with an error of its own', async () => {
  await using host = await testHost({ models: allModels, settings: { LOG_LEVEL: 'error' } });
  using logs = keepLogs();
  const app = createGateway(host);
  const key = await keyFor(host);
  const deep = (levels: number) => '{"a":['.repeat(levels) + ']}'.repeat(levels);
  const bodies: (string | Uint8Array)[] = [
    '',
    CANARY,
    'null',
    '[]',
    '[[]]',
    '{}',
    '{"__proto__":{}}',
    `{"${CANARY}":1}`,
    deep(50_000),
    deep(31),
    '{"model":{},"input":{},"name":[],"text":{},"digits":{},"documents":{},"scopes":{},"vector":{}}',
    '{"model":"x","input":"\\ud800","text":"\\ud800","query":"\\ud800"}',
    `{"model":"x","input":[${'"",'.repeat(5000)}""]}`,
    '{"model":"x","input":1e400,"seed":1e400,"k":-1,"limit":1.5}',
    bytes('{"model":"', [0xff, 0xfe], '"}'),
  ];
  const kinds = operations.filter(({ body, raw }) => body || raw);
  for (const { method, path, raw = [] } of kinds) {
    const at = path.replace(/\{\w+\+?\}/g, 'some');
    for (const sent of bodies) {
      for (const type of new Set(['application/json', ...raw])) {
        const response = await call(app, method, at, {
          key,
          headers: { 'content-type': type },
          body: sent as BodyInit,
        });
        const what = `${method} ${path} ${type} ${String(sent).slice(0, 40)}`;
        // Any bytes are a file, and fields that are all optional may be left out.
        if (response.status < 300) assert.ok(raw.length > 3 || sent === '{}', what);
        else assert.ok(response.status >= 400 && response.status < 500, `${what}: ${response.status}`);
      }
    }
  }
  assert.ok(kinds.length > 15);
  assert.deepEqual(logs.lines, []);
});

test('a body that stops in the middle is given up after ten seconds', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host);
  let sent = false;
  let cancelled = false;
  const slow = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!sent) controller.enqueue(Buffer.from('{"model":'));
      sent = true;
      return new Promise(() => {});
    },
    cancel() {
      cancelled = true;
    },
  });
  const answer = call(app, 'POST', '/v1/echo', { key, headers: JSON_TYPE, body: slow });
  let isOver = false;
  void answer.finally(() => {
    isOver = true;
  });
  const moment = () => new Promise((resolve) => setImmediate(resolve));
  // The clock of the body begins after the key was looked up, which takes real time.
  while (!sent) await moment();
  for (let at = 0; at < 20; at += 1) await moment();
  t.mock.timers.tick(9_000);
  await moment();
  assert.equal(isOver, false);
  while (!isOver) {
    t.mock.timers.tick(1_000);
    await moment();
  }
  const response = await answer;
  assert.deepEqual([response.status, (await response.json()).error.code, cancelled], [408, 'body_timeout', true]);
  assert.equal(response.headers.get('connection'), 'close');
});

test('a body of commas and brackets inside of strings is one of few values', async () => {
  const text = '[],{}"\\\\",'.repeat(20_000);
  assert.deepEqual(parseJson(Buffer.from(JSON.stringify({ text })), 3), { text });
  const vector = Array.from({ length: 32_768 }, () => 0.5);
  assert.deepEqual(parseJson(Buffer.from(JSON.stringify({ vector }))), { vector });
});

test('a form has at most 300 parts, wherever its pieces are cut', async () => {
  const boundary = '----------a';
  const part = `--${boundary}\r\ncontent-disposition: form-data; name="a"\r\n\r\n--\r\n`;
  const headers = new Headers({ 'content-type': `multipart/form-data; boundary=${boundary}` });
  for (const size of [1, 7, 1000, 100_000]) {
    const read = async (parts: number) => {
      const bytes = Buffer.from(`${part.repeat(parts)}--${boundary}--\r\n`);
      let at = 0;
      const pieces = stream((controller) => {
        if (at >= bytes.length) controller.close();
        else controller.enqueue(bytes.subarray(at, at + size));
        at += size;
      });
      return [...(await readForm(headers, pieces)).keys()].length;
    };
    assert.equal(await read(300), 300, `pieces of ${size} bytes`);
    await assert.rejects(read(301), { code: 'body_too_large' }, `pieces of ${size} bytes`);
  }
});

/** Sends `pieces`, each after `waits` milliseconds of a clock that does not run, and tells how that ended. */
async function send(
  t: TestContext,
  pieces: readonly Uint8Array[],
  ...waits: [number, ...number[]]
): Promise<number | string> {
  let next = () => {};
  const left = [...pieces];
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await new Promise<void>((resolve) => (next = resolve));
        const piece = left.shift();
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const request = new Request('http://gateway.test', { method: 'POST', body, duplex: 'half' } as RequestInit);
  let result: number | string | undefined;
  readBytes(request, 1 << 30).then(
    ({ byteLength }) => (result = byteLength),
    ({ code }) => (result = code),
  );
  while (result === undefined) {
    for (let at = 0; at < 20; at += 1) await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(waits.length > 1 ? (waits.shift() as number) : (waits[0] as number));
    next();
  }
  return result;
}

test('a long body on a slow line arrives, and one that trickles or stands still does not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const second = new Uint8Array(LEAST_RATE);
  // Fifty minutes at the least rate.
  assert.equal(await send(t, Array(3_000).fill(second), 1_000), 3_000 * LEAST_RATE);
  assert.equal(await send(t, Array(100).fill(second.subarray(0, 10_000)), 1_000), 'body_timeout');
  assert.equal(await send(t, Array(100).fill(new Uint8Array(1)), 500), 'body_timeout');
  // Bytes that came fast before do not pay for a long silence.
  const large = new Uint8Array(50_000_000);
  assert.equal(await send(t, [large, second], 1_000, 29_000, 1_000), large.length + LEAST_RATE);
  assert.equal(await send(t, [large, second], 1_000, 31_000, 1_000), 'body_timeout');
});

test('the time that an upload waits for its reader does not count', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const pieces = guarded(
    stream((controller) => controller.enqueue(new Uint8Array(10))),
    1000,
  );
  const reader = pieces.getReader();
  for (let at = 0; at < 5; at += 1) {
    assert.equal((await reader.read()).value?.length, 10);
    t.mock.timers.tick(60_000);
  }
});

test('text that a database does not take is refused by its field, in bodies, paths and queries', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  const params: unknown[] = [];
  const { all, batch } = host.sql;
  host.sql.all = (sql, given = []) => {
    params.push(...given);
    return all.call(host.sql, sql, given) as never;
  };
  host.sql.batch = (statements) => {
    for (const [, given = []] of statements) params.push(...given);
    return batch.call(host.sql, statements);
  };
  const refused = async (method: string, path: string, param: string, json?: unknown) => {
    const response = await call(app, method, path, { key, ...(json === undefined ? {} : { json }) });
    const { error } = await response.json();
    const what = `${method} ${path} ${JSON.stringify(json)}`;
    assert.deepEqual([response.status, error.code, error.param], [400, 'invalid_request', param], what);
  };
  let paths = 0;
  for (const { method, path } of operations) {
    for (const [, name = ''] of path.matchAll(/\{(\w+)\+?\}/g)) {
      paths += 1;
      await refused(method, path.replace(/\{\w+\+?\}/g, 'some%00'), name);
    }
  }
  assert.ok(paths >= 20, `${paths}`);
  for (const [path, param] of [
    ['/admin/keys?owner=%00', 'owner'],
    ['/v1/files?after=a%00', 'after'],
    ['/v1/batches?after=%00', 'after'],
    ['/v1/indexes?after=%00', 'after'],
    ['/v1/usage?key_id=%00', 'key_id'],
    ['/v1/history?before=%00', 'before'],
  ] as const) {
    await refused('GET', path, param);
  }
  const window = '24h';
  const batchOf = { endpoint: '/v1/embeddings', completion_window: window };
  for (const [method, path, param, json] of [
    ['POST', '/admin/keys', 'name', { name: 'a\0', scopes: ['embed'] }],
    ['POST', '/admin/keys', 'owner', { name: 'a', owner: '\0', scopes: ['embed'] }],
    ['PATCH', '/admin/keys/some', 'name', { name: '\ud800' }],
    ['POST', '/v1/batches', 'input_file_id', { ...batchOf, input_file_id: 'file-\0' }],
    ['POST', '/v1/batches', 'metadata.a', { ...batchOf, input_file_id: 'a', metadata: { a: '\0' } }],
    ['POST', '/v1/batches', 'metadata.a', { ...batchOf, input_file_id: 'a', metadata: { a: '\udc00' } }],
    ['POST', '/v1/batches', 'metadata', { ...batchOf, input_file_id: 'a', metadata: { '\0': 'a' } }],
    ['PUT', '/v1/indexes/some', 'file_id', { file_id: '\0' }],
    ['PUT', '/v1/indexes/some', 'batch_id', { batch_id: '\0' }],
    ['POST', '/v1/embeddings', 'user', { model: 'stub', input: 'a', user: '\0' }],
  ] as const) {
    await refused(method, path, param, json);
  }
  const line = (custom_id: string) =>
    readRequest(
      Buffer.from(JSON.stringify({ custom_id, method: 'POST', url: '/v1/embeddings', body: {} })),
      '/v1/embeddings',
    );
  const bad = line('a\0');
  assert.ok('error' in bad && bad.customId === null && bad.error.param === 'custom_id');
  assert.throws(
    () => readItems(Buffer.from('{"id":"a","text":"b","x\\u0000":1}'), 'items', 3),
    /^BadItem: line 3: the body: expected names/,
  );
  assert.throws(
    () => readItems(Buffer.from('{"id":"\\u0000","text":"b"}'), 'items', 3),
    /^BadItem: line 3: id: expected/,
  );
  // A model may read any text: nothing of it comes into a statement.
  assert.equal(
    (await call(app, 'POST', '/v1/embeddings', { key, json: { model: 'stub', input: 'a\0b' } })).status,
    200,
  );
  assert.ok(params.length > 0);
  for (const param of params) assert.ok(typeof param !== 'string' || (param.isWellFormed() && !param.includes('\0')));
});

test('the cap holds for bodies that no handler of ours reads, such as uploads', async () => {
  let read = 0;
  const upload = operation({
    method: 'PUT',
    path: '/v1/upload',
    scope: 'files',
    summary: 'Reads a body.',
    raw: ['application/octet-stream'],
    maxBytes: 1000,
    async handle({ stream: sent }) {
      for await (const chunk of sent as unknown as AsyncIterable<Uint8Array>) read += chunk.length;
      return Response.json({ read });
    },
  });
  await using host = await testHost();
  const app = createGateway(host, [upload]);
  const key = await keyFor(host);
  const type = { 'content-type': 'application/octet-stream' };
  const put = (options: CallOptions) => call(app, 'PUT', '/v1/upload', { key, ...options });
  let chunks = 0;
  const endless = stream((controller) => {
    chunks += 1;
    controller.enqueue(new Uint8Array(400));
  });
  const over = await put({ headers: type, body: endless });
  assert.deepEqual([over.status, (await over.json()).error.code], [413, 'body_too_large']);
  assert.ok(chunks < 10, `${chunks} chunks were read`);
  const told = await put({ headers: { ...type, 'content-length': '1001' }, body: 'x' });
  assert.equal(told.status, 413);
  read = 0;
  const good = await put({ headers: type, body: 'x'.repeat(1000) });
  assert.deepEqual([good.status, (await good.json()).read], [200, 1000]);
  assert.equal((await put({ json: {} })).status, 415);
});

test('addresses and headers that are odd get typed answers', async () => {
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host);
  const json = { model: 'stub', input: 'a' };
  for (const [path, status, param] of [
    ['/v1/echo?model=stub', 400, 'model'],
    ['/v1/echo?__proto__=1', 400, '__proto__'],
    ['/v1/echo?a=1&a=2', 400, 'a'],
    ['/v1/echo/', 404, null],
    ['//v1/echo', 404, null],
    ['/v1//echo', 404, null],
    ['/V1/echo', 404, null],
    ['/v1/echo%2f', 404, null],
    ['/v1/echo%00', 404, null],
    ['/v1/%ff', 404, null],
    ['/v1/%', 404, null],
    [`/${'a'.repeat(20_000)}`, 404, null],
    ['/v1/%65cho', 200, null],
    ['/v1/x/../echo', 200, null],
  ] as const) {
    const response = await call(app, 'POST', path, { key, json });
    assert.equal(response.status, status, path.slice(0, 40));
    if (status !== 200) assert.equal((await response.json()).error.param, param, path.slice(0, 40));
  }
  for (const id of ['short', 'x'.repeat(65), 'a b c d e f g h', '<script>alert(1)</script>', 'ünïcödé-id', key]) {
    const response = await call(app, 'POST', '/v1/echo', { key, json, headers: { 'x-request-id': encodeURI(id) } });
    assert.match(response.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/, id);
  }
  const own = await call(app, 'POST', '/v1/echo', { key, json, headers: { 'x-request-id': 'my-request_01' } });
  assert.equal(own.headers.get('x-request-id'), 'my-request_01');
});

test('an error inside a handler is told to the log without content, and to the client not at all', async () => {
  await using host = await testHost({ settings: { LOG_LEVEL: 'error' } });
  using logs = keepLogs();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host);
  const response = await call(app, 'POST', '/v1/echo', { key, json: { model: 'stub', input: CANARY, fail: true } });
  const { error } = await response.json();
  assert.deepEqual([response.status, error.code, error.type], [500, 'internal', 'api_error']);
  const id = response.headers.get('x-request-id') ?? '';
  assert.ok(id.length > 8 && !JSON.stringify(error).includes('cannot read'));
  assert.equal(logs.lines.length, 1);
  const line = JSON.parse(logs.lines[0] ?? '');
  assert.deepEqual([line.id, line.error, line.message], [id, 'TypeError', 'cannot read "…"']);
  assert.ok(line.at.some((frame: string) => frame.includes('echo.ts')));
  assert.ok(!logs.lines[0]?.includes(CANARY));
});

test('reading ends at the cap and at the time, whatever comes', async () => {
  const request = (body: BodyInit) =>
    new Request('http://gateway.test', { method: 'POST', body, duplex: 'half' } as RequestInit);
  const never = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
  const code = (expected: string) => (error: unknown) => error instanceof GatewayError && error.code === expected;
  await assert.rejects(readBytes(request(never), 100, 20), code('body_timeout'));
  await assert.rejects(readBytes(request('x'.repeat(101)), 100, 1000), code('body_too_large'));
  assert.equal((await readBytes(request('x'.repeat(100)), 100, 1000)).byteLength, 100);
  let at = 0;
  const pieces = stream((controller) => {
    at += 1;
    if (at > 10) controller.close();
    else controller.enqueue(new Uint8Array(at).fill(at));
  });
  const all = await readBytes(request(pieces), 100, 1000);
  assert.deepEqual([all.byteLength, all[0], all.at(-1)], [55, 1, 10]);
});
