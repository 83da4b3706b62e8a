/** The texts with their statistics, as the head sees them. */
import { cachedDecoder } from './cache.mjs';

/** The least words of a text that is used. */
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
    if (!features) continue;
    // The likelihoods of a text of one window, so that it can be cut to any number of tokens.
    const likelihoods = row.set === 'bias' ? undefined : (await decoder.likelihoods([text]))[0];
    list.push({ ...row, plain: text, tokens, features, likelihoods });
  }
  return list;
}

/** An example cut to its first tokens. A decoder only looks back, so that their likelihoods are those of the whole text. */
export function shortened(example, tokens, featuresOf) {
  if (tokens >= example.tokens) return example;
  const { likelihoods } = example;
  const first = (name) => likelihoods[name].subarray(0, tokens);
  const features = featuresOf({
    logProbabilities: first('logProbabilities'),
    entropies: first('entropies'),
    variances: first('variances'),
    ranks: first('ranks'),
  });
  return { ...example, tokens, features };
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
