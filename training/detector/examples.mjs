/** The texts with their statistics, as the head sees them. */
import { cachedDecoder, upTo } from './cache.mjs';

/** Texts with fewer words say nothing. */
const MIN_WORDS = 10;

/** The lengths to which texts are cut for the fit, in words, so that the head knows short texts too. */
export const CUTS = [40, 80, 160];

/**
 * Adds `features` to rows. Rows of the machine-text sets are cut to a window, and have `cuts` too: the statistics of shorter parts, whose
 * likelihoods are the first ones of the window, because a decoder only looks back. With `isPartial`, texts that were not read yet are left out.
 */
export async function examples(
  rows,
  known,
  isPartial,
  { normalize, readLikelihoods, featuresOf, windowsOf, WINDOW_WORDS },
) {
  const decoder = cachedDecoder(known, windowTexts(rows, { normalize, windowsOf, WINDOW_WORDS }));
  const list = [];
  for (const row of rows) {
    if (row.words < MIN_WORDS) continue;
    const isBias = row.set === 'bias';
    const { text } = normalize(isBias ? row.text : firstWords(row.text, WINDOW_WORDS));
    if (isPartial && !windowsOf(text).windows.every(({ start, end }) => decoder.has(text.slice(start, end)))) continue;
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

/** All windows of all texts, each once. Texts that train are cut to one window; others are read as the detector reads them. */
export function windowTexts(rows, { normalize, windowsOf, WINDOW_WORDS }) {
  const texts = new Set();
  for (const { set, text } of rows) {
    const plain = normalize(set === 'bias' ? text : firstWords(text, WINDOW_WORDS)).text;
    for (const { start, end } of windowsOf(plain).windows) texts.add(plain.slice(start, end));
  }
  return [...texts];
}
