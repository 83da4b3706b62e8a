/** Limits of requests, tokens and requests at the same time, and what clients are told of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import type { Meter } from '../src/host.ts';
import { answerLine } from '../src/invoke.ts';
import { type Key, mintKey } from '../src/keys.ts';
import type { Operation } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { MemoryMeter } from '../src/parts/memory-meter.ts';
import { SqlMeter } from '../src/parts/sql-meter.ts';
import { allModels } from './support/all-models.ts';
import { type App, call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { StubModels, testHost } from './support/host.ts';
import { keepLogs } from './support/logs.ts';
import { inFolder, modelHost, tinyFolder } from './support/models.ts';

let texts = 0;
/** A body that the cache has not seen. */
const fresh = (words = 1) => {
  texts += 1;
  return { model: 'stub', input: `${texts} ${'word '.repeat(words - 1)}`.trim() };
};
const post = (app: App, key: string, json: unknown = fresh()) => call(app, 'POST', '/v1/echo', { key, json });

/** Runs `count` calls, `at` of them at the same time. */
async function many(count: number, at: number, one: () => Promise<Response>): Promise<Response[]> {
  const responses: Response[] = [];
  let left = count;
  await Promise.all(
    Array.from({ length: at }, async () => {
      while (left > 0) {
        left -= 1;
        responses.push(await one());
      }
    }),
  );
  return responses;
}

/** The numbers of a `RateLimit` header: units that are left and seconds, by the name of the policy. */
function parse(header: string | null): Record<string, Record<string, number>> {
  return Object.fromEntries(
    (header ?? '').split(', ').map((one) => {
      const [name, ...pairs] = one.split(';');
      return [
        (name ?? '').replaceAll('"', ''),
        Object.fromEntries(pairs.map((pair) => pair.split('=')).map(([key, value]) => [key, Number(value)])),
      ];
    }),
  );
}

for (const [name, meter] of [
  ['memory', () => new MemoryMeter()],
  ['SQL', undefined],
] as const) {
  test(`of 500 requests, 50 at once, exactly 100 pass a limit of 100 a minute (${name})`, async () => {
    await using host = await testHost({ parts: meter ? { meter: meter() } : {} });
    if (!meter) host.meter = new SqlMeter(host.sql);
    const app = createGateway(host, [echo]);
    const key = await keyFor(host, { limits: { rpm: 100 } });
    const started = Date.now();
    const responses = await many(500, 50, () => post(app, key));
    const passed = responses.filter(({ status }) => status === 200);
    assert.equal(passed.length, 100);
    const refused = responses.filter(({ status }) => status === 429);
    assert.equal(refused.length, 400);
    // Each unit that is left was told to one request.
    const left = passed.map(({ headers }) => Number(headers.get('x-ratelimit-remaining-requests')));
    assert.deepEqual(
      left.sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, at) => at),
    );
    for (const { headers } of responses) {
      assert.equal(headers.get('ratelimit-policy'), '"rpm";q=100;w=60');
      const { rpm } = parse(headers.get('ratelimit'));
      const end = started + 60_000;
      // The window began with the first request and is told in whole seconds, rounded up.
      assert.ok(Math.abs((rpm?.t ?? 0) - (end - Date.now()) / 1000) < 1 + (Date.now() - started) / 1000, `${rpm?.t}`);
      assert.equal(headers.get('x-ratelimit-reset-requests'), `${rpm?.t}s`);
    }
    for (const { headers } of refused) {
      assert.equal(headers.get('retry-after'), String(parse(headers.get('ratelimit')).rpm?.t));
      assert.equal(headers.get('x-ratelimit-limit-requests'), '100');
    }
    const { error } = await (refused[0] as Response).json();
    assert.deepEqual([error.code, error.type], ['rate_limit_exceeded', 'rate_limit_error']);
    assert.match(error.message, /^The limit of 100 requests a minute is reached\. Try again in \d+ s\.$/);
    assert.equal(host.events.list.filter(({ limited }) => limited === 'rpm').length, 400);
  });
}

