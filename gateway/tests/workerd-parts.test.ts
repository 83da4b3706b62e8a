/** The parts of Cloudflare, in a real workerd. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Miniflare } from 'miniflare';
import { wrangler } from '../src/cli/wrangler.ts';
import { readMigrations } from './support/postgres.ts';
import { newFolder } from './support/server.ts';

const built = newFolder();
await wrangler(['deploy', 'tests/contracts/worker.ts', '--dry-run', '--outdir', built]);
const script = readFileSync(join(built, 'worker.js'), 'utf8');
const state = newFolder();
const start = () =>
  new Miniflare({
    cf: false,
    modules: [{ type: 'ESModule', path: 'worker.js', contents: script }],
    compatibilityDate: '2026-04-01',
    compatibilityFlags: ['nodejs_compat'],
    bindings: { MIGRATIONS: readMigrations() as never },
    d1Databases: { DB: 'db' },
    r2Buckets: ['R2'],
    queueProducers: { WORK: { queueName: 'work' } },
    queueConsumers: {
      work: { maxBatchSize: 20, maxBatchTimeout: 0.05, maxRetries: 2, deadLetterQueue: 'dead' },
      dead: { maxBatchTimeout: 0.05 },
    },
    durableObjects: {
      METER: { className: 'KeyMeter', useSQLite: true },
      METRICS: { className: 'Metrics', useSQLite: true },
    },
    durableObjectsPersist: state,
  });
let miniflare = start();

async function run(name: string, title: string): Promise<void> {
  const address = `http://worker/${encodeURIComponent(name)}/${encodeURIComponent(title)}`;
  const response = await miniflare.dispatchFetch(address, { method: 'POST' });
  const { error } = (await response.json()) as { error?: string };
  assert.equal(error, undefined, error);
}

const cases = (await (await miniflare.dispatchFetch('http://worker/')).json()) as [string, string[]][];

describe('workerd', () => {
  after(async () => {
    await miniflare.dispose();
    for (const folder of [built, state]) rmSync(folder, { recursive: true, force: true });
  });

  for (const [name, titles] of cases.filter(([name]) => name !== 'kept')) {
    // Cases that wait run at the same time.
    describe(name, { concurrency: name.endsWith('by time') }, () => {
      for (const title of titles) test(title, () => run(name, title));
    });
  }

  test('the parts of Cloudflare bring no library of servers', () => {
    for (const name of ['ioredis', 'lru-cache', 'LRUCache', 'AwsClient', 'node:sqlite', 'node:fs', 'postgres']) {
      assert.ok(!script.includes(name), name);
    }
  });

  test('budgets of a day and metrics are there after a restart', async () => {
    await run('kept', 'first');
    await miniflare.dispose();
    miniflare = start();
    await run('kept', 'second');
  });
});
