// Batches: walked by OpenAI's client; what is wrong with a file or a line; limits, outages, cancelling, expiry, and messages that are lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import type { Message } from '../src/host.ts';
import { GatewayError } from '../src/http/errors.ts';
import { bury, consume } from '../src/jobs/consume.ts';
import { finish } from '../src/jobs/finish.ts';
import { OWNER_PARTS } from '../src/jobs/limits.ts';
import type { Model } from '../src/models/model.ts';
import { retention } from '../src/retention.ts';
import { call, keyFor } from './support/app.ts';
import { StubModels, testHost } from './support/host.ts';
import { deliver, Expected, jsonl, openai, parseJsonl } from './support/jobs.ts';

const ENDPOINT = '/v1/embeddings';
const HOUR = 3_600_000;

const line = (id: string, input: unknown = `text ${id}`) => ({
  custom_id: id,
  method: 'POST',
  url: ENDPOINT,
  body: { model: 'stub', input },
});
const many = (count: number) => Array.from({ length: count }, (_, at) => line(`r${at}`));

/** Models of which the texts that begin with a word fail. */
class FaultyModels extends StubModels {
  faults: Record<string, () => Error> = {};

  override async get(name: string, task: string): Promise<Model> {
    const model = await super.get(name, task);
    return {
      ...model,
      embed: async (texts) => {
        const fault = this.faults[(texts[0] as string).split(' ')[0] as string];
        if (fault) throw fault();
        return (model.embed as (texts: string[]) => ReturnType<NonNullable<Model['embed']>>)(texts);
      },
    };
  }
}

async function opened(models = new FaultyModels()) {
  const host = await testHost({ models });
  const app = createGateway(host);
  const key = await keyFor(host);
  const client = openai(app, key);
  const start = async (content: string, headers: Record<string, string> = {}) => {
    const file = await client.files.create({ file: new File([content], 'in.jsonl'), purpose: 'batch' });
    const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
    return client.batches.create(order, { headers });
  };
  const read = async (id: string | null | undefined) =>
    id ? parseJsonl(await (await client.files.content(id)).text()) : [];
  const ended = async (id: string) => {
    const batch = await client.batches.retrieve(id);
    return { batch, out: await read(batch.output_file_id), err: await read(batch.error_file_id) };
  };
  return { host, app, key, client, models, start, ended };
}

const ids = (lines: Record<string, unknown>[]) => lines.map(({ custom_id }) => custom_id);

/** Why a line was not answered. */
function reasonOf(one: Record<string, unknown> | undefined): string | undefined {
  return (one?.error as { code: string } | undefined)?.code;
}

/** What an error line says. */
function errorOf(one: Record<string, unknown> | undefined): { status: number; code: string; message: string } {
  const { status_code: status, body } = (one?.response ?? {}) as {
    status_code: number;
    body: { error: { code: string; message: string } };
  };
  return { status, ...body.error };
}

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

test('a limit of tokens puts lines off, and each is answered in the end', async () => {
  const { host, models, start, ended } = await opened();
  await using _ = host;
  const seen = new Set<Message>();
  models.faults.wait = () => new GatewayError('rate_limit_exceeded', 'later');
  const { id } = await start(jsonl([line('a'), line('b', 'wait for it'), line('c'), line('d', 'wait too'), line('e')]));
  await deliver(host, {
    times: 2,
    before: (message: Message) => {
      if (message.topic !== 'batch.part' || seen.has(message)) return;
      seen.add(message);
      if (seen.size <= 4) assert.equal(message.delaySeconds, seen.size === 1 ? 0 : 30);
      if (seen.size === 4) models.faults = {};
    },
  });
  const { batch, out } = await ended(id);
  assert.equal(seen.size, 4);
  assert.deepEqual(batch.request_counts, { total: 5, completed: 5, failed: 0 });
  assert.deepEqual(ids(out), ['a', 'b', 'c', 'd', 'e']);
  // What had been answered before a line was put off was not asked again.
  assert.deepEqual(models.embedded, ['text a', 'wait for it', 'text c', 'wait too', 'text e']);
});

