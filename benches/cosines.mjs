// Measures the cosines of vectors in q8 with those in f32: encoders of the true shapes, with seeded weights, on 50 sentences of the STS
// benchmark in Node.
//
//   node benches/cosines.mjs [--json FILE]
//
// Vectors of random weights have most of their values in common, whatever the text. So cosines are also taken after subtracting the mean of
// the sentences, which leaves the differences between them.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { TextEmbedder } from 'pilotlight';
import { filesOf, ROOT } from '../tests/package/support/models.mjs';
import { cosine } from '../tests/package/support/vectors.mjs';
import { readPairs } from '../tests/sts.mjs';
import { markdown } from './browser.mjs';

const { values: options } = parseArgs({ options: { json: { type: 'string' } } });
const FAMILIES = ['modernbert-base', 'xlm-roberta-base', 'nomic-bert', 'jina-v2-base'];
// The mean that is asked of every family.
const ASKED = 0.995;
const folder = (family) => path.join(ROOT, 'target/models', family);
const missing = FAMILIES.find((family) => !existsSync(path.join(folder(family), 'model.safetensors')));
if (missing) {
  console.error(`SKIPPED: there is no ${folder(missing)}. \`make bench-onnx\` makes it.`);
  process.exit(0);
}
const pairs = await readPairs();
const texts = [...new Set(pairs.flatMap((pair) => pair.texts))].slice(0, 50);

async function embed(family, dtype) {
  const embedder = await TextEmbedder.load(`bench/${family}`, { dtype, files: filesOf(folder(family)), store: false });
  const { data, dims } = await embedder.embed(texts);
  embedder.dispose();
  return texts.map((_, i) => data.slice(i * dims[1], (i + 1) * dims[1]));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const centred = (rows) => {
  const middle = Array.from(rows[0], (_, i) => mean(rows.map((row) => row[i])));
  return rows.map((row) => row.map((value, i) => value - middle[i]));
};

const rows = [];
for (const family of FAMILIES) {
  const [f32, q8] = [await embed(family, 'f32'), await embed(family, 'q8')];
  const cosines = (a, b) => a.map((row, i) => cosine(row, b[i]));
  const [plain, apart] = [cosines(f32, q8), cosines(centred(f32), centred(q8))];
  rows.push({
    family,
    'mean cosine': mean(plain),
    'least cosine': Math.min(...plain),
    asked: ASKED,
    'mean cosine without the common part': mean(apart),
    'least without it': Math.min(...apart),
  });
}
const digits = (row) =>
  Object.fromEntries(
    Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? value.toFixed(5) : value]),
  );
console.log(`${markdown(rows.map(digits))}\n`);
if (options.json) writeFileSync(options.json, `${JSON.stringify({ sentences: texts.length, rows }, null, 2)}\n`);
const low = rows.filter((row) => !(row['mean cosine'] >= ASKED));
if (low.length > 0) throw new Error(`Below ${ASKED}: ${JSON.stringify(low)}`);
