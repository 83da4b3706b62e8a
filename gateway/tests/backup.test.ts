// A backup and what is restored from it; what is no backup.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { backup, restore } from '../src/backup.ts';
import { call, keyFor } from './support/app.ts';
import { type TestHost, testHost } from './support/host.ts';
import { deliver, jsonl, openai, parseJsonl } from './support/jobs.ts';

const TABLES = ['api_keys', 'usage', 'predictions', 'files', 'batches', 'batch_parts', 'indexes', 'heads'];

async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A stream in pieces of a size that fits nothing. */
async function* pieces(bytes: Uint8Array, size = 701): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function rows(host: TestHost): Promise<unknown> {
  const all: unknown[] = [];
  for (const table of TABLES) all.push(await host.sql.all(`SELECT * FROM ${table} ORDER BY 1, 2`));
  return all;
}

async function objects(host: TestHost): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const { key } of (await host.blobs.list('')).objects) {
    const blob = await host.blobs.get(key);
    all[key] = Buffer.from(await bytesOf((blob as { body: ReadableStream<Uint8Array> }).body)).toString('base64');
  }
  return all;
}

/** A host with something in each table, in the middle of a batch. */
async function filled() {
  const host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host, { history: 'full' });
  const client = openai(app, key);
  const line = (id: number) => ({
    custom_id: `r${id}`,
    method: 'POST',
    url: '/v1/embeddings',
    body: { model: 'stub', input: `text ${id}` },
  });
  const content = jsonl(Array.from({ length: 200 }, (_, at) => line(at)));
  const file = await client.files.create({ file: new File([content], 'ü.jsonl'), purpose: 'batch' });
  const items = jsonl([
    { id: 'a', vector: [1, 0] },
    { id: 'b', vector: [0, 1] },
  ]);
  const vectors = await client.files.create({ file: new File([items], 'x'), purpose: 'user_data' });
  await call(app, 'PUT', '/v1/indexes/i', { key, json: { file_id: vectors.id } });
  await call(app, 'POST', '/v1/embeddings', { key, json: { model: 'stub', input: 'a "quoted"\nline 😀' } });
  await host.settled();
  await deliver(host);
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });
  await deliver(host, { most: 3 });
  const usage = `INSERT INTO usage VALUES (?, 'k', '/r', 'm', 200, 1, 2, 3, 4, 5)`;
  for (let hour = 0; hour < 1_203; hour += 1) await host.sql.all(usage, [hour * 3_600_000]);
  await host.sql.all(`INSERT INTO heads VALUES ('h', 'classify', 'm', NULL, NULL, 'd', 1)`);
  await host.blobs.put('models/org/name/model.safetensors', new Uint8Array(2_000));
  await host.blobs.put('store/model/org/name', new Uint8Array(3_000));
  await host.blobs.put(`heads/${'deep/'.repeat(20)}h.json`, new TextEncoder().encode('{}'));
  return { host, key, batch };
}

test('all rows and objects come back, and the batch that was under way goes on', async () => {
  const { host, key, batch } = await filled();
  await using _ = host;
  const archive = await bytesOf(backup(host));
  await using copy = await testHost();
  const report = await restore(copy, pieces(archive));
  assert.deepEqual(await rows(copy), await rows(host));
  const {
    'models/org/name/model.safetensors': uploaded,
    'store/model/org/name': stored,
    ...kept
  } = await objects(host);
  assert.ok(uploaded && stored);
  assert.deepEqual(await objects(copy), kept);
  assert.equal(report.objects, Object.keys(kept).length);
  assert.ok(report.rows > 1_200);
  assert.ok(!Buffer.from(archive).includes(key.split('_')[2] as string), 'no secret of a key is in it');

  // The key holds, the index answers, and the cron job finds the parts whose messages are not in the backup.
  const app = createGateway(copy);
  const query = await call(app, 'POST', '/v1/indexes/i/query', { key, json: { vector: [1, 0], top_k: 1 } });
  assert.deepEqual(((await query.json()) as { hits: { id: string }[] }).hits[0]?.id, 'a');
  const { retention } = await import('../src/retention.ts');
  await retention(copy, { now: Date.now() + 3_600_000 });
  await deliver(copy);
  const client = openai(app, key);
  const done = await client.batches.retrieve(batch.id);
  assert.deepEqual([done.status, done.request_counts?.completed], ['completed', 200]);
  const out = parseJsonl(await (await client.files.content(done.output_file_id as string)).text());
  assert.equal(new Set(out.map(({ custom_id }) => custom_id)).size, 200);
});

test('weights are in a backup where that is asked for', async () => {
  const { host } = await filled();
  await using _ = host;
  await using copy = await testHost();
  await restore(copy, pieces(await bytesOf(backup(host, { models: true }))));
  assert.deepEqual(await objects(copy), await objects(host));
});

test('tar unpacks a backup, and what tar packs is restored', async () => {
  const { host } = await filled();
  await using _ = host;
  const folder = mkdtempSync(join(tmpdir(), 'gateway-backup-'));
  try {
    writeFileSync(join(folder, 'a.tar'), await bytesOf(backup(host)));
    execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder });
    const names = execFileSync('tar', ['-tf', 'a.tar'], { cwd: folder, encoding: 'utf8' }).split('\n');
    assert.equal(names[0], 'manifest.json');
    assert.ok(names.includes('sql/usage/000002.jsonl'), 'tables are in pages');
    execFileSync('tar', ['--format=ustar', '-cf', 'b.tar', 'manifest.json', 'sql', 'blobs'], { cwd: folder });
    await using copy = await testHost();
    await restore(copy, pieces(readFileSync(join(folder, 'b.tar'))));
    assert.deepEqual(await rows(copy), await rows(host));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a backup is not restored over rows, and what is none is refused', async () => {
  const { host } = await filled();
  await using _ = host;
  const archive = await bytesOf(backup(host));
  await assert.rejects(restore(host, pieces(archive)), /the table api_keys has rows/);
  const bad = async (bytes: Uint8Array, words: RegExp) => {
    await using copy = await testHost();
    await assert.rejects(restore(copy, pieces(bytes)), words);
  };
  await bad(new Uint8Array(), /ends early/);
  await bad(new TextEncoder().encode('x'.repeat(2_000)), /no archive, or it is damaged/);
  await bad(archive.subarray(0, archive.length - 5_000), /ends early/);
  const damaged = archive.slice();
  damaged[0] = 65;
  await bad(damaged, /damaged/);
  const other = Buffer.from(archive);
  other.write('"version":9', other.indexOf('"version":1'));
  await bad(other, /no backup of this version/);
  await bad(archive.subarray(1_024), /no backup of a gateway/);
});
