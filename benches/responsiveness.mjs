// Measures how a page fares while models compute in workers: its longest task and frame, the rates of a pool, the cost of the way
// through a worker, the start, and the memory that `dispose` gives back. No page has isolation headers.
//
//   node benches/responsiveness.mjs [--rounds 15] [--json FILE]
//
// Contestants take turns in one Chromium, each in a page of its own; ratios are medians of the rounds' ratios.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { memoryOfPages } from '../tests/browser/memory.mjs';
import { DATA } from '../tests/data.mjs';
import { createHub } from '../tests/hub/hub.mjs';
import { launch, markdown, median, openPage, serve } from './browser.mjs';
import { readSentences } from './inputs.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, json: { type: 'string' } },
});
const rounds = Number(options.rounds);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..');
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const CLIP = path.join(root, 'target/models/clip-vit-b32');
const ONNX = process.env.PILOTLIGHT_ONNX_Q8 ?? path.join(here, 'onnx/minilm-quint8.onnx');
if (!existsSync(ONNX)) {
  console.error(`There is no ${ONNX}, which the peer needs: \`make bench-onnx\` makes it, or set PILOTLIGHT_ONNX_Q8.`);
  process.exit(1);
}
const PHOTOS = path.join(DATA, 'photos');
const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
const hub = createHub({
  prefix: '/hub',
  models: {
    [MODEL]: MINILM,
    'bench/clip': CLIP,
    'bench/onnx': {
      ...Object.fromEntries(names.map((name) => [name, readFileSync(path.join(MINILM, name))])),
      'onnx/model_quantized.onnx': readFileSync(ONNX),
    },
  },
});
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/peers/': path.join(here, 'node_modules'),
    '/photos/': PHOTOS,
    '/hub/': (request, response) => hub.handle(request, response),
  },
  '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>',
  { isolated: false },
);
const host = `${server.origin}/hub`;
const text = (worker, workers) => ({
  module: 'pilotlight',
  options: { dtype: 'q8', model: MODEL, host, worker, workers },
});
const PEER = { module: 'transformers', options: { threads: 1, dtype: 'q8', model: 'bench/onnx', host: `${host}/` } };
const image = (workers) => ({
  module: 'clip-pilotlight',
  options: { dtype: 'q8', host, towers: ['image'], worker: true, workers },
});

const sentences = readSentences(path.join(DATA, 'sts/stsb-en-test.csv')).slice(0, 256);
const whole = [{ texts: sentences }];
// The peer pads a batch to its longest text: batches of 32 are quicker there than one of 256.
const batches = Array.from({ length: 8 }, (_, batch) => ({ texts: sentences.slice(batch * 32, batch * 32 + 32) }));

const browser = await launch();
const open = (context, hash = '') => openPage(context, `${server.origin}/${hash}`);
const load = (page, { module, options }) =>
  page.evaluate(([module, options]) => window.bench.load(module, options), [module, options]);
const keep = (page, name, inputs) => page.evaluate(([name, inputs]) => window.bench.keep(name, inputs), [name, inputs]);

/** Runs `work` and returns its result, and the longest task of the page's main thread meanwhile, in milliseconds. */
async function traced(page, work) {
  await browser.startTracing(page, { categories: ['__metadata', 'toplevel', 'disabled-by-default-devtools.timeline'] });
  const result = await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const frames = traceEvents.flatMap(({ name, args }) => (name === 'TracingStartedInBrowser' ? args.data.frames : []));
  const pid = frames.find(({ url }) => url.startsWith(server.origin))?.processId;
  const main = traceEvents.find((event) => event.pid === pid && event.args?.name === 'CrRendererMain')?.tid;
  const tasks = traceEvents.filter((event) => event.pid === pid && event.tid === main && event.name === 'RunTask');
  if (!pid || tasks.length === 0) throw new Error('the trace has no tasks of the page');
  return { result, longest: Math.max(...tasks.map(({ dur = 0 }) => dur)) / 1000 };
}

