// The jobs on the databases and in the runtime that they are for: Postgres, and workerd with D1, R2 and Queues.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { createGateway } from '../src/app.ts';
import { backup, restore } from '../src/backup.ts';
import { retention } from '../src/retention.ts';
import { call, keyFor } from './support/app.ts';
import { deployed } from './support/bundle.ts';
import { testHost } from './support/host.ts';
import { deliver, Expected, jsonl, openai, parseJsonl } from './support/jobs.ts';
import { lacking } from './support/needs.ts';
import { startPostgres } from './support/postgres.ts';
import { NAME, type RunningWorker, startWorker } from './support/worker.ts';

const HOUR = 3_600_000;
const ENDPOINT = '/v1/embeddings';
/** The lines of the batch in workerd: five parts. */
const LINES = 300;

const line = (model: string, at: number, input: unknown = `text number ${at}`) => ({
  custom_id: `r${at}`,
  method: 'POST',
  url: ENDPOINT,
  body: { model, input, encoding_format: 'base64' },
});

/** Each custom_id of the answers and of the errors. */
async function answersOf(client: OpenAI, id: string) {
  const batch = await client.batches.retrieve(id);
  const ids = async (file: string | null | undefined) =>
    file ? parseJsonl(await (await client.files.content(file)).text()).map(({ custom_id }) => custom_id) : [];
  return { batch, out: await ids(batch.output_file_id), err: await ids(batch.error_file_id) };
}

test('on Postgres, a batch, its cancelling, the cron job, an index and a backup work as on SQLite', {
  skip: lacking('postgres'),
}, async (t) => {
  const server = await startPostgres();
  t.after(() => server.stop());
  await using host = await testHost();
  const sql = await server.newSql();
  t.after(() => sql.close());
  Object.assign(host, { sql });
  const key = await keyFor(host);
  const app = createGateway(host);
  const client = openai(app, key);
  const start = async (lines: unknown[], headers = {}) => {
    const file = await client.files.create({ file: new File([jsonl(lines)], 'x'), purpose: 'batch' });
    const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
    return client.batches.create(order, { headers });
  };

  // Eight deliveries at once, each message twice, one part that is buried.
  const lines = Array.from({ length: 700 }, (_, at) => line('stub', at, at % 100 === 7 ? [1] : undefined));
  const { id } = await start(lines, { 'idempotency-key': 'a' });
  await deliver(host, { most: 1 });
  await deliver(host, {
    times: 2,
    together: 8,
    before: ({ body }) => {
      if (body.part === 128) throw new Expected('the isolate dies');
    },
  });
  const done = await answersOf(client, id);
  assert.equal(done.batch.status, 'completed');
  assert.deepEqual([done.out.length, done.err.length], [629, 71]);
  assert.equal(new Set([...done.out, ...done.err]).size, 700);
  assert.deepEqual(done.batch.request_counts, { total: 700, completed: 629, failed: 71 });

  // Messages are lost, and then the batch is cancelled.
  const second = await start(lines);
  await deliver(host, { most: 3 });
  host.sent.splice(0);
  await retention(host, { now: Date.now() + HOUR });
  await deliver(host, { most: 3 });
  await client.batches.cancel(second.id);
  await deliver(host, { together: 4 });
  const cancelled = await answersOf(client, second.id);
  assert.deepEqual([cancelled.batch.status, cancelled.out.length + cancelled.err.length], ['cancelled', 320]);

  // A third one expires before it is done.
  const third = await start(lines);
  await deliver(host, { most: 2 });
  const report = await retention(host, { now: Date.now() + 25 * HOUR, daily: true });
  assert.deepEqual(
    Object.entries(report).filter(([, count]) => count < 0),
    [],
  );
  assert.equal(report.expired_batches, 1);
  await deliver(host);
  const expired = await answersOf(client, third.id);
  assert.deepEqual([expired.batch.status, expired.out.length + expired.err.length], ['expired', 700]);
  assert.equal((await client.batches.list()).data.length, 3);

  const put = await call(app, 'PUT', '/v1/indexes/i', { key, json: { batch_id: id } });
  assert.equal(put.status, 202);
  await deliver(host, { times: 2 });
  const ask = async (json: object, path = 'query') =>
    (await call(app, 'POST', `/v1/indexes/i/${path}`, { key, json })).json() as Promise<{
      hits: unknown[];
      removed: number;
    }>;
  assert.equal((await ask({ input: 'text number 1', top_k: 3 })).hits.length, 3);
  assert.equal((await ask({ ids: ['r1', 'r2'] }, 'remove')).removed, 2);

  // From Postgres into SQLite, and back into another Postgres.
  await using lite = await testHost();
  const from = () => backup(host) as unknown as AsyncIterable<Uint8Array>;
  await restore(lite, from());
  const other = await server.newSql();
  t.after(() => other.close());
  await using elsewhere = await testHost();
  await restore({ sql: other, blobs: elsewhere.blobs }, backup(lite) as unknown as AsyncIterable<Uint8Array>);
  for (const table of ['api_keys', 'files', 'batches', 'batch_parts', 'indexes']) {
    const rows = await sql.all(`SELECT * FROM ${table} ORDER BY 1, 2`);
    assert.ok(rows.length > 0 || table === 'batch_parts', table);
    assert.deepEqual(await lite.sql.all(`SELECT * FROM ${table} ORDER BY 1, 2`), rows);
    assert.deepEqual(await other.all(`SELECT * FROM ${table} ORDER BY 1, 2`), rows);
  }
});