test('a flood over the limit of requests asks the meter no more, and the next minute is a new one', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  await using host = await testHost();
  let asked = 0;
  const inner = new MemoryMeter();
  host.meter = {
    take(key, policies) {
      asked += 1;
      return inner.take(key, policies);
    },
    settle: (key, policy, extra) => inner.settle(key, policy, extra),
    lease: (key, lease) => inner.lease(key, lease),
    release: (key, id) => inner.release(key, id),
  };
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { rpm: 2 } });
  for (let at = 0; at < 3; at += 1) await post(app, key);
  assert.equal(asked, 3);
  t.mock.timers.tick(30_000);
  const known = await post(app, key);
  assert.deepEqual([known.status, known.headers.get('retry-after'), asked], [429, '30', 3]);
  assert.equal(known.headers.get('ratelimit'), '"rpm";r=0;t=30');
  t.mock.timers.tick(29_500);
  assert.deepEqual([(await post(app, key)).status, asked], [429, 4]);
  t.mock.timers.tick(600);
  assert.equal((await post(app, key)).status, 200);
});

test('tokens are reserved by characters and settled to those there were', async () => {
  const models = new StubModels();
  await using host = await testHost({ models });
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { tpm: 100 } });
  // 60 characters reserve 20 tokens; three words are 5 tokens by the stub.
  const first = await post(app, key, { model: 'stub', input: `a b ${'c'.repeat(56)}` });
  assert.equal(first.headers.get('x-ratelimit-remaining-tokens'), '95');
  assert.equal(first.headers.get('ratelimit'), '"tpm";r=95;t=60');
  // More tokens than were reserved: 60 words of one letter are 119 characters, reserve 40, and are 62 tokens.
  const second = await post(app, key, { model: 'stub', input: 'a '.repeat(60).trim() });
  assert.equal(second.headers.get('x-ratelimit-remaining-tokens'), '33');
  const third = await post(app, key, { model: 'stub', input: 'b'.repeat(102) });
  assert.deepEqual([third.status, (await third.json()).error.code], [429, 'rate_limit_exceeded']);
  assert.equal((await post(app, key, { model: 'stub', input: 'b'.repeat(99) })).status, 200);
});

test('a text that looks like an image reserves the tokens of its characters, and an image those of an image', async () => {
  await using host = await testHost({ models: allModels });
  const app = createGateway(host);
  const key = await keyFor(host, { limits: { tpm: 1000 } });
  const url = `data:image/png;base64,${'A'.repeat(4000)}`;
  const text = await call(app, 'POST', '/v1/embeddings', { key, json: { model: 'stub-embed', input: url } });
  assert.deepEqual([text.status, (await text.json()).error.code], [429, 'insufficient_quota']);
  const json = { model: 'stub-embed-image', input: url };
  const image = await call(app, 'POST', '/v1/images/embeddings', { key, json });
  assert.equal(image.status, 200);
});

test('a query reserves its tokens for each document that it is read with', async () => {
  await using host = await testHost({ models: allModels });
  const app = createGateway(host);
  const key = await keyFor(host, { limits: { tpm: 1000 } });
  const ask = async (count: number) => {
    const json = { model: 'stub-rerank', query: 'q'.repeat(297), documents: Array(count).fill('abc') };
    const { status } = await call(app, 'POST', '/v1/rerank', { key, json });
    return status;
  };
  assert.equal(await ask(11), 429);
  assert.equal(await ask(10), 200);
});

test('the tokens of embeddings count, as their usage tells them', async () => {
  await using host = await testHost({ models: allModels });
  const app = createGateway(host);
  const key = await keyFor(host, { limits: { tpm: 1000 } });
  const json = { model: 'stub-embed', input: ['one text', 'and another one'] };
  const response = await call(app, 'POST', '/v1/embeddings', { key, json });
  const { usage } = await response.json();
  assert.ok(usage.total_tokens > 0);
  assert.equal(response.headers.get('x-ratelimit-remaining-tokens'), String(1000 - usage.total_tokens));
});

