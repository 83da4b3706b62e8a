// Parts of the detector that are not public, bundled from their sources, and a decoder whose likelihoods follow from the words.
import path from 'node:path';
import { build } from 'esbuild';
import { ROOT } from './models.mjs';

/** Bundles files of `pkg-config/src/detector` that need no core. */
export async function internals(...names) {
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `export * from './${name}.js';`).join('\n'),
      resolveDir: path.join(ROOT, 'pkg-config/src/detector'),
      loader: 'ts',
    },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`);
}

/** A number in [0, 1) that follows from a text. */
function numberOf(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
}

/**
 * A decoder of which each word is a token, with the space before it, as in SmolLM2. Words that begin with "m" are easy to foresee, as those of machines are; `asked` is what it
 * was asked for.
 */
export function wordDecoder({ model } = {}) {
  const asked = [];
  const wordsOf = (text) => Array.from(text.matchAll(/ ?(\S+)/g), ({ 1: word, index }) => ({ 0: word, index }));
  return {
    asked,
    layers: 2,
    ...(model && { model }),
    likelihoods: async (texts, { signal } = {}) => {
      signal?.throwIfAborted();
      asked.push(...texts);
      return texts.map((text) => {
        const words = wordsOf(text);
        const surprise = words.map(({ 0: word }) => (word.startsWith('m') ? 0.5 : 3) + numberOf(word));
        return {
          starts: Uint32Array.from(words, ({ index }) => index),
          logProbabilities: Float32Array.from(surprise, (value) => -value),
          entropies: Float32Array.from(words, ({ 0: word }) => 2 + numberOf(`${word}e`)),
          variances: Float32Array.from(words, ({ 0: word }) => 1 + numberOf(`${word}v`)),
          ranks: Uint32Array.from(surprise, (value) => Math.ceil(value * value)),
          truncated: false,
        };
      });
    },
    hiddenStates: async (texts, { signal } = {}) => {
      signal?.throwIfAborted();
      asked.push(...texts);
      const width = 4;
      const data = new Float32Array(texts.length * width);
      for (const [row, text] of texts.entries()) {
        const words = wordsOf(text);
        const share = words.filter(({ 0: word }) => word.startsWith('m')).length / words.length;
        data.set([share, numberOf(text), numberOf(`${text}b`), 1], row * width);
      }
      return { data, dims: [texts.length, width], tokens: texts.map((text) => wordsOf(text).length) };
    },
  };
}

const SMALL = ['the', 'of', 'and', 'to', 'that', 'it', 'with', 'they', 'from', 'which'];

/** English as far as function words go; a share of the other words begins with "m". `seed` makes texts different. */
export function textOf(seed, { words = 120, machine = 0 } = {}) {
  const list = Array.from({ length: words }, (_, i) => {
    const key = `${seed}-${i}`;
    if (numberOf(`${key}s`) < 0.4) return SMALL[Math.floor(numberOf(key) * SMALL.length)];
    const letter = numberOf(`${key}m`) < machine ? 'm' : 'b';
    const word =
      letter +
      Math.floor(numberOf(key) * 1e6)
        .toString(26)
        .replace(/\d/g, 'a');
    return i % 12 === 11 ? `${word}.` : word;
  });
  return `${list.join(' ')}.`;
}

/** Texts of people and of machines, `count` of each. */
export const human = (count, options = {}) =>
  Array.from({ length: count }, (_, i) => textOf(`human ${i}`, { machine: 0.1 + 0.2 * numberOf(`h${i}`), ...options }));
export const machine = (count, options = {}) =>
  Array.from({ length: count }, (_, i) =>
    textOf(`machine ${i}`, { machine: 0.45 + 0.35 * numberOf(`g${i}`), ...options }),
  );
