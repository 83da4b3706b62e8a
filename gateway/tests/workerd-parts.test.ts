/** The parts of Cloudflare, in a real workerd. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Miniflare } from 'miniflare';
import { readMigrations } from './support/postgres.ts';
import { newFolder } from './support/server.ts';
import { bundle } from './support/worker.ts';

const built = await bundle('../../tests/contracts/worker.ts');
const state = newFolder();
const start = () =>
  new Miniflare({
    cf: false,
    modules: [{ type: 'ESModule', path: 'worker.js', contents: readFileSync(join(built.folder, 'worker.js'), 'utf8') }],
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
    await built.remove();
    rmSync(state, { recursive: true, force: true });
  });

  for (const [name, titles] of cases.filter(([name]) => name !== 'kept')) {
    describe(name, () => {
      for (const title of titles) test(title, () => run(name, title));
    });
  }

  test('budgets of a day and metrics are there after a restart', async () => {
    await run('kept', 'first');
    await miniflare.dispose();
    miniflare = start();
    await run('kept', 'second');
  });
});
