// Batches of which something is lost, late or failing: messages, files and models, a host that stops, and the end of the day.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../src/host.ts';
import { GatewayError } from '../src/http/errors.ts';
import { bury, consume } from '../src/jobs/consume.ts';
import { retention } from '../src/retention.ts';
import { errorOf, ids, line, many, opened, reasonOf } from './support/batches.ts';
import { deliver, Expected, jsonl } from './support/jobs.ts';

const HOUR = 3_600_000;

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
  // Lines that had been answered before another was put off were not asked again.
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
  assert.deepEqual(ids(out), ids(many(10)));
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
    [...ids(many(100).slice(64)), null, ...ids(many(127).slice(100))],
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
  assert.deepEqual(ids(out), ids(many(200)));
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
