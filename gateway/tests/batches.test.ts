// Batches: walked by OpenAI's client; faults of a file, of a line and of an order; idempotency keys, cancelling, and owners among each other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../src/host.ts';
import { consume } from '../src/jobs/consume.ts';
import { finish } from '../src/jobs/finish.ts';
import { OWNER_PARTS } from '../src/jobs/limits.ts';
import { call, keyFor } from './support/app.ts';
import { ENDPOINT, errorOf, ids, line, many, opened } from './support/batches.ts';
import { StubModels } from './support/host.ts';
import { deliver, jsonl, openai } from './support/jobs.ts';

test("OpenAI's client walks from a file to the answers", async () => {
  const { host, client, start, ended } = await opened();
  await using _ = host;
  const made = await start(jsonl(many(3)));
  assert.deepEqual([made.status, made.request_counts], ['validating', { total: 0, completed: 0, failed: 0 }]);
  await deliver(host, { most: 1 });
  const running = await client.batches.retrieve(made.id);
  assert.deepEqual([running.status, running.request_counts?.total], ['in_progress', 3]);
  await deliver(host);
  const { batch, out, err } = await ended(made.id);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total: 3, completed: 3, failed: 0 });
  assert.deepEqual([batch.error_file_id, err], [null, []]);
  assert.ok((batch.completed_at as number) >= (batch.in_progress_at as number));
  assert.deepEqual(ids(out), ['r0', 'r1', 'r2']);
  const { response, error } = out[0] as {
    response: { status_code: number; body: Record<string, unknown> };
    error: unknown;
  };
  assert.deepEqual(
    [response.status_code, response.body.object, response.body.model, error],
    [200, 'list', 'stub', null],
  );
  const output = await client.files.retrieve(batch.output_file_id as string);
  assert.deepEqual([output.purpose, output.filename], ['batch_output', `${made.id}_output.jsonl`]);
  const listed = [];
  for await (const one of client.batches.list({ limit: 1 })) listed.push(one);
  assert.deepEqual(listed, [batch]);
  // Nothing of the parts is left, neither rows nor objects.
  assert.deepEqual(await host.sql.all('SELECT * FROM batch_parts'), []);
  assert.deepEqual((await host.blobs.list('batches/')).objects, []);
});

test('a line that is wrong is a line of the error file, and the others are answered', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const content = [
    line('good'),
    'no JSON',
    '',
    line('model', 'x').body,
    { ...line('method'), method: 'GET' },
    { ...line('url'), url: '/v1/classify' },
    { ...line('field'), more: 1 },
    { ...line('unknown'), body: { model: 'none', input: 'x' } },
    line('tokens', [1, 2, 3]),
    line('surrogate', '\ud800'),
    line('last'),
  ];
  const { id } = await start(jsonl(content));
  await deliver(host);
  const { batch, out, err } = await ended(id);
  assert.deepEqual(batch.request_counts, { total: 10, completed: 2, failed: 8 });
  assert.deepEqual(ids(out), ['good', 'last']);
  assert.deepEqual(ids(err), [null, null, 'method', 'url', 'field', 'unknown', 'tokens', 'surrogate']);
  const said = err.map((one) => errorOf(one));
  assert.deepEqual(
    said.map(({ status }) => status),
    [400, 400, 400, 400, 400, 404, 400, 400],
  );
  assert.match(said[0]?.message as string, /expected JSON/);
  assert.match(said[2]?.message as string, /method: expected "POST"/);
  assert.match(said[3]?.message as string, /url: expected \/v1\/embeddings/);
  assert.match(said[4]?.message as string, /more: unknown field/);
});

