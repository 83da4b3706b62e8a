/** The official clients of OpenAI, for Node and for Python, and that of Ollama, as they are. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { serve } from '@hono/node-server';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { keyFor } from './support/app.ts';
import { type FakeServer, fakeServer, vectors } from './support/fake-server.ts';
import { embedderOf, inFolder, type ModelHost, modelHost, tinyFolder } from './support/models.ts';
import { lacking, pathOf } from './support/needs.ts';

const run = promisify(execFile);
const TEXTS = ['The quick brown fox', 'naïve café 日本語'];

let slow: FakeServer;
let host: ModelHost;
let server: ReturnType<typeof serve>;
let url: string;
/** A key that may do one thing at a time. */
let singleKey: string;
let expected: number[][];
let tokens: number;

before(async () => {
  slow = await fakeServer(async (asked, response) => {
    await sleep(700);
    vectors(asked, response);
  });
  host = await modelHost({
    models: {
      tiny: inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean'),
      slow: { task: 'embed', run: 'upstream', upstream: 'slow' },
    },
    upstreams: { slow: { kind: 'openai', url: `${slow.url}/v1` } },
  });
  singleKey = await keyFor(host, { limits: { concurrency: 1 } });
  server = serve({ fetch: host.app.fetch, port: 0, hostname: '127.0.0.1', overrideGlobalObjects: false });
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const embedder = await embedderOf(tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean');
  const { data, dims, tokens: counts } = await embedder.embed(TEXTS);
  expected = TEXTS.map((_, i) => Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])));
  tokens = counts.reduce((a, b) => a + b, 0);
  embedder.dispose();
});
after(async () => {
  if ('closeAllConnections' in server) server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await host[Symbol.asyncDispose]();
  await slow[Symbol.asyncDispose]();
});

describe('openai for Node', () => {
  const client = (apiKey = host.key): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey });

  test('embeddings: the default, which is base64 on the wire, floats, and fewer dimensions', async () => {
    const { data, usage } = await client().embeddings.create({ model: 'tiny', input: TEXTS });
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      expected,
    );
    assert.equal(usage.prompt_tokens, tokens);
    const floats = await client().embeddings.create({ model: 'tiny', input: TEXTS, encoding_format: 'float' });
    assert.deepEqual(
      floats.data.map(({ embedding }) => embedding),
      expected,
    );
    const short = await client().embeddings.create({ model: 'tiny', input: TEXTS[0] as string, dimensions: 8 });
    assert.equal(short.data[0]?.embedding.length, 8);
  });

  test('models: list and retrieve', async () => {
    const ids: string[] = [];
    for await (const { id } of client().models.list()) ids.push(id);
    assert.deepEqual(ids, ['tiny', 'slow']);
    assert.equal((await client().models.retrieve('tiny')).object, 'model');
  });

  test('errors are those that it knows', async () => {
    await assert.rejects(client().embeddings.create({ model: 'none', input: 'a' }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
      return true;
    });
    await assert.rejects(client().embeddings.create({ model: 'tiny', input: [1, 2, 3] }), OpenAI.BadRequestError);
    await assert.rejects(client('pl_wrong').models.list(), OpenAI.AuthenticationError);
  });

  test('after a 429 it waits as it is told, and tries again', async () => {
    const single = client(singleKey);
    host.events.list.length = 0;
    const answers = await Promise.all(
      ['one', 'two'].map((input) => single.embeddings.create({ model: 'slow', input })),
    );
    assert.ok(answers.every(({ data }) => data[0]?.embedding.length === 2));
    const statuses = host.events.list.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [200, 200, 429]);
  });
});

test('openai for Python: embeddings, models, errors, and the retry after a 429', {
  skip: lacking('openaiPython'),
}, async () => {
  const script = path.join(import.meta.dirname, 'support/openai_client.py');
  const env = { ...process.env, GATEWAY_URL: url, GATEWAY_KEY: host.key, GATEWAY_SINGLE_KEY: singleKey };
  host.events.list.length = 0;
  const { stdout } = await run(pathOf('openaiPython'), [script], { env, timeout: 60_000 });
  const out = JSON.parse(stdout);
  assert.deepEqual(out.default, expected);
  assert.deepEqual(out.float, expected);
  assert.deepEqual(out.base64, expected[0]);
  assert.deepEqual([out.tokens, out.short], [tokens, 8]);
  assert.deepEqual(out.models, ['tiny', 'slow']);
  assert.equal(out.model, 'tiny');
  assert.deepEqual(out.missing, [404, 'model_not_found', 'model']);
  assert.deepEqual(out.numbers, [400, 'invalid_request', 'input']);
  assert.deepEqual(out.stranger, [401, 'invalid_api_key']);
  assert.deepEqual(out.retried, [2, 2]);
  assert.ok(host.events.list.some(({ status }) => status === 429));
});

describe('ollama', () => {
  test('embed: one text and several', async () => {
    const client = new Ollama({ host: url, headers: { authorization: `Bearer ${host.key}` } });
    const { embeddings, model, prompt_eval_count: count } = await client.embed({ model: 'tiny', input: TEXTS });
    assert.deepEqual([embeddings, model, count], [expected, 'tiny', tokens]);
    const one = await client.embed({ model: 'tiny', input: TEXTS[0] as string, truncate: true, keep_alive: '5m' });
    assert.deepEqual(one.embeddings, [expected[0]]);
  });

  test('an error has its status', async () => {
    const client = new Ollama({ host: url, headers: { authorization: `Bearer ${host.key}` } });
    await assert.rejects(client.embed({ model: 'none', input: 'a' }), { status_code: 404 });
  });
});
