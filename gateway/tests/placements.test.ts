/** The places for the files of a model: each serves it from a cold start, and the bucket does so quickly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coldStarts, medians, PLACEMENTS, serverStarts } from '../benches/cold.ts';
import { isFull, lacking, longTest } from './support/needs.ts';

const skip = lacking('minilm');

test('from the bucket the first vector comes after 400 ms and 450 ms of the processor', { skip }, async (t) => {
  const bucket = medians(await coldStarts('r2', isFull ? 5 : 1));
  t.diagnostic(`from R2: ${JSON.stringify(bucket)}`);
  // Beside other tests the clock says nothing, and the processor is slower.
  assert.ok(bucket.cpuMs > 50 && bucket.cpuMs <= (isFull ? 450 : 900), `${bucket.cpuMs} ms of the processor`);
  if (!isFull) return;
  assert.ok(bucket.ms <= 400, `${bucket.ms} ms`);
  const store = medians(await coldStarts('r2 store', 5));
  t.diagnostic(`from a store in R2: ${JSON.stringify(store)}`);
  assert.ok(bucket.ms <= 1.3 * store.ms, `${bucket.ms} ms from the bucket, ${store.ms} from the store`);
});

const starts = [
  ...PLACEMENTS.filter((name) => name !== 'r2').map((name) => ['a Worker', name, () => coldStarts(name, 1)] as const),
  ...(['folder', 'volume', 'host'] as const).map((name) => ['a server', name, () => serverStarts(name, 1)] as const),
];
for (const [host, place, run] of starts) {
  longTest(`${host} reads its model from this place: ${place}`, { skip, timeout: 120_000 }, async (t) => {
    const [start] = await run();
    t.diagnostic(JSON.stringify(start));
    assert.ok(start && start.ms > 0 && start.rssMiB <= 300, `${start?.ms} ms, ${start?.rssMiB} MiB`);
  });
}