test('a file that is wrong as a whole fails its batch, and says at which line', async () => {
  const { host, start, client } = await opened();
  await using _ = host;
  const cases = [
    ['\n \n', 'empty_file', null],
    [jsonl([line('a'), line('b'), line('a')]), 'duplicate_custom_id', 3],
    [`${jsonl([line('a')])}${'x'.repeat(65_537)}`, 'line_too_long', 2],
    ['{}\n'.repeat(50_001), 'too_many_requests', 50_001],
  ] as const;
  for (const [content, code, at] of cases) {
    const { id } = await start(content);
    await deliver(host);
    const batch = await client.batches.retrieve(id);
    assert.deepEqual([batch.status, batch.errors?.data?.length], ['failed', 1], code);
    const [fault] = batch.errors?.data ?? [];
    assert.deepEqual([fault?.code, fault?.line], [code, at]);
    assert.ok(batch.failed_at);
  }
  assert.deepEqual(host.models instanceof StubModels && host.models.embedded, []);
});

test('an order that is wrong is refused', async () => {
  const { host, app, key, client } = await opened();
  await using _ = host;
  const file = await client.files.create({ file: new File(['{}'], 'x'), purpose: 'batch' });
  const photo = await client.files.create({ file: new File(['{}'], 'x'), purpose: 'vision' });
  const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' };
  const refused = async (json: object, status: number, words: RegExp, headers = {}) => {
    const response = await call(app, 'POST', '/v1/batches', { key, json, headers });
    const { error } = (await response.json()) as { error: { message: string } };
    assert.equal(response.status, status, error.message);
    assert.match(error.message, words);
  };
  await refused({ ...order, endpoint: '/v1/files' }, 400, /endpoint: expected one of .*\/v1\/embeddings/);
  await refused({ ...order, completion_window: '1h' }, 400, /completion_window/);
  await refused({ ...order, input_file_id: 'file-x' }, 404, /no such file/);
  await refused({ ...order, input_file_id: photo.id }, 400, /purpose "batch"/);
  await refused({ ...order, metadata: { a: 1 } }, 400, /metadata\.a: expected a string/);
  await refused({ ...order, metadata: ['a'] }, 400, /metadata: expected an object of strings/);
  await refused({ ...order, more: 1 }, 400, /more: unknown field/);
  await refused(order, 400, /idempotency-key/, { 'idempotency-key': 'a b' });
  assert.deepEqual(host.sent, []);
});

test('an idempotency key makes one batch of an owner, also when sent twenty times at once', async () => {
  const { host, app, key, client } = await opened();
  await using _ = host;
  const upload = () => client.files.create({ file: new File([jsonl(many(1))], 'x'), purpose: 'batch' });
  const [file, second] = [await upload(), await upload()];
  const json = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h', metadata: { night: '1' } };
  const headers = { 'idempotency-key': 'night-1' };
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => (await call(app, 'POST', '/v1/batches', { key, json, headers })).json()),
  );
  const made = new Set(answers.map((answer) => (answer as { id: string }).id));
  assert.equal(made.size, 1);
  assert.equal(host.sent.length, 1);
  const other = await call(app, 'POST', '/v1/batches', { key, json: { ...json, input_file_id: second.id }, headers });
  assert.deepEqual([other.status, other.headers.get('x-should-retry')], [409, 'false']);
  await deliver(host);
  const again = await call(app, 'POST', '/v1/batches', { key, json, headers });
  const { status, request_counts, metadata } = (await again.json()) as Record<string, unknown>;
  assert.deepEqual(
    [status, request_counts, metadata],
    ['completed', { total: 1, completed: 1, failed: 0 }, { night: '1' }],
  );
});

test('a part with more tokens than a delivery may compute is cut, and its lines stay in order', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  // 2,002 tokens a line as the stub counts them: five lines a delivery.
  const text = Array(2_000).fill('w').join(' ');
  const { id } = await start(jsonl(Array.from({ length: 20 }, (_, at) => line(`r${at}`, text))));
  const parts: Message[] = [];
  await deliver(host, { before: (message) => void (message.topic === 'batch.part' && parts.push(message)) });
  const { batch, out } = await ended(id);
  assert.deepEqual(batch.request_counts, { total: 20, completed: 20, failed: 0 });
  assert.deepEqual(ids(out), ids(many(20)));
  assert.equal(parts.length, 4);
});

