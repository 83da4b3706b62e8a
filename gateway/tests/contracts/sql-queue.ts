/** The contract of a queue in a table, beyond that of all queues: its messages survive the death of its process. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Message, Sql } from '../../src/host.ts';
import { type Consumer, SqlQueue, type SqlQueueOptions } from '../../src/parts/sql-queue.ts';
import { type Contract, many, sleep, until } from './contract.ts';
import type { RunningQueue } from './queue.ts';

/** A queue whose consumer runs until the end of the test. */
export function runningSqlQueue(context: TestContext, sql: Sql): RunningQueue {
  const queue = new SqlQueue(sql, { tries: 3, retrySeconds: 0.05, pollMs: 50 });
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  context.after(async () => {
    stop.abort();
    await running;
  });
  return {
    queue,
    consume: (consumer) => {
      running = queue.run(consumer, stop.signal);
    },
  };
}

const message = (n: number): Message => ({ topic: 'batch.part', body: { n } });
const consumer = (
  consume: Consumer['consume'],
  bury: Consumer['bury'] = async () => assert.fail('a dead letter'),
): Consumer => ({
  consume,
  bury,
});

/** Claims a message as a process does that is killed while it handles it: nothing of it reaches the database afterwards. */
async function claimAndDie(sql: Sql, options: SqlQueueOptions): Promise<void> {
  let dead = false;
  const killed = Promise.withResolvers<void>();
  const mortal = <T>(call: () => Promise<T>) => (dead ? Promise.reject(new Error('killed')) : call());
  const queue = new SqlQueue(
    {
      skipLocked: sql.skipLocked,
      all: (...args) => mortal(() => sql.all(...args)),
      batch: (...args) => mortal(() => sql.batch(...args)),
    },
    options,
  );
  const claimed = Promise.withResolvers<void>();
  const handled = queue.handle(
    consumer(() => {
      claimed.resolve();
      return killed.promise;
    }),
  );
  await claimed.promise;
  dead = true;
  killed.resolve();
  await assert.rejects(handled, /killed/);
}

const count = async (sql: Sql, where = '1 = 1') =>
  (await sql.all(`SELECT COUNT(*) AS n FROM queue WHERE ${where}`))[0]?.n;

export const sqlQueueCases: Contract<Sql> = {
  'what a process had claimed when it died comes back after its lease': async (make) => {
    const sql = await make();
    let now = 1_000_000;
    const options = { leaseSeconds: 60, now: () => now };
    await new SqlQueue(sql, options).send([message(1), message(2)]);
    await claimAndDie(sql, options);
    assert.equal(await count(sql, 'attempts = 1'), 1);

    const seen: Message[] = [];
    const after = new SqlQueue(sql, options);
    const handle = () => after.handle(consumer(async (each) => void seen.push(each)));
    assert.equal(await handle(), 1, 'the one that was not claimed');
    assert.equal(await handle(), 0, 'the claimed one is hidden');
    now += 61_000;
    assert.equal(await handle(), 1);
    assert.deepEqual(seen.map(({ body }) => body.n).toSorted(), [1, 2]);
    assert.equal(await count(sql), 0);
  },

  'a message that kills its process each time is a dead letter after its tries': async (make) => {
    const sql = await make();
    let now = 1_000_000;
    const options = { tries: 2, now: () => now };
    await new SqlQueue(sql, options).send([message(1)]);
    for (let deaths = 0; deaths < 2; deaths++) {
      await claimAndDie(sql, options);
      now += 61_000;
    }
    const buried: Message[] = [];
    const queue = new SqlQueue(sql, options);
    const consumed: Message[] = [];
    const last = consumer(
      async (each) => void consumed.push(each),
      async (each) => void buried.push(each),
    );
    assert.equal(await queue.handle(last), 1);
    assert.equal(await queue.handle(last), 1);
    assert.deepEqual(consumed, []);
    assert.deepEqual(buried, [message(1)]);
    assert.equal(await count(sql), 0);
  },

  'a dead letter that cannot be buried is kept, and not tried any more': async (make) => {
    const sql = await make();
    let now = 1_000_000;
    const queue = new SqlQueue(sql, { tries: 2, retrySeconds: 1, now: () => now });
    await queue.send([message(1)]);
    let tried = 0;
    const fail = async () => {
      tried++;
      throw new Error('no');
    };
    for (let turns = 0; turns < 10; turns++) {
      await queue.handle(consumer(fail, fail));
      now += 600_000;
    }
    assert.equal(tried, 4, 'two tries each');
    assert.equal(await count(sql, 'dead = 2'), 1);
  },

  'twelve consumers handle 60 messages, each once': async (make) => {
    const sql = await make();
    await new SqlQueue(sql).send(Array.from({ length: 60 }, (_, n) => message(n)));
    const seen: number[] = [];
    await many(12, 12, async () => {
      const queue = new SqlQueue(sql);
      const handle = () =>
        queue.handle(
          consumer(async (each) => {
            await sleep(1);
            seen.push(Number(each.body.n));
          }),
          3,
        );
      for (let misses = 0; misses < 3; ) if ((await handle()) === 0) misses++;
    });
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 60 }, (_, n) => n),
    );
  },

  'the lease of a message is renewed while it is handled': async (make) => {
    const sql = await make();
    await new SqlQueue(sql).send([message(1)]);
    const queue = new SqlQueue(sql, { leaseSeconds: 0.4 });
    let handled = 0;
    const slow = queue.handle(
      consumer(async () => {
        await sleep(1500);
        handled++;
      }),
    );
    const other = new SqlQueue(sql, { leaseSeconds: 0.4 });
    for (let turns = 0; turns < 12; turns++) {
      await sleep(100);
      assert.equal(await other.handle(consumer(async () => assert.fail('handled twice'))), 0);
    }
    await slow;
    assert.equal(handled, 1);
    assert.equal(await count(sql), 0);
  },

  'a consumer ends with its signal, after what it is handling': async (make) => {
    const sql = await make();
    const queue = new SqlQueue(sql, { pollMs: 60_000 });
    const stop = new AbortController();
    const seen: number[] = [];
    const running = queue.run(
      consumer(async (each, attempt) => {
        assert.equal(attempt, 1);
        await sleep(100);
        seen.push(Number(each.body.n));
        if (each.body.n === 2) stop.abort();
      }),
      stop.signal,
    );
    await sleep(100);
    const sent = Date.now();
    await queue.send([message(1)]);
    await until('a message', () => seen.length === 1);
    assert.ok(Date.now() - sent < 5000, 'a message of the same process is found at once');
    await queue.send([message(2), message(3)]);
    await running;
    assert.deepEqual(seen, [1, 2]);
    assert.equal(await count(sql), 1);
  },
};
