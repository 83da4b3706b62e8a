/** Clients that leave at any moment, in a cold isolate and in a warm one: whoever comes next is served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployed } from './support/bundle.ts';
import { isFull, lacking } from './support/needs.ts';
import { NAME, type RunningWorker, startWorker } from './support/worker.ts';

/** Requests that are cut, in all; and isolates that are fresh when the first of theirs is. */
const CUTS = isFull ? 100 : 14;
const COLD = isFull ? 10 : 2;
/** Milliseconds within which the next request is answered. A machine that does other work too is given more. */
const NEXT_MS = isFull ? 3000 : 10_000;

/**
 * A Worker in front, which ends its request to the gateway after `x-cut` milliseconds. In workerd that ends the context of the request
 * behind it, as a client does that leaves; closing a connection does not.
 */
const FRONT = `export default {
  async fetch(request, env) {
    const cut = Number(request.headers.get('x-cut'));
    if (!(cut > 0)) return env.GATEWAY.fetch(request);
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), cut);
    try {
      const response = await env.GATEWAY.fetch(request, { signal: aborter.signal });
      await response.arrayBuffer();
      return new Response('answered', { headers: { 'x-status': String(response.status) } });
    } catch {
      return new Response('cut');
    }
  },
};`;

const front = [
  {
    name: 'front',
    modules: true as const,
    script: FRONT,
    compatibilityDate: '2026-07-01',
    serviceBindings: { GATEWAY: NAME },
  },
];

/** Numbers from 0 to 1 that are the same in each run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function ask({ url }: RunningWorker, key: string, input: string | string[], headers: Record<string, string> = {}) {
  return fetch(new URL('/v1/embeddings', url), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...headers,
    },
    body: JSON.stringify({ model: 'all-MiniLM-L6-v2', input, encoding_format: 'base64' }),
  });
}

test(`after each of ${CUTS} cut requests the next one is answered`, {
  skip: lacking('minilm'),
  timeout: 600_000,
}, async (t) => {
  const next = random(16);
  const outcomes = { cut: 0, answered: 0 };
  let [slowest, expected] = [0, ''];
  for (let isolate = 0; isolate < COLD; isolate += 1) {
    await using worker = await startWorker({ bundle: await deployed(), model: true, front });
    const key = await worker.key();
    for (let at = isolate; at < CUTS; at += COLD) {
      const input =
        next() < 0.5 ? `text ${at}` : Array.from({ length: 64 }, (_, line) => `line ${line} of batch ${at}`);
      // From 1 to 800 ms, each length as likely as twice of it: one text takes 5 ms in a warm isolate, and the first request 200.
      const cut = String(Math.ceil(800 ** next()));
      const outcome = await (await ask(worker, key, input, { 'x-cut': cut })).text();
      outcomes[outcome as keyof typeof outcomes] += 1;
      const started = performance.now();
      const response = await ask(worker, key, 'A cat sits on the mat.');
      const answer = await response.text();
      const ms = performance.now() - started;
      slowest = Math.max(slowest, ms);
      assert.equal(response.status, 200, answer);
      assert.ok(ms < NEXT_MS, `after a request that was cut at ${cut} ms the next one took ${ms} ms`);
      expected ||= answer;
      assert.equal(answer, expected, 'the vector is another one after a request that was cut');
    }
  }
  t.diagnostic(
    `${outcomes.cut} were cut, ${outcomes.answered} were quicker; the slowest request behind one took ${slowest.toFixed(0)} ms`,
  );
  assert.ok(outcomes.cut >= CUTS / 4, `only ${outcomes.cut} of ${CUTS} were cut`);
});

test('a model that is being loaded when its first client leaves is there for the next', {
  skip: lacking('minilm'),
}, async () => {
  await using worker = await startWorker({ bundle: await deployed(), model: true, front });
  const key = await worker.key();
  assert.equal(await (await ask(worker, key, 'first', { 'x-cut': '30' })).text(), 'cut');
  const answers = await Promise.all(['second', 'third', 'fourth'].map((text) => ask(worker, key, text)));
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  }
});