test('in workerd, a batch outlives a restart at which its queue is lost, and becomes an index', {
  skip: lacking('minilm'),
}, async () => {
  const model = 'all-MiniLM-L6-v2';
  const state = mkdtempSync(join(tmpdir(), 'gateway-state-'));
  let worker: RunningWorker | undefined;
  try {
    const begin = async () => {
      worker = await startWorker({ bundle: await deployed(), state, model: true });
      return worker;
    };
    let running = await begin();
    const apiKey = await running.key();
    const clientOf = () => new OpenAI({ apiKey, baseURL: new URL('/v1', running.url).href, maxRetries: 2 });
    let client = clientOf();
    const until = async (done: () => Promise<boolean>) => {
      for (let tries = 0; tries < 400; tries += 1) {
        if (await done()) return;
        await sleep(50);
      }
      assert.fail('it takes too long');
    };

    const lines = Array.from({ length: LINES }, (_, at) =>
      at === 100 ? 'no JSON' : line(model, at, at === 9 ? [1] : undefined),
    );
    const file = await client.files.create({ file: new File([jsonl(lines)], 'in.jsonl'), purpose: 'batch' });
    const { id } = await client.batches.create({
      input_file_id: file.id,
      endpoint: ENDPOINT,
      completion_window: '24h',
    });
    await until(async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 0);
    await running[Symbol.asyncDispose]();

    running = await begin();
    client = clientOf();
    const before = await client.batches.retrieve(id);
    assert.equal(before.status, 'in_progress');
    // The clock of the cron job is an hour ahead, as no test waits for half an hour.
    const { scheduled } = await running.miniflare.getWorker(NAME);
    await scheduled({ cron: '*/5 * * * *', scheduledTime: new Date(Date.now() + HOUR) });
    await until(async () => (await client.batches.retrieve(id)).status === 'completed');
    const { batch, out, err } = await answersOf(client, id);
    assert.deepEqual(batch.request_counts, { total: LINES, completed: LINES - 2, failed: 2 });
    assert.deepEqual(err, ['r9', null]);
    assert.deepEqual(
      out,
      Array.from({ length: LINES }, (_, at) => `r${at}`).filter((one) => one !== 'r9' && one !== 'r100'),
    );

    const ask = async (method: string, path: string, json?: object) => {
      const response = await fetch(new URL(path, running.url), {
        method,
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        ...(json ? { body: JSON.stringify(json) } : {}),
      });
      const body = (await response.json()) as { state: string; hits: { id: string; score: number }[]; removed: number };
      assert.ok(response.ok, JSON.stringify(body));
      return body;
    };
    await ask('PUT', '/v1/indexes/i', { batch_id: id, prefilter: true });
    await until(async () => (await ask('GET', '/v1/indexes/i')).state === 'ready');
    const [first] = (await ask('POST', '/v1/indexes/i/query', { input: 'text number 42', top_k: 1 })).hits;
    assert.ok(first?.id === 'r42' && first.score > 0.98, JSON.stringify(first));
    assert.equal((await ask('POST', '/v1/indexes/i/remove', { ids: ['r42'] })).removed, 1);
    assert.notEqual(
      (await ask('POST', '/v1/indexes/i/query', { input: 'text number 42', top_k: 1 })).hits[0]?.id,
      'r42',
    );

    // A stream by its length, texts from it as an index, and cancelling.
    const texts = jsonl(
      Array.from({ length: 60 }, (_, at) => ({ id: at, text: `a thing numbered ${at}`, tags: ['t'] })),
    );
    const put = await fetch(new URL('/v1/files/texts.jsonl?purpose=user_data', running.url), {
      method: 'PUT',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/jsonl' },
      body: texts,
    });
    const uploaded = (await put.json()) as { id: string; bytes: number };
    assert.equal(uploaded.bytes, texts.length, JSON.stringify(uploaded));
    await ask('PUT', '/v1/indexes/texts', { file_id: uploaded.id, model });
    await until(async () => (await ask('GET', '/v1/indexes/texts')).state === 'ready');
    const found = await ask('POST', '/v1/indexes/texts/query', {
      input: 'a thing numbered 42',
      top_k: 1,
      filter: { tags: ['t'] },
    });
    assert.equal(found.hits[0]?.id as unknown, 42);
    const again = await client.batches.create({ input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' });
    await client.batches.cancel(again.id);
    await until(async () => (await client.batches.retrieve(again.id)).status === 'cancelled');
  } finally {
    await worker?.[Symbol.asyncDispose]();
    rmSync(state, { recursive: true, force: true });
  }
});