/** The longest time between two frames while a case runs, or while a contestant loads, in milliseconds. */
const longestFrame = (page, method, name) =>
  page.evaluate(
    async ([method, name]) => {
      let [last, longest, over] = [performance.now(), 0, false];
      const tick = (now) => {
        longest = Math.max(longest, now - last);
        last = now;
        if (!over) requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
      await (name ? window.bench.time(method, name, 1) : window.bench.load(method.module, method.options));
      over = true;
      // A thread that is blocked shows no frame at all.
      return Math.max(longest, performance.now() - last);
    },
    [method, name],
  );

async function mainThread() {
  const CONTESTANTS = {
    'pilotlight, one worker': [text(true, 1), whole],
    'pilotlight, `worker: false`': [text(false), whole],
    'transformers.js': [PEER, batches],
  };
  const seen = Object.fromEntries(Object.keys(CONTESTANTS).map((name) => [name, []]));
  for (let round = 0; round < Math.max(3, Math.ceil(rounds / 3)); round += 1) {
    for (const [name, [contestant, inputs]] of Object.entries(CONTESTANTS)) {
      const page = await open(await browser.newContext());
      await keep(page, 'list', inputs);
      const loading = await traced(page, () => longestFrame(page, contestant));
      const embedding = await traced(page, () => longestFrame(page, 'embed', 'list'));
      seen[name].push({ loading, embedding });
      await page.context().close();
    }
  }
  return Object.entries(seen).map(([name, runs]) => ({
    'while a model works': name,
    'longest task while it loads, ms': median(runs.map(({ loading }) => loading.longest)),
    'longest frame, ms': median(runs.map(({ loading }) => loading.result)),
    'longest task while 256 sentences are embedded, ms': median(runs.map(({ embedding }) => embedding.longest)),
    'longest frame then, ms': median(runs.map(({ embedding }) => embedding.result)),
    'worst of all runs, ms': Math.max(
      ...runs.flatMap(({ loading, embedding }) => [loading.longest, embedding.longest]),
    ),
  }));
}

/** Times of contestants that take turns. Each is a list of `[load, inputs, method]`, which run at once, in pages of their own. */
async function inTurn(contestants) {
  const contexts = [];
  const runs = {};
  for (const [name, parts] of Object.entries(contestants)) {
    runs[name] = [];
    for (const [contestant, inputs, method, repeats = 1] of parts) {
      const context = await browser.newContext();
      contexts.push(context);
      const page = await open(context);
      await load(page, contestant);
      await keep(page, 'case', inputs);
      const run = (count) =>
        page.evaluate(([method, count]) => window.bench.time(method, 'case', count), [method, count]);
      for (let i = 0; i < 3; i += 1) await run(1);
      runs[name].push(() => run(repeats));
    }
  }
  const times = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  const order = Object.entries(runs);
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, parts] of round % 2 ? order.toReversed() : order)
      times[name].push(Math.max(...(await Promise.all(parts.map((run) => run())))));
  }
  for (const context of contexts) await context.close();
  return times;
}
/** Two pages share nothing but the machine: what they reach at once bounds a pool. */
const halves = (list) => [list.filter((_, i) => i % 2 === 0), list.filter((_, i) => i % 2 === 1)];
const ratio = (slow, quick) => median(slow.map((time, round) => time / quick[round]));

async function pools() {
  const one = text(true, 1);
  const list = await inTurn({
    pool: [[text(true, 2), whole, 'embed']],
    one: [[one, whole, 'embed']],
    apart: halves(sentences).map((texts) => [one, [{ texts }], 'embed']),
    peer: [[PEER, batches, 'embed']],
  });
  const rows = [
    { what: '256 sentences, pool of 2 against transformers.js q8', ratio: ratio(list.peer, list.pool), asked: 4.5 },
    { what: '256 sentences, pool of 2 against one worker', ratio: ratio(list.one, list.pool), asked: 1.8 },
    { what: '128 sentences in each of two pages at once, against one worker', ratio: ratio(list.one, list.apart) },
  ];
  if (existsSync(path.join(CLIP, 'model.safetensors')) && existsSync(PHOTOS)) {
    const files = readdirSync(PHOTOS)
      .filter((file) => file.endsWith('.jpg'))
      .slice(0, 8);
    const photos = await inTurn({
      pool: [[image(2), [{ files }], 'images']],
      one: [[image(1), [{ files }], 'images']],
      apart: halves(files).map((files) => [image(1), [{ files }], 'images']),
    });
    rows.push(
      {
        what: '8 photos, ViT-B/32, pool of 2 against one worker',
        ratio: ratio(photos.one, photos.pool),
        asked: 1.8,
      },
      { what: '4 photos in each of two pages at once, against one worker', ratio: ratio(photos.one, photos.apart) },
    );
  } else console.error('SKIPPED: there are no photos or no CLIP to embed them with');
  return rows;
}

