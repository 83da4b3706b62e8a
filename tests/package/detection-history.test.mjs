// The history of detections: what is kept, in what order, and what is not.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { DetectionHistory, models, TextClassifier } from 'pilotlight';
import { mapStore } from './support/map-store.mjs';

const DETECTION = { verdict: 'no sign', score: -1.25, head: 'smollm2-2024-06', reasons: [], tokens: 120 };

test('records are listed newest first, without the text unless it is asked for', async () => {
  const store = mapStore();
  const history = new DetectionHistory({ store });
  assert.deepEqual(await history.list(), []);
  const first = await history.add('Ein Text – naïve', DETECTION);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const second = await history.add(
    'another',
    { ...DETECTION, verdict: 'uncertain', score: undefined },
    { keepText: true },
  );
  assert.deepEqual(await history.list(), [second, first]);
  assert.equal(first.digest, createHash('sha256').update('Ein Text – naïve', 'utf8').digest('hex'));
  assert.equal(first.length, 16);
  assert.deepEqual([first.score, first.verdict, first.head], [-1.25, 'no sign', 'smollm2-2024-06']);
  assert.ok(!('text' in first));
  assert.equal(second.text, 'another');
  assert.ok(second.time >= first.time && Math.abs(Date.now() - second.time) < 60_000);
  assert.deepEqual(JSON.parse(await history.export()), [second, first]);
  const kept = Buffer.concat([...store.rows.values()]).toString('utf8');
  assert.ok(!kept.includes('naïve'));
});

test('one record or all are deleted, and nothing else is', async () => {
  const store = mapStore();
  const history = new DetectionHistory({ store });
  const records = [];
  for (const text of ['a', 'b', 'c']) records.push(await history.add(text, DETECTION));
  assert.deepEqual(await models.list({ store }), []);
  assert.equal(await TextClassifier.delete(records[0].id, { store }), false);
  assert.equal(await history.delete(records[1].id), true);
  assert.equal(await history.delete(records[1].id), false);
  assert.deepEqual(
    (await history.list()).map(({ length }) => length),
    [1, 1],
  );
  assert.equal(await history.clear(), 2);
  assert.equal(store.rows.size, 0);
});

test('records that are added at the same time are all kept', async () => {
  const history = new DetectionHistory({ store: mapStore() });
  await Promise.all(Array.from({ length: 20 }, (_, i) => history.add(`text ${i}`, DETECTION)));
  const digests = new Set((await history.list()).map(({ digest }) => digest));
  assert.equal(digests.size, 20);
});

test('a record that was altered is noticed', async () => {
  const store = mapStore();
  const history = new DetectionHistory({ store });
  await history.add('a', DETECTION);
  const key = [...store.rows.keys()].find((one) => one.includes('#chunk/'));
  store.rows.get(key)[3] ^= 1;
  await assert.rejects(history.list(), { code: 'INTEGRITY', message: /record/ });
});

test('without IndexedDB the history is in memory, and asking for IndexedDB is an error', async () => {
  const history = new DetectionHistory();
  await history.add('only here', DETECTION);
  assert.equal((await new DetectionHistory({ store: 'memory' }).list()).length, 1);
  await history.clear();
  await assert.rejects(new DetectionHistory({ store: 'indexeddb' }).list(), { code: 'BACKEND_UNAVAILABLE' });
});

test('wrong input is a typed error', async () => {
  const history = new DetectionHistory({ store: mapStore() });
  for (const [call, message] of [
    [() => history.add(5, DETECTION), /text: /],
    [() => history.add('a', null), /detection: /],
    [() => history.add('a', {}), /detection.verdict/],
    [() => history.delete(''), /name/],
    [() => new DetectionHistory({ store: false }).list(), /store/],
  ])
    await assert.rejects(call(), { name: 'PilotlightError', code: 'INVALID_INPUT', message });
});