test('a kept answer and a wrong request take no tokens, also where the tokens are used up', async () => {
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { rpm: 50, tpm: 62 } });
  const json = { model: 'stub', input: 'a '.repeat(60).trim() };
  const first = await post(app, key, json);
  assert.deepEqual([first.status, first.headers.get('x-ratelimit-remaining-tokens')], [200, '0']);
  await host.settled();
  const kept = await post(app, key, json);
  assert.deepEqual([kept.status, kept.headers.get('x-cache')], [200, 'HIT']);
  assert.equal(kept.headers.get('x-ratelimit-remaining-requests'), '48');
  assert.equal(kept.headers.get('x-ratelimit-remaining-tokens'), '0');
  assert.equal((await post(app, key, { model: 'stub', input: 5 })).status, 400);
  assert.equal((await post(app, key)).status, 429);
});

test('the budget of a day tells clients not to retry, and so does a request that never fits', async () => {
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { tpd: 10 } });
  const large = await post(app, key, { model: 'stub', input: 'x'.repeat(33) });
  assert.deepEqual([large.status, (await large.json()).error.code], [429, 'insufficient_quota']);
  assert.equal(large.headers.get('x-should-retry'), 'false');
  assert.equal((await post(app, key, { model: 'stub', input: '1 2 3 4 5 6 7' })).status, 200);
  const over = await post(app, key, { model: 'stub', input: 'x'.repeat(6) });
  assert.deepEqual([over.status, (await over.json()).error.code], [429, 'insufficient_quota']);
  assert.equal(over.headers.get('x-should-retry'), 'false');
  assert.equal(over.headers.get('retry-after'), '86400');
});

test('as many requests run at the same time as the key may, and their places come back, also after errors', async () => {
  const models = new StubModels();
  models.delay = 30;
  await using host = await testHost({ models });
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { concurrency: 3 } });
  const responses = await Promise.all(Array.from({ length: 10 }, () => post(app, key)));
  assert.deepEqual(responses.map(({ status }) => status).sort(), [...Array(3).fill(200), ...Array(7).fill(429)]);
  const refused = responses.find(({ status }) => status === 429) as Response;
  assert.equal(refused.headers.get('retry-after'), '1');
  // One after another, each at once: none is refused for the place of the one before.
  for (const json of [fresh(), { model: 'none', input: 'a' }, { ...fresh(), fail: true }, { input: 3 }, fresh()]) {
    const response = await post(app, key, json);
    assert.notEqual(response.status, 429);
  }
  assert.equal((await Promise.all([fresh(), fresh(), fresh()].map((json) => post(app, key, json))))[2]?.status, 200);
});

test('the place of a request whose process has ended is free again after a minute, and that of one that runs is not', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setInterval'], now: 1_800_000_000_000 });
  const models = new StubModels();
  let end = () => {};
  models.before = () => new Promise<void>((resolve) => (end = resolve));
  await using host = await testHost({ models });
  const app = createGateway(host, [echo]);
  const { key, record } = await mintKey(host.sql, {
    name: 'a',
    owner: 'a',
    scopes: ['embed'],
    limits: { concurrency: 2 },
  });
  // Another process has taken this one, and was killed.
  assert.equal(await host.meter.lease(record.id, { id: 'lost', limit: 2, seconds: 60 }), true);
  const long = post(app, key);
  while (models.asked === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await post(app, key)).status, 429);
  for (let seconds = 0; seconds < 180; seconds += 10) t.mock.timers.tick(10_000);
  assert.equal(await host.meter.lease(record.id, { id: 'next', limit: 2, seconds: 60 }), true);
  assert.equal((await post(app, key)).status, 429);
  end();
  assert.equal((await long).status, 200);
  models.before = async () => {};
  assert.equal((await post(app, key)).status, 200);
});

