// SemanticRouter: routes learned from utterances, handlers, and thresholds that are kept.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SemanticRouter } from 'pilotlight';
import { mapStore } from './support/map-store.mjs';
import { startMiniLM } from './support/minilm.mjs';

const ROUTES = [
  {
    name: 'weather',
    utterances: [
      'will it rain tomorrow',
      'is it cold outside',
      'how hot will it get this weekend',
      'do I need an umbrella',
      'what is the forecast for Sunday',
      'is there snow in the mountains',
    ],
  },
  {
    name: 'music',
    utterances: [
      'play some jazz',
      'turn the song up',
      'skip this track',
      'put on my running playlist',
      'who sings this',
      'play the new album by that band',
    ],
  },
];
const FAR = 'the tax authority rejected the invoice';

let embedder;
let close;
before(async () => {
  ({ embedder, close } = await startMiniLM());
});
after(async () => {
  await close();
});

test('a text goes to its route, and what is like none goes nowhere', async () => {
  const router = await SemanticRouter.create(embedder, ROUTES);
  assert.deepEqual(router.routes, ['music', 'weather']);
  const choice = await router.route('should I take a raincoat');
  assert.equal(choice.name, 'weather');
  assert.ok(choice.probability > 0.5 && choice.margin > 0 && choice.score < choice.probability);
  assert.equal(choice.nearest.label, 'weather');
  assert.ok(!('result' in choice));
  const far = await router.route(FAR);
  assert.equal(far.name, null);
  assert.equal(far.scores.length, 2);
  router.dispose();
  await assert.rejects(router.route('rain'), { code: 'DISPOSED' });
});

test('handlers are called with the text and the choice, and what they throw is thrown', async () => {
  const calls = [];
  const [weather, music] = ROUTES;
  const router = await SemanticRouter.create(embedder, [
    { ...weather, onRoute: async (text, { name }) => `${name}: ${text}` },
    music,
  ]);
  router
    .on(null, (text) => calls.push(text))
    .on('music', () => {
      throw new TypeError('no speaker');
    });
  assert.equal((await router.route('will it rain')).result, 'weather: will it rain');
  assert.equal((await router.route(FAR)).result, 1);
  assert.deepEqual(calls, [FAR]);
  await assert.rejects(router.route('play a waltz'), { name: 'TypeError', message: 'no speaker' });
  assert.throws(() => router.on('sports', () => {}), { code: 'INVALID_INPUT', message: /sports/ });
  assert.throws(() => router.on('music', 'play'), { code: 'INVALID_INPUT', message: /handler/ });
  router.dispose();
});

test('thresholds by route are obeyed, found from examples, and kept', async () => {
  const [weather, music] = ROUTES;
  const router = await SemanticRouter.create(embedder, [{ ...weather, threshold: 1.1 }, music]);
  assert.equal((await router.route('will it rain tomorrow')).name, null);
  assert.deepEqual(router.thresholds, { weather: 1.1 });
  const examples = [
    { text: 'is a storm coming', route: 'weather' },
    { text: 'how warm is it', route: 'weather' },
    { text: 'play the radio', route: 'music' },
    { text: 'next song please', route: 'music' },
    { text: FAR, route: null },
    { text: 'what did the senate vote on', route: null },
  ];
  const { before, after } = await router.fitThresholds(examples);
  assert.ok(before < 1 && after === 1, `${before} ${after}`);
  for (const { text, route } of examples) assert.equal((await router.route(text)).name, route, text);
  const store = mapStore();
  await router.save('home', { store });
  const again = await SemanticRouter.open(embedder, 'home', { store });
  assert.deepEqual(again.thresholds, router.thresholds);
  again.on('weather', () => 'sun');
  assert.equal((await again.route('is a storm coming')).result, 'sun');
  assert.equal(await SemanticRouter.open(embedder, 'office', { store }), undefined);
  const read = await SemanticRouter.fromJSON(embedder, JSON.stringify(router));
  assert.deepEqual(read.toJSON(), router.toJSON());
  for (const one of [router, again, read]) one.dispose();
});

test('a route is added with its handler', async () => {
  const router = await SemanticRouter.create(embedder, ROUTES);
  const lights = ['switch off the lamp', 'make the room brighter', 'dim the lights'];
  await router.add([{ name: 'lights', utterances: lights, onRoute: () => 'click', threshold: 0.1 }]);
  assert.deepEqual(router.routes, ['lights', 'music', 'weather']);
  assert.equal((await router.route('turn the lamp on')).result, 'click');
  assert.deepEqual(router.thresholds, { lights: 0.1 });
  router.dispose();
});

test('routes may be named like properties that every object has', async () => {
  const [weather, music] = ROUTES;
  const router = await SemanticRouter.create(embedder, [
    { ...weather, name: '__proto__' },
    { ...music, name: 'constructor', onRoute: () => 'played' },
  ]);
  assert.equal((await router.route('play the radio')).result, 'played');
  await router.fitThresholds([
    { text: 'is a storm coming', route: '__proto__' },
    { text: 'play the radio', route: 'constructor' },
    { text: FAR, route: null },
  ]);
  assert.deepEqual(Object.keys(router.thresholds).sort(), ['__proto__', 'constructor']);
  const again = await SemanticRouter.fromJSON(embedder, JSON.stringify(router));
  assert.deepEqual(Object.entries(again.thresholds), Object.entries(router.thresholds));
  assert.equal((await again.route('is a storm coming')).name, '__proto__');
  for (const one of [router, again]) one.dispose();
});

test('too few utterances to find a threshold are said', async () => {
  const routes = ROUTES.map((route) => ({ ...route, utterances: route.utterances.slice(0, 2) }));
  const router = await SemanticRouter.create(embedder, routes);
  assert.match(router.notes.join(), /too few examples/);
  assert.notEqual((await router.route(FAR)).name, null);
  router.dispose();
});

for (const [what, routes, message] of [
  ['no list', {}, /routes: expected a list/],
  ['one route', ROUTES.slice(0, 1), /two at least/],
  ['a name that is empty', [{ name: ' ', utterances: ['a'] }], /routes\[0\]\.name/],
  ['a name twice', [ROUTES[0], ROUTES[0]], /routes\[1\]\.name.*weather/],
  ['no utterances', [{ name: 'a', utterances: [] }], /routes\[0\]\.utterances/],
  ['an utterance that is none', [ROUTES[0], { name: 'a', utterances: ['b', 5] }], /routes\[1\]\.utterances\[1\].* 5/],
  ['a handler that is none', [{ name: 'a', utterances: ['b'], onRoute: 5 }], /onRoute/],
  ['a threshold that is none', [{ name: 'a', utterances: ['b'], threshold: 'high' }], /threshold/],
  ['a threshold of NaN', [{ name: 'a', utterances: ['b'], threshold: Number.NaN }], /routes\[0\]\.threshold.* NaN/],
]) {
  test(`${what} is refused`, async () => {
    await assert.rejects(SemanticRouter.create(embedder, routes), {
      name: 'PilotlightError',
      code: 'INVALID_INPUT',
      message,
    });
  });
}

test('examples of thresholds that make no sense are refused', async () => {
  const router = await SemanticRouter.create(embedder, ROUTES);
  for (const examples of [[], [{ text: 'a', route: 'sports' }], [{ route: null }], 'a'])
    await assert.rejects(router.fitThresholds(examples), { code: 'INVALID_INPUT', message: /examples/ });
  await assert.rejects(router.fitThresholds([{ text: 'a', route: null }], null), { message: /options/ });
  await assert.rejects(router.route(['a']), { code: 'INVALID_INPUT', message: /text/ });
  router.dispose();
});
