// Vectors of real sentences, made by the package with the real MiniLM, and kept: it takes a minute.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextEmbedder } from 'pilotlight';
import { DATA } from '../tests/data.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
/** The files of the sentences, inside the data folder. */
export const FILES = [
  'banking77/banking77-train.csv',
  'banking77/banking77-test.csv',
  'sts/stsb-en-dev.csv',
  'sts/stsb-en-test.csv',
];
export const DIMENSIONS = 384;

/** Vectors of the sentences of banking77 and of the STS benchmark, one after the other. Throws if a file is missing. */
export async function sentenceVectors(most = Infinity) {
  const kept = path.join(root, `target/search/minilm-${most}.f32`);
  if (existsSync(kept)) return new Float32Array(new Uint8Array(readFileSync(kept)).buffer);
  const texts = [...new Set(FILES.map((file) => path.join(DATA, file)).flatMap(readTexts))].slice(0, most);
  const names = [
    'config.json',
    'tokenizer.json',
    'modules.json',
    '1_Pooling/config.json',
    'sentence_bert_config.json',
    'model.safetensors',
  ];
  const read = names
    .filter((name) => existsSync(path.join(MINILM, name)))
    .map((name) => [name, new Uint8Array(readFileSync(path.join(MINILM, name)))]);
  const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', {
    dtype: 'q8',
    files: Object.fromEntries(read),
  });
  const vectors = new Float32Array(texts.length * DIMENSIONS);
  for (let first = 0; first < texts.length; first += 256) {
    vectors.set((await embedder.embed(texts.slice(first, first + 256))).data, first * DIMENSIONS);
  }
  embedder.dispose();
  mkdirSync(path.dirname(kept), { recursive: true });
  writeFileSync(kept, new Uint8Array(vectors.buffer));
  return vectors;
}

/** `text,category` with a header, or `sentence1,sentence2,score` without; quotes as in RFC 4180. */
function readTexts(file) {
  const fields = [...readFileSync(file, 'utf8').matchAll(/("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|$)/g)];
  const rows = [[]];
  for (const [, field, end] of fields) {
    rows.at(-1).push(field.replace(/^"|"$/g, '').replaceAll('""', '"').trim());
    if (end !== ',') rows.push([]);
  }
  const texts = file.includes('banking77')
    ? rows.slice(1).map(([text]) => text)
    : rows.flatMap((row) => row.slice(0, 2));
  return texts.filter(Boolean);
}

/** Divides the vectors into rows of the index and queries, which are not in it: each `every`-th vector is a query. */
export function split(vectors, every = 60) {
  const [rows, queries] = [[], []];
  for (let i = 0; i < vectors.length / DIMENSIONS; i += 1) {
    (i % every === 0 ? queries : rows).push(vectors.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS));
  }
  return { rows, queries };
}
