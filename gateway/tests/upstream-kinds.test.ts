/** The kinds of servers beside OpenAI's: feature extraction, a webhook, and this gateway at another place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { keyFor } from './support/app.ts';
import { type FakeServer, fakeServer, json } from './support/fake-server.ts';
import { ask, codeOf, over, SECRET } from './support/far-model.ts';
import { inFolder, type Json, type ModelHost, modelHost, tinyFolder } from './support/models.ts';

test('feature extraction as the hub’s servers have it', async () => {
  await using server = await fakeServer((asked, response) =>
    json((asked.body.inputs as string[]).map((text) => [text.length, 1]))(asked, response),
  );
  await using host = await over(server, {
    kind: 'hf',
    upstream: { url: `${server.url}/pipeline` },
    model: { prompt: 'query: ' },
  });
  const { json: answer } = await ask(host);
  assert.deepEqual(
    answer.data.map((one: Json) => one.embedding),
    [
      [8, 1],
      [10, 1],
    ],
  );
  assert.deepEqual(server.asked[0]?.body, { inputs: ['query: a', 'query: bcd'], truncate: true });
  assert.equal(server.asked[0]?.path, '/pipeline');
  server.replies = [json([[[1, 2]], [[3, 4]]])];
  assert.deepEqual(codeOf(await ask(host, ['x', 'y'])), [502, 'upstream_bad_answer']);
});

describe('a webhook that analyzes', () => {
  const model = { task: 'detect', model: 'Qwen/Qwen2.5-0.5B', layer: 22, classifier: 'svm' };
  const upstream = (server: FakeServer) => ({ url: `${server.url}/hook` });

  test('is asked in its own form, and answers /v1/detect and /analyze', async () => {
    await using server = await fakeServer(json({ prediction: 'AI', probability: 0.93, is_fake: true }));
    await using host = await over(server, { kind: 'analyze', model, upstream: upstream(server) });
    const detected = await host.post('/v1/detect', { model: 'far', input: 'a text' });
    assert.deepEqual([detected.json.verdict, detected.json.probability], ['machine', 0.93]);
    const named = { text: 'a text', model_name: 'Qwen/Qwen2.5-0.5B', layer: 22, classifier_type: 'svm' };
    assert.deepEqual(server.asked[0]?.body, named);
    assert.equal(server.asked[0]?.path, '/hook');
    const analyzed = await host.post('/analyze', named);
    assert.deepEqual(analyzed.json, { prediction: 'machine', probability: 0.93, is_fake: true });
    const other = await host.post('/analyze', { ...named, layer: 3 });
    assert.deepEqual(codeOf(other), [404, 'model_not_found']);
    assert.match(other.json.error.message, /far = Qwen\/Qwen2\.5-0\.5B, layer 22, svm/);
  });

  for (const answer of [
    { prediction: 'AI' },
    { is_fake: true, probability: 93 },
    { is_fake: 'yes', probability: 0.5 },
    [],
  ])
    test(`${JSON.stringify(answer)}: 502`, async () => {
      await using server = await fakeServer(json(answer));
      await using host = await over(server, { kind: 'analyze', model, upstream: upstream(server) });
      assert.deepEqual(codeOf(await host.post('/v1/detect', { input: 'a' })), [502, 'upstream_bad_answer']);
    });
});

describe('this gateway at another place', () => {
  /** A gateway behind another one, by a binding of a Worker. */
  async function behind(models: Record<string, { task: string }>): Promise<{ front: ModelHost; back: ModelHost }> {
    const back = await modelHost({ models });
    const key = await keyFor(back);
    const app = createGateway(back);
    const front = await modelHost(
      {
        models: Object.fromEntries(
          Object.entries(models).map(([id, { task }]) => [id, { task, run: 'upstream', upstream: 'back' }]),
        ),
        upstreams: { back: { kind: 'gateway', service: 'BACK', secret: 'KEY', batch: 2 } },
      },
      { parts: { service: (name) => (name === 'BACK' ? async (request) => app.fetch(request) : undefined) } },
    );
    front.secrets.set('KEY', key);
    return { front, back };
  }

  test('embeddings, images, labels, reranking and digits are the same through it', async () => {
    const models = {
      tiny: inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean') as { task: string },
      prompted: inFolder('embed', tinyFolder('bert-tiny-prompt'), 'test/bert-tiny-prompt') as { task: string },
      clip: inFolder('embed-image', tinyFolder('clip-tiny'), 'test/clip-tiny') as { task: string },
      labels: inFolder('classify', tinyFolder('bert-tiny-classifier'), 'test/bert-tiny-classifier') as { task: string },
      ranks: inFolder('rerank', tinyFolder('bert-tiny-reranker'), 'test/bert-tiny-reranker') as { task: string },
      draw: { task: 'digits', run: 'local' },
    };
    const { front, back } = await behind(models);
    await using _front = front;
    await using _back = back;
    const png = Buffer.from(
      await (
        await back.call('POST', '/v1/digits', { json: { digit: 3, seed: 1 }, headers: { accept: 'image/png' } })
      ).arrayBuffer(),
    );
    const image = `data:image/png;base64,${png.toString('base64')}`;
    const requests: [string, object][] = [
      ['/v1/embeddings', { model: 'tiny', input: ['a', 'b c', 'word '.repeat(999), 'd'], dimensions: 8 }],
      ['/v1/embeddings', { model: 'prompted', input: 'light', prompt: 'query' }],
      ['/v1/images/embeddings', { model: 'clip', input: [image, image, image] }],
      ['/v1/classify', { model: 'labels', input: ['a', 'b', 'c'], top_k: 2 }],
      ['/v1/rerank', { model: 'ranks', query: 'a', documents: ['b', 'c', 'd'] }],
      ['/v1/digits', { model: 'draw', text: '2026', seed: 7 }],
    ];
    for (const [path, body] of requests) {
      const [near, far] = [await back.post(path, body), await front.post(path, body)];
      assert.equal(far.status, 200, path);
      assert.deepEqual(far.json, near.json, path);
      assert.equal(far.headers.get('x-truncated'), near.headers.get('x-truncated'));
      assert.equal(front.events.list.at(-1)?.run, 'upstream');
    }
    const refused = await front.post('/v1/images/embeddings', { model: 'clip', input: 'data:image/png;base64,AAAA' });
    assert.deepEqual(codeOf(refused), [400, 'invalid_request']);
  });

  test('run: service is a binding without more words, and one that is not there is 503', async () => {
    const models = { tiny: { task: 'embed', run: 'service', service: 'BACK' } };
    await using host = await modelHost({ models }, { parts: { service: () => undefined } });
    const answer = await host.post('/v1/embeddings', { model: 'tiny', input: 'a' });
    assert.deepEqual(codeOf(answer), [503, 'upstream_unavailable']);
    const service = () => async (request: Request) => {
      assert.equal(new URL(request.url).pathname, '/v1/embeddings');
      assert.equal(request.headers.get('authorization'), `Bearer ${SECRET}`);
      return Response.json({ data: [{ index: 0, embedding: [1, 2] }] });
    };
    const keyed = { tiny: { ...models.tiny, secret: 'OTHER_KEY' } };
    await using other = await modelHost({ models: keyed }, { parts: { service } });
    other.secrets.set('OTHER_KEY', SECRET);
    assert.deepEqual(
      (await other.post('/v1/embeddings', { model: 'tiny', input: 'a' })).json.data[0].embedding,
      [1, 2],
    );
  });
});
