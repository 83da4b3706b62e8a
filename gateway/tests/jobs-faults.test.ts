// Batches and builds of indexes while the database, the objects and the queue fail at random, before or after they have done what they were asked.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGateway } from '../src/app.ts';
import type { Message } from '../src/host.ts';
import { bury, consume } from '../src/jobs/consume.ts';
import { finish } from '../src/jobs/finish.ts';
import { retention } from '../src/retention.ts';
import { call, keyFor } from './support/app.ts';
import { type TestHost, testHost } from './support/host.ts';
import { jsonl, openai, parseJsonl } from './support/jobs.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LINES = 700;
const SEEDS = process.env.GATEWAY_FULL === '1' ? 40 : 3;

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Fault extends Error {}

/** Lets calls of a host's parts fail while `isOn`: half of them before they are done, and half after. */
function faulty(host: TestHost, random: () => number, share: number): { isOn: boolean; count: number } {
  const faults = { isOn: false, count: 0 };
  const wrap = (part: object, name: string) => {
    const methods = part as Record<string, (...given: unknown[]) => Promise<unknown>>;
    const method = (methods[name] as (...given: unknown[]) => Promise<unknown>).bind(part);
    methods[name] = async (...given) => {
      const chance = faults.isOn ? random() : 1;
      if (chance < share) faults.count += 1;
      if (chance < share / 2) throw new Fault(`${name} has failed`);
      const result = await method(...given);
      if (chance < share) throw new Fault(`${name} was done, and its answer is lost`);
      return result;
    };
  };
  for (const name of ['all', 'batch']) wrap(host.sql, name);
  for (const name of ['get', 'put', 'delete', 'list']) wrap(host.blobs, name);
  wrap(host.queue, 'send');
  return faults;
}

/** Delivers what there is, some messages at once and some twice; a message that failed three times is buried, or lost. */
async function deliver(host: TestHost, random: () => number): Promise<void> {
  const one = async (message: Message) => {
    const times = random() < 0.3 ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      for (let attempt = 1; attempt <= 4; attempt += 1) {
        try {
          await (attempt === 4 ? bury(host, message) : consume(host, message, attempt));
          break;
        } catch (error) {
          if (!/has failed|is lost|are gone/.test(String(error))) throw error;
        }
      }
    }
  };
  while (host.sent.length > 0) {
    const at = Math.floor(random() * host.sent.length);
    await Promise.all(host.sent.splice(at, 1 + Math.floor(random() * 4)).map(one));
  }
}

/** A host whose calls fail as the numbers of a seed say. */
interface Trial {
  seed: number;
  host: TestHost;
  random: () => number;
  faults: ReturnType<typeof faulty>;
}

/** Runs a trial for each seed, and tells the states that they ended in. `share`: the share of calls that fail; `least`: the faults of a seed. */
async function tryAll(
  t: TestContext,
  { share, least }: { share: number; least: number },
  run: (trial: Trial) => Promise<string>,
): Promise<void> {
  let count = 0;
  const states = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    await using host = await testHost();
    const random = numbers(seed);
    const faults = faulty(host, random, share);
    const state = await run({ seed, host, random, faults });
    count += faults.count;
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  t.diagnostic(`${count} faults; ${JSON.stringify([...states])}`);
  assert.ok(count > SEEDS * least, `${count} faults`);
}

