// The cron job: what it deletes and what it leaves, day by day. What it sends again is tested with batches and indexes.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import type { SqlValue } from '../src/host.ts';
import { newId } from '../src/jobs/ids.ts';
import { SqlQueue } from '../src/parts/sql-queue.ts';
import { retention } from '../src/retention.ts';
import { call, keyFor } from './support/app.ts';
import { type TestHost, testHost } from './support/host.ts';
import { deliver, jsonl, openai } from './support/jobs.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 5, 1, 12);

async function insert(host: TestHost, table: string, row: Record<string, SqlValue>): Promise<void> {
  const names = Object.keys(row);
  const marks = names.map(() => '?').join(', ');
  await host.sql.all(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${marks})`, Object.values(row));
}

const column = async (host: TestHost, sql: string) => (await host.sql.all(sql)).map((row) => Object.values(row)[0]);

test('predictions go when their time is over, by 500 in a statement', async () => {
  await using host = await testHost();
  const row = { key_id: 'k', route: '/', model: 'm', digest: 'd', output: '{}', ms: 1, at: 0 };
  for (let at = 0; at < 1_203; at += 1) {
    await insert(host, 'predictions', { ...row, id: `p${at}`, expires_at: NOW + (at < 1_200 ? -1 : 1) });
  }
  assert.equal((await retention(host, { now: NOW })).predictions, 1_200);
  assert.deepEqual(await column(host, 'SELECT id FROM predictions ORDER BY id'), ['p1200', 'p1201', 'p1202']);
});

test('usage is added up to days once it is eight days old, and goes after USAGE_DAYS', async () => {
  await using host = await testHost({ settings: { USAGE_DAYS: '20' } });
  const usage = (start: number, requests: number, more: object = {}) =>
    insert(host, 'usage', {
      hour: start,
      key_id: 'k',
      route: '/r',
      model: 'm',
      status: 200,
      requests,
      items: 2,
      tokens: 3,
      cached: 1,
      ms: 4,
      ...more,
    });
  const day = Math.floor(NOW / DAY) * DAY - 10 * DAY;
  await usage(day, 1);
  await usage(day + HOUR, 10);
  await usage(day + 23 * HOUR, 100);
  await usage(day + 2 * HOUR, 7, { status: 429 });
  await usage(day + 2 * HOUR, 9, { key_id: 'other' });
  await usage(NOW - 2 * DAY, 5);
  await usage(NOW - 2 * DAY + HOUR, 6);
  await usage(NOW - 21 * DAY, 1_000);
  const before = await host.sql.all('SELECT SUM(requests) AS r, SUM(tokens) AS t FROM usage WHERE hour > ?', [
    NOW - 20 * DAY,
  ]);
  const read = () =>
    host.sql.all(
      'SELECT hour, key_id, status, requests, items, tokens, cached, ms FROM usage ORDER BY hour, key_id, status',
    );
  for (let time = 0; time < 2; time += 1) {
    const report = await retention(host, { now: NOW, daily: true });
    assert.deepEqual([report.usage, report.days], time === 0 ? [1, 1] : [0, 0]);
    assert.deepEqual(await read(), [
      { hour: day, key_id: 'k', status: 200, requests: 111, items: 6, tokens: 9, cached: 3, ms: 12 },
      { hour: day, key_id: 'k', status: 429, requests: 7, items: 2, tokens: 3, cached: 1, ms: 4 },
      { hour: day, key_id: 'other', status: 200, requests: 9, items: 2, tokens: 3, cached: 1, ms: 4 },
      { hour: NOW - 2 * DAY, key_id: 'k', status: 200, requests: 5, items: 2, tokens: 3, cached: 1, ms: 4 },
      { hour: NOW - 2 * DAY + HOUR, key_id: 'k', status: 200, requests: 6, items: 2, tokens: 3, cached: 1, ms: 4 },
    ]);
  }
  assert.deepEqual(await host.sql.all('SELECT SUM(requests) AS r, SUM(tokens) AS t FROM usage'), before);
});

test('files and ended batches go after FILES_DAYS, but not what a batch still reads', async () => {
  await using host = await testHost({ settings: { FILES_DAYS: '3' } });
  const client = openai(createGateway(host), await keyFor(host));
  const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: 'stub', input: 'x' } };
  const start = async () => {
    const file = await client.files.create({ file: new File([jsonl([line])], 'x'), purpose: 'batch' });
    return client.batches.create({ input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' });
  };
  const done = await start();
  await deliver(host);
  const open = await start();
  const days = (count: number) => retention(host, { now: Date.now() + count * DAY, staleMs: 100 * DAY });
  const early = await days(0.5);
  assert.deepEqual([early.expired_batches, early.files, early.batches], [0, 0, 0]);
  // The file of the batch that nobody has worked on stays as long as that has not ended.
  const late = await days(4);
  assert.deepEqual([late.expired_batches, late.files, late.batches], [1, 2, 1]);
  assert.deepEqual(await column(host, 'SELECT id FROM batches'), [open.id]);
  assert.deepEqual(await column(host, 'SELECT id FROM files'), [open.input_file_id]);
  assert.deepEqual(
    (await host.blobs.list('')).objects.map(({ key }) => key),
    [`files/${open.input_file_id}`],
  );
  await deliver(host);
  assert.equal((await days(4)).files, 1);
  await assert.rejects(client.batches.retrieve(done.id), { status: 404 });
});

test('objects that no row names go, once a day, when they are two hours old', async () => {
  await using host = await testHost();
  const old = NOW - 3 * HOUR;
  const [kept, batch, build] = [newId('file-', old), newId('batch_', old), newId('build-', old)];
  const index = newId('ix-', old);
  await insert(host, 'files', {
    id: kept,
    owner: 'o',
    filename: 'f',
    purpose: 'batch',
    bytes: 1,
    created_at: old,
    expires_at: null,
  });
  const row = {
    owner: 'o',
    key_id: 'k',
    caller: '{}',
    endpoint: '/',
    input_file: kept,
    parts: 1,
    total: 1,
    completed: 0,
    failed: 0,
  };
  await insert(host, 'batches', { ...row, id: batch, state: 'in_progress', created_at: old, expires_at: NOW + DAY });
  const built = { owner: 'o', model: 'm', dimensions: 1, items: 1, created_at: old, changed_at: NOW };
  await insert(host, 'indexes', {
    ...built,
    name: 'i',
    state: 'ready',
    source: '{"build":"x"}',
    object: `indexes/${index}`,
  });
  await insert(host, 'indexes', {
    ...built,
    name: 'j',
    state: 'building',
    source: JSON.stringify({ build }),
    object: null,
  });
  const stay = [
    `files/${kept}`,
    `files/${newId('file-', NOW - HOUR)}`,
    `batches/${batch}/000000.run`,
    `batches/${newId('batch_', NOW)}/000000.run`,
    `indexes/${build}.000000000010`,
    `indexes/${index}`,
    'files/by-hand',
    'models/org/name/model.safetensors',
    'training/a.jsonl',
  ];
  const go = [
    `files/${newId('file-', old)}`,
    `files/${newId('batch_', old).replace('batch_', 'file-')}-output`,
    `batches/${newId('batch_', old)}/000000.run`,
    `indexes/${newId('build-', old)}.000000000010`,
    `indexes/${newId('ix-', old)}`,
  ];
  for (const key of [...stay, ...go]) await host.blobs.put(key, new Uint8Array([1]));
  assert.equal((await retention(host, { now: NOW })).orphans, undefined);
  assert.equal((await retention(host, { now: NOW, daily: true })).orphans, go.length);
  const left = (await host.blobs.list('')).objects.map(({ key }) => key);
  assert.deepEqual(left.sort(), stay.sort());
});

test('secrets of before a rotation go when they hold no longer, and keys when they have long been invalid', async () => {
  await using host = await testHost({ settings: { USAGE_DAYS: '30' } });
  const key = { hash: 'h', name: 'n', owner: 'o', scopes: '[]', limits: '{}', history: 'off', created_at: 0 };
  await insert(host, 'api_keys', { ...key, id: 'rotated', old_hash: 'x', old_hash_until: NOW });
  await insert(host, 'api_keys', { ...key, id: 'rotating', old_hash: 'x', old_hash_until: NOW + 1 });
  await insert(host, 'api_keys', { ...key, id: 'revoked', revoked_at: NOW - 31 * DAY });
  await insert(host, 'api_keys', { ...key, id: 'just revoked', revoked_at: NOW - DAY });
  await insert(host, 'api_keys', { ...key, id: 'expired', expires_at: NOW - 31 * DAY });
  const { old_secrets, keys } = await retention(host, { now: NOW });
  assert.deepEqual([old_secrets, keys], [1, 2]);
  assert.deepEqual(await host.sql.all('SELECT id, old_hash FROM api_keys ORDER BY id'), [
    { id: 'just revoked', old_hash: null },
    { id: 'rotated', old_hash: null },
    { id: 'rotating', old_hash: 'x' },
  ]);
});

test('a step that fails keeps no other from being done', async () => {
  await using host = await testHost();
  await insert(host, 'predictions', {
    key_id: 'k',
    route: '/',
    model: 'm',
    digest: 'd',
    output: '{}',
    ms: 1,
    at: 0,
    id: 'p',
    expires_at: 1,
  });
  await host.sql.all('DROP TABLE batches');
  const { expired_batches, predictions } = await retention(host, { now: NOW });
  assert.deepEqual([expired_batches, predictions], [-1, 1]);
});

test('the daily run comes once a day, after three', async () => {
  await using host = await testHost();
  const daily: string[] = [];
  for (let minute = 2; minute < 2 * 1_440; minute += 5) {
    const now = Math.floor(NOW / DAY) * DAY + minute * 60_000;
    if ('orphans' in (await retention(host, { now }))) daily.push(new Date(now).toISOString().slice(11, 16));
  }
  assert.deepEqual(daily, ['03:02', '03:02']);
});

test('the hook of retraining is told of the objects there are, with its own secret', async () => {
  const requests: { authorization: string | undefined; body: unknown }[] = [];
  let status = 200;
  const server = createServer(async (request: IncomingMessage, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    requests.push({ authorization: request.headers.authorization, body: JSON.parse(body) });
    response.writeHead(status, { location: '/elsewhere' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const RETRAIN_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fit`;
  await using none = await testHost();
  await using host = await testHost({ settings: { RETRAIN_URL } });
  try {
    assert.equal((await retention(none, { now: NOW, daily: true })).retrain, 0);
    host.secrets.set('RETRAIN_TOKEN', 'secret');
    await retention(host, { now: NOW, daily: true });
    await deliver(host);
    assert.deepEqual(requests, [], 'there is nothing to train with');
    await host.blobs.put('training/2026-06.jsonl', new Uint8Array(5));
    await retention(host, { now: NOW, daily: true });
    await deliver(host);
    assert.deepEqual(requests, [
      { authorization: 'Bearer secret', body: { objects: [{ key: 'training/2026-06.jsonl', size: 5 }] } },
    ]);
    for (status of [500, 302]) {
      host.sent.push({ topic: 'retrain', body: {} });
      await assert.rejects(deliver(host, { tries: 1 }), new RegExp(`answered ${status}`));
    }
    assert.equal(requests.length, 3, 'a redirect is not followed');
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('a file that a batch or an index takes while the cron job runs is kept', async () => {
  for (const path of ['/v1/batches', '/v1/indexes/i'] as const) {
    await using host = await testHost();
    const app = createGateway(host);
    const key = await keyFor(host);
    const client = openai(app, key);
    const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: 'stub', input: 'x' } };
    const content = path === '/v1/batches' ? jsonl([line]) : jsonl([{ id: 'a', vector: [1, 0] }]);
    const file = await client.files.create({ file: new File([content], 'x'), purpose: 'batch' });
    await host.sql.all('UPDATE files SET expires_at = ?', [Date.now() + HOUR]);
    const all = host.sql.all.bind(host.sql);
    let taken = false;
    // The job's clock is two hours ahead, so the file that it finds is one whose time is over.
    host.sql.all = async (sql, params) => {
      if (!taken && sql.startsWith('DELETE FROM files')) {
        taken = true;
        const order = { input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' };
        const [method, json] = path === '/v1/batches' ? ['POST', order] : ['PUT', { file_id: file.id }];
        const response = await call(app, method as string, path, { key, json });
        assert.ok(response.ok, await response.text());
      }
      return all(sql, params);
    };
    assert.equal((await retention(host, { now: Date.now() + 2 * HOUR })).files, 0);
    assert.ok(taken);
    await deliver(host);
    const [row] = await host.sql.all(
      path === '/v1/batches' ? 'SELECT state FROM batches' : 'SELECT state FROM indexes',
    );
    assert.equal(row?.state, path === '/v1/batches' ? 'completed' : 'ready');
  }
});

test('the answers that a long batch is writing are no orphans', async () => {
  await using host = await testHost();
  const client = openai(createGateway(host), await keyFor(host));
  const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: 'stub', input: 'x' } };
  const file = await client.files.create({ file: new File([jsonl([line])], 'x'), purpose: 'batch' });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });
  const put = host.blobs.put.bind(host.blobs);
  let orphans: number | undefined;
  host.blobs.put = async (key, ...rest) => {
    const done = await put(key, ...rest);
    // The answers are stored, and their row is not: the batch is three hours old by the job's clock.
    if (key.endsWith('-output')) orphans = (await retention(host, { now: Date.now() + 3 * HOUR, daily: true })).orphans;
    return done;
  };
  await deliver(host);
  assert.equal(orphans, 0);
  const { status, output_file_id } = await client.batches.retrieve(id);
  assert.equal(status, 'completed');
  assert.match(await (await client.files.content(output_file_id as string)).text(), /"custom_id":"a"/);
});

test('dead letters that could not be handled either are kept for 14 days', async () => {
  await using host = await testHost();
  const queue = new SqlQueue(host.sql, { tries: 1, now: () => NOW });
  await queue.send([{ topic: 'retrain', body: {} }]);
  const fail = async () => Promise.reject(new Error('never'));
  for (let time = 0; time < 2; time += 1) await queue.handle({ consume: fail, bury: fail });
  await queue.send([{ topic: 'retrain', body: {}, delaySeconds: 60 }]);
  assert.equal((await retention(host, { now: NOW + 14 * DAY })).dead_letters, 0);
  assert.equal((await retention(host, { now: NOW + 14 * DAY + 1 })).dead_letters, 1);
  assert.deepEqual(await column(host, 'SELECT dead FROM queue'), [0]);
});
