/** The texts with their statistics, as the head sees them. */
import { cachedDecoder } from './cache.mjs';

/** Texts with fewer words say nothing. */
const MIN_WORDS = 10;

/**
 * Adds `features` to rows. Rows of the machine-text sets are cut to one window; others are read as the detector reads them. With `isPartial`,
 * texts that were not read yet are left out.
 */
export async function examples(rows, known, isPartial, { normalize, readLikelihoods, windowsOf, WINDOW_WORDS }) {
  const decoder = cachedDecoder(known, windowTexts(rows, { normalize, windowsOf, WINDOW_WORDS }));
  const list = [];
  for (const row of rows) {
    if (row.words < MIN_WORDS) continue;
    const { text } = normalize(row.set === 'bias' ? row.text : firstWords(row.text, WINDOW_WORDS));
    if (isPartial && !windowsOf(text).windows.every(({ start, end }) => decoder.has(text.slice(start, end)))) continue;
    const [{ features, tokens }] = await readLikelihoods(decoder, [text], {});
    if (features) list.push({ ...row, plain: text, tokens, features });
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
