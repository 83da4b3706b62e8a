// The STS benchmark: how well cosines rank like people do, on every build, and how near the builds' vectors are to each other.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { DATA, skipWithout } from '../data.mjs';
import { cosine, embedInPage, FIGURES, launch, startBench } from './harness.mjs';

const PAIRS = 'sts/stsb-en-test.csv';
const skip = skipWithout(PAIRS);
/** The dtypes that are not the default one are measured by `make figures`. */
const skipFigure = skip || (!FIGURES && 'only in `make figures`');
const pairs = skip ? [] : readPairs(await readFile(path.join(DATA, PAIRS), 'utf8'));

/** `sentence1,sentence2,score` without a header; quotes as in RFC 4180. */
function readPairs(csv) {
  return csv
    .trim()
    .split(/\r?\n/)
    .map((line) => {
      const fields = [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
        .slice(0, 3)
        .map(([, field]) => field.replace(/^"|"$/g, '').replaceAll('""', '"'));
      return { texts: fields.slice(0, 2), score: Number(fields[2]) };
    });
}

/** Ranks from 0, equal values share the mean of theirs. */
function ranks(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranked = new Array(values.length);
  for (let start = 0, end; start < order.length; start = end) {
    for (end = start; end < order.length && values[order[end]] === values[order[start]]; ) end++;
    for (let i = start; i < end; i++) ranked[order[i]] = (start + end - 1) / 2;
  }
  return ranked;
}

/** Pearson's correlation of the ranks. */
function spearman(a, b) {
  const centred = (values) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  return cosine(centred(ranks(a)), centred(ranks(b)));
}

let browser;
let bench;
before(async () => {
  if (skip) return;
  browser = await launch();
  bench = await startBench();
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/** Vectors by sentence. */
async function embedAll(wasm, dtype) {
  const texts = [...new Set(pairs.flatMap((pair) => pair.texts))];
  const page = await browser.newPage();
  await page.goto(bench.url);
  const { vectors, error } = await embedInPage(page, { wasm, options: { device: 'cpu', dtype }, texts });
  await page.close();
  assert.equal(error, undefined, JSON.stringify(error));
  return new Map(texts.map((text, i) => [text, vectors[i]]));
}

function score(vectors) {
  const cosines = pairs.map(({ texts: [a, b] }) => cosine(vectors.get(a), vectors.get(b)));
  return spearman(
    cosines,
    pairs.map((pair) => pair.score),
  );
}

test('f32 ranks the STS benchmark as the model card says', { skip: skipFigure }, async (t) => {
  assert.equal(pairs.length, 1379);
  const rho = score(await embedAll('relaxed', 'f32'));
  t.diagnostic(`Spearman ${rho.toFixed(4)}`);
  assert.ok(rho >= 0.82, `Spearman ${rho}`);
});

test('q8 ranks nearly as well on both builds, whose vectors of any sentence have a cosine of at least 0.99', {
  skip,
}, async (t) => {
  const simd = await embedAll('simd', 'q8');
  const relaxed = await embedAll('relaxed', 'q8');
  for (const [build, vectors] of Object.entries({ simd, relaxed })) {
    const rho = score(vectors);
    t.diagnostic(`${build}: Spearman ${rho.toFixed(4)}`);
    assert.ok(rho >= 0.815, `${build}: Spearman ${rho}`);
  }
  const between = [...simd].map(([text, vector]) => cosine(vector, relaxed.get(text)));
  const least = Math.min(...between);
  t.diagnostic(`least cosine of ${between.length} sentences between the builds ${least.toFixed(5)}`);
  assert.ok(least >= 0.99, `least cosine ${least}`);
});

test('q4 still ranks', { skip: skipFigure }, async (t) => {
  const rho = score(await embedAll('relaxed', 'q4'));
  t.diagnostic(`Spearman ${rho.toFixed(4)}`);
  // Weights of 4 bits alone, with f32 activations, were measured at 0.819.
  assert.ok(rho >= 0.81, `Spearman ${rho}`);
});
