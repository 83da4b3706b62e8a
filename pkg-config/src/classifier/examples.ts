import type { ClassifierExamples } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';
import { floatsOf } from '../inputs/foreign.js';

/** The cap on examples: their vectors of 384 values would take 0.8 GB, twice over while a head is fitted. */
const MAX_EXAMPLES = 500_000;

/** Examples in one shape: a text and a label for each, and their vectors if those were given. */
export interface Examples {
  texts: string[];
  labels: string[];
  vectors?: Float32Array;
}

/**
 * Checks examples: a list of `{ text, label }`, or `{ texts, labels }`, or `{ vectors, labels }` with `texts` where they are known.
 * @throws {PilotlightError} `INVALID_INPUT` that names the item, `RESOURCE_LIMIT`
 */
export function examplesOf(examples: ClassifierExamples): Examples {
  if (Array.isArray(examples)) {
    checkCount(examples.length);
    const list = examples as readonly { text?: unknown; label?: unknown }[];
    return {
      // `map` would skip holes.
      texts: Array.from(list, (one, i) => checkText(`examples[${i}].text`, Object(one).text)),
      labels: Array.from(list, (one, i) => checkText(`examples[${i}].label`, Object(one).label)),
    };
  }
  const { texts, labels, vectors } = Object(examples) as { texts?: unknown; labels?: unknown; vectors?: unknown };
  if (!Array.isArray(labels)) throw wrong('examples', 'a list of { text, label }, or an object with labels', examples);
  checkCount(labels.length);
  const own = Array.from(labels, (label, i) => checkText(`examples.labels[${i}]`, label));
  if (texts !== undefined && (!Array.isArray(texts) || texts.length !== labels.length))
    throw wrong('examples.texts', `a list of ${labels.length} texts, one for each label`, texts);
  if (vectors === undefined) {
    if (texts === undefined) throw wrong('examples', 'texts or vectors beside the labels', examples);
    return { texts: Array.from(texts, (text, i) => checkText(`examples.texts[${i}]`, text)), labels: own };
  }
  const floats = floatsOf(vectors);
  if (!floats) throw wrong('examples.vectors', 'a Float32Array', vectors);
  return { texts: Array.from(texts ?? own.map(() => ''), checkString), labels: own, vectors: floats };
}

function checkString(text: unknown, i: number): string {
  if (typeof text === 'string') return text;
  throw wrong(`examples.texts[${i}]`, 'a text', text);
}

function checkCount(count: number): void {
  if (count === 0) throw new PilotlightError('INVALID_INPUT', 'examples: expected one at least, got none');
  if (count > MAX_EXAMPLES)
    throw new PilotlightError('RESOURCE_LIMIT', `examples: expected ${MAX_EXAMPLES} at most, got ${count}`);
}

function checkText(name: string, text: unknown): string {
  if (typeof text === 'string' && text.trim() !== '') return text;
  throw wrong(name, 'a text that is not empty', text);
}

const wrong = (name: string, expected: string, got: unknown): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `${name}: expected ${expected}, got ${shown(got)}`);
