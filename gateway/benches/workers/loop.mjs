// The loop of `bare.ts` in Node: reads a list of texts and a number of rounds from a file, and prints the milliseconds of each.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TextEmbedder } from 'pilotlight';

const { folder, texts, rounds } = JSON.parse(readFileSync(0, 'utf8'));
const names = [
  'config.json',
  'modules.json',
  '1_Pooling/config.json',
  'sentence_bert_config.json',
  'tokenizer_config.json',
];
const files = Object.fromEntries(
  [...names, 'tokenizer.json', 'pilotlight-lock.json', 'pilotlight-q8.safetensors'].map((name) => [
    name,
    new Uint8Array(readFileSync(join(folder, name))),
  ]),
);
const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', {
  files,
  store: false,
  device: 'cpu',
});
for (const text of texts) await embedder.embed(text);
const times = [];
for (let round = 0; round < rounds; round += 1) {
  const start = process.cpuUsage();
  for (const text of texts) await embedder.embed(text);
  const { user, system } = process.cpuUsage(start);
  times.push((user + system) / 1000);
}
console.log(JSON.stringify({ times, backend: embedder.backend }));