test('a batch with more parts than one delivery can read is put together in steps, by two at once', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(
    jsonl(Array.from({ length: 1_200 }, (_, at) => line(`r${at}`, at % 50 === 7 ? [1] : undefined))),
  );
  await deliver(host, { together: 4, before: ({ topic }) => assert.notEqual(topic, 'batch.finish'), most: 20 });
  let steps = 0;
  for (let [message] = host.sent.splice(0); message; [message] = host.sent.splice(0)) {
    assert.equal(message.topic, 'batch.finish');
    steps += 1;
    const both = await Promise.allSettled([1, 2].map(() => finish(host, id, { most: 8, merged: 5 })));
    assert.ok(both.some(({ status }) => status === 'fulfilled'));
  }
  const { batch, out, err } = await ended(id);
  assert.equal(steps, 4);
  const all = ids(many(1_200));
  assert.deepEqual(
    ids(err),
    all.filter((_, at) => at % 50 === 7),
  );
  assert.deepEqual(
    ids(out),
    all.filter((_, at) => at % 50 !== 7),
  );
  assert.deepEqual(batch.request_counts, { total: 1_200, completed: 1_176, failed: 24 });
  assert.equal((await host.blobs.list('batches/')).objects.length, 0);
});

test('cancelling keeps what is done, and what still runs does not count', async () => {
  const { host, client, start, ended, models } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(640)));
  await deliver(host, { most: 4 });
  // A part that is under way when the batch is cancelled.
  models.delay = 1;
  const running = consume(host, host.sent.shift() as Message);
  const cancelling = await client.batches.cancel(id);
  assert.equal(cancelling.status, 'cancelling');
  await deliver(host, { times: 2, together: 8 });
  await running;
  const { batch, out, err } = await ended(id);
  assert.equal(batch.status, 'cancelled');
  assert.deepEqual([out.length, err.length], [192, 0]);
  assert.deepEqual(batch.request_counts, { total: 640, completed: 192, failed: 0 });
  assert.equal(new Set(ids(out)).size, 192);
  assert.deepEqual((await host.blobs.list('batches/')).objects, []);
  assert.equal((await client.batches.cancel(id)).status, 'cancelled');
});

test('a batch that is done cannot be cancelled, and one that has not begun is cancelled without files', async () => {
  const { host, client, start } = await opened();
  await using _ = host;
  const done = await start(jsonl(many(1)));
  await deliver(host);
  await assert.rejects(client.batches.cancel(done.id), { status: 409 });
  const { id } = await start(jsonl(many(1)));
  await client.batches.cancel(id);
  await deliver(host);
  const { status, output_file_id, request_counts } = await client.batches.retrieve(id);
  assert.deepEqual(
    [status, output_file_id, request_counts],
    ['cancelled', null, { total: 0, completed: 0, failed: 0 }],
  );
});

test('the lines are held to the key as it is then: its models, its scopes, and whether it is valid', async () => {
  const { host, app, start, ended, client } = await opened();
  await using _ = host;
  const narrow = openai(app, await keyFor(host, { scopes: ['files', 'batches'] }));
  const file = await narrow.files.create({ file: new File([jsonl(many(2))], 'x'), purpose: 'batch' });
  const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
  const without = await narrow.batches.create(order);
  await deliver(host);
  const { err } = await ended(without.id);
  assert.deepEqual(
    err.map((one) => errorOf(one).status),
    [403, 403],
  );
  const { id } = await start(jsonl(many(2)));
  const [own] = await host.sql.all('SELECT key_id FROM batches WHERE id = ?', [id]);
  await host.sql.all('UPDATE api_keys SET revoked_at = 1 WHERE id = ?', [own?.key_id as string]);
  const { authenticatorOf } = await import('../src/http/auth.ts');
  authenticatorOf(host).forget(own?.key_id as string);
  await deliver(host);
  await assert.rejects(client.batches.retrieve(id), { status: 401 });
  const [row] = await host.sql.all('SELECT state, failed FROM batches WHERE id = ?', [id]);
  assert.deepEqual(row, { state: 'completed', failed: 2 });
});

