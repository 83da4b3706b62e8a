import { checkObject, shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';
import { FEATURES } from './features.js';

/** The model whose likelihoods a head takes, by the bytes of its file. */
export interface HeadModel {
  repository: string;
  file: string;
  commit: string;
  sha256: string;
}

/** The thresholds of the verdicts: the scores that 1 % and 5 % of the held-out human texts reached. */
export interface Thresholds {
  machine: number;
  sign: number;
}

/** A linear head on the statistics of likelihoods. Its score is the logarithm of the odds, calibrated on held-out texts. */
export interface LinearHead {
  version: string;
  /** The last day of the data that it was fitted to. */
  date?: string;
  model?: HeadModel;
  features: readonly string[];
  mean: readonly number[];
  scale: readonly number[];
  weights: readonly number[];
  intercept: number;
  thresholds: Thresholds;
  /** The change of each statistic, in standard deviations, as the score rises by 1. */
  slopes: readonly number[];
  /** The lowest and the highest score of the texts of the fit, without the intercept. */
  span: readonly [number, number];
  /** The largest distance from the texts of the fit at which a text is like them. */
  gate: number;
}

/** The part of a head that `distanceOf` needs. */
export type Surroundings = Pick<LinearHead, 'mean' | 'scale' | 'weights' | 'slopes' | 'span'>;

/** The statistics as the head sees them: in standard deviations from the mean of the texts of the fit. */
export const standardized = ({ mean, scale }: Pick<LinearHead, 'mean' | 'scale'>, values: Float64Array): Float64Array =>
  values.map((value, i) => (value - (mean[i] ?? 0)) / (scale[i] || 1));

/** The score of statistics. */
export function scoreOf(head: LinearHead, features: Float64Array): number {
  return standardized(head, features).reduce((sum, z, i) => sum + z * (head.weights[i] ?? 0), head.intercept);
}

/** The probability of a score. */
export const probabilityOf = (score: number): number => 1 / (1 + Math.exp(-score));

/**
 * Computes how far statistics are from those of the texts of the fit, apart from what their score explains: the root of the mean square of the rest, in
 * standard deviations. A text is not distant because it is clearly a machine's; but no score explains more than those of the texts of the fit, so
 * that a text which a model has memorized is distant.
 */
export function distanceOf(head: Surroundings, features: Float64Array): number {
  const z = standardized(head, features);
  const [low, high] = head.span;
  const score = z.reduce((sum, value, i) => sum + value * (head.weights[i] ?? 0), 0);
  const explained = Math.min(Math.max(score, low), high);
  const squares = z.reduce((sum, value, i) => sum + (value - (head.slopes[i] ?? 0) * explained) ** 2, 0);
  return Math.sqrt(squares / features.length);
}

/** Computes that part of a head from the statistics of the texts of the fit. */
export function surroundingsOf(
  { mean, scale, weights }: Pick<LinearHead, 'mean' | 'scale' | 'weights'>,
  rows: readonly ArrayLike<number>[],
): Surroundings {
  const all = rows.map((row) => standardized({ mean, scale }, Float64Array.from(row)));
  const scores = all.map((z) => z.reduce((sum, value, i) => sum + value * (weights[i] ?? 0), 0));
  const square = scores.reduce((sum, score) => sum + score * score, 0) || 1;
  const slopes = weights.map((_, i) => all.reduce((sum, z, row) => sum + (z[i] ?? 0) * (scores[row] ?? 0), 0) / square);
  const span = scores.reduce<[number, number]>(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [0, 0]);
  return { mean, scale, weights, slopes, span };
}

/** The aspects of a text that are explained to people, each with the statistics that measure it. */
export const ASPECTS = {
  foreseen: ['logp', 'logrank', 'top1', 'top10', 'p10', 'p90', 'lrr', 'med'],
  expected: ['entropy', 'fast'],
  even: ['sd_logp', 'acf1', 'sd_win'],
} as const;

export type Aspect = keyof typeof ASPECTS;

/** Returns the amount that each aspect adds to the score. */
export function aspectsOf(head: LinearHead, features: Float64Array): Record<Aspect, number> {
  const z = standardized(head, features);
  const sum = (names: readonly string[]): number =>
    FEATURES.reduce((total, name, i) => total + (names.includes(name) ? (z[i] ?? 0) * (head.weights[i] ?? 0) : 0), 0);
  return { foreseen: sum(ASPECTS.foreseen), expected: sum(ASPECTS.expected), even: sum(ASPECTS.even) };
}

const LISTS = ['mean', 'scale', 'weights', 'slopes'] as const;

/**
 * Checks a head that came as JSON.
 * @throws {PilotlightError} `INVALID_INPUT`, naming the invalid part
 */
export function checkHead(value: unknown): LinearHead {
  const head = checkObject('head', value) as Partial<LinearHead>;
  if (typeof head.version !== 'string') throw wrong('version', 'a text', head.version);
  const { features } = head;
  if (!Array.isArray(features) || features.join() !== FEATURES.join())
    throw wrong('features', FEATURES.join(', '), features);
  for (const name of LISTS) {
    const list: unknown = head[name];
    if (!Array.isArray(list) || list.length !== FEATURES.length || !list.every(Number.isFinite))
      throw wrong(name, `${FEATURES.length} numbers`, list);
  }
  const zero = head.scale?.findIndex((scale) => !(scale > 0)) ?? -1;
  if (zero >= 0) throw wrong(`scale[${zero}]`, 'a number above 0', head.scale?.[zero]);
  if (!Number.isFinite(head.intercept)) throw wrong('intercept', 'a number', head.intercept);
  checkThresholds(head.thresholds);
  const { span } = head as { span: unknown };
  if (!Array.isArray(span) || span.length !== 2 || !span.every(Number.isFinite) || span[0] > span[1])
    throw wrong('span', 'two ascending numbers', span);
  if (!((head.gate ?? 0) > 0)) throw wrong('gate', 'a number above 0', head.gate);
  return head as LinearHead;
}

/** @throws {PilotlightError} `INVALID_INPUT` where they are not two ascending numbers */
export function checkThresholds(value: unknown): Thresholds {
  const { machine, sign } = checkObject('head: thresholds', value) as Partial<Thresholds>;
  if (!Number.isFinite(machine)) throw wrong('thresholds.machine', 'a number', machine);
  if (!Number.isFinite(sign) || Number(sign) > Number(machine))
    throw wrong('thresholds.sign', `a number up to ${machine}`, sign);
  return { machine: Number(machine), sign: Number(sign) };
}

const wrong = (name: string, expected: string, got: unknown): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `head: ${name}: expected ${expected}, got ${shown(got)}`);
