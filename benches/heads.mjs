// Measures TextClassifier on banking77 with real MiniLM vectors: accuracy, calibration, refusals and time.
//
//   node benches/heads.mjs [--json FILE] [--heads logistic,prototype,knn]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TextClassifier, TextEmbedder } from 'pilotlight';
import { DATA } from '../tests/data.mjs';

const { values: options } = parseArgs({
  options: { json: { type: 'string' }, heads: { type: 'string', default: 'logistic,rbf-svm' } },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
const NAME = 'sentence-transformers/all-MiniLM-L6-v2';
const SEEDS = 5;

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

async function loadEmbedder(dtype) {
  const names = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'sentence_bert_config.json'];
  const files = Object.fromEntries(
    [...names, 'model.safetensors']
      .filter((name) => existsSync(path.join(MINILM, name)))
      .map((name) => [name, new Uint8Array(readFileSync(path.join(MINILM, name)))]),
  );
  return TextEmbedder.load(NAME, { dtype, files, store: false });
}

/** The figures that are averaged over seeds. */
const FIGURES = ['accuracy', 'macroF1', 'calibrationError', 'refusedAt5', 'seconds', 'perText'];

/** Vectors of texts, made once and kept. */
async function vectorsOf(embedder, dtype, name, texts) {
  const kept = path.join(root, `target/heads/${name}-${dtype}.f32`);
  if (existsSync(kept)) return new Float32Array(new Uint8Array(readFileSync(kept)).buffer);
  const vectors = new Float32Array(texts.length * 384);
  for (let first = 0; first < texts.length; first += 256)
    vectors.set((await embedder.embed(texts.slice(first, first + 256))).data, first * 384);
  mkdirSync(path.dirname(kept), { recursive: true });
  writeFileSync(kept, new Uint8Array(vectors.buffer));
  return vectors;
}

/** A generator of numbers from 0 to 1 (xorshift). */
function random(seed) {
  let state = seed + 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Indices of `each` examples of every label. */
function pick(rows, each, seed) {
  const next = random(seed);
  const order = [...rows.keys()];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(next() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  const counts = new Map();
  return order.filter((i) => {
    const { label } = rows[i];
    const count = counts.get(label) ?? 0;
    counts.set(label, count + 1);
    return count < each;
  });
}

const take = (vectors, indices) => {
  const all = new Float32Array(indices.length * 384);
  for (const [at, i] of indices.entries()) all.set(vectors.subarray(i * 384, (i + 1) * 384), at * 384);
  return all;
};

const [train, test] = [readCsv('banking77-train.csv'), readCsv('banking77-test.csv')];
const results = [];
const say = (row) => {
  results.push(row);
  console.log(JSON.stringify(row));
};

for (const dtype of ['q8', 'f32']) {
  const embedder = await loadEmbedder(dtype);
  const vectors = await vectorsOf(
    embedder,
    dtype,
    'train',
    train.map(({ text }) => text),
  );
  const tests = {
    vectors: await vectorsOf(
      embedder,
      dtype,
      'test',
      test.map(({ text }) => text),
    ),
    labels: test.map(({ label }) => label),
  };
  /** Fits to examples and evaluates on the test set; times in seconds, and in milliseconds for one text. */
  async function measure(name, indices, fit) {
    const examples = {
      vectors: take(vectors, indices),
      labels: indices.map((i) => train[i].label),
      texts: indices.map((i) => train[i].text),
    };
    const start = performance.now();
    const classifier = await TextClassifier.fit(embedder, examples, fit);
    const seconds = (performance.now() - start) / 1000;
    const { accuracy, macroF1, calibrationError, coverage } = await classifier.evaluate(tests);
    const at5 = coverage.find(({ rate }) => rate === 0.05);
    const single = performance.now();
    for (let i = 0; i < 20; i += 1) await classifier.classify(test[i].text);
    const perText = (performance.now() - single) / 20;
    classifier.dispose();
    return { name, dtype, accuracy, macroF1, calibrationError, refusedAt5: at5 && 1 - at5.coverage, seconds, perText };
  }
  const all = train.map((_, i) => i);
  for (const head of options.heads.split(','))
    if (dtype === 'f32' || head === 'logistic') say(await measure(`${head}, all`, all, { head, labelText: false }));
  for (const each of [10, 5, 1]) {
    const rows = [];
    for (let seed = 0; seed < SEEDS; seed += 1)
      rows.push(await measure(`logistic, ${each} per label`, pick(train, each, seed), {}));
    const mean = (field) => rows.reduce((sum, row) => sum + (row[field] ?? 0), 0) / rows.length;
    say({ ...rows[0], ...Object.fromEntries(FIGURES.map((field) => [field, mean(field)])) });
  }
  embedder.dispose();
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
