/** The contract of the statements on keys, predictions and usage: they mean the same to each database. The tables are empty at the start. */
import assert from 'node:assert/strict';
import type { Sql } from '../../src/host.ts';
import { mintKey } from '../../src/keys.ts';
import { Usage } from '../../src/parts/usage.ts';
import { deletePrediction, insertPrediction, listPredictions } from '../../src/tables/history.ts';
import { changeKey, findKey, listKeys, revokeKey, rotateKey } from '../../src/tables/keys.ts';
import { readUsage } from '../../src/tables/usage.ts';
import type { Contract } from './contract.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 5, 1, 22, 15);

async function keys(sql: Sql): Promise<void> {
  const { record } = await mintKey(sql, {
    name: 'a "name" with ünïcödé 😀',
    owner: 'team',
    scopes: ['embed', 'admin'],
    limits: { rpm: 5, tpd: 1_000_000_000_000 },
    models: ['a/b'],
    history: 'meta',
    expiresAt: NOW,
  });
  assert.deepEqual(await findKey(sql, record.id), record);
  assert.equal(await findKey(sql, 'nothing'), undefined);
  for (let at = 0; at < 3; at += 1) await mintKey(sql, { name: `${at}`, owner: 'other', scopes: ['embed'] });
  const all = await listKeys(sql, { limit: 10 });
  // The order must not depend on the language of the database, or a page could miss keys.
  assert.deepEqual(
    all.map(({ id }) => id),
    all.map(({ id }) => id).sort(),
  );
  const [first] = all;
  assert.equal((await listKeys(sql, { after: first?.id, limit: 10 })).length, 3);
  assert.equal((await listKeys(sql, { owner: 'team', limit: 10 })).length, 1);
  const changed = { ...record, name: 'b', models: null, expiresAt: null, limits: {}, scopes: ['files'] as const };
  await changeKey(sql, changed);
  assert.deepEqual(await findKey(sql, record.id), changed);
  assert.equal(await rotateKey(sql, record.id, 'f'.repeat(64), NOW + HOUR), true);
  const rotated = await findKey(sql, record.id);
  assert.deepEqual([rotated?.hash, rotated?.oldHash, rotated?.oldHashUntil], ['f'.repeat(64), record.hash, NOW + HOUR]);
  assert.equal(await revokeKey(sql, record.id, NOW), true);
  assert.equal(await revokeKey(sql, record.id, NOW + 1), true);
  const revoked = await findKey(sql, record.id);
  assert.deepEqual([revoked?.revokedAt, revoked?.oldHash], [NOW, null]);
  assert.equal(await rotateKey(sql, record.id, 'e'.repeat(64), NOW), false);
  assert.equal(await revokeKey(sql, 'nothing', NOW), false);
}

async function predictions(sql: Sql): Promise<void> {
  const make = (id: string, at: number, keyId = 'one') => ({
    id,
    at,
    keyId,
    route: '/v1/detect',
    model: 'm',
    digest: 'd',
    input: id === 'b' ? null : '{"a":"ü"}',
    output: '{}',
    ms: 1.6,
    expiresAt: at + HOUR,
  });
  // Two at the same time: their ids decide.
  const list = [make('a', NOW), make('b', NOW), make('B', NOW), make('c', NOW + 1), make('d', NOW, 'two')];
  await sql.batch(list.map(insertPrediction));
  const first = await listPredictions(sql, { keyId: 'one', limit: 2 });
  assert.deepEqual(
    first.map(({ id, ms }) => [id, ms]),
    [
      ['c', 2],
      ['b', 2],
    ],
  );
  const rest = await listPredictions(sql, { keyId: 'one', before: { at: NOW, id: 'b' }, limit: 9 });
  assert.deepEqual(
    rest.map(({ id }) => id),
    ['a', 'B'],
  );
  assert.equal((await listPredictions(sql, { limit: 9 })).length, 5);
  assert.deepEqual([await deletePrediction(sql, 'd', 'one'), await deletePrediction(sql, 'd')], [false, true]);
}

async function usage(sql: Sql): Promise<void> {
  const counts = new Usage();
  for (let hour = 0; hour < 3; hour += 1) {
    for (const [key, status, tokens] of [
      ['one', 200, 3_000_000_000],
      ['one', 429, 0],
      ['two', 200, 1],
    ] as const) {
      const event = { id: 'i', at: NOW + hour * HOUR, method: 'POST', ms: 2.4, items: 2, tokens };
      counts.record({ ...event, route: '/v1/embeddings', model: 'm', status, key });
    }
  }
  await counts.flush(sql);
  const span = { from: NOW - HOUR, to: NOW + 10 * HOUR, limit: 100 };
  const days = await readUsage(sql, { ...span, keyId: 'one', by: 'day' });
  const day = Date.UTC(2026, 5, 1);
  assert.deepEqual(
    days.map(({ start, requests, errors, items, tokens }) => [start, requests, errors, items, tokens]),
    [
      [day, 4, 2, 8, 6_000_000_000],
      [day + 24 * HOUR, 2, 1, 4, 3_000_000_000],
    ],
  );
  const hours = await readUsage(sql, { ...span, by: 'hour' });
  assert.deepEqual(
    hours.map(({ start, keyId, requests }) => [start - day, keyId, requests]),
    [22, 23, 24].flatMap((hour) => [
      [hour * HOUR, 'one', 2],
      [hour * HOUR, 'two', 1],
    ]),
  );
  assert.equal((await readUsage(sql, { ...span, by: 'hour', limit: 1 })).length, 1);
}

export const tablesContract: Contract<Sql> = {
  'keys are kept, listed, changed, rotated and revoked': async (make) => keys(await make()),
  'predictions are listed from the newest on, and deleted by their owner': async (make) => predictions(await make()),
  'usage is read by hour and by day': async (make) => usage(await make()),
};
