// The STS benchmark: pairs of sentences that people judged, and how well cosines of vectors rank them.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { DATA } from './data.mjs';
import { cosine } from './package/support/vectors.mjs';

/** The test set, inside `DATA`. */
export const PAIRS = 'sts/stsb-en-test.csv';

/** The pairs of the test set: `sentence1,sentence2,score` without a header; quotes as in RFC 4180. */
export async function readPairs() {
  const csv = await readFile(path.join(DATA, PAIRS), 'utf8');
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

/** Spearman's correlation of the cosines of these pairs with their scores, by the vector of each sentence. */
export function spearmanOf(pairs, vectors) {
  const cosines = pairs.map(({ texts: [a, b] }) => cosine(vectors.get(a), vectors.get(b)));
  return spearman(
    cosines,
    pairs.map((pair) => pair.score),
  );
}
