import { type Detection, type DetectionReason, type DetectionVerdict, PilotlightError } from 'pilotlight';
import { reasonOf } from '../engine/problem';

/** The warning that is shown with every verdict. */
export const HINT =
  'A hint for a person who knows the context, never proof. Do not use it to grade, punish, hire or accuse.';

export const VERDICTS: Record<DetectionVerdict, { title: string; words: string }> = {
  machine: {
    title: 'Reads like a machine’s text',
    words: 'It scores above the threshold that few texts by people reach. Few is not none.',
  },
  'no sign': {
    title: 'No sign of a machine',
    words: 'It scores as many texts by people do. Many texts by machines score so too.',
  },
  uncertain: { title: 'Uncertain', words: 'Nothing can be said about this text.' },
};

export const SIDES: Record<DetectionReason['side'], string> = {
  for: 'Speaks for a machine',
  against: 'Speaks against it',
  limit: 'Limits what can be said',
};

/** The sentences of one side. The hint has its place beside the verdict, so it is not said twice. */
export const reasonsOf = ({ reasons }: Detection, side: DetectionReason['side']): string[] =>
  reasons.filter((one) => one.side === side && !one.text.endsWith('punish, hire or accuse.')).map(({ text }) => text);

/** A verdict for a screen reader: the verdict, what limits it, and the hint. */
export function verdictWords(detection: Detection): string {
  const { title } = VERDICTS[detection.verdict];
  return [`${title}.`, ...reasonsOf(detection, 'limit'), HINT].join(' ');
}

/** The mark of a sentence, by the amount that it adds to the score. */
export type Mark = 'for' | 'for-much' | 'against' | 'against-much' | 'none';

/** Contributions from which a sentence is marked, and marked as one that adds much; in logarithms of odds. */
const SOME = 0.1;
const MUCH = 0.4;

export function markOf(contribution: number): Mark {
  const size = Math.abs(contribution);
  if (size < SOME) return 'none';
  const side = contribution > 0 ? 'for' : 'against';
  return size < MUCH ? side : `${side}-much`;
}

export const MARKS: Record<Mark, string> = {
  'for-much': 'speaks much for a machine',
  for: 'speaks for a machine',
  none: 'speaks neither way',
  against: 'speaks against a machine',
  'against-much': 'speaks much against a machine',
};

/** A number with its sign, the minus as wide as the plus. */
export const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;

/** A share as `4.4 %`. */
export const share = (value: number): string => `${(100 * value).toFixed(1)} %`;

/** Work that failed, in words. */
export function failureWords(error: unknown, what: string): { title: string; detail: string } {
  const memory = error instanceof PilotlightError && error.code === 'RESOURCE_LIMIT';
  return {
    title: memory ? `There is not enough memory to ${what}.` : `It could not ${what}.`,
    detail: reasonOf(error),
  };
}
