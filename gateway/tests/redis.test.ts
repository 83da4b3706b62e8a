/** The parts that keep what they have in Redis, on a real server. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Redis } from 'ioredis';
import { openServer } from '../src/hosts/server.ts';
import { checkKeepsAll, openRedis } from '../src/parts/redis.ts';
import { RedisCache } from '../src/parts/redis-cache.ts';
import { RedisMeter } from '../src/parts/redis-meter.ts';
import { readSettings } from '../src/settings.ts';
import { cacheContract } from './contracts/cache.ts';
import { many, until } from './contracts/contract.ts';
import { meterContract, meterTimes } from './contracts/meter.ts';
import { contract } from './contracts/run.ts';
import { lacking } from './support/needs.ts';
import { type RedisServer, startRedis } from './support/redis.ts';
import { newFolder } from './support/server.ts';

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
  contract('Meter: Redis, by time', meterTimes, async () => new RedisMeter(client), { concurrency: true });
  contract('Cache: Redis', cacheContract, async () => new RedisCache(client));

  test('of 500 takes of four processes exactly 100 have the limit', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => openRedis(server.socket)));
    const meters = clients.map((each) => new RedisMeter(each));
    const rpm = { name: 'rpm', limit: 100, seconds: 60, cost: 1 } as const;
    const taken = await many(500, 50, (index) => (meters[index % 4] as RedisMeter).take('shared', [rpm]));
    assert.equal(taken.filter(({ allowed }) => allowed).length, 100);
    for (const each of clients) each.disconnect();
  });

  test('a server that forgets where its memory is full is refused for limits', async () => {
    await checkKeepsAll(client);
    try {
      for (const policy of ['volatile-lfu', 'allkeys-lru', 'volatile-ttl']) {
        await client.config('SET', 'maxmemory-policy', policy);
        await assert.rejects(
          checkKeepsAll(client),
          new RegExp(`^Error: REDIS_URL: expected a server with maxmemory-policy noeviction, got ${policy}`),
        );
        const settings = readSettings({
          REDIS_URL: `unix://${server.socket}`,
          DATA_PATH: server.folder,
          LOG_LEVEL: 'silent',
        });
        await assert.rejects(openServer(settings), /^Error: REDIS_URL: expected/);
      }
    } finally {
      await client.config('SET', 'maxmemory-policy', 'noeviction');
    }
  });

  test('budgets are there however many answers are kept, since those are in a server of their own', async () => {
    const second = (await startRedis()) as RedisServer;
    const cached = await openRedis(second.socket);
    const folder = newFolder();
    try {
      await cached.config('SET', 'maxmemory-policy', 'allkeys-lfu', 'maxmemory', '4mb');
      const settings = readSettings({
        REDIS_URL: `unix://${server.socket}`,
        CACHE_REDIS_URL: `unix://${second.socket}`,
        DATA_PATH: folder,
        LOG_LEVEL: 'silent',
      });
      const gateway = await openServer(settings);
      await gateway.close(0);
      const tpd = { name: 'tpd', limit: 10, seconds: 86_400, cost: 10 } as const;
      const meter = new RedisMeter(client);
      assert.equal((await meter.take('full', [tpd])).allowed, true);
      const cache = new RedisCache(cached);
      for (let at = 0; at < 100; at += 1) await cache.put(`f${at}`, new Response(new Uint8Array(100_000)), 60);
      assert.ok(await cache.match('f99'));
      assert.equal((await meter.take('full', [tpd])).allowed, false);
    } finally {
      cached.disconnect();
      await second.stop();
      for (const each of [second.folder, folder]) rmSync(each, { recursive: true, force: true });
    }
  });

  test('windows leave no key behind', async () => {
    const meter = new RedisMeter(client, 'short:');
    await meter.take('k', [{ name: 'rpm', limit: 5, seconds: 1, cost: 1 }]);
    await meter.settle('k', { name: 'tpm', seconds: 1 }, 5);
    await meter.settle('k', { name: 'tpd', seconds: 1 }, -5);
    await meter.take('refused', [{ name: 'rpm', limit: 5, seconds: 1, cost: 6 }]);
    await meter.lease('k', { id: 'a', limit: 1, seconds: 1 });
    await meter.lease('given back', { id: 'a', limit: 1, seconds: 1 });
    await meter.release('given back', 'a');
    assert.equal((await client.keys('short:*')).length, 3);
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
