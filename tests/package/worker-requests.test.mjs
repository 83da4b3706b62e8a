// Many requests in one isolate of workerd: long ones, and ones whose client leaves.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';
import { seededBert } from './support/seeded-bert.mjs';
import { startWorker } from './support/workers.mjs';

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
/** Texts whose embedding takes 300 ms or more, so that a client can leave meanwhile. */
const LONG = JSON.stringify(
  Array.from({ length: 32 }, (_, i) => `Sentence ${i} says that the red train runs to the sea. `.repeat(3)),
);
/** The milliseconds within which a call behind one whose client has left must be computed. */
const SOON = 15_000;

let hub;
before(async () => {
  hub = await startHub({ models: { ...HUB_MODELS, 'test/wide': seededBert({ layers: 2, dimensions: 384 }) }, port: 0 });
});
after(() => hub.close());

/** One that loads MiniLM with the first request, embeds what is posted, and answers all else at once. */
const embedding = (start = '') => `
  import { diagnose, TextEmbedder } from 'pilotlight';
  ${start}
  let embedder;
  export default {
    async fetch(request, env, context) {
      if (new URL(request.url).pathname === '/quick') return new Response('quick');
      embedder ??= TextEmbedder.load(env.MODEL, { host: env.HOST, store: false });
      context.waitUntil(embedder);
      const { dims } = await (await embedder).embed(await request.json());
      const { cpuCore } = await diagnose();
      return Response.json({ dims, memoryBytes: cpuCore.memoryBytes });
    },
  };`;

async function worker(t, source, bindings = {}) {
  const started = await startWorker(source, { bindings: { HOST: hub.url, MODEL: MINILM, ...bindings } });
  t.after(() => started.stop());
  return started;
}

async function soon(answer, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${SOON} ms`)), SOON);
  });
  const { status, body } = await Promise.race([answer, late]).finally(() => clearTimeout(timer));
  assert.equal(status, 200, body);
  return body;
}

for (const [clock, start] of [
  ['moves, as in workerd on its own', ''],
  ['stands still while a request computes, as in production', 'Date.now = () => 1e12; performance.now = () => 0;'],
]) {
  test(`a quick request is answered while a long one computes, where the clock ${clock}`, async (t) => {
    const { send } = await worker(t, embedding(start));
    await send('/', '["load"]');
    const begun = performance.now();
    let longTook = 0;
    const long = send('/', LONG).then((answer) => {
      longTook = performance.now() - begun;
      return answer;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const asked = performance.now();
    assert.equal((await send('/quick')).body, 'quick');
    const quickTook = performance.now() - asked;
    assert.equal(longTook, 0, 'the long request was answered first');
    assert.deepEqual(JSON.parse(await soon(long, 'the long request')).dims, [32, 384]);
    assert.ok(quickTook < longTook / 2, `the quick request took ${quickTook} ms of the long one's ${longTook}`);
  });
}

test('a client that leaves while its texts are embedded does not hold up the next one, nor its memory', async (t) => {
  const { send, leave } = await worker(t, embedding());
  await send('/', LONG);
  const { memoryBytes } = JSON.parse(await soon(send('/', LONG), 'the first request'));
  for (let i = 0; i < 5; i++) {
    await leave('/', LONG, 100);
    const body = await soon(send('/', LONG), `the request after ${i + 1} clients that left`);
    assert.equal(JSON.parse(body).memoryBytes, memoryBytes);
  }
});

test('clients that leave while they wait do not hold up those behind them', async (t) => {
  const { send, leave } = await worker(t, embedding());
  await send('/', '["load"]');
  const left = [leave('/', LONG, 100), leave('/', LONG, 120), leave('/', LONG, 140)];
  await new Promise((resolve) => setTimeout(resolve, 60));
  const last = [send('/', '["a"]'), send('/', '["b"]')];
  await Promise.all(left);
  for (const answer of last) assert.deepEqual(JSON.parse(await soon(answer, 'a request behind them')).dims, [1, 384]);
});

test("README's Worker: a client that leaves while the model is loaded does not stop the load that others wait for", async (t) => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const [, source] = /### In a Cloudflare Worker\n\n```js\n(.*?)```/s.exec(readme);
  hub.setFaults([{ file: /safetensors/, fault: 'drip', value: 50_000_000, times: 1, skip: 1 }]);
  t.after(() => hub.setFaults([]));
  const { send, leave } = await worker(t, source, { MODEL_HOST: hub.url });
  await leave('/', 'first', 500);
  assert.equal(JSON.parse(await soon(send('/', 'second'), 'the second client')).length, 384);
});

// The stage of a load at which its client leaves: at the small files, before the weights, in their midst.
for (const [what, fault] of [
  ['the small files', { file: 'config.json', fault: 'stall', value: 0, times: 1 }],
  ['the front of the weights', { file: /safetensors/, fault: 'stall', value: 1000, times: 1 }],
  ['the midst of the weights', { file: /safetensors/, fault: 'stall', value: 2_000_000, times: 1, skip: 1 }],
]) {
  test(`a load whose client left at ${what} does not hold up another one of the same model`, async (t) => {
    const { send, leave } = await worker(
      t,
      `import { TextEmbedder } from 'pilotlight';
      export default {
        async fetch(request, env) {
          const embedder = await TextEmbedder.load(env.MODEL, { host: env.HOST, store: 'memory' });
          const { dims } = await embedder.embed('text');
          return Response.json(dims);
        },
      };`,
      { MODEL: 'test/wide' },
    );
    hub.setFaults([fault]);
    t.after(() => hub.setFaults([]));
    await leave('/', undefined, 500);
    assert.deepEqual(JSON.parse(await soon(send('/'), 'the second client')), [1, 384]);
  });
}