async function latency() {
  const inputs = sentences.slice(0, 16).map((text) => ({ texts: [text] }));
  const times = await inTurn({
    worker: [[text(true, 1), inputs, 'embed', 4]],
    page: [[text(false), inputs, 'embed', 4]],
  });
  const more = median(times.worker.map((time, round) => (time - times.page[round]) / inputs.length));
  return {
    what: 'one sentence: ms more through a worker',
    ms: more,
    'ms on the page': median(times.page) / inputs.length,
    'at most': 0.4,
  };
}

async function start() {
  const STARTERS = { worker: text('auto'), page: text(false) };
  const seen = { worker: [], page: [] };
  const code = {};
  const contexts = {};
  for (const name of Object.keys(STARTERS)) contexts[name] = await browser.newContext();
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, starter] of Object.entries(STARTERS)) {
      server.takeSent();
      const hash = `#${encodeURIComponent(JSON.stringify({ ...starter, text: sentences[0] }))}`;
      const page = await open(contexts[name], hash);
      const time = await page.evaluate(() => window.started);
      if (round >= 0) seen[name].push(time);
      else
        code[name] = server
          .takeSent()
          .filter((file) => file.includes('pilotlight') && !file.startsWith(path.join(here, 'contestants')))
          .reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
      await page.close();
    }
  }
  for (const context of Object.values(contexts)) await context.close();
  return [
    {
      what: 'page open to first embedding, later visits: ms more with a worker',
      ms: median(seen.worker.map((time, round) => time - seen.page[round])),
      'ms on the page': median(seen.page),
      'at most': 30,
    },
    { what: 'code that only a worker fetches, gzip, bytes', ms: code.worker - code.page },
  ];
}

async function memory() {
  const rows = [];
  for (const [name, worker] of [
    ['in a worker', true],
    ['`worker: false`', false],
  ]) {
    const more = [];
    for (let round = 0; round < 3; round += 1) {
      const page = await open(await browser.newContext());
      await page.evaluate(() => import('/package/web.js'));
      await sleep(1000);
      const before = await memoryOfPages(browser);
      await page.evaluate(
        async ({ model, host, worker, sentences }) => {
          const { TextEmbedder } = await import('/package/web.js');
          const embedder = await TextEmbedder.load(model, { host, worker, workers: 1 });
          await embedder.embed(sentences);
          embedder.dispose();
        },
        { model: MODEL, host, worker, sentences },
      );
      await sleep(5000);
      more.push(((await memoryOfPages(browser)) - before) / 1e6);
      await page.context().close();
    }
    rows.push({
      what: `memory of the page's process 5 s after \`dispose\` above that before \`load\`, ${name}`,
      MB: median(more),
      'at most': worker ? 15 : undefined,
    });
  }
  return rows;
}

const machine = `${os.cpus()[0].model.trim()}${/avx_vnni/.test(readFileSync('/proc/cpuinfo', 'utf8')) ? ' with AVX-VNNI' : ''}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${rounds} rounds`;
const tables = {
  mainThread: await mainThread(),
  pools: await pools(),
  latency: [await latency()],
  start: await start(),
  memory: await memory(),
};
await browser.close();
server.close();
console.log([machine, ...Object.values(tables).map(markdown)].join('\n\n'));
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, ...tables }, null, 2)}\n`);
}
