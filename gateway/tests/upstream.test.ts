/** Models on other servers: deadline, retries, breaker, redirects, secrets, wrong answers, and fallbacks. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FakeServer, fakeServer, json, type Reply, vectors } from './support/fake-server.ts';
import { ask, codeOf, over, SECRET } from './support/far-model.ts';
import { inFolder, type Json, type ModelHost, modelHost, tinyFolder } from './support/models.ts';

const hang: Reply = () => {};

describe('a server that speaks OpenAI', () => {
  test('200: vectors, tokens, and the event says who answered', async () => {
    await using server = await fakeServer(vectors);
    await using host = await over(server, { upstream: { model: 'BAAI/bge-large-en-v1.5' } });
    const { status, json } = await ask(host, ['a', 'bcd'], { dimensions: 2 });
    assert.equal(status, 200);
    assert.deepEqual(
      json.data.map((one: Json) => one.embedding),
      [
        [1, 0.5],
        [3, 0.5],
      ],
    );
    assert.equal(json.usage.prompt_tokens, 7);
    const [asked] = server.asked;
    assert.equal(asked?.path, '/v1/embeddings');
    const expected = { model: 'BAAI/bge-large-en-v1.5', input: ['a', 'bcd'], encoding_format: 'float', dimensions: 2 };
    assert.deepEqual(asked?.body, expected);
    assert.equal(asked?.headers.authorization, `Bearer ${SECRET}`);
    assert.equal(asked?.headers['x-request-id'], host.events.list[0]?.id);
    const { run, upstream, tokens } = host.events.list[0] ?? {};
    assert.deepEqual([run, upstream, tokens], ['upstream', 'server', 7]);
    assert.ok(
      host.events.observed.some(({ name, labels }) => name === 'upstream_seconds' && labels?.upstream === 'server'),
    );
  });

  test('items in another order, and base64, are read', async () => {
    const packed = Buffer.from(new Float32Array([3, 0.5]).buffer).toString('base64');
    await using server = await fakeServer(
      json({
        data: [
          { index: 1, embedding: packed },
          { index: 0, embedding: [1, 0.5] },
        ],
      }),
    );
    await using host = await over(server);
    const { json: answer } = await ask(host);
    assert.deepEqual(
      answer.data.map((one: Json) => one.embedding),
      [
        [1, 0.5],
        [3, 0.5],
      ],
    );
  });

  test('500 twice, then 200: tried again', async () => {
    await using server = await fakeServer(json({}, 500), json({}, 503), vectors);
    await using host = await over(server);
    assert.equal((await ask(host)).status, 200);
    assert.equal(server.asked.length, 3);
  });

  test('500 for ever: 503 after as many tries as there are', async () => {
    await using server = await fakeServer(json({ error: { message: 'inner canary' } }, 500));
    await using host = await over(server);
    const answer = await ask(host);
    assert.deepEqual(codeOf(answer), [503, 'upstream_unavailable']);
    assert.doesNotMatch(JSON.stringify(answer.json), /canary/);
    assert.equal(server.asked.length, 3);
  });

  test('429 with a short retry-after is waited for', async () => {
    await using server = await fakeServer(json({}, 429, { 'retry-after': '1' }), vectors);
    await using host = await over(server);
    const started = performance.now();
    assert.equal((await ask(host)).status, 200);
    assert.ok(performance.now() - started >= 990);
  });

  test('429 with a long retry-after is passed on', async () => {
    await using server = await fakeServer(json({}, 429, { 'retry-after': '60' }));
    await using host = await over(server);
    const answer = await ask(host);
    assert.deepEqual(codeOf(answer), [429, 'overloaded']);
    assert.equal(answer.headers.get('retry-after'), '60');
    assert.equal(server.asked.length, 1);
  });

  test('401 is the gateway’s own fault, not the client’s, and is not tried again', async () => {
    await using server = await fakeServer(json({ error: { message: `bad key ${SECRET}` } }, 401));
    await using host = await over(server);
    const answer = await ask(host);
    assert.deepEqual(codeOf(answer), [502, 'upstream_auth']);
    assert.doesNotMatch(JSON.stringify(answer.json), /canary/);
    assert.equal(server.asked.length, 1);
  });

  test('400 is the client’s, with the words of the server', async () => {
    await using server = await fakeServer(json({ error: { message: 'input: too many tokens', param: 'input' } }, 400));
    await using host = await over(server);
    const answer = await ask(host);
    assert.deepEqual(codeOf(answer), [400, 'invalid_request']);
    assert.deepEqual([answer.json.error.message, answer.json.error.param], ['input: too many tokens', 'input']);
    assert.equal(server.asked.length, 1);
  });

  const wrong: [string, Reply, RegExp][] = [
    ['a web page', (_, response) => response.setHeader('content-type', 'text/html').end('<html>'), /did not give 2/],
    ['another shape', json({ embeddings: [] }), /did not give 2/],
    ['one vector too few', json({ data: [{ index: 0, embedding: [1, 2] }] }), /did not give 2/],
    ['an index twice', json({ data: [0, 0].map((index) => ({ index, embedding: [1, 2] })) }), /did not give 2/],
    [
      'a value that is no number',
      json({ data: [0, 1].map((index) => ({ index, embedding: [1, null] })) }),
      /no list of numbers/,
    ],
    ['base64 of nonsense', json({ data: [0, 1].map((index) => ({ index, embedding: '%%' })) }), /no list of numbers/],
    [
      'other dimensions',
      json({ data: [0, 1].map((index) => ({ index, embedding: [1, 2, 3] })) }),
      /of 3 values, expected 2/,
    ],
    ['404', json({}, 404), /answered 404/],
  ];
  for (const [name, reply, message] of wrong)
    test(`${name}: 502`, async () => {
      await using server = await fakeServer(reply);
      await using host = await over(server, { model: { dimensions: 2 } });
      const answer = await ask(host);
      assert.deepEqual(codeOf(answer), [502, 'upstream_bad_answer']);
      assert.match(answer.json.error.message, message);
      assert.equal(server.asked.length, 1);
    });

  test('a NaN in base64 is refused', async () => {
    const packed = Buffer.from(new Float32Array([1, Number.NaN]).buffer).toString('base64');
    await using server = await fakeServer(json({ data: [{ index: 0, embedding: packed }] }));
    await using host = await over(server);
    assert.deepEqual(codeOf(await ask(host, 'a')), [502, 'upstream_bad_answer']);
  });

  test('a silent server: 504 at the deadline, which is one over all tries', async () => {
    await using server = await fakeServer(json({}, 500), hang);
    await using host = await over(server, { upstream: { timeout_ms: 500 } });
    const started = performance.now();
    assert.deepEqual(codeOf(await ask(host)), [504, 'upstream_timeout']);
    const ms = performance.now() - started;
    assert.ok(ms >= 450 && ms < 2500, `${ms} ms`);
  });

  test('a server that trickles: 504 at the deadline', async () => {
    await using server = await fakeServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    });
    await using host = await over(server, { upstream: { timeout_ms: 500 } });
    assert.deepEqual(codeOf(await ask(host)), [504, 'upstream_timeout']);
  });

  test('a connection that is reset: 502 after the tries', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.resetAndDestroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await using host = await over({ url: `http://127.0.0.1:${port}` });
    assert.deepEqual(codeOf(await ask(host)), [502, 'upstream_unreachable']);
    assert.equal(connections, 3);
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(codeOf(await ask(host, 'refused')), [502, 'upstream_unreachable']);
  });

  test('a redirect is not followed, and the secret goes nowhere else', async () => {
    await using other = await fakeServer(vectors);
    await using server = await fakeServer((_, response) =>
      response.writeHead(307, { location: `${other.url}/v1/embeddings` }).end(),
    );
    await using host = await over(server);
    const answer = await ask(host);
    assert.deepEqual(codeOf(answer), [502, 'upstream_bad_answer']);
    assert.match(answer.json.error.message, /answered 307/);
    assert.equal(other.asked.length, 0);
  });

  test('without its secret nothing is sent', async () => {
    await using server = await fakeServer(vectors);
    await using host = await over(server);
    host.secrets.clear();
    assert.deepEqual(codeOf(await ask(host)), [502, 'upstream_auth']);
    assert.equal(server.asked.length, 0);
  });

  test('each secret goes to its own server', async () => {
    await using one = await fakeServer(vectors);
    await using two = await fakeServer(vectors);
    const upstreams = {
      one: { kind: 'openai', url: `${one.url}/v1`, secret: 'KEY_ONE' },
      two: { kind: 'openai', url: `${two.url}/v1` },
    };
    const far = (upstream: string) => ({ task: 'embed', run: 'upstream', upstream });
    await using host = await modelHost({ models: { one: far('one'), two: far('two') }, upstreams });
    host.secrets.set('KEY_ONE', SECRET);
    for (const model of ['one', 'two']) await host.post('/v1/embeddings', { model, input: 'a' });
    assert.equal(one.asked[0]?.headers.authorization, `Bearer ${SECRET}`);
    assert.equal(two.asked[0]?.headers.authorization, undefined);
    // The client's own key stays here.
    for (const { headers } of [...one.asked, ...two.asked]) assert.doesNotMatch(JSON.stringify(headers), /pl_/);
  });

  test('a client that leaves ends the request to the server', async () => {
    await using server = await fakeServer(hang);
    await using host = await over(server);
    const leaving = new AbortController();
    const answer = host.call('POST', '/v1/embeddings', {
      json: { model: 'far', input: 'a' },
      headers: { 'cache-control': 'no-store' },
      signal: leaving.signal,
    });
    while (server.asked.length === 0) await sleep(10);
    leaving.abort();
    await server.asked[0]?.left;
    assert.equal((await answer).status, 499);
    assert.equal(server.asked.length, 1);
  });
});

describe('the breaker', () => {
  const upstream = { tries: 1, breaker: { failures: 3, seconds: 0.3 } };
  const state = (host: ModelHost): string | undefined => host.models.states()[0]?.breaker;

  test('opens after some failures, leaves the server alone, and lets one request find out', async () => {
    await using server = await fakeServer(json({}, 500));
    await using host = await over(server, { upstream });
    for (let i = 0; i < 3; i += 1) assert.deepEqual(codeOf(await ask(host, `${i}`)), [503, 'upstream_unavailable']);
    assert.equal(state(host), 'open');
    const refused = await ask(host, 'open');
    assert.deepEqual(codeOf(refused), [503, 'upstream_unavailable']);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.equal(server.asked.length, 3);
    await sleep(320);
    assert.equal(state(host), 'half-open');
    await ask(host, 'still broken');
    assert.deepEqual([state(host), server.asked.length], ['open', 4]);
    await sleep(320);
    const slow = Promise.withResolvers<void>();
    server.replies = [
      async (asked, response) => {
        await slow.promise;
        vectors(asked, response);
      },
    ];
    const probe = ask(host, 'probe');
    while (server.asked.length < 5) await sleep(10);
    assert.deepEqual(codeOf(await ask(host, 'beside the probe')), [503, 'upstream_unavailable']);
    slow.resolve();
    assert.equal((await probe).status, 200);
    assert.equal(state(host), 'closed');
    assert.equal((await ask(host, 'after')).status, 200);
    const values = host.events.observed.filter(({ name }) => name === 'upstream_state').map(({ value }) => value);
    assert.ok(values.includes(0) && values.includes(2));
  });

  test('a request that the server refuses for what it asks is no failure', async () => {
    await using server = await fakeServer(json({}, 400));
    await using host = await over(server, { upstream });
    for (let i = 0; i < 5; i += 1) assert.equal((await ask(host, `${i}`)).status, 400);
    assert.equal(state(host), 'closed');
  });

  test('a client that leaves is no failure', async () => {
    await using server = await fakeServer(hang);
    await using host = await over(server, { upstream });
    for (let i = 0; i < 4; i += 1) {
      const leaving = new AbortController();
      const answer = host.call('POST', '/v1/embeddings', {
        json: { model: 'far', input: `${i}` },
        signal: leaving.signal,
      });
      while (server.asked.length <= i) await sleep(5);
      leaving.abort();
      await answer;
      await server.asked[i]?.left;
    }
    assert.equal(state(host), 'closed');
  });
});

test('at most so many requests run at the same time, and the others wait', async () => {
  let running = 0;
  let most = 0;
  await using server = await fakeServer(async (asked, response) => {
    running += 1;
    most = Math.max(most, running);
    await sleep(30);
    running -= 1;
    vectors(asked, response);
  });
  await using host = await over(server, { upstream: { concurrency: 2 } });
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(host, `text ${i}`)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(most, 2);
});

test('what is longer than the server takes at once goes in several requests', async () => {
  await using server = await fakeServer(vectors);
  await using host = await over(server, { upstream: { batch: 3 } });
  const texts = ['a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff', 'ggggggg'];
  const { json } = await ask(host, texts);
  assert.deepEqual(
    json.data.map((one: Json) => one.embedding[0]),
    [1, 2, 3, 4, 5, 6, 7],
  );
  assert.deepEqual(server.asked.map(({ body }) => body.input.length).sort(), [1, 3, 3]);
});

describe('a fallback', () => {
  const config = (server: FakeServer, more: object = {}) => ({
    models: { far: { task: 'embed', run: 'local', source: 'org/none', memory_mb: 16, fallback: 'server', ...more } },
    upstreams: { server: { kind: 'openai', url: `${server.url}/v1` } },
  });

  test('answers where the model cannot be loaded, and the event says so', async () => {
    await using server = await fakeServer(vectors);
    let loads = 0;
    const loaders = {
      embed: async () => {
        loads += 1;
        throw new Error('no such files');
      },
    };
    await using host = await modelHost(config(server), { parts: { loaders } });
    assert.equal((await ask(host)).status, 200);
    assert.equal((await ask(host, 'another')).status, 200);
    assert.equal(loads, 1, 'a load that has just failed is not tried again by every request');
    assert.deepEqual([host.events.list[0]?.run, host.events.list[0]?.upstream], ['upstream', 'server']);
  });

  test('is not asked where the request is wrong, nor where the model works', async () => {
    await using server = await fakeServer(vectors);
    const model = inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean', { fallback: 'server' });
    await using host = await modelHost({ ...config(server), models: { far: model } });
    assert.equal((await ask(host)).status, 200);
    assert.equal((await ask(host, 'a', { dimensions: 999 })).status, 400);
    assert.equal(host.events.list[0]?.run, 'local');
    assert.equal(server.asked.length, 0);
  });
});
