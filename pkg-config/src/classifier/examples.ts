import type { ClassifierExamples } from '../../types/index.js';
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
      texts: list.map((one, i) => checkText(`examples[${i}].text`, Object(one).text)),
      labels: list.map((one, i) => checkText(`examples[${i}].label`, Object(one).label)),
    };
  }
  const { texts, labels, vectors } = Object(examples) as { texts?: unknown; labels?: unknown; vectors?: unknown };
  if (!Array.isArray(labels)) throw wrong('examples', 'a list of { text, label }, or an object with labels', examples);
  checkCount(labels.length);
  const own = labels.map((label, i) => checkText(`examples.labels[${i}]`, label));
  if (texts !== undefined && (!Array.isArray(texts) || texts.length !== labels.length))
    throw wrong('examples.texts', `a list of ${labels.length} texts, one for each label`, texts);
  if (vectors === undefined) {
    if (texts === undefined) throw wrong('examples', 'texts or vectors beside the labels', examples);
    return { texts: (texts as unknown[]).map((text, i) => checkText(`examples.texts[${i}]`, text)), labels: own };
  }
  const floats = floatsOf(vectors);
  if (!floats) throw wrong('examples.vectors', 'a Float32Array', vectors);
  return { texts: ((texts ?? own.map(() => '')) as unknown[]).map(String), labels: own, vectors: floats };
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

function wrong(name: string, expected: string, got: unknown): PilotlightError {
  const what =
    typeof got === 'string'
      ? `'${got}'`
      : Array.isArray(got)
        ? `a list of ${got.length}`
        : got === null
          ? 'null'
          : typeof got;
  return new PilotlightError('INVALID_INPUT', `${name}: expected ${expected}, got ${what}`);
}