test('an outage is tried three times, and then only its lines are errors', async () => {
  const { host, models, start, ended } = await opened();
  await using _ = host;
  let asked = 0;
  models.faults.down = () => {
    asked += 1;
    return new GatewayError('upstream_unavailable', 'down');
  };
  const { id } = await start(jsonl([line('a'), line('b', 'down'), line('c'), line('d', 'down'), line('e')]));
  const delays: unknown[] = [];
  await deliver(host, {
    before: ({ topic, delaySeconds }) => void (topic === 'batch.part' && delays.push(delaySeconds)),
  });
  const { batch, out, err } = await ended(id);
  assert.deepEqual(ids(out), ['a', 'c', 'e']);
  assert.deepEqual([ids(err), errorOf(err[0]).status], [['b', 'd'], 503]);
  assert.deepEqual(batch.request_counts, { total: 5, completed: 3, failed: 2 });
  assert.equal(asked, 6);
  assert.deepEqual(delays, [0, 10, 60, 10, 60]);
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
  assert.deepEqual(
    ids(out),
    Array.from({ length: 20 }, (_, at) => `r${at}`),
  );
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
  const all = Array.from({ length: 1_200 }, (_, at) => `r${at}`);
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

test('a host that stops keeps what is done, and the next one goes on with the rest', async () => {
  const { host, models, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(10)));
  await deliver(host, { most: 1 });
  const stop = new AbortController();
  models.faults = {};
  const embedded = models.embedded;
  const timer = setInterval(() => embedded.length >= 4 && stop.abort(), 1);
  models.delay = 5;
  await consume(host, host.sent.shift() as Message, 1, stop.signal);
  clearInterval(timer);
  models.delay = 0;
  const done = embedded.length;
  assert.ok(done >= 4 && done < 10, String(done));
  await deliver(host);
  const { out } = await ended(id);
  assert.deepEqual(
    ids(out),
    Array.from({ length: 10 }, (_, at) => `r${at}`),
  );
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

test('a part that fails at every try becomes an error line for each of its requests', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl([...many(100), 'no JSON', ...many(200).slice(100)]));
  let tries = 0;
  await deliver(host, {
    times: 2,
    before: ({ body }) => {
      if (body.part !== 64) return;
      tries += 1;
      throw new Expected('the isolate dies');
    },
  });
  const { batch, out, err } = await ended(id);
  const states = host.events.observed.filter(({ name }) => name === 'batch_parts').map(({ labels }) => labels?.state);
  assert.deepEqual(states.sort(), ['done', 'done', 'done', 'failed']);
  assert.equal(tries, 6);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total: 201, completed: 137, failed: 64 });
  assert.deepEqual([out.length, err.length], [137, 64]);
  assert.deepEqual(
    err.map(({ custom_id }) => custom_id),
    [
      ...Array.from({ length: 36 }, (_, at) => `r${64 + at}`),
      null,
      ...Array.from({ length: 27 }, (_, at) => `r${100 + at}`),
    ],
  );
  assert.equal(reasonOf(err[0]), 'batch_part_failed');
  assert.equal(err[0]?.response, null);
});

test('what is left when the day is over gets an error line each, and what is done stays', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(200)));
  await deliver(host, { most: 2 });
  const old = host.sent.splice(0);
  assert.equal((await retention(host, { now: Date.now() + 23 * HOUR, staleMs: 48 * HOUR })).expired_batches, 0);
  assert.equal((await retention(host, { now: Date.now() + 25 * HOUR, staleMs: 48 * HOUR })).expired_batches, 1);
  host.sent.push(...old);
  await deliver(host, { times: 2 });
  const { batch, out, err } = await ended(id);
  assert.equal(batch.status, 'expired');
  assert.ok(batch.expired_at);
  assert.deepEqual(batch.request_counts, { total: 200, completed: 64, failed: 136 });
  assert.deepEqual(
    err.map((one) => [one.custom_id, reasonOf(one)]),
    Array.from({ length: 136 }, (_, at) => [`r${64 + at}`, 'batch_expired']),
  );
  assert.equal(out.length, 64);
});

test('messages that are lost at any point are sent again by the cron job', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(200)));
  // The queue forgets all it has, again and again: before the split, before and between parts, before the end.
  let lost = 0;
  let now = Date.now();
  for (let round = 0; round < 12; round += 1) {
    lost += host.sent.splice(0).length;
    now += HOUR;
    await retention(host, { now });
    await deliver(host, { most: 1 });
  }
  await deliver(host);
  const { batch, out } = await ended(id);
  assert.ok(lost > 5, String(lost));
  assert.deepEqual([batch.status, batch.request_counts], ['completed', { total: 200, completed: 200, failed: 0 }]);
  assert.deepEqual(
    ids(out),
    Array.from({ length: 200 }, (_, at) => `r${at}`),
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
  const large = [await start(jsonl(many(6_400))), await start(jsonl(many(3_200)))];
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

test('a batch that has started outlives the message that started it', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(100)));
  const [message] = host.sent;
  await deliver(host, { most: 2 });
  await bury(host, message as Message);
  await deliver(host);
  const { batch, out } = await ended(id);
  assert.deepEqual([batch.status, out.length], ['completed', 100]);
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

test('a message that is only late is not made void by the cron job', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { id } = await start(jsonl(many(3)));
  await deliver(host, { most: 1 });
  const late = host.sent.splice(0);
  await retention(host, { now: Date.now() + HOUR });
  host.sent.splice(0);
  host.sent.push(...late);
  await deliver(host);
  assert.equal((await ended(id)).batch.status, 'completed');
});

test('a batch whose file is lost ends, with an error for each of its lines', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const failing = {
    before: ({ topic }: Message) => {
      if (topic === 'batch.part') throw new Expected('the file is gone');
    },
  };
  const buried = await start(jsonl(many(130)));
  await deliver(host, { most: 1 });
  await host.blobs.delete([`files/${buried.input_file_id}`]);
  await deliver(host, failing);
  const first = await ended(buried.id);
  assert.deepEqual([first.batch.status, first.batch.request_counts?.failed], ['completed', 130]);
  assert.deepEqual([first.err.length, reasonOf(first.err[129])], [130, 'batch_part_failed']);

  const expired = await start(jsonl(many(130)));
  await deliver(host, { most: 1 });
  await host.blobs.delete([`files/${expired.input_file_id}`]);
  await retention(host, { now: Date.now() + 25 * HOUR });
  await deliver(host);
  const second = await ended(expired.id);
  assert.deepEqual([second.batch.status, second.err.length], ['expired', 130]);
});

test('a batch is made once also where its message cannot be sent, and starts by the cron job', async () => {
  const { host, start, ended } = await opened();
  await using _ = host;
  const { send } = host.queue;
  host.queue.send = async () => Promise.reject(new Error('no queue'));
  const { id } = await start(jsonl(many(3)));
  host.queue.send = send;
  await retention(host, { now: Date.now() + HOUR });
  await deliver(host);
  assert.equal((await ended(id)).out.length, 3);
});
