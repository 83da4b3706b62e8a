import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PilotlightError, TextEmbedder } from 'pilotlight';
// The very module that the package uses: the test needs a trap, and good code has none to offer.
import { coreInfo, trapped } from '../../node_modules/pilotlight/core/cpu.js';
import { startHub } from '../hub/hub.mjs';
import { filesOf, HUB_MODELS, tinyFolder } from './support/models.mjs';

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const SENTENCES = Array.from({ length: 24 }, (_, i) =>
  `Sentence ${i} says that the red train runs to the sea. `.repeat(3),
);

let hub;
let embedder;
before(async () => {
  hub = await startHub({ models: HUB_MODELS, port: 0 });
  embedder = await loadMiniLm();
});
after(() => hub.close());

const loadMiniLm = () => TextEmbedder.load(MODEL, { host: hub.url, dtype: 'q8', store: 'memory' });
const loadTiny = (options) =>
  TextEmbedder.load('test/tiny', { files: filesOf(tinyFolder('bert-tiny-mean')), store: false, ...options });

/** Waits so long that a call of `SENTENCES` is under way and far from its end. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 20));

test('calls made at once run in their order', async () => {
  const order = [];
  const calls = ['a', 'b', 'c'].map(async (text) => {
    const result = await embedder.embed(text);
    order.push(text);
    return result.data;
  });
  const together = await Promise.all(calls);
  assert.deepEqual(order, ['a', 'b', 'c']);
  assert.deepEqual(together[1], (await embedder.embed('b')).data);
});

test('a rejected call does not stop the next one', async () => {
  const bad = embedder.embed(7);
  const good = embedder.embed('fine');
  await assert.rejects(bad, { name: 'PilotlightError', code: 'INVALID_INPUT' });
  assert.deepEqual((await good).dims, [1, 384]);
});

test('a call that waits rejects at once when it is aborted, and the others go on', async () => {
  const controller = new AbortController();
  let longIsDone = false;
  const long = embedder.embed(SENTENCES).finally(() => {
    longIsDone = true;
  });
  const waiting = embedder.embed('never', { signal: controller.signal });
  const next = embedder.embed('next');
  await aMoment();
  controller.abort();
  await assert.rejects(waiting, { name: 'PilotlightError', code: 'ABORTED' });
  assert.equal(longIsDone, false);
  assert.deepEqual((await long).dims, [SENTENCES.length, 384]);
  assert.deepEqual((await next).dims, [1, 384]);
});

test('a call that runs is aborted between layers, and the embedder goes on', async () => {
  const begun = performance.now();
  await embedder.embed(SENTENCES);
  const whole = performance.now() - begun;
  const again = performance.now();
  await assert.rejects(embedder.embed(SENTENCES, { signal: AbortSignal.timeout(5) }), {
    name: 'PilotlightError',
    code: 'ABORTED',
  });
  assert.ok(performance.now() - again < whole * 0.7, 'the aborted call took as long as a whole one');
  assert.deepEqual((await embedder.embed('next')).dims, [1, 384]);
});

test('a signal that has fired already rejects both load and embed', async () => {
  const signal = AbortSignal.abort();
  await assert.rejects(embedder.embed('x', { signal }), { name: 'PilotlightError', code: 'ABORTED' });
  await assert.rejects(loadTiny({ signal }), { name: 'PilotlightError', code: 'ABORTED' });
});

test('a load is aborted while bytes arrive, and the next load works', async () => {
  const controller = new AbortController();
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  files['model.safetensors'] = new ReadableStream({ pull: () => new Promise(() => {}) });
  const load = TextEmbedder.load('test/tiny', { files, store: false, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(load, { name: 'PilotlightError', code: 'ABORTED' });
  (await loadTiny()).dispose();
});

test('the event loop turns while a long call computes', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await embedder.embed(SENTENCES);
  clearInterval(timer);
  assert.ok(turns >= 3, `${turns} timers ran`);
});

test('dispose lets earlier calls finish and refuses later ones', async () => {
  const tiny = await loadTiny();
  const earlier = tiny.embed(['one', 'two']);
  tiny.dispose();
  tiny.dispose();
  assert.deepEqual((await earlier).dims, [2, 32]);
  await assert.rejects(tiny.embed('three'), { name: 'PilotlightError', code: 'DISPOSED' });
});

test('dispose gives the memory back: loading again and again does not grow it', async () => {
  const loadAndDispose = async () => {
    const one = await loadMiniLm();
    await one.embed('text');
    one.dispose();
    await aMoment();
  };
  await loadAndDispose();
  const { memoryBytes } = coreInfo();
  for (let i = 0; i < 3; i++) await loadAndDispose();
  assert.equal(coreInfo().memoryBytes, memoryBytes);
});

test('errors are PilotlightErrors that hold a code, a message and a stack', async () => {
  const error = await embedder.embed(7).catch((thrown) => thrown);
  assert.ok(error instanceof PilotlightError && error instanceof Error);
  assert.equal(error.name, 'PilotlightError');
  assert.match(String(error), /^PilotlightError: .*text/);
});

test('TextEmbedder cannot be constructed', () => {
  assert.throws(() => new TextEmbedder(), { name: 'PilotlightError', code: 'INVALID_INPUT' });
});

// Last, for these end the instance that the tests above share.
test('an exception that flies through Rust is a trap: the call settles, the process lives, the next load works', async (t) => {
  const doomed = await loadMiniLm();
  const none = () => {
    throw new Error('no timers today');
  };
  t.mock.method(globalThis, 'MessageChannel', none);
  t.mock.method(globalThis, 'setTimeout', none);
  await assert.rejects(doomed.embed(SENTENCES), {
    name: 'PilotlightError',
    code: 'INTERNAL',
    message: /trapped; load again/,
  });
  t.mock.restoreAll();
  await assert.rejects(doomed.embed('x'), { name: 'PilotlightError', code: 'INTERNAL' });
  embedder = await loadMiniLm();
  assert.deepEqual((await embedder.embed('x')).dims, [1, 384]);
});

test('a trap rejects what runs, marks every embedder of that instance, and the next load has a new instance', async () => {
  const other = await loadTiny();
  const running = embedder.embed(SENTENCES);
  const waiting = embedder.embed('after it');
  await aMoment();
  const cause = new WebAssembly.RuntimeError('unreachable');
  trapped(cause);
  const dead = { name: 'PilotlightError', code: 'INTERNAL', message: /trapped; load again/, cause };
  await assert.rejects(running, dead);
  await assert.rejects(waiting, dead);
  await assert.rejects(other.embed('x'), dead);
  other.dispose();

  const [first, second] = await Promise.all([loadTiny(), loadTiny()]);
  assert.deepEqual((await first.embed('x')).data, (await second.embed('x')).data);
  await assert.rejects(embedder.embed('x'), dead);
  first.dispose();
  second.dispose();
});
