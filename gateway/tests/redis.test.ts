/** The parts that keep what they have in Redis, on a real server. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Redis } from 'ioredis';
import { openRedis } from '../src/parts/redis.ts';
import { RedisCache } from '../src/parts/redis-cache.ts';
import { RedisMeter } from '../src/parts/redis-meter.ts';
import { cacheContract } from './contracts/cache.ts';
import { many, until } from './contracts/contract.ts';
import { meterContract } from './contracts/meter.ts';
import { contract } from './contracts/run.ts';
import { lacking } from './support/needs.ts';
import { type RedisServer, startRedis } from './support/redis.ts';

const skip = lacking('redis');
const started = skip === false ? await startRedis() : undefined;
describe('Redis', { skip }, () => redis(started as RedisServer));

function redis(first: RedisServer) {
  let server = first;
  let client: Redis;
  before(async () => {
    client = await openRedis(server.socket);
  });
  after(async () => {
    client.disconnect();
    await server.stop();
    rmSync(server.folder, { recursive: true, force: true });
  });

  contract('Meter: Redis', meterContract, async () => new RedisMeter(client));
  contract('Cache: Redis', cacheContract, async () => new RedisCache(client));

  test('of 500 takes of four processes exactly 100 have the limit', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => openRedis(server.socket)));
    const meters = clients.map((each) => new RedisMeter(each));
    const rpm = { name: 'rpm', limit: 100, seconds: 60, cost: 1 } as const;
    const taken = await many(500, 50, (index) => (meters[index % 4] as RedisMeter).take('shared', [rpm]));
    assert.equal(taken.filter(({ allowed }) => allowed).length, 100);
    for (const each of clients) each.disconnect();
  });

  test('windows leave no key behind', async () => {
    const meter = new RedisMeter(client, 'short:');
    await meter.take('k', [{ name: 'rpm', limit: 5, seconds: 1, cost: 1 }]);
    await meter.settle('k', { name: 'tpm', seconds: 1 }, 5);
    await meter.settle('k', { name: 'tpd', seconds: 1 }, -5);
    await meter.take('refused', [{ name: 'rpm', limit: 5, seconds: 1, cost: 6 }]);
    assert.equal((await client.keys('short:*')).length, 2);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.deepEqual(await client.keys('short:*'), []);
  });

  test('a budget survives a restart; while the server is away the cache forgets, and the meter fails at once', async () => {
    const tpd = { name: 'tpd', limit: 10, seconds: 86_400, cost: 10 } as const;
    assert.equal((await new RedisMeter(client).take('budget', [tpd])).allowed, true);
    const cache = new RedisCache(client);
    await cache.put('aa', new Response('x'), 60);
    await server.stop();

    const began = Date.now();
    assert.equal(await cache.match('aa'), undefined);
    await cache.put('bb', new Response('x'), 60);
    await assert.rejects(new RedisMeter(client).take('budget', [tpd]));
    assert.ok(Date.now() - began < 500, `${Date.now() - began} ms`);
    await assert.rejects(openRedis(server.socket), /Redis: no server answers/);

    server = await startRedis(server.folder);
    await until('the connection', () => client.status === 'ready');
    const taken = await new RedisMeter(client).take('budget', [tpd]);
    assert.deepEqual([taken.allowed, taken.blocked], [false, 'tpd']);
  });
}
