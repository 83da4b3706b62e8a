import type { Calibration } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { Thresholds } from './head.js';
import { quantileOf, shareInterval, upperThreshold } from './statistics.js';

/** The least texts that a threshold can be taken from. */
export const MIN_TEXTS = 50;

/** The least number of texts whose highest score is a threshold for 1 % of such texts: 1 in 99 + 1. */
export const TEXTS_FOR_ONE_PERCENT = 99;

/** The share of false alarms that a threshold is to have, and of human texts that are to be `no sign`. */
export const RATES = { machine: 0.01, sign: 0.05 };

/** The share of the texts of the user's kind that the gate may keep out. */
const OUTSIDE = 0.02;

/** The result of a calibration: the thresholds, the gate and the report for the user. */
export interface Calibrated {
  thresholds: Thresholds;
  /** The distance up to which texts are like these; `undefined` where distances are not known. */
  gate?: number;
  report: Calibration;
}

/**
 * Takes the thresholds from the scores of human texts of the user's own kind. `given` is the number of texts that were handed in, of
 * which some may have been copies, too short or not English. The threshold of `machine` is never below `floor`, the head's own.
 * @throws {PilotlightError} `INVALID_INPUT` where they are fewer than `MIN_TEXTS`
 */
export function calibrated(
  scores: readonly number[],
  distances: readonly number[],
  given: number,
  {
    rate = RATES.machine,
    floor = Number.NEGATIVE_INFINITY,
  }: { rate?: number | undefined; floor?: number | undefined } = {},
): Calibrated {
  const count = scores.length;
  if (count < MIN_TEXTS) {
    const got = count === given ? `${count}` : `${count} of ${given}`;
    throw new PilotlightError(
      'INVALID_INPUT',
      `humanTexts: expected ${MIN_TEXTS} different English texts of 100 tokens at least, got ${got}`,
    );
  }
  const { threshold, k } = upperThreshold(scores, rate);
  const machine = Math.max(threshold, floor);
  const { threshold: sign } = upperThreshold(scores, RATES.sign);
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
      sentence: sentenceOf(count, k, interval, machine > threshold),
    },
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function sentenceOf(count: number, k: number, [low, high]: readonly [number, number], isFloor: boolean): string {
  const share = percent(k / (count + 1));
  const place = k === 1 ? 'the highest score' : `score number ${k} from the top`;
  const reach = `about ${share} of human texts of this kind score as high, between ${percent(low)} and ${percent(high)} with 95 % confidence.`;
  const sentence = isFloor
    ? `The threshold stays that of the detector, which is above ${place} of your ${count} texts. Of that score, ${reach}`
    : `The threshold is ${place} of your ${count} texts: ${reach}`;
  return count < TEXTS_FOR_ONE_PERCENT
    ? `${sentence} ${TEXTS_FOR_ONE_PERCENT} texts are needed to speak of 1 %; until then no text is called machine.`
    : sentence;
}
