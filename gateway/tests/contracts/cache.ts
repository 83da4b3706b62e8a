/** The contract of `Cache`. */
import assert from 'node:assert/strict';
import type { Cache } from '../../src/host.ts';
import { type Contract, sleep } from './contract.ts';

/** A digest that no other test has. */
const newDigest = () => crypto.randomUUID().replaceAll('-', '').padEnd(64, '0');

export const cacheContract: Contract<Cache> = {
  'an answer comes back with its status, headers and bytes, as often as it is asked for': async (make) => {
    const cache = await make();
    for (const size of [0, 256, 900_000]) {
      const digest = newDigest();
      const bytes = Uint8Array.from({ length: size }, (_, index) => index);
      const headers = {
        'content-type': 'application/octet-stream',
        'cache-control': 'private, no-store',
        'x-truncated': '0,3',
        date: 'Thu, 01 Jan 2026 00:00:00 GMT',
      };
      await cache.put(digest, new Response(bytes, { status: 200, headers }), 60);
      for (let times = 0; times < 2; times++) {
        const response = await cache.match(digest);
        assert.equal(response?.status, 200);
        for (const [name, value] of Object.entries(headers)) assert.equal(response?.headers.get(name), value, name);
        response?.headers.set('x-cache', 'HIT');
        assert.ok(Buffer.from((await response?.arrayBuffer()) ?? [1]).equals(bytes), `${size} bytes are equal`);
      }
    }
  },

  'an answer without cache-control comes back without': async (make) => {
    const cache = await make();
    const digest = newDigest();
    await cache.put(digest, Response.json({ text: 'grüße' }), 60);
    const response = await cache.match(digest);
    assert.equal(response?.headers.get('cache-control'), null);
    assert.deepEqual(await response?.json(), { text: 'grüße' });
  },

  'what was not put, or for no time, is not there': async (make) => {
    const cache = await make();
    assert.equal(await cache.match(newDigest()), undefined);
    const digest = newDigest();
    await cache.put(digest, new Response('x'), 0);
    assert.equal(await cache.match(digest), undefined);
  },

  'the last put counts': async (make) => {
    const cache = await make();
    const digest = newDigest();
    await cache.put(digest, new Response('one'), 60);
    await cache.put(digest, new Response('two'), 60);
    assert.equal(await (await cache.match(digest))?.text(), 'two');
  },

  'an answer ends with its seconds': async (make) => {
    const cache = await make();
    const [short, long] = [newDigest(), newDigest()];
    await cache.put(short, new Response('x'), 1);
    await cache.put(long, new Response('y'), 60);
    assert.equal(await (await cache.match(short))?.text(), 'x');
    await sleep(2100);
    assert.equal(await cache.match(short), undefined);
    assert.equal(await (await cache.match(long))?.text(), 'y');
  },

  'an answer that cannot be kept is no error': async (make) => {
    const cache = await make();
    const read = new Response('x');
    await read.text();
    const digest = newDigest();
    await cache.put(digest, read, 60);
    const failing = new ReadableStream({ pull: (controller) => controller.error(new Error('failed half way')) });
    await cache.put(digest, new Response(failing), 60);
    assert.equal(await cache.match(digest), undefined);
  },
};
