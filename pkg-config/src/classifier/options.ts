import type { Embedder, HeadOptions } from '../../types/index.js';
import { checkObject, shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';

/** Returns the thresholds, checked. */
export function checkThresholds(thresholds: unknown, labels: readonly string[]): Record<string, number> {
  const entries = Object.entries(checkObject('thresholds', thresholds));
  for (const [label, score] of entries) {
    if (!labels.includes(label))
      throw new PilotlightError('INVALID_INPUT', `thresholds: the classifier has no label '${label}'`);
    // JSON has no other numbers.
    if (!Number.isFinite(score))
      throw new PilotlightError('INVALID_INPUT', `thresholds: expected a number for '${label}', got ${shown(score)}`);
  }
  return Object.fromEntries(entries);
}

const HEAD_OPTIONS = ['head', 'C', 'gamma', 'k', 'tolerance', 'seed'] as const;

/** The options of the head that were given; the core checks their values. */
export const headOptions = (options: HeadOptions): HeadOptions =>
  Object.fromEntries(HEAD_OPTIONS.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]));

export function checkEmbedder(embedder: unknown): asserts embedder is Embedder {
  const { embed, dimensions } = Object(embedder);
  if (typeof embed !== 'function' || !Number.isInteger(dimensions) || dimensions < 1)
    throw new PilotlightError('INVALID_INPUT', `embedder: expected a TextEmbedder, got ${typeof embedder}`);
}

export function checkRate(unknown: unknown): asserts unknown is number {
  if (typeof unknown === 'number' && unknown >= 0 && unknown < 1) return;
  throw new PilotlightError('INVALID_INPUT', `unknown: expected a rate from 0 to below 1, got ${shown(unknown)}`);
}
