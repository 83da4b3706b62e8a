/** The parts that need no server: those in memory, folders, and buckets by a simulator where it is installed. */
import assert from 'node:assert/strict';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RequestEvent } from '../src/host.ts';
import { ApiCache } from '../src/parts/cache-api.ts';
import { RecordedEvents } from '../src/parts/events.ts';
import { FolderBlobs } from '../src/parts/folder.ts';
import { LruCache } from '../src/parts/lru.ts';
import { MemoryMeter } from '../src/parts/memory-meter.ts';
import { Metrics } from '../src/parts/metrics.ts';
import { S3Blobs } from '../src/parts/s3.ts';
import { openSqlite } from '../src/parts/sqlite.ts';
import { Usage } from '../src/parts/usage.ts';
import { BEHIND_1000, blobsContract } from './contracts/blobs.ts';
import { cacheContract } from './contracts/cache.ts';
import { event } from './contracts/events.ts';
import { meterContract, meterTimes } from './contracts/meter.ts';
import { contract } from './contracts/run.ts';
import { type BucketServer, startBucket } from './support/bucket.ts';
import { testHost } from './support/host.ts';
import { isFull, lacking } from './support/needs.ts';
import { newFolder } from './support/server.ts';

contract('Meter: memory', meterContract, async () => new MemoryMeter());
contract('Meter: memory, by time', meterTimes, async () => new MemoryMeter(), { concurrency: true });
contract('Cache: lru-cache', cacheContract, async () => new LruCache(32 * 1024 * 1024));

test('the memory meter drops keys whose windows are over', async () => {
  let now = 0;
  const meter = new MemoryMeter(() => now);
  const rpm = { name: 'rpm', limit: 1, seconds: 60, cost: 1 } as const;
  for (let key = 0; key < 9000; key++) await meter.take(`address-${key}`, [rpm]);
  now = 61_000;
  for (let key = 9000; key < 12_000; key++) await meter.take(`address-${key}`, [rpm]);
  assert.ok(meter.size <= 3000, `${meter.size} keys`);
  assert.equal((await meter.take('address-11999', [rpm])).allowed, false, 'those that are not over are kept');
});

test('the cache in memory is bounded by bytes, and forgets what was not used for the longest time', async () => {
  const cache = new LruCache(1024 * 1024);
  const put = (digest: string, size: number) => cache.put(digest, new Response(new Uint8Array(size)), 60);
  await put('large', 200_000);
  assert.equal(await cache.match('large'), undefined, 'one that takes more than an eighth is not kept');
  for (let index = 0; index < 40; index++) {
    await put(`d${index}`, 50_000);
    await cache.match('d0');
  }
  const kept = await Promise.all(Array.from({ length: 40 }, (_, index) => cache.match(`d${index}`)));
  assert.ok(kept[0] && kept[39]);
  assert.equal(kept[1], undefined);
  const count = kept.filter(Boolean).length;
  assert.ok(count >= 15 && count <= 20, `${count} of 50 KB in 1 MiB`);
});

test('a Cache API that fails is a cache that has forgotten', async () => {
  const failing = { open: () => Promise.reject(new Error('no cache here')) };
  const cache = new ApiCache(failing);
  await cache.put('aa', new Response('x'), 60);
  assert.equal(await cache.match('aa'), undefined);
});

contract('Blobs: folder', blobsContract, async (context) => {
  const folder = newFolder();
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return new FolderBlobs(folder);
});

test('a folder keeps no half-written files and no empty folders', async (context) => {
  const folder = newFolder();
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const blobs = new FolderBlobs(folder);
  const failing = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('left')) });
  await assert.rejects(blobs.put('a/b/c', failing, { size: 5 }), /left/);
  await blobs.put('a/b/d', new Uint8Array(3));
  await blobs.put('a/e', new Uint8Array(3));
  await blobs.delete(['a/b/d']);
  assert.deepEqual(readdirSync(join(folder, '~writing')), []);
  assert.deepEqual(readdirSync(join(folder, 'a')), ['e']);
  assert.equal(statSync(join(folder, 'a/e')).size, 3);
});

