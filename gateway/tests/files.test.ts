// Files: uploaded by OpenAI's client and as streams, listed, read, deleted, and refused where they are not as they should be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { mintKey } from '../src/keys.ts';
import { SCOPES } from '../src/operation.ts';
import { call, keyFor } from './support/app.ts';
import { testHost } from './support/host.ts';
import { openai } from './support/jobs.ts';

const CONTENT = '{"custom_id":"a"}\n{"custom_id":"ü"}\n';

interface FileAnswer {
  id: string;
  bytes: number;
  filename: string;
  expires_at: number;
  created_at: number;
}

async function opened() {
  const host = await testHost();
  return { host, app: createGateway(host), key: await keyFor(host) };
}

async function refused(response: Response, status: number, code: string, words: RegExp): Promise<void> {
  const { error } = (await response.json()) as { error: { message: string; code: string } };
  assert.deepEqual([response.status, error.code], [status, code], error.message);
  assert.match(error.message, words);
}

/** A form that says nothing of its length. */
function form(fields: Record<string, string | File>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  return made;
}

const lines = (text = CONTENT) => new File([text], 'lines.jsonl');

test("OpenAI's client uploads a file, lists it, reads it and deletes it", async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const client = openai(app, key);
  const made = await client.files.create({ file: lines(), purpose: 'batch' });
  assert.deepEqual(
    [made.object, made.filename, made.purpose, made.bytes, made.status],
    ['file', 'lines.jsonl', 'batch', new TextEncoder().encode(CONTENT).length, 'processed'],
  );
  assert.equal((made.expires_at as number) - made.created_at, 30 * 86_400);
  assert.deepEqual(await client.files.retrieve(made.id), made);
  const content = await client.files.content(made.id);
  assert.equal(content.headers.get('content-disposition'), "attachment; filename*=UTF-8''lines.jsonl");
  assert.equal(content.headers.get('content-type'), 'application/octet-stream');
  assert.equal(await content.text(), CONTENT);
  const listed = [];
  for await (const file of client.files.list()) listed.push(file.id);
  assert.deepEqual(listed, [made.id]);
  assert.deepEqual(await client.files.delete(made.id), { id: made.id, object: 'file', deleted: true });
  await assert.rejects(client.files.retrieve(made.id), { status: 404, code: 'not_found' });
  assert.deepEqual((await host.blobs.list('files/')).objects, []);
});

test("a file's time may be given, from an hour to thirty days", async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const client = openai(app, key);
  const create = (seconds: number) =>
    client.files.create({ file: lines(), purpose: 'batch', expires_after: { anchor: 'created_at', seconds } });
  const made = await create(3_600);
  assert.equal((made.expires_at as number) - made.created_at, 3_600);
  await assert.rejects(create(3_599), { status: 400, param: 'expires_after.seconds' });
  await assert.rejects(create(2_592_001), { status: 400, param: 'expires_after.seconds' });
});

test('a list goes on where its page ended, in both orders, and has one purpose where asked', async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const client = openai(app, key);
  const ids: string[] = [];
  for (let at = 0; at < 5; at += 1) {
    const purpose = at === 2 ? 'vision' : 'batch';
    ids.push((await client.files.create({ file: lines(), purpose })).id);
  }
  const all = async (options: object) => {
    const found: string[] = [];
    for await (const file of client.files.list({ limit: 2, ...options })) found.push(file.id);
    return found;
  };
  const times = await host.sql.all('SELECT id, created_at FROM files ORDER BY created_at, id');
  const inOrder = times.map(({ id }) => id);
  assert.deepEqual(await all({ order: 'asc' }), inOrder);
  assert.deepEqual(await all({}), inOrder.toReversed());
  assert.deepEqual(await all({ purpose: 'vision' }), [ids[2]]);
  await refused(
    await call(app, 'GET', '/v1/files?limit=0', { key }),
    400,
    'invalid_request',
    /limit: expected a number/,
  );
  await refused(await call(app, 'GET', '/v1/files?after=file-x', { key }), 404, 'not_found', /file-x/);
});

test('PUT stores a stream by its length, and refuses one that is shorter or longer', async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const bytes = new Uint8Array(3_000_000).map((_, at) => at % 251);
  const put = (
    body: Uint8Array<ArrayBuffer>,
    length: number,
    path = '/v1/files/photo%20%C3%BC.bin?purpose=user_data',
  ) => {
    const stream = new Blob([body]).stream();
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(length) };
    return call(app, 'PUT', path, { key, headers, body: stream });
  };
  const response = await put(bytes, bytes.length);
  const made = (await response.json()) as FileAnswer;
  assert.equal(response.status, 200, JSON.stringify(made));
  assert.deepEqual([made.bytes, made.filename], [bytes.length, 'photo ü.bin']);
  const content = await call(app, 'GET', `/v1/files/${made.id}/content`, { key });
  assert.deepEqual(new Uint8Array(await content.arrayBuffer()), bytes);
  assert.match(content.headers.get('content-disposition') as string, /photo%20%C3%BC\.bin$/);
  const before = (await host.blobs.list('')).objects;
  await refused(await put(bytes, bytes.length + 1), 400, 'invalid_request', /content-length/);
  await refused(await put(bytes, bytes.length - 1), 400, 'invalid_request', /content-length/);
  await refused(await put(bytes, 100_000_001), 413, 'body_too_large', /100000000/);
  await refused(
    await put(bytes, bytes.length, '/v1/files/a?purpose=x'),
    400,
    'invalid_request',
    /purpose: expected one of/,
  );
  await refused(await put(bytes, bytes.length, '/v1/files/a%2Fb'), 400, 'invalid_request', /filename/);
  assert.deepEqual((await host.blobs.list('')).objects, before);
  const headers = { 'content-type': 'application/octet-stream' };
  const chunked = await call(app, 'PUT', '/v1/files/a', { key, headers, body: new Blob(['x']).stream() });
  await refused(chunked, 400, 'invalid_request', /content-length: is missing/);
});

