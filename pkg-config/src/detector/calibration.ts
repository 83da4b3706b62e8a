import type { Calibration } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { Thresholds } from './head.js';
import { quantileOf, shareInterval, upperThreshold } from './statistics.js';

/** The least texts that a threshold can be taken from. */
export const MIN_TEXTS = 50;

/** The texts from which on a share of 1 % can be spoken of: with fewer, not two of them lie above such a threshold. */
const TEXTS_FOR_ONE_PERCENT = 200;

/** The share of false alarms that a threshold is to have, and of human texts that are to be `no sign`. */
export const RATES = { machine: 0.01, sign: 0.05 };

/** The share of the texts of the user's kind that the gate may keep out. */
const OUTSIDE = 0.02;

/** What the gate and the thresholds are after a calibration. */
export interface Calibrated {
  thresholds: Thresholds;
  /** The distance up to which texts are like these; `undefined` where distances are not known. */
  gate?: number;
  report: Calibration;
}

/**
 * Takes the thresholds from the scores of human texts of the user's own kind. `given` is the number of texts that were handed in, of
 * which some may have been too short or not English.
 * @throws {PilotlightError} `INVALID_INPUT` where they are fewer than `MIN_TEXTS`
 */
export function calibrated(
  scores: readonly number[],
  distances: readonly number[],
  given: number,
  rate: number = RATES.machine,
): Calibrated {
  const count = scores.length;
  if (count < MIN_TEXTS) {
    const got = count === given ? `${count}` : `${count} of ${given}`;
    throw new PilotlightError(
      'INVALID_INPUT',
      `humanTexts: expected ${MIN_TEXTS} English texts of 100 tokens at least, got ${got}`,
    );
  }
  const { threshold: machine, k } = upperThreshold(scores, rate);
  const { threshold: sign } = upperThreshold(scores, Math.max(rate, RATES.sign));
  const expected = k / (count + 1);
  const interval = shareInterval(k, count);
  return {
    thresholds: { machine, sign },
    ...(distances.length > 0 && { gate: quantileOf(distances, 1 - OUTSIDE) }),
    report: {
      texts: count,
      threshold: machine,
      falseAlarms: expected,
      interval,
      sentence: sentenceOf(count, k, interval),
    },
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function sentenceOf(count: number, k: number, [low, high]: readonly [number, number]): string {
  const share = percent(k / (count + 1));
  const place = k === 1 ? 'the highest score' : `score number ${k} from the top`;
  const sentence = `The threshold is ${place} of your ${count} texts: about ${share} of human texts of this kind will be called machine, between ${percent(low)} and ${percent(high)} with 95 % confidence.`;
  return count < TEXTS_FOR_ONE_PERCENT
    ? `${sentence} ${TEXTS_FOR_ONE_PERCENT} texts are needed to speak of 1 %.`
    : sentence;
}