test('a renewal that is under way when its request ends does not keep the place', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const inner = new MemoryMeter();
  const models = new StubModels();
  let renewals = 0;
  let [end, renew] = [() => {}, () => {}];
  models.before = () =>
    new Promise<void>((resolve) => {
      end = resolve;
    });
  const meter: Meter = {
    take: (key, policies) => inner.take(key, policies),
    settle: (key, policy, extra) => inner.settle(key, policy, extra),
    async lease(key, lease) {
      if (models.asked > 0) {
        renewals += 1;
        await new Promise<void>((resolve) => {
          renew = resolve;
        });
      }
      return inner.lease(key, lease);
    },
    release: (key, id) => inner.release(key, id),
  };
  await using host = await testHost({ models, parts: { meter } });
  const app = createGateway(host, [echo]);
  const limits = { concurrency: 1 };
  const { key, record } = await mintKey(host.sql, { name: 'a', owner: 'a', scopes: ['embed'], limits });
  const moments = async () => {
    for (let at = 0; at < 50; at += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const running = post(app, key);
  while (models.asked === 0) await moments();
  t.mock.timers.tick(20_000);
  assert.equal(renewals, 1);
  end();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await moments();
  renew();
  assert.equal((await running).status, 200);
  assert.equal(await inner.lease(record.id, { id: 'next', limit: 1, seconds: 60 }), true);
  t.mock.timers.tick(60_000);
  assert.equal(renewals, 1);
});

test('a key that may run one request sends no second body meanwhile', async () => {
  await using host = await testHost();
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { concurrency: 1 } });
  let read = 0;
  let leave = () => {};
  const body = () =>
    new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          read += 1;
          leave = () => controller.error(new Error('left'));
          return new Promise(() => {});
        },
      },
      { highWaterMark: 0 },
    );
  const headers = { 'content-type': 'application/json' };
  const first = call(app, 'POST', '/v1/echo', { key, headers, body: body() });
  while (read === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await call(app, 'POST', '/v1/echo', { key, headers, body: body() })).status, 429);
  assert.equal(read, 1);
  leave();
  assert.equal((await first).status, 499);
  assert.equal((await post(app, key)).status, 200);
});

test('whoever leaves before the answer pays the reservation', async () => {
  const models = new StubModels();
  models.delay = 50;
  await using host = await testHost({ models });
  const app = createGateway(host, [echo]);
  const key = await keyFor(host, { limits: { tpm: 1000, concurrency: 5 } });
  const client = new AbortController();
  const left = call(app, 'POST', '/v1/echo', {
    key,
    json: { model: 'stub', input: 'x'.repeat(300) },
    signal: client.signal,
  });
  setTimeout(() => client.abort(), 10);
  await left;
  assert.equal(host.events.list[0]?.status, 499);
  const next = await post(app, key, { model: 'stub', input: 'a b' });
  assert.equal(next.headers.get('x-ratelimit-remaining-tokens'), String(1000 - 100 - 4));
});

