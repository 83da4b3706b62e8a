import type { ClassifierJson, Embedder, EmbedderIdentity } from '../../types/index.js';
import { checkObject, shown } from '../calls/check.js';
import { identityOf } from '../core/core-of.js';
import { PilotlightError } from '../error.js';

export const FORMAT = 'pilotlight-classifier';
export const VERSION = 1;

/** Two builds, or two dtypes, of one model give vectors of a cosine of 0.97 and more; two models about 0. */
const SAME = 0.9;

/** Checks the parts of a document that the package itself reads; the core checks the rest. */
export function parse(json: string | object): ClassifierJson {
  let saved: Partial<ClassifierJson>;
  try {
    saved = typeof json === 'string' ? JSON.parse(json) : (checkObject('json', json) as Partial<ClassifierJson>);
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    throw wrong(`is not valid: ${(error as Error).message}`, error);
  }
  if (saved?.format !== FORMAT) throw wrong(`format is ${shown(saved?.format)}, expected '${FORMAT}'`);
  if (saved.version !== VERSION) throw wrong(`version is ${shown(saved.version)}, expected ${VERSION}`);
  const { labels, texts = [], labelTexts = [], examples, embedder } = saved;
  const strings = (list: unknown): boolean => Array.isArray(list) && list.every((one) => typeof one === 'string');
  if (!strings(labels) || new Set(labels).size !== labels?.length) throw wrong('labels are not distinct strings');
  if (!strings(texts)) throw wrong('texts are not strings');
  if (!labelTexts?.every?.((one) => one === 0 || one === 1)) throw wrong('labelTexts are not 0 and 1');
  if (embedder !== undefined) checkIdentity(checkObject('json: embedder', embedder) as EmbedderIdentity);
  const classes: unknown = Object(examples).classes ?? [];
  if (!Array.isArray(classes)) throw wrong('examples.classes is not an array');
  for (const [name, list] of Object.entries({ texts, labelTexts })) {
    if (!Array.isArray(list) || (list.length !== 0 && list.length !== classes.length))
      throw wrong(`${name} has another length than the examples`);
  }
  return saved as ClassifierJson;
}

/** Checks the parts that are compared with the given embedder, or passed to it. */
function checkIdentity(embedder: EmbedderIdentity): void {
  for (const name of ['model', 'commit', 'dtype', 'simd', 'prompt'] as const)
    if (embedder[name] !== undefined && typeof embedder[name] !== 'string')
      throw wrong(`embedder.${name} is ${shown(embedder[name])}, expected a text`);
  if (embedder.layers !== undefined && !Number.isInteger(embedder.layers))
    throw wrong(`embedder.layers is ${shown(embedder.layers)}, expected a whole number`);
}

const wrong = (what: string, cause?: unknown): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `json: ${what}`, cause);

/** The differences that change vectors only a little, so that the classifier can still be used. */
const DETAILS = ['commit', 'dtype', 'simd'] as const;

/**
 * Refuses an embedder of another model or a request for another prompt, and returns sentences on what else is different.
 * @throws {PilotlightError} `INVALID_INPUT`
 */
export function compare(embedder: Embedder, made: EmbedderIdentity | undefined, prompt: string | undefined): string[] {
  const own = identityOf(embedder);
  if (!made) return ['The JSON does not name the model whose vectors the classifier was fitted on.'];
  if (own.model !== undefined && made.model !== own.model)
    throw new PilotlightError(
      'INVALID_INPUT',
      `embedder: is of ${own.model}, expected ${made.model ?? 'one without a name'}`,
    );
  if (own.model !== undefined && made.layers !== own.layers) {
    const { layers = 'all' } = own;
    const { layers: expected = 'all' } = made;
    throw new PilotlightError('INVALID_INPUT', `embedder: has ${layers} layers of its model, expected ${expected}`);
  }
  if (prompt !== undefined && prompt !== made.prompt) {
    const expected = made.prompt === undefined ? 'none' : `'${made.prompt}'`;
    throw new PilotlightError(
      'INVALID_INPUT',
      `prompt: the classifier was fitted with ${expected}, got ${shown(prompt)}`,
    );
  }
  return DETAILS.filter(
    (field) => made[field] !== undefined && own[field] !== undefined && made[field] !== own[field],
  ).map(
    (field) =>
      `The classifier was fitted on vectors of ${field} '${made[field]}', and the embedder's are of '${own[field]}'.`,
  );
}

/**
 * Refuses an embedder that gives another vector for the text of an example than the one that was kept.
 * @throws {PilotlightError} `INVALID_INPUT`
 */
export function compareVectors(text: string, kept: Float32Array, now: Float32Array): void {
  let [dot, squares] = [0, 0];
  for (const [i, value] of kept.entries()) {
    dot += value * (now[i] ?? 0);
    squares += (now[i] ?? 0) ** 2;
  }
  const cosine = dot / Math.sqrt(squares);
  if (cosine >= SAME) return;
  throw new PilotlightError(
    'INVALID_INPUT',
    `embedder: its vector of the example '${text.slice(0, 40)}' is not the one that was kept (cosine ${cosine.toFixed(2)}), so it is another model`,
  );
}
