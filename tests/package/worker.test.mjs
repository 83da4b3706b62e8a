// examples/cloudflare-worker in workerd, with weights from the test hub.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { golden, HUB_MODELS } from './support/models.mjs';
import { cosine } from './support/vectors.mjs';
import { startWorker } from './support/workers.mjs';

const EXAMPLE = './examples/cloudflare-worker/src/index.js';
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const { cases } = golden('minilm');

let hub;
let worker;

before(async () => {
  hub = await startHub({ models: HUB_MODELS, port: 0 });
  worker = await start(MODEL);
});

after(async () => {
  await worker?.stop();
  await hub.close();
});

const start = (model, source = `export { default } from '${EXAMPLE}';`) =>
  startWorker(source, { bindings: { MODEL: model, MODEL_HOST: hub.url } });

const post = (body) => worker.send('/', typeof body === 'string' ? body : JSON.stringify(body));

test("the first requests share one load and get PyTorch's vectors", async () => {
  const texts = cases.slice(0, 8).map(({ text }) => text);
  const responses = await Promise.all([
    post(texts),
    post(texts),
    worker.send(`/?text=${encodeURIComponent(texts[0])}`),
  ]);
  const [first, second, single] = responses.map(({ status, body }) => {
    assert.equal(status, 200, body);
    return JSON.parse(body);
  });
  assert.deepEqual(first.dims, [8, 384]);
  assert.deepEqual(
    first.tokens,
    cases.slice(0, 8).map(({ ids }) => ids.length),
  );
  for (const [i, embedding] of first.embeddings.entries()) {
    const similarity = cosine(embedding, cases[i].embedding);
    assert.ok(similarity >= 0.975, `${similarity}: ${texts[i]}`);
  }
  assert.deepEqual(second.embeddings, first.embeddings);
  assert.deepEqual(single.embeddings, [first.embeddings[0]]);
  const weights = hub.requests.filter(({ method, url }) => method === 'GET' && url.endsWith('.safetensors'));
  // Its front, then the rest of it.
  assert.deepEqual(
    weights.map(({ headers }) => headers.range),
    ['bytes=0-61439', 'bytes=61440-'],
  );
});

test('requests for /intent are classified, and what is like no example is not', async () => {
  const texts = ['could we have a table for four on Sunday', 'where can I leave my car', 'integrate x squared'];
  const { status, body } = await worker.send('/intent', JSON.stringify(texts));
  assert.equal(status, 200, body);
  const answers = JSON.parse(body);
  assert.deepEqual(
    answers.map(({ label }) => label),
    ['book a table', 'find the place', null],
  );
  assert.match(answers[1].nearest.text, /parking/);
  assert.equal((await worker.send('/intent?text=', undefined)).status, 200);
  assert.equal((await worker.send('/intent', '7')).status, 400);
});

test('a router learns in a Worker, and answers there', async (t) => {
  const other = await start(
    MODEL,
    `import { SemanticRouter, TextEmbedder } from 'pilotlight';
    const ROUTES = [
      { name: 'weather', utterances: ['will it rain', 'is it cold outside', 'do I need an umbrella', 'how hot is it', 'is it windy'] },
      { name: 'music', utterances: ['play some jazz', 'skip this song', 'turn the volume up', 'who sings this', 'play it again'] },
    ];
    let learning;
    export default {
      async fetch(request, { MODEL, MODEL_HOST }, context) {
        learning ??= TextEmbedder.load(MODEL, { host: MODEL_HOST, store: false }).then((embedder) =>
          SemanticRouter.create(embedder, ROUTES),
        );
        context.waitUntil(learning);
        return Response.json(await (await learning).route(await request.text()));
      },
    };`,
  );
  t.after(() => other.stop());
  for (const [text, route] of [
    ['should I wear a raincoat', 'weather'],
    ['play me a song by that band', 'music'],
    ['the senate passed the bill', null],
  ]) {
    const { status, body } = await other.send('/', text);
    assert.equal(status, 200, body);
    assert.equal(JSON.parse(body).name, route, body);
  }
});

for (const [what, body] of [
  ['a body that is not JSON', 'hello'],
  ['a number', 7],
  ['a list with a number', ['fine', 7]],
]) {
  test(`${what} is answered with 400 and words, and the next request works`, async () => {
    const answer = await post(body);
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).code, 'INVALID_INPUT');
    assert.equal((await post(['next'])).status, 200);
  });
}

test('a host without the model is answered with 503, and a later request tries again', async (t) => {
  const other = await start('test/nothing');
  t.after(() => other.stop());
  for (let i = 0; i < 2; i++) {
    hub.requests.length = 0;
    const { status, body } = await other.send('/?text=x');
    assert.equal(status, 503);
    assert.equal(JSON.parse(body).code, 'FETCH_FAILED');
    assert.ok(hub.requests.length > 0);
  }
});

test('after a client that left while its texts were embedded, the next request is answered', async () => {
  const texts = Array.from({ length: 256 }, (_, i) => `a text of some length that has the number ${i}`);
  await worker.leave('/', JSON.stringify(texts), 150);
  const { status, body } = await post(['next']);
  assert.equal(status, 200, body);
});

test('it is an example of 40 lines', () => {
  assert.equal(readFileSync(EXAMPLE, 'utf8').trimEnd().split('\n').length, 40);
});

test('a load that ended with its request is begun anew after a minute', async (t) => {
  // A Worker whose waitUntil is used up, and whose clock a request can put forward.
  const other = await start(
    MODEL,
    `import example from '${EXAMPLE}';
    let ahead = 0;
    const { now } = Date;
    Date.now = () => now() + ahead;
    export default {
      fetch(request, env) {
        ahead += Number(new URL(request.url).searchParams.get('ahead'));
        return example.fetch(request, env, { waitUntil() {} });
      },
    };`,
  );
  t.after(() => other.stop());
  hub.setFaults([{ file: /safetensors/, fault: 'stall', value: 1e6, times: 1, skip: 1 }]);
  t.after(() => hub.setFaults([]));
  await other.leave('/?text=first', undefined, 1000);
  const { status, body } = await other.send('/?text=second&ahead=61000');
  assert.equal(status, 200, body);
  assert.deepEqual(JSON.parse(body).dims, [1, 384]);
});