describe('a bucket', { skip: lacking('moto') }, () => {
  let bucket: BucketServer;
  before(async () => {
    bucket = await startBucket();
  });
  after(() => bucket?.stop());
  // The simulator takes eight seconds for a thousand objects, so the quick run has the next test for them.
  const { [BEHIND_1000]: _, ...quick } = blobsContract;
  const cases = isFull ? blobsContract : quick;
  contract('Blobs: S3', cases, async () => new S3Blobs(await bucket.newBucket()));

  test('a list goes on behind a page of the server', async (t) => {
    const blobs = new S3Blobs(await bucket.newBucket());
    const { fetch } = globalThis;
    let pages = 0;
    t.mock.method(globalThis, 'fetch', (request: Request) => {
      const { url } = request;
      if (url.includes('max-keys=1000')) pages += 1;
      return fetch(new Request(url.replace('max-keys=1000', 'max-keys=10'), request));
    });
    const keys = Array.from({ length: 25 }, (_, at) => `many/${at % 3}/${at}`);
    for (const key of keys) await blobs.put(key, new Uint8Array(1));
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await blobs.list('many/', cursor);
      listed.push(...page.objects.map(({ key }) => key));
      cursor = page.cursor;
    } while (cursor !== undefined);
    assert.deepEqual([listed, pages], [keys.sort(), 3]);
  });

  test('a large stream is sent in parts, and one that fails leaves no parts', async () => {
    const options = await bucket.newBucket();
    const blobs = new S3Blobs(options);
    const size = 20 * 1024 * 1024 + 3;
    const stream = (failAt: number) => {
      let at = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at >= failAt) return controller.error(new Error('the client has left'));
          const piece = new Uint8Array(Math.min(1_000_000, size - at)).fill(at / 1_000_000);
          at += piece.length;
          controller.enqueue(piece);
          if (at === size) controller.close();
        },
      });
    };
    const put = await blobs.put('large', stream(Number.POSITIVE_INFINITY), { size });
    const blob = await blobs.get('large', { offset: 8 * 1024 * 1024 - 2, length: 4 });
    assert.equal(blob?.size, size);
    assert.equal(blob?.etag, put?.etag);
    assert.deepEqual([...new Uint8Array(await new Response(blob?.body).arrayBuffer())], [8, 8, 8, 8]);
    await assert.rejects(blobs.put('failed', stream(18_000_000), { size }), /the client has left/);
    assert.equal(await blobs.get('failed'), undefined);
    assert.equal(await bucket.uploads(options), 0);
  });

  test('a wrong key is an error that says so', async () => {
    const blobs = new S3Blobs({ bucket: 'http://127.0.0.1:1/bucket', accessKeyId: 'a', secretAccessKey: 'b' });
    await assert.rejects(blobs.get('x'));
    const none = new S3Blobs({ ...(await bucket.newBucket()), bucket: `${bucket.address}/no-such-bucket` });
    await assert.rejects(none.put('x', new Uint8Array(1)), /S3 PUT x: 404 NoSuchBucket/);
  });
});