test("another owner's batch is not found, nor is its file taken, and a file that a batch reads is not deleted", async () => {
  const { host, app, client, start } = await opened();
  await using _ = host;
  const made = await start(jsonl(many(1)));
  const other = await keyFor(host, { owner: 'other' });
  for (const [method, path] of [
    ['GET', `/v1/batches/${made.id}`],
    ['POST', `/v1/batches/${made.id}/cancel`],
    ['GET', `/v1/batches?after=${made.id}`],
  ] as const) {
    assert.equal((await call(app, method, path, { key: other })).status, 404, path);
  }
  const order = { input_file_id: made.input_file_id, endpoint: ENDPOINT, completion_window: '24h' };
  assert.equal((await call(app, 'POST', '/v1/batches', { key: other, json: order })).status, 404);
  assert.deepEqual((await openai(app, other).batches.list()).data, []);
  await assert.rejects(client.files.delete(made.input_file_id), { status: 409 });
  await deliver(host);
  assert.equal((await client.files.delete(made.input_file_id)).deleted, true);
});

test("a small batch does not wait behind another owner's large ones", async () => {
  const { host, app, start, ended } = await opened();
  await using _ = host;
  const large = [await start(jsonl(many(3_840))), await start(jsonl(many(1_920)))];
  await deliver(host, { most: 2 });
  const client = openai(app, await keyFor(host, { owner: 'another' }));
  const file = await client.files.create({ file: new File([jsonl(many(3))], 'x'), purpose: 'batch' });
  const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
  const small = await client.batches.create(order);
  let messages = 0;
  while ((await client.batches.retrieve(small.id)).status !== 'completed') messages += await deliver(host, { most: 1 });
  // Its three messages, to start, to answer and to end it, each come behind the parts of the other that are in the queue.
  assert.ok(messages <= 3 * (OWNER_PARTS + 1), `${messages} messages`);
  // The batches of one owner come forward together.
  const [first, second] = await Promise.all(
    large.map(async ({ id }) => (await ended(id)).batch.request_counts?.completed ?? 0),
  );
  assert.ok((first ?? 0) > 0 && (second ?? 0) > 0, `${first} and ${second} lines`);
  await deliver(host, { together: 8 });
  for (const { id } of large) {
    const { batch, out } = await ended(id);
    assert.equal(batch.status, 'completed');
    assert.equal(new Set(ids(out)).size, batch.request_counts?.total);
  }
});

test('parts that wait for their places go on when a batch of the same owner is cancelled', async () => {
  const { host, client, start, ended } = await opened();
  await using _ = host;
  const first = await start(jsonl(many(64 * 20)));
  await deliver(host, { most: 1 });
  const second = await start(jsonl(many(5)));
  await client.batches.cancel(first.id);
  await deliver(host);
  assert.equal((await ended(first.id)).batch.status, 'cancelled');
  assert.equal((await ended(second.id)).batch.status, 'completed');
});

test('an idempotency key gives its batch also where the file is gone, and refuses any other order', async () => {
  const { host, app, key, client } = await opened();
  await using _ = host;
  const file = await client.files.create({ file: new File([jsonl(many(1))], 'x'), purpose: 'batch' });
  const json = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h', metadata: { a: '1', b: '2' } };
  const post = async (json: object, as = key) => {
    const response = await call(app, 'POST', '/v1/batches', { key: as, json, headers: { 'idempotency-key': 'k' } });
    return { status: response.status, body: (await response.json()) as { id: string; error?: { param: string } } };
  };
  const made = await post(json);
  await deliver(host);
  await client.files.delete(file.id);
  assert.equal((await post({ ...json, metadata: { b: '2', a: '1' } })).body.id, made.body.id);
  for (const other of [{ metadata: { a: '2', b: '2' } }, { metadata: null }, { input_file_id: 'file-x' }]) {
    const { status, body } = await post({ ...json, ...other });
    assert.deepEqual([status, body.error?.param], [409, 'idempotency-key'], JSON.stringify(other));
  }
  // Another owner's key of the same name is another key.
  assert.equal((await post(json, await keyFor(host, { owner: 'other' }))).status, 404);
});