test('a request whose key and model are known asks no table, and the meter to take, to settle and for a place', async () => {
  const models = { tiny: inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean') };
  await using host = await modelHost({ models });
  const asked: string[] = [];
  const count = (part: object, ...names: string[]) => {
    const methods = part as Record<string, (...given: unknown[]) => unknown>;
    for (const name of names) {
      const method = (methods[name] as (...given: unknown[]) => unknown).bind(part);
      methods[name] = (...given) => {
        asked.push(name);
        return method(...given);
      };
    }
  };
  count(host.sql, 'all', 'batch');
  count(host.meter, 'take', 'settle', 'lease', 'release');
  const costOf = async (key: string, input: string) => {
    const { status, json } = await host.post('/v1/embeddings', { model: 'tiny', input }, { key });
    await host.settled();
    return [status, ...asked.splice(0), json.error?.code].filter(Boolean);
  };
  const limits: [Key['limits'], string[], string[]][] = [
    [{}, [], []],
    [{ rpm: 9 }, ['take'], ['take']],
    [{ rpm: 9, tpm: 999 }, ['take', 'settle'], ['take']],
    [{ concurrency: 9 }, ['lease', 'release'], ['lease', 'release']],
  ];
  for (const [some, embedding, hit] of limits) {
    const key = await keyFor(host, { limits: some, owner: JSON.stringify(some) });
    await costOf(key, 'the first text');
    assert.deepEqual(await costOf(key, 'another text'), [200, ...embedding], JSON.stringify(some));
    assert.deepEqual(await costOf(key, 'another text'), [200, ...hit], JSON.stringify(some));
  }
  assert.deepEqual(await costOf('no key', 'a text'), [401, 'take', 'invalid_api_key']);
});

test('a meter that fails or hangs does not take requests down', async (t) => {
  const down = () => Promise.reject(new Error('down'));
  const never = () => new Promise<never>(() => {});
  const inner = new MemoryMeter();
  const broken: Record<string, Meter> = {
    fails: { take: down, settle: down, lease: down, release: down },
    hangs: { take: never, settle: never, lease: never, release: never },
    'fails at the end': {
      take: (key, policies) => inner.take(key, policies),
      settle: down,
      lease: (key, lease) => inner.lease(key, lease),
      release: down,
    },
  };
  // Two seconds pass in twenty milliseconds.
  const { setTimeout: wait } = globalThis;
  const shorter = (call: () => void, ms = 0) => wait(call, ms / 100);
  t.mock.method(globalThis, 'setTimeout', shorter as typeof setTimeout);
  for (const [name, meter] of Object.entries(broken)) {
    await using host = await testHost({ settings: { LOG_LEVEL: 'error' }, parts: { meter } });
    using logs = keepLogs();
    const app = createGateway(host, [echo]);
    const key = await keyFor(host, { limits: { rpm: 1, tpm: 1000, concurrency: 1 } });
    const started = Date.now();
    assert.equal((await post(app, key)).status, 200, name);
    assert.ok(Date.now() - started < 1000, name);
    assert.match(logs.lines.join('\n'), /the meter failed, and the request goes on/, name);
  }
});

test('lines of a batch take tokens of their key, and no requests', async () => {
  await using host = await testHost();
  (operations as Operation[]).push(echo);
  try {
    const { record } = await mintKey(host.sql, {
      name: 'a',
      owner: 'a',
      scopes: ['embed'],
      limits: { rpm: 1, tpm: 20, concurrency: 1 },
    });
    const line = (body: unknown) => answerLine(host, record, '/v1/echo', body, new AbortController().signal);
    const answers = [];
    for (let at = 0; at < 6; at += 1) answers.push(await line({ model: 'stub', input: `${at} b` }));
    // Four tokens each.
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200, 429],
    );
    assert.equal((await line({ model: 'stub', input: 'a', zzz: 1 })).status, 400);
    assert.equal((await line({ model: 'stub', input: 'half \ud800' })).status, 400);
    const other = { ...record, scopes: [] };
    const refused = await answerLine(host, other, '/v1/echo', {}, new AbortController().signal);
    assert.equal(refused.status, 403);
    const nowhere = await answerLine(host, record, '/admin/keys', {}, new AbortController().signal);
    assert.equal(nowhere.status, 404);
    assert.equal(host.events.list.filter(({ status }) => status === 200).length, 5);
  } finally {
    (operations as Operation[]).pop();
  }
});

test('an image and a digit count as 256 tokens, reserved before and in the usage after', async () => {
  await using host = await testHost({ models: allModels });
  const app = createGateway(host);
  const image = `data:image/png;base64,${'A'.repeat(40_000)}`;
  const form = new FormData();
  form.set('model', 'stub-embed-image');
  form.append('image', new Blob(['x']), 'a.png');
  const cases: [string, { json: object } | { body: FormData }, number][] = [
    ['/v1/images/embeddings', { json: { model: 'stub-embed-image', input: [image, image] } }, 512],
    ['/v1/images/embeddings', { json: { model: 'stub-embed-image', input: image } }, 256],
    ['/v1/images/embeddings', { body: form }, 256],
    ['/v1/digits', { json: { text: '123', count: 2, seed: 1 } }, 1536],
    ['/v1/digits', { json: { digit: 4 } }, 256],
  ];
  for (const [path, options, tokens] of cases) {
    const key = await keyFor(host, { limits: { tpm: 2000 } });
    const response = await call(app, 'POST', path, { key, ...options });
    const name = `${path} ${tokens}`;
    assert.equal(response.status, 200, name);
    assert.equal(response.headers.get('x-ratelimit-remaining-tokens'), String(2000 - tokens), name);
    assert.equal(host.events.list.at(-1)?.tokens, tokens, name);
    if (path === '/v1/images/embeddings') {
      assert.deepEqual(((await response.json()) as { usage: object }).usage, {
        prompt_tokens: tokens,
        total_tokens: tokens,
      });
    }
    const narrow = await keyFor(host, { owner: 'narrow', limits: { tpm: tokens - 1 } });
    const refused = await call(app, 'POST', path, { key: narrow, ...options });
    assert.equal(refused.status, 429, `${name} before it is computed`);
  }
});
