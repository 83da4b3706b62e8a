/**
 * Reads all texts of the training with the package's decoder, and keeps their likelihoods:
 * `node training/detector/features.mjs --data DIR --model DIR [--dtype q8] [--workers 2]`. A run that was stopped is continued.
 * `--model` is a folder with the files of the model.
 */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from 'pilotlight';
import { append, digestOf, readCache } from './cache.mjs';
import { KEPT, parts } from './parts.mjs';
import { rows } from './rows.mjs';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    model: { type: 'string' },
    dtype: { type: 'string', default: 'q8' },
    workers: { type: 'string', default: '2' },
    part: { type: 'string' },
  },
});
const { data, model, dtype } = values;
if (!data || !model) throw new Error('--data DIR and --model DIR are needed');

export const cacheFolder = path.join(KEPT, `likelihoods-${dtype}`);

/** The digests of the data's files. */
const digests = JSON.parse(readFileSync(new URL('./data.json', import.meta.url), 'utf8'));

/** All windows of all texts, each once. Texts that train are cut to one window; others are read as the detector reads them. */
async function windowTexts() {
  const { normalize, windowsOf, WINDOW_WORDS } = await parts();
  const texts = new Set();
  for (const { set, text } of rows(data, digests)) {
    const read = set === 'bias' ? text : text.split(' ').slice(0, WINDOW_WORDS).join(' ');
    const plain = normalize(read).text;
    for (const { start, end } of windowsOf(plain).windows) texts.add(plain.slice(start, end));
  }
  return [...texts];
}

const MAX_TOKENS = 400;

async function readPart(part, count) {
  const known = readCache(cacheFolder);
  const all = (await windowTexts()).filter((_, i) => i % count === part);
  const missing = all.filter((text) => !known.has(digestOf(text)));
  if (missing.length === 0) return;
  const files = Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(path.join(model, name))]));
  const decoder = await Decoder.load('local/model', { files, dtype, device: 'cpu', store: false });
  const start = Date.now();
  for (const [i, text] of missing.entries()) {
    const [likelihoods] = await decoder.likelihoods([text], { maxTokens: MAX_TOKENS });
    append(path.join(cacheFolder, `${part}-of-${count}.jsonl`), text, likelihoods);
    if (i % 100 === 99)
      console.log(`part ${part}: ${i + 1} of ${missing.length}, ${Math.round((Date.now() - start) / (i + 1))} ms each`);
  }
  decoder.dispose();
}

const workers = Number(values.workers);
if (values.part !== undefined) await readPart(Number(values.part), workers);
else {
  const ended = Array.from({ length: workers }, (_, part) => {
    const child = fork(new URL(import.meta.url), [...process.argv.slice(2), '--part', String(part)]);
    return new Promise((resolve, reject) =>
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`part ${part} failed (status ${code})`)))),
    );
  });
  await Promise.all(ended);
  console.log(`likelihoods of ${readCache(cacheFolder).size} windows are in ${path.relative('.', cacheFolder)}`);
}