test('an upload that breaks off leaves nothing', async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1;
      if (sent === 3) controller.error(new Error('reset'));
      else controller.enqueue(new Uint8Array(1000));
    },
  });
  const headers = { 'content-type': 'text/plain', 'content-length': '5000' };
  const response = await call(app, 'PUT', '/v1/files/a', { key, headers, body });
  await refused(response, 499, 'client_closed', /before it was complete/);
  assert.deepEqual((await host.blobs.list('')).objects, []);
  assert.deepEqual(await host.sql.all('SELECT id FROM files'), []);
});

test('forms that are not as they should be are refused, and say which field is wrong', async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const post = (body: FormData) => call(app, 'POST', '/v1/files', { key, body });
  const file = lines();
  await refused(await post(form({ file })), 400, 'invalid_request', /purpose: expected one of batch/);
  await refused(await post(form({ file, purpose: 'fine-tune' })), 400, 'invalid_request', /purpose/);
  await refused(await post(form({ purpose: 'batch' })), 400, 'invalid_request', /file: expected a file/);
  await refused(await post(form({ purpose: 'batch', file: 'text' })), 400, 'invalid_request', /file: expected a file/);
  await refused(await post(form({ file, purpose: 'batch', more: '1' })), 400, 'invalid_request', /more: unknown field/);
  await refused(await post(form({ file: lines(''), purpose: 'batch' })), 400, 'invalid_request', /not empty/);
  await refused(
    await post(form({ file: new File(['x'], '../x'), purpose: 'batch' })),
    400,
    'invalid_request',
    /filename/,
  );
  const twice = form({ file, purpose: 'batch' });
  twice.append('purpose', 'batch');
  await refused(await post(twice), 400, 'invalid_request', /purpose: expected once/);
  // As bytes: where the stream of a form is cancelled near its end, Node closes it once more, and throws.
  const large = new Response(form({ file: new File([new Uint8Array(21 << 20)], 'large'), purpose: 'batch' }));
  const type = { 'content-type': large.headers.get('content-type') ?? '' };
  const tooLarge = await call(app, 'POST', '/v1/files', { key, headers: type, body: await large.arrayBuffer() });
  await refused(tooLarge, 413, 'body_too_large', /20971520|21037056/);
  const headers = { 'content-type': 'multipart/form-data; boundary=x' };
  const broken = await call(app, 'POST', '/v1/files', { key, headers, body: '--y\r\nnothing' });
  await refused(broken, 400, 'invalid_request', /expected a form/);
  await refused(await call(app, 'POST', '/v1/files', { key, json: {} }), 415, 'unsupported_media_type', /multipart/);
  assert.deepEqual((await host.blobs.list('')).objects, []);
});

test("another owner's file is not found, and the scope is asked for", async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const { id } = await openai(app, key).files.create({ file: lines(), purpose: 'batch' });
  const other = await keyFor(host, { owner: 'other' });
  for (const [method, path] of [
    ['GET', `/v1/files/${id}`],
    ['GET', `/v1/files/${id}/content`],
    ['DELETE', `/v1/files/${id}`],
  ] as const) {
    await refused(await call(app, method, path, { key: other }), 404, 'not_found', /no such file/);
  }
  const { data } = (await (await call(app, 'GET', '/v1/files', { key: other })).json()) as { data: unknown[] };
  assert.deepEqual(data, []);
  const none = await keyFor(host, { scopes: ['embed'] });
  await refused(await call(app, 'GET', '/v1/files', { key: none }), 403, 'missing_scope', /"files"/);
});

test('a file whose time is over is gone before the cron job comes', async () => {
  const { host, app, key } = await opened();
  await using _ = host;
  const { id } = await openai(app, key).files.create({ file: lines(), purpose: 'batch' });
  await host.sql.all('UPDATE files SET expires_at = ?', [Date.now() - 1]);
  await refused(await call(app, 'GET', `/v1/files/${id}`, { key }), 404, 'not_found', /no such file/);
  const { data } = (await (await call(app, 'GET', '/v1/files', { key })).json()) as { data: unknown[] };
  assert.deepEqual(data, []);
});

test('keys without an owner are owners of their own', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const made = await Promise.all([1, 2].map(() => mintKey(host.sql, { name: 'same', scopes: SCOPES })));
  const [mine, theirs] = made.map(({ key }) => openai(app, key));
  assert.deepEqual(
    made.map(({ record }) => record.owner),
    made.map(({ record }) => record.id),
  );
  const file = await mine?.files.create({ file: new File(['{}'], 'x'), purpose: 'batch' });
  assert.deepEqual((await theirs?.files.list())?.data, []);
  await assert.rejects(async () => theirs?.files.retrieve(file?.id as string), { status: 404 });
  const admin = made[0]?.key as string;
  const post = (json: object) => call(app, 'POST', '/admin/keys', { key: admin, json });
  const answers = await Promise.all([1, 2].map(async () => (await post({ name: 'same', scopes: ['embed'] })).json()));
  for (const { id, owner } of answers as { id: string; owner: string }[]) assert.equal(owner, id);
});