for (const kind of ['ends', 'is cancelled'] as const) {
  test(`a batch that ${kind} has each line once, whatever fails`, (t) =>
    tryAll(t, { share: 0.12, least: 10 }, async ({ seed, host, random, faults }) => {
      const client = openai(createGateway(host), await keyFor(host));
      const lines = Array.from({ length: LINES }, (_, at) => ({
        custom_id: `r${at}`,
        method: 'POST',
        url: '/v1/embeddings',
        body: { model: 'stub', input: at % 50 === 7 ? [1] : `text ${at}` },
      }));
      const file = await client.files.create({ file: new File([jsonl(lines)], 'in.jsonl'), purpose: 'batch' });
      const { id } = await client.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/embeddings',
        completion_window: '24h',
      });
      const isOpen = async () => (await host.sql.all('SELECT id FROM batches WHERE ended_at IS NULL')).length > 0;
      for (let round = 0; await isOpen(); round += 1) {
        assert.ok(round < 60, `seed ${seed}: it does not end`);
        faults.isOn = true;
        const cancelling =
          kind === 'is cancelled' && round >= seed % 3
            ? sleep(random() * 40).then(() => client.batches.cancel(id).catch(() => {}))
            : undefined;
        await deliver(host, random);
        await cancelling;
        // Two deliveries that end it at the same time, as queues may make.
        await Promise.allSettled([finish(host, id), finish(host, id)]);
        faults.isOn = false;
        await retention(host, { now: Date.now() + round * MINUTE, staleMs: 0 });
      }
      await deliver(host, random);
      const batch = await client.batches.retrieve(id);
      const read = async (name: string | null | undefined) =>
        name ? parseJsonl(await (await client.files.content(name)).text()).map(({ custom_id }) => custom_id) : [];
      const out = await read(batch.output_file_id);
      const err = await read(batch.error_file_id);
      const all = [...out, ...err];
      assert.equal(new Set(all).size, all.length, `seed ${seed}: a line is answered twice`);
      assert.deepEqual([batch.request_counts?.completed, batch.request_counts?.failed], [out.length, err.length]);
      // A file that could not be cut at any try fails its batch, and says so.
      if (batch.status === 'failed') assert.deepEqual([all.length, batch.errors?.data?.length], [0, 1]);
      else if (batch.status !== 'cancelled')
        assert.equal(all.length, LINES, `seed ${seed}: lines are lost (${batch.status})`);
      // The daily run deletes what is left of the parts.
      await retention(host, { now: Date.now() + 4 * HOUR, daily: true });
      assert.deepEqual((await host.blobs.list('batches/')).objects, [], `seed ${seed}`);
      assert.deepEqual(await host.sql.all('SELECT * FROM batch_parts'), []);
      if (batch.output_file_id) assert.ok((await client.files.content(batch.output_file_id)).ok);
      return batch.status;
    }));
}

test('an index has each item once, whatever fails while it is built, twice over', (t) =>
  tryAll(t, { share: 0.25, least: 3 }, async ({ seed, host, random, faults }) => {
    const app = createGateway(host);
    const key = await keyFor(host);
    const items = Array.from({ length: 500 }, (_, id) => ({ id, text: `${'w '.repeat(60)}${id}` }));
    const file = await openai(app, key).files.create({ file: new File([jsonl(items)], 'x'), purpose: 'user_data' });
    const ask = async (method: string, path: string, json?: object) =>
      (await call(app, method, `/v1/indexes/i${path}`, { key, ...(json ? { json } : {}) })).json() as Promise<{
        state: string;
        items: number;
        error: string;
        index: { size: number };
      }>;
    for (let build = 0; build < 2; build += 1) {
      await ask('PUT', '', { file_id: file.id, model: 'stub' });
      for (let round = 0; (await ask('GET', '')).state === 'building'; round += 1) {
        assert.ok(round < 60, `seed ${seed}: it does not end`);
        faults.isOn = true;
        await deliver(host, random);
        faults.isOn = false;
        await retention(host, { now: Date.now() + round * MINUTE, staleMs: 0 });
      }
    }
    await deliver(host, random);
    const { state, items: size, error } = await ask('GET', '');
    if (state === 'ready') {
      assert.equal(size, items.length, `seed ${seed}`);
      assert.equal((await ask('POST', '/query', { vector: [1, 1, 1, 1] })).index.size, items.length);
    } else assert.match(error, /every try failed|could not be embedded/);
    await retention(host, { now: Date.now() + 4 * HOUR, daily: true });
    const left = (await host.blobs.list('indexes/')).objects.length;
    assert.ok(left <= 1, `seed ${seed}: ${left} objects`);
    return state;
  }));
