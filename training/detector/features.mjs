/**
 * Reads all texts of the training with the package's decoder, and keeps their likelihoods:
 * `node training/detector/features.mjs --data DIR --model DIR [--dtype q8] [--workers 2]`. A run that was stopped is continued.
 * `--model` is a folder with the files of the model: a GGUF file, or `config.json`, `tokenizer.json` and safetensors.
 * Node from 22 on has relaxed SIMD, as browsers have, and takes half of the time.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from 'pilotlight';
import { append, digestOf, longest, readCache } from './cache.mjs';
import { windowTexts } from './examples.mjs';
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

const cacheFolder = path.join(KEPT, `likelihoods-${dtype}`);

/** The digests of the data's files. */
const digests = JSON.parse(readFileSync(new URL('./data.json', import.meta.url), 'utf8'));

const MAX_TOKENS = 400;

async function readPart(part, count) {
  const known = readCache(cacheFolder);
  const whole = longest(windowTexts(rows(data, digests), await parts()));
  // In the order of digests, so that what a stopped run has read is a fair sample.
  const all = [...new Set(whole.values())].sort((a, b) => (digestOf(a) < digestOf(b) ? -1 : 1));
  const missing = all.filter((text, i) => i % count === part && !known.has(digestOf(text)));
  if (missing.length === 0) return;
  const files = Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(path.join(model, name))]));
  const decoder = await Decoder.load('local/model', { files, dtype, device: 'cpu', store: false });
  const { simd } = decoder.backend;
  mkdirSync(cacheFolder, { recursive: true });
  const backend = path.join(cacheFolder, 'backend.json');
  // Two builds give slightly different features, and the card names one.
  const before = existsSync(backend) ? JSON.parse(readFileSync(backend, 'utf8')).simd : simd;
  if (before !== simd)
    throw new Error(`${path.relative('.', cacheFolder)}: was read with ${before}, and this Node has ${simd}`);
  writeFileSync(backend, JSON.stringify({ dtype, simd }));
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
