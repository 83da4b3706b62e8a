/** Upstreams in workerd, whose `fetch`, timers and ends of requests are its own. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { deployed } from './support/bundle.ts';
import { type FakeServer, fakeServer, json, type Reply, vectors } from './support/fake-server.ts';
import type { Json } from './support/models.ts';
import { NAME, type RunningWorker, startWorker } from './support/worker.ts';

const SECRET = 'sk-canary-of-the-upstream';

/** Each case has a model and an upstream of its own, so that no breaker is open from another one. */
const CASES = [
  'fine',
  'retried',
  'limited',
  'silent',
  'trickling',
  'redirecting',
  'html',
  'leaving',
  'many',
  'shared',
] as const;

/** A Worker in front, which ends its request after `x-cut` milliseconds: in workerd that is a client that leaves. */
const FRONT = `export default {
  async fetch(request, { GATEWAY }) {
    const cut = Number(request.headers.get('x-cut'));
    if (!(cut > 0)) return GATEWAY.fetch(request);
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), cut);
    try {
      return await GATEWAY.fetch(request, { signal: aborter.signal });
    } catch {
      return Response.json({ error: { code: 'cut' } });
    }
  },
};`;

const front = {
  name: 'front',
  modules: true as const,
  script: FRONT,
  compatibilityDate: '2026-07-01',
  serviceBindings: { GATEWAY: NAME },
};

let other: FakeServer;
let server: FakeServer;
let worker: RunningWorker;
let key: string;
/** The answers of the server, by the case that a path names. */
const replies = new Map<string, Reply[]>();

before(async () => {
  other = await fakeServer(vectors);
  server = await fakeServer((asked, response) => {
    const list = replies.get(asked.body.model) ?? [];
    return (list.length > 1 ? list.shift() : list[0])?.(asked, response);
  });
  const models = Object.fromEntries(CASES.map((id) => [id, { task: 'embed', run: 'upstream', upstream: id }]));
  const more: Record<string, object> = {
    silent: { timeout_ms: 600 },
    trickling: { timeout_ms: 600 },
    many: { concurrency: 2 },
    leaving: { concurrency: 1, timeout_ms: 20_000 },
  };
  const upstreams = Object.fromEntries(
    CASES.map((id) => [id, { kind: 'openai', url: `${server.url}/v1`, secret: 'TEI_KEY', ...more[id] }]),
  );
  worker = await startWorker({
    bundle: await deployed(),
    vars: { MODELS: JSON.stringify({ models, upstreams }), TEI_KEY: SECRET },
    front: [front],
  });
  key = await worker.key();
});
after(async () => {
  await worker?.[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

async function ask(
  model: (typeof CASES)[number],
  input: unknown,
  ...own: Reply[]
): Promise<{ status: number; json: Json; ms: number }> {
  if (own.length > 0) replies.set(model, own);
  const started = performance.now();
  const response = await fetch(new URL('/v1/embeddings', worker.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, input }),
  });
  return { status: response.status, json: await response.json(), ms: performance.now() - started };
}

const codeOf = ({ status, json }: { status: number; json: Json }): [number, string] => [status, json.error?.code];
const askedOf = (model: string): FakeServer['asked'] => server.asked.filter(({ body }) => body.model === model);

test('200 with the secret; 500 twice, then 200', async () => {
  const fine = await ask('fine', ['a', 'bcd'], vectors);
  assert.equal(fine.status, 200, JSON.stringify(fine.json));
  assert.deepEqual(fine.json.data[1].embedding, [3, 0.5]);
  assert.equal(askedOf('fine')[0]?.headers.authorization, `Bearer ${SECRET}`);
  assert.equal((await ask('retried', 'a', json({}, 500), json({}, 502), vectors)).status, 200);
  assert.equal(askedOf('retried').length, 3);
});

test('429 with a short retry-after is waited for, a long one is passed on', async () => {
  const waited = await ask('limited', 'a', json({}, 429, { 'retry-after': '1' }), vectors);
  assert.equal(waited.status, 200);
  assert.ok(waited.ms >= 990, `${waited.ms} ms`);
  assert.deepEqual(codeOf(await ask('limited', 'b', json({}, 429, { 'retry-after': '60' }))), [429, 'overloaded']);
});

test('silent and trickling servers are 504 at the deadline', async () => {
  const silent = await ask('silent', 'a', () => {});
  assert.deepEqual(codeOf(silent), [504, 'upstream_timeout']);
  const trickling = await ask('trickling', 'a', (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 50);
    response.on('close', () => clearInterval(timer));
  });
  assert.deepEqual(codeOf(trickling), [504, 'upstream_timeout']);
  for (const { ms } of [silent, trickling]) assert.ok(ms >= 550 && ms < 5000, `${ms} ms`);
});

test('a redirect is not followed, and a page is no answer', async () => {
  const redirected = await ask('redirecting', 'a', (_, response) =>
    response.writeHead(307, { location: `${other.url}/v1/embeddings` }).end(),
  );
  assert.deepEqual(codeOf(redirected), [502, 'upstream_bad_answer']);
  assert.equal(other.asked.length, 0);
  assert.deepEqual(codeOf(await ask('html', 'a', (_, response) => response.end('<html>'))), [
    502,
    'upstream_bad_answer',
  ]);
});

test('at most so many requests at the same time, over the requests of several clients', async () => {
  let running = 0;
  let most = 0;
  replies.set('many', [
    async (asked, response) => {
      running += 1;
      most = Math.max(most, running);
      await sleep(40);
      running -= 1;
      vectors(asked, response);
    },
  ]);
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => ask('many', `text ${i}`)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array(10).fill(200),
  );
  assert.equal(most, 2);
});

test('a client that leaves ends the request to the server, whose place is free for the next one', async () => {
  replies.set('leaving', [() => {}]);
  for (let i = 0; i < 3; i += 1) {
    const response = await fetch(new URL('/v1/embeddings', worker.url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'x-cut': '150',
        'cache-control': 'no-store',
      },
      body: JSON.stringify({ model: 'leaving', input: `text ${i}` }),
    });
    assert.equal(((await response.json()) as Json).error.code, 'cut');
    await askedOf('leaving')[i]?.left;
  }
  const next = await ask('leaving', 'the next one', vectors);
  assert.equal(next.status, 200);
  assert.ok(next.ms < 5000, `${next.ms} ms`);
});

test('equal requests at the same time are computed once, and those that wait are answered though the first has left', async () => {
  replies.set('shared', [
    async (asked, response) => {
      await sleep(700);
      vectors(asked, response);
    },
  ]);
  const shared = (headers: Record<string, string> = {}, input = 'the same text') =>
    fetch(new URL('/v1/embeddings', worker.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model: 'shared', input }),
    });
  const first = shared({ 'x-cut': '300' });
  await sleep(100);
  const others = await Promise.all([shared(), shared(), shared({ 'x-cut': '400' }), shared()]);
  assert.equal(((await (await first).json()) as Json).error.code, 'cut');
  const answers = (await Promise.all(others.map((one) => one.json()))) as Json[];
  for (const at of [0, 1, 3]) assert.deepEqual(answers[at].data?.[0]?.embedding, [13, 0.5], JSON.stringify(answers));
  assert.equal(askedOf('shared').length, 1);
});
