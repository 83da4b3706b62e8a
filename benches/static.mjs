// Measures a static embedding in Chromium: texts a second, of 20 words each, on one thread.
//
//   node benches/static.mjs [--rounds 15] [--json FILE]
//
// The table has the shape of model2vec's: a row of 256 values for each of MiniLM's 30,522 pieces of words. Its values are made up: time
// does not depend on them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
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
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const STS = path.join(DATA, 'sts/stsb-en-test.csv');
const [ROWS, COLUMNS, WORDS, TEXTS] = [30522, 256, 20, 1024];
if (!existsSync(STS)) {
  console.error(`SKIPPED: there is no ${STS}, from whose words the texts are made.`);
  process.exit(0);
}

/** A safetensors file with one table, of numbers from -1 to 1. */
function seededTable() {
  const header = { embeddings: { dtype: 'F32', shape: [ROWS, COLUMNS], data_offsets: [0, ROWS * COLUMNS * 4] } };
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const values = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.imul(i + 1, 2654435761) / 2 ** 31);
  return Buffer.concat([length, json, Buffer.from(values.buffer)]);
}

const hub = createHub({
  prefix: '/hub',
  models: {
    'bench/static': {
      'config.json': JSON.stringify({ model_type: 'model2vec', normalize: true, hidden_dim: COLUMNS }),
      'tokenizer.json': readFileSync(path.join(MINILM, 'tokenizer.json')),
      'model.safetensors': seededTable(),
    },
  },
});
const server = await serve(
  {
    '/page.js': path.join(here, 'page.js'),
    '/contestants/': path.join(here, 'contestants'),
    '/package/': path.join(root, 'node_modules/pilotlight'),
    '/hub/': (request, response) => hub.handle(request, response),
  },
  '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>',
);

// Sentences with their capital letters and punctuation, one after the other, cut every 20 words.
const words = readSentences(STS).join(' ').split(/\s+/);
const texts = (accents) =>
  Array.from({ length: TEXTS }, (_, i) => {
    const text = words.slice(i * WORDS, (i + 1) * WORDS).join(' ');
    return accents ? `${text} é` : text;
  });
const LISTS = {
  [`ASCII, ${TEXTS} texts at once`]: [texts(false)],
  'ASCII, one text at a time': texts(false)
    .slice(0, 256)
    .map((text) => [text]),
  [`one letter with an accent in each, ${TEXTS} at once`]: [texts(true)],
};
const CASES = ['relaxed', 'simd'].flatMap((core) => ['q8', 'f32'].map((dtype) => ({ core, dtype })));

const browser = await launch();
const pages = [];
for (const options of CASES) {
  const page = await openPage(await browser.newContext(), server.origin);
  const host = `${server.origin}/hub`;
  await page.evaluate((options) => window.bench.load('static-pilotlight', options), { ...options, host });
  for (const [name, lists] of Object.entries(LISTS)) {
    await page.evaluate(([name, lists]) => window.bench.keep(name, lists), [name, lists]);
    for (let i = 0; i < 5; i += 1) await page.evaluate((name) => window.bench.time('embed', name, 1), name);
  }
  pages.push(page);
}
const key = (index, name) => `${index} ${name}`;
const times = Object.fromEntries(pages.flatMap((_, index) => Object.keys(LISTS).map((name) => [key(index, name), []])));
for (let round = 0; round < rounds; round += 1) {
  for (const [index, page] of pages.entries()) {
    for (const name of Object.keys(LISTS)) {
      const ms = await page.evaluate((name) => window.bench.time('embed', name, 1), name);
      times[key(index, name)].push(ms);
    }
  }
}
const tokens = await pages[0].evaluate((texts) => window.bench.call('tokens', texts), texts(false));
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; texts of ${WORDS} words, ${(tokens.reduce((sum, n) => sum + n, 0) / TEXTS).toFixed(1)} tokens; medians of ${rounds} rounds`;
await browser.close();
server.close();

const rows = Object.entries(LISTS).flatMap(([name, lists]) =>
  CASES.map(({ core, dtype }, index) => {
    const ms = times[key(index, name)];
    const perSecond = (ms) => Math.round((lists.flat().length / ms) * 1000);
    return { case: name, core, dtype, 'texts a second': perSecond(median(ms)), best: perSecond(Math.min(...ms)) };
  }),
);
console.log(`${machine}\n\n${markdown(rows)}\n`);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
