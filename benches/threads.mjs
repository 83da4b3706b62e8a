// Measures threads in Node: 256 sentences of the STS benchmark by one thread and by several, and one sentence in a thread and without one.
//
//   node benches/threads.mjs [--rounds 15] [--workers 2] [--json FILE]
//
// Each round times all contestants one after the other, and ratios are those of one round. The package is the one in node_modules; Deno
// and Bun run the script too.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DATA } from '../tests/data.mjs';
import { readSentences } from './inputs.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    workers: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
});
const [rounds, workers] = [Number(options.rounds), Number(options.workers)];
const root = fileURLToPath(new URL('..', import.meta.url));
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const STS = path.join(DATA, 'sts/stsb-en-test.csv');
if (!existsSync(STS) || !existsSync(path.join(MINILM, 'model.safetensors'))) {
  console.error(`SKIPPED: there is no ${STS}, or no MiniLM in ${MINILM}.`);
  process.exit(0);
}

// Deno finds no package by its name here.
const { TextEmbedder } = await import('../node_modules/pilotlight/inline.js');
const names = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'model.safetensors'];
const files = Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(path.join(MINILM, name)))]));
const sentences = readSentences(STS).slice(0, 256);

const contestants = {};
for (const [name, how] of Object.entries({
  'calling thread': { worker: false },
  'one thread': { worker: true, workers: 1 },
  [`${workers} threads`]: { worker: true, workers },
}))
  contestants[name] = await TextEmbedder.load('minilm', { files, ...how });
const which = Object.keys(contestants);
const [here, one, several] = which;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

// Further threads are there after the first lists.
const expected = (await contestants[here].embed(sentences)).data;
for (let i = 0; i < 3; i += 1) {
  for (const name of which) {
    const { data } = await contestants[name].embed(sentences);
    if (!data.every((value, at) => value === expected[at])) throw new Error(`${name} gave other vectors`);
  }
}

const load = [os.loadavg()[0]];
const lists = Object.fromEntries(which.map((name) => [name, []]));
const singles = { [here]: [], [one]: [] };
for (let round = 0; round < rounds; round += 1) {
  const order = round % 2 ? which.toReversed() : which;
  for (const name of order) lists[name].push(await timed(() => contestants[name].embed(sentences)));
  for (let i = 0; i < 20; i += 1) {
    for (const name of [here, one]) singles[name].push(await timed(() => contestants[name].embed(sentences[i])));
  }
}
load.push(os.loadavg()[0]);

const ratios = lists[one].map((ms, round) => ms / lists[several][round]);
const measured = {
  runtime: globalThis.Deno
    ? `Deno ${Deno.version.deno}`
    : process.versions.bun
      ? `Bun ${Bun.version}`
      : process.version,
  processor: os.cpus()[0]?.model,
  cores: os.availableParallelism(),
  loadAverage: load,
  rounds,
  sentences: sentences.length,
  milliseconds: Object.fromEntries(which.map((name) => [name, median(lists[name])])),
  ratio: { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) },
  oneSentence: Object.fromEntries(Object.entries(singles).map(([name, times]) => [name, median(times)])),
};
console.log(JSON.stringify(measured, null, 2));
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(measured, null, 2)}\n`);
}
