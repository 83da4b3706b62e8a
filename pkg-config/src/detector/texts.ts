import type { DetectorDecoder } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';

/** Returns a list of texts, checked. */
export function checkTexts(name: string, texts: unknown): readonly string[] {
  if (!Array.isArray(texts))
    throw new PilotlightError('INVALID_INPUT', `${name}: expected a text or a list of texts, got ${shown(texts)}`);
  const other = texts.findIndex((text) => typeof text !== 'string');
  if (other >= 0)
    throw new PilotlightError('INVALID_INPUT', `${name}[${other}]: expected a text, got ${shown(texts[other])}`);
  return texts;
}

/** Returns a decoder, checked to have a member that texts can be read with. */
export function checkDecoder(decoder: unknown): DetectorDecoder {
  const { likelihoods, hiddenStates } = Object(decoder);
  if (typeof likelihoods === 'function' || typeof hiddenStates === 'function') return decoder as DetectorDecoder;
  throw new PilotlightError('INVALID_INPUT', `decoder: expected a Decoder, got ${typeof decoder}`);
}
