import { readFileSync } from 'node:fs';

/**
 * The golden models, as tests/goldens/index.json lists them for every suite; the README beside it says what the fields are.
 * @type {{ name: string, task: string, weights: 'committed' | 'fetched' | 'seeded', tolerance: number, why: string }[]}
 */
const LIST = JSON.parse(readFileSync(new URL('../../goldens/index.json', import.meta.url), 'utf8'));

/** The names of a task's models whose whole repository is committed. */
function committed(task) {
  const names = LIST.filter((golden) => golden.task === task && golden.weights === 'committed').map(({ name }) => name);
  if (names.length === 0) throw new Error(`no golden of ${task} is committed`);
  return names;
}

/** Tiny sentence encoders. */
export const TINY = committed('TextEmbedder');

/** Tiny models of both towers. */
export const CLIPS = committed('ImageTextEmbedder');

/** Tiny decoders. */
export const DECODERS = committed('Decoder');
/** Tiny classifiers of whole texts. */
export const CLASSIFIERS = committed('SequenceClassifier');

/** Returns the largest difference of a value from PyTorch's: absolute for a sentence's vector, relative to the largest value for CLIP's. */
export function tolerance(name) {
  const listed = LIST.find((golden) => golden.name === name);
  if (!listed) throw new Error(`tests/goldens/index.json does not list ${name}`);
  return listed.tolerance;
}
