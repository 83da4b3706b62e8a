// The banking77 requests with their vectors by the real MiniLM, and the committed lists of which of them are drawn.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextEmbedder } from 'pilotlight';
import { DATA } from '../tests/data.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const NAME = 'sentence-transformers/all-MiniLM-L6-v2';
export const DIMENSIONS = 384;

const lists = JSON.parse(readFileSync(new URL('few-shot/banking77.json', import.meta.url), 'utf8'));
/** For each of five runs, the 10 labels that are held out. */
export const HELD_OUT = lists.heldOut;

/** `text,category` with a header; quotes as in RFC 4180. */
function readCsv(file) {
  const records = readFileSync(path.join(DATA, 'banking77', file), 'utf8').matchAll(
    /^(?:"((?:[^"]|"")*)"|([^,\r\n]*)),([^\r\n]*)\r?$/gm,
  );
  const rows = Array.from(records, ([, quoted, plain, label]) => ({
    text: (quoted?.replaceAll('""', '"') ?? plain).trim(),
    label,
  }));
  return rows.slice(1);
}

/** Sentences about other things: the first of each pair of the STS benchmark's test set, without repetitions. */
function readSentences() {
  const lines = readFileSync(path.join(DATA, 'sts/stsb-en-test.csv'), 'utf8').trim().split(/\r?\n/);
  const first = lines.map((line) => {
    const [, quoted, plain] = line.match(/^(?:"((?:[^"]|"")*)"|([^,]*)),/);
    return quoted?.replaceAll('""', '"') ?? plain;
  });
  return [...new Set(first)].map((text) => ({ text }));
}

/** Rows of texts, with labels where they have some. */
export const rows = {
  train: readCsv('banking77-train.csv'),
  test: readCsv('banking77-test.csv'),
  sts: readSentences(),
};

/** The training rows of each of the five draws, the first `each` of every label. */
export const draws = (each) =>
  lists.draws.map((draw) => {
    const counts = new Map();
    return draw.filter((i) => {
      const { label } = rows.train[i];
      const count = counts.get(label) ?? 0;
      counts.set(label, count + 1);
      return count < each;
    });
  });

export async function loadEmbedder(dtype) {
  const names = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'sentence_bert_config.json'];
  const files = Object.fromEntries(
    [...names, 'model.safetensors']
      .filter((name) => existsSync(path.join(MINILM, name)))
      .map((name) => [name, new Uint8Array(readFileSync(path.join(MINILM, name)))]),
  );
  return TextEmbedder.load(NAME, { dtype, files, store: false });
}

/** Vectors of the texts of rows, made once and kept. */
export async function vectorsOf(embedder, dtype, name) {
  const texts = rows[name].map(({ text }) => text);
  const kept = path.join(root, `target/heads/${name}-${dtype}.f32`);
  if (existsSync(kept)) return new Float32Array(new Uint8Array(readFileSync(kept)).buffer);
  const vectors = new Float32Array(texts.length * DIMENSIONS);
  for (let first = 0; first < texts.length; first += 256)
    vectors.set((await embedder.embed(texts.slice(first, first + 256))).data, first * DIMENSIONS);
  mkdirSync(path.dirname(kept), { recursive: true });
  writeFileSync(kept, new Uint8Array(vectors.buffer));
  return vectors;
}

/** The rows of vectors with these indices. */
export function take(vectors, indices) {
  const taken = new Float32Array(indices.length * DIMENSIONS);
  for (const [at, i] of indices.entries())
    taken.set(vectors.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS), at * DIMENSIONS);
  return taken;
}
