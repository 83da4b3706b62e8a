/** The contract of `Queue` and of what delivers its messages. */
import assert from 'node:assert/strict';
import type { Message, Queue } from '../../src/host.ts';
import type { Consumer } from '../../src/parts/sql-queue.ts';
import { type Contract, sleep, until } from './contract.ts';

/** A queue with a consumer that can be set; a message is tried three times, with short pauses. */
export interface RunningQueue {
  queue: Queue;
  consume(consumer: Consumer): void;
}

const TRIES = 3;
const message = (n: number, more: Partial<Message> = {}): Message => ({ topic: 'batch.part', body: { n }, ...more });
const nameOf = ({ body }: Message) => Number(body.n);
const never = async () => assert.fail('no message is a dead letter');

export const queueContract: Contract<RunningQueue> = {
  'each message arrives, as it was sent': async (make) => {
    const { queue, consume } = await make();
    const seen: Message[] = [];
    consume({ consume: async (each) => void seen.push(each), bury: never });
    const sent: Message[] = [
      { topic: 'batch.split', body: { batch: 'grüße 👋 "x"', n: 2 ** 31 + 7 } },
      { topic: 'retrain', body: { n: 1 } },
    ];
    await queue.send(sent);
    await queue.send([]);
    await until('two messages', () => seen.length >= 2);
    assert.deepEqual(
      seen.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)),
      sent,
    );
  },

  '250 messages sent at once arrive, each once where nothing fails': async (make) => {
    const { queue, consume } = await make();
    const seen: number[] = [];
    consume({ consume: async (each) => void seen.push(nameOf(each)), bury: never });
    await queue.send(Array.from({ length: 250 }, (_, n) => message(n)));
    await until('250 messages', () => seen.length >= 250);
    await sleep(100);
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 250 }, (_, n) => n),
    );
  },

  'a delayed message waits': async (make) => {
    const { queue, consume } = await make();
    const seen: [number, number][] = [];
    consume({ consume: async (each) => void seen.push([nameOf(each), Date.now()]), bury: never });
    const sent = Date.now();
    await queue.send([message(1, { delaySeconds: 1 }), message(2)]);
    await until('two messages', () => seen.length >= 2);
    assert.deepEqual(
      seen.map(([n]) => n),
      [2, 1],
    );
    const waited = (seen[1]?.[1] ?? 0) - sent;
    assert.ok(waited >= 950 && waited < 4000, `waited ${waited} ms`);
  },

  'a message that fails comes again, and holds up no other': async (make) => {
    const { queue, consume } = await make();
    const seen: number[] = [];
    consume({
      consume: async (each) => {
        seen.push(nameOf(each));
        if (nameOf(each) === 1 && seen.filter((n) => n === 1).length < TRIES) throw new Error('not yet');
      },
      bury: never,
    });
    await queue.send([message(1), message(2), message(3)]);
    await until('five deliveries', () => seen.length >= 2 + TRIES);
    await sleep(300);
    assert.deepEqual(seen.toSorted(), [1, 1, 1, 2, 3]);
  },

  'a message that fails at all its tries is buried once': async (make) => {
    const { queue, consume } = await make();
    const tried: number[] = [];
    const buried: Message[] = [];
    consume({
      consume: async (each) => {
        tried.push(nameOf(each));
        if (nameOf(each) === 1) throw new Error('never');
      },
      bury: async (each) => void buried.push(each),
    });
    await queue.send([message(1), message(2)]);
    await until('a dead letter', () => buried.length > 0);
    await sleep(300);
    assert.deepEqual(tried.toSorted(), [1, 1, 1, 2]);
    assert.deepEqual(buried, [message(1)]);
  },
};