test('the text of the metrics is that of prom-client', async () => {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'pilotlight_requests_total',
    help: 'Answered requests.',
    labelNames: ['route', 'model', 'status', 'cache', 'run'],
    registers,
  });
  const seconds = new Histogram({
    name: 'pilotlight_request_seconds',
    help: 'Seconds from a request to its answer.',
    labelNames: ['route'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const state = new Gauge({
    name: 'pilotlight_upstream_state',
    help: 'State of the breaker of an upstream: 0 closed, 1 half-open, 2 open.',
    labelNames: ['upstream'],
    registers,
  });
  const ours = new Metrics();
  const odd = 'a "b" \\ c\nd é';
  for (const [ms, model] of [
    [5, 'm'],
    [3, 'm'],
    [700.5, odd],
    [99_000, 'm'],
  ] as const) {
    const labels = { route: '/v1/models/{id}', model, status: '200', cache: '', run: 'local' };
    requests.inc(labels);
    seconds.observe({ route: labels.route }, ms / 1000);
    const { cache: _cache, ...kept } = event();
    ours.record({ ...kept, route: labels.route, model, ms, items: 0, tokens: 0 });
  }
  state.set({ upstream: 'tei' }, 2);
  state.set({ upstream: 'tei' }, 1);
  ours.observe('upstream_state', 2, { upstream: 'tei' });
  ours.observe('upstream_state', 1, { upstream: 'tei' });
  const blocks = ours
    .render()
    .split('\n\n')
    .map((block) => block.trim());
  for (const block of (await registry.metrics()).split('\n\n')) {
    assert.ok(blocks.includes(block.trim()), `${block}\n\nis not in\n\n${ours.render()}`);
  }
});

test('metrics of isolates are added up, and gauges are those of the last', async () => {
  const total = new Metrics();
  const isolates = [new Metrics(), new Metrics()] as const;
  for (const [index, isolate] of isolates.entries()) {
    for (let times = 0; times <= index; times++) isolate.record(event({ ms: 20 }));
    isolate.observe('queue_tokens', 100 + index);
    total.add(isolate.take());
  }
  isolates[0].record(event({ ms: 20 }));
  total.add(isolates[0].take());
  total.add(isolates[1].take());
  const text = total.render();
  assert.match(text, /^pilotlight_requests_total\{.*\} 4$/m);
  assert.match(text, /^pilotlight_request_seconds_bucket\{le="0.025",.*\} 4$/m);
  assert.match(text, /^pilotlight_request_seconds_bucket\{le="0.01",.*\} 0$/m);
  assert.match(text, /^pilotlight_queue_tokens 101$/m);
});

test('labels that a client makes up do not fill the memory', () => {
  const metrics = new Metrics();
  for (let index = 0; index < 3000; index++) metrics.record(event({ model: `made-up-${index}` }));
  const series = metrics.samples().find(([name]) => name === 'pilotlight_requests_total')?.[1] ?? [];
  assert.ok(series.length <= 1001, `${series.length} series`);
  assert.equal(
    series.reduce((sum, [, [value = 0]]) => sum + value, 0),
    3000,
  );
});

test('each request is a point of Analytics Engine, without content', () => {
  const points: unknown[] = [];
  const sql = openSqlite(':memory:');
  const events = new RecordedEvents(sql, { analytics: { writeDataPoint: (point) => points.push(point) } });
  events.record(event({ owner: 'o', error: 'rate_limit_exceeded' }));
  const { key: _key, model: _model, run: _run, cache: _cache, ...least } = event();
  events.record(least as RequestEvent);
  sql.close();
  assert.deepEqual(points, [
    {
      indexes: ['k1'],
      blobs: ['/v1/embeddings', 'POST', 'm', 'local', 'MISS', 'rate_limit_exceeded', 'o'],
      doubles: [200, 12.4, 2, 30],
    },
    { indexes: [''], blobs: ['/v1/embeddings', 'POST', '', '', '', '', ''], doubles: [200, 12.4, 2, 30] },
  ]);
});

test('metrics that could not be sent are sent the next time', async () => {
  const total = new Metrics();
  let away = true;
  const collector = {
    add: async (samples: ReturnType<Metrics['take']>) => {
      if (away) throw new Error('the object is away');
      total.add(samples);
    },
    render: async () => total.render(),
  };
  const sql = openSqlite(':memory:');
  const events = new RecordedEvents(sql, { collector });
  const { key: _key, ...anonymous } = event();
  events.record(anonymous);
  await assert.rejects(events.flush(), /the object is away/);
  events.record(anonymous);
  away = false;
  assert.match(await events.render(), /^pilotlight_requests_total\{.*\} 2$/m);
  sql.close();
});

test('usage in memory is bounded, whatever keys, routes and models there are, and nothing is lost of its sums', async () => {
  await using host = await testHost();
  const usage = new Usage();
  const event = { id: 'r', at: 0, method: 'POST', status: 200, ms: 1, items: 1, tokens: 1 };
  const many = 12_000;
  for (let at = 0; at < many; at += 1) usage.record({ ...event, key: `k${at}`, route: `/r${at}`, model: `m${at}` });
  await usage.flush(host.sql);
  const [row] = await host.sql.all(
    'SELECT COUNT(*) AS rows, SUM(requests) AS requests, SUM(tokens) AS tokens FROM usage',
  );
  assert.deepEqual(row, { rows: 10_001, requests: many, tokens: many });
});
