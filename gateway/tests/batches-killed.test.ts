// A long batch whose worker is killed again and again: 2,000 lines, and 20,000 with GATEWAY_FULL=1.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { migrate } from '../src/migrate.ts';
import { keyFor } from './support/app.ts';
import { hostIn } from './support/batch-worker.ts';
import { jsonl, openai, parseJsonl } from './support/jobs.ts';
import { checkLines } from './support/logs.ts';
import { isFull } from './support/needs.ts';

const LINES = isFull ? 20_000 : 2_000;
const KILLS = isFull ? 6 : 2;
const POISONED = 704;

/** A line of a hundred is wrong, and one line ends every process that comes to it. */
function line(at: number): object {
  const input = at === POISONED ? 'poison' : at % 100 === 50 ? [1, 2] : `text ${at}`;
  return { custom_id: `r${at}`, method: 'POST', url: '/v1/embeddings', body: { model: 'stub', input } };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test(`of ${LINES} lines, each is answered once, though each message comes twice and the worker is killed`, {
  timeout: 300_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-batch-'));
  const host = await hostIn(folder);
  let worker: ChildProcess | undefined;
  // Made with the process: one that ends by itself has said so before anybody asks.
  let ended: Promise<unknown> = Promise.resolve();
  t.after(async () => {
    worker?.kill('SIGKILL');
    await host[Symbol.asyncDispose]();
    host.sql.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const migrations = join(import.meta.dirname, '../migrations');
  await migrate(
    host.sql,
    readdirSync(migrations).map((name) => ({ name, sql: readFileSync(join(migrations, name), 'utf8') })),
  );
  const client = openai(createGateway(host), await keyFor(host));
  const content = jsonl(Array.from({ length: LINES }, (_, at) => line(at)));
  const file = await client.files.create({ file: new File([content], 'in.jsonl'), purpose: 'batch' });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });

  let starts = 0;
  let kills = 0;
  let said = '';
  const started = performance.now();
  const script = join(import.meta.dirname, 'support/batch-worker.ts');
  while ((await client.batches.retrieve(id)).status !== 'completed') {
    assert.ok(performance.now() - started < 280_000, 'it takes too long');
    if (!worker || worker.exitCode !== null || worker.signalCode !== null) {
      starts += 1;
      assert.ok(starts < 20, 'the worker ends too often');
      // The folder is removed with all that a killed process has left in it.
      const env = { ...process.env, TMPDIR: folder, GATEWAY_TEST_LOGS: 'written' };
      worker = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'pipe'], env });
      for (const stream of [worker.stdout, worker.stderr]) {
        stream?.setEncoding('utf8').on('data', (data: string) => {
          said += data;
        });
      }
      ended = once(worker, 'exit');
    }
    await pause(50);
    const { request_counts } = await client.batches.retrieve(id);
    const done = (request_counts?.completed ?? 0) + (request_counts?.failed ?? 0);
    if (kills < KILLS && done > (LINES * (kills + 1)) / (KILLS + 1)) {
      kills += 1;
      worker.kill('SIGKILL');
      await ended;
    }
  }
  // It handles its message to the end: the objects of the parts are deleted after the batch is told to be done.
  worker?.kill('SIGTERM');
  await ended;

  checkLines(said);
  const batch = await client.batches.retrieve(id);
  const read = async (file: string | null | undefined) =>
    parseJsonl(await (await client.files.content(file as string)).text());
  const out = await read(batch.output_file_id);
  const err = await read(batch.error_file_id);
  t.diagnostic(`${kills} kills, ${starts} starts, ${Math.round(performance.now() - started)} ms`);
  assert.equal(kills, KILLS);
  assert.ok(starts > KILLS, 'the poisoned line ended processes too');
  // The part of the poisoned line is 64 lines, of which one would have been wrong anyway.
  const part = Array.from({ length: 64 }, (_, at) => Math.floor(POISONED / 64) * 64 + at);
  const wrong = Array.from({ length: LINES / 100 }, (_, at) => at * 100 + 50);
  const failed = [...new Set([...part, ...wrong])].sort((a, b) => a - b).map((at) => `r${at}`);
  assert.deepEqual(
    err.map(({ custom_id }) => custom_id),
    failed,
  );
  const left = new Set(failed);
  assert.deepEqual(
    out.map(({ custom_id }) => custom_id),
    Array.from({ length: LINES }, (_, at) => `r${at}`).filter((name) => !left.has(name)),
  );
  assert.deepEqual(batch.request_counts, { total: LINES, completed: out.length, failed: err.length });
  assert.equal((await host.blobs.list('batches/')).objects.length, 0);
});
