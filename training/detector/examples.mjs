/** The texts with their statistics, as the head sees them. */
import { cachedDecoder } from './cache.mjs';

/** Texts with fewer words say nothing. */
const MIN_WORDS = 10;

/** The lengths to which texts are cut for the fit, in words, so that the head knows short texts too. */
export const CUTS = [40, 80, 160];

/**
 * Adds `features` to rows. Rows of the machine-text sets are cut to a window, and have `cuts` too: the statistics of shorter parts, whose
 * likelihoods are the first ones of the window, because a decoder only looks back.
 */
export async function examples(rows, known, { normalize, readLikelihoods, featuresOf, windowsOf, WINDOW_WORDS }) {
  const decoder = cachedDecoder(known);
  const list = [];
  for (const row of rows) {
    if (row.words < MIN_WORDS) continue;
    const isBias = row.set === 'bias';
    const { text } = normalize(isBias ? row.text : firstWords(row.text, WINDOW_WORDS));
    const [reading] = await readLikelihoods(decoder, [text], {});
    if (!reading.features) continue;
    const example = { ...row, plain: text, tokens: reading.tokens, features: reading.features };
    if (!isBias) {
      const [{ start, end }] = windowsOf(text).windows;
      const [likelihoods] = await decoder.likelihoods([text.slice(start, end)]);
      example.cuts = CUTS.filter((words) => words < row.words).map((words) =>
        featuresOf(upTo(likelihoods, normalize(firstWords(text, words)).text.length)),
      );
      if (row.words <= Math.max(...CUTS)) example.cuts.push(reading.features);
    }
    list.push(example);
  }
  return list;
}

const firstWords = (text, count) => text.split(' ').slice(0, count).join(' ');

/** The likelihoods of the tokens that begin before an index. */
function upTo({ starts, logProbabilities, entropies, variances, ranks }, end) {
  const count = starts.filter((start) => start < end).length;
  return {
    logProbabilities: logProbabilities.subarray(0, count),
    entropies: entropies.subarray(0, count),
    variances: variances.subarray(0, count),
    ranks: ranks.subarray(0, count),
  };
}
