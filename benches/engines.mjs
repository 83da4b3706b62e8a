// Measures this package beside transformers.js in Chromium, Firefox and WebKitGTK, each with its default options, on pages without isolation headers.
//
//   node benches/engines.mjs [--rounds 9] [--json FILE]
//   ENGINES=WebKit node benches/engines.mjs   in one of them
//
// Every contestant has a page and a profile of its own. A round runs each case once in every page, and a ratio is the median of the
// rounds' ratios, as in peers.mjs. puppeteer-core needs Node 22 or later.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DATA } from '../tests/data.mjs';
import { launchChromium, launchFirefox } from '../tests/engines/puppeteer.mjs';
import { launchWebKit } from '../tests/engines/webkit.mjs';
import { createHub } from '../tests/hub/hub.mjs';
import { markdown, median, serve } from './browser.mjs';
import { readInputs } from './inputs.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'string' } },
});
const rounds = Number(options.rounds);
const visits = Math.ceil(rounds / 2);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');

const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const ONNX = process.env.PILOTLIGHT_ONNX_Q8 ?? path.join(here, 'onnx/minilm-quint8.onnx');
if (!existsSync(ONNX)) {
  console.error(`There is no ${ONNX}, which transformers.js needs: \`make bench-onnx\` makes it.`);
  process.exit(1);
}

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const onnxFiles = ['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((name) => [
  name,
  readFileSync(path.join(MINILM, name)),
]);
const hub = createHub({
  prefix: '/hub',
  models: {
    [MODEL]: MINILM,
    'bench/onnx': { ...Object.fromEntries(onnxFiles), 'onnx/model_quantized.onnx': readFileSync(ONNX) },
  },
});
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/peers/': path.join(here, 'node_modules'),
    '/hub/': hub.handle,
  },
  '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>',
  { isolated: false },
);
const host = `${server.origin}/hub`;

const PEER = 'transformers.js';
const CONTESTANTS = {
  ours: { module: 'pilotlight', options: { dtype: 'q8', model: MODEL, host, worker: 'auto' } },
  'ours, worker: false': { module: 'pilotlight', options: { dtype: 'q8', model: MODEL, host, worker: false } },
  [PEER]: { module: 'transformers', options: { dtype: 'q8', model: 'bench/onnx', host: `${host}/` } },
};
const NAMES = Object.keys(CONTESTANTS);

const inputs = readInputs(MINILM, path.join(DATA, 'sts/stsb-en-test.csv'));
const CASES = { 'one sentence': inputs.sentence, 'a batch of 32 sentences': inputs['256 sentences'].slice(0, 2) };

/** Measures each case once per round in every page; returns the milliseconds of a call by case and contestant. */
async function speed(browser) {
  const visitors = [];
  const tabs = {};
  const backends = {};
  for (const name of NAMES) {
    const visitor = await browser.visitor();
    visitors.push(visitor);
    const tab = await openPage(visitor);
    tabs[name] = tab;
    await tab.call(({ module, options }) => window.bench.load(module, options), CONTESTANTS[name]);
    for (const entry of Object.entries(CASES))
      await tab.call(([name, inputs]) => window.bench.keep(name, inputs), entry);
    backends[name] = await tab.call(() => window.bench.backend());
  }
  const times = {};
  for (const [what, { length }] of Object.entries(CASES)) {
    const time = (name, repeats) => tabs[name].call((args) => window.bench.time(...args), ['embed', what, repeats]);
    const repeats = {};
    for (const name of NAMES) {
      // Engines compile hot code in the background, so that each case first runs for two seconds.
      await time(name, Math.ceil(2000 / (await time(name, 1))));
      repeats[name] = Math.max(1, Math.round(200 / (await time(name, 1))));
    }
    times[what] = Object.fromEntries(NAMES.map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1)
      for (const name of round % 2 ? NAMES.toReversed() : NAMES)
        times[what][name].push((await time(name, repeats[name])) / length);
  }
  for (const visitor of visitors) await visitor.close();
  return { times, backends };
}

/** Measures first and later visits, each in a new page. */
async function start(browser) {
  const LOADS = ['loading, first visit', 'loading, later visit'];
  const OPEN = 'page open to first embedding, later visit';
  const times = Object.fromEntries(
    [...LOADS, OPEN].map((what) => [what, Object.fromEntries(NAMES.map((name) => [name, []]))]),
  );
  for (let round = 0; round < visits; round += 1)
    for (const name of round % 2 ? NAMES.toReversed() : NAMES) {
      const visitor = await browser.visitor();
      const asked = { ...CONTESTANTS[name], text: inputs.sentence[0].texts[0] };
      for (const what of LOADS) {
        const tab = await openPage(visitor, `#${encodeURIComponent(JSON.stringify(asked))}`);
        const [opened, loaded] = await tab.call(async () => [await window.started, window.bench.loaded]);
        times[what][name].push(loaded);
        if (what !== LOADS[0]) times[OPEN][name].push(opened);
        await tab.close();
      }
      await visitor.close();
    }
  return times;
}

async function openPage(visitor, hash = '') {
  const tab = await visitor.tab();
  await tab.open(`${server.origin}/${hash}`);
  await tab.call(async () => {
    while (!window.bench) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  return tab;
}

/** Launches an engine; `close` also closes the visitors that an error left open, each of which may be processes of its own. */
async function launch(engine) {
  const browser = await ENGINES[engine]();
  const open = new Set();
  return {
    version: browser.version,
    async visitor() {
      const visitor = await browser.visitor();
      open.add(visitor);
      const close = () => open.delete(visitor) && visitor.close();
      return { ...visitor, close };
    },
    async close() {
      for (const visitor of open) await visitor.close();
      await browser.close();
    },
  };
}

const ENGINES = { Chromium: launchChromium, Firefox: launchFirefox, WebKit: launchWebKit };
const chosen = process.env.ENGINES?.split(',') ?? Object.keys(ENGINES);
if (options.json && chosen.length < Object.keys(ENGINES).length) {
  console.error('--json writes the results of all engines: leave out ENGINES.');
  process.exit(1);
}
const result = { processor: os.cpus()[0].model.trim(), cores: os.cpus().length, rounds, visits, engines: {}, rows: [] };
for (const engine of chosen) {
  const browser = await launch(engine);
  let measured;
  try {
    measured = await speed(browser);
    Object.assign(measured.times, await start(browser));
  } finally {
    await browser.close();
  }
  const { times, backends } = measured;
  result.engines[engine] = { version: browser.version, backends };
  for (const [what, byName] of Object.entries(times))
    for (const name of NAMES.filter((name) => name !== PEER))
      result.rows.push({
        engine,
        what,
        who: name,
        ms: median(byName[name]),
        [`${PEER}, ms`]: median(byName[PEER]),
        ratio: median(byName[name].map((time, round) => byName[PEER][round] / time)),
      });
}
server.close();

const versions = Object.entries(result.engines).map(
  ([engine, { version, backends }]) =>
    `${engine} ${version}\n${Object.entries(backends)
      .map(([name, backend]) => `  ${name}: ${backend}`)
      .join('\n')}`,
);
console.log(
  `${result.processor}, ${result.cores} cores; medians of ${rounds} rounds, of ${visits} for visits\n\n${versions.join('\n')}\n\n${markdown(result.rows)}`,
);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
}
