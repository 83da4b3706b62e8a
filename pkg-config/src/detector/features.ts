import type { Likelihoods } from '../../types/index.js';

/** The statistics of a text's likelihoods, in the order of the head's numbers. */
export const FEATURES = [
  'logp',
  'entropy',
  'logrank',
  'fast',
  'top1',
  'top10',
  'sd_logp',
  'p10',
  'p90',
  'lrr',
  'med',
  'acf1',
  'sd_win',
] as const;

export type FeatureName = (typeof FEATURES)[number];

/** The likelihoods of tokens, from which the statistics are computed. */
export type Tokens = Pick<Likelihoods, 'logProbabilities' | 'entropies' | 'variances' | 'ranks'>;

/** The number of windows over which the mean of the log-probability is followed. */
const WINDOWS = 10;

/**
 * Computes the statistics of a text with one token at least, in the order of `FEATURES`: mean log-probability, entropy and log-rank;
 * the curvature of Fast-DetectGPT; the shares of tokens of rank 1 and up to 10; standard deviation, first and last decile of the
 * log-probability; its ratio to the log-rank; its median; its correlation with that of the token before; and the deviation of its
 * means over a tenth of the text each.
 */
export function featuresOf({ logProbabilities, entropies, variances, ranks }: Tokens): Float64Array {
  const logp = Float64Array.from(logProbabilities);
  const count = logp.length;
  const mean = meanOf(logp);
  const entropy = meanOf(entropies);
  const logRank = meanOf(Float64Array.from(ranks, Math.log));
  const fast = (count * (mean + entropy)) / Math.sqrt(Math.max(sumOf(variances), 1e-9));
  const share = (most: number): number => ranks.reduce((sum, rank) => sum + Number(rank <= most), 0) / count;
  const deviation = deviationOf(logp);
  const sorted = logp.slice().sort();
  const acf1 = count > 4 && deviation > 1e-6 ? correlation(logp.subarray(0, -1), logp.subarray(1)) : 0;
  const size = Math.max(1, Math.floor(count / WINDOWS));
  const means = Array.from({ length: Math.floor(count / size) }, (_, i) =>
    meanOf(logp.subarray(i * size, (i + 1) * size)),
  );
  return Float64Array.of(
    mean,
    entropy,
    logRank,
    fast,
    share(1),
    share(10),
    deviation,
    quantile(sorted, 0.1),
    quantile(sorted, 0.9),
    -mean / Math.max(logRank, 1e-3),
    quantile(sorted, 0.5),
    acf1,
    deviationOf(means),
  );
}

type Numbers = ArrayLike<number> & Iterable<number>;

function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

const meanOf = (values: Numbers): number => sumOf(values) / values.length;

/** The standard deviation of the values themselves, not of a population that they were drawn from. */
function deviationOf(values: Numbers): number {
  const mean = meanOf(values);
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / values.length);
}

/** The quantile of sorted values, linear between them. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

/** Pearson's correlation; 0 where one of the lists is constant. */
function correlation(x: Float64Array, y: Float64Array): number {
  const [meanX, meanY] = [meanOf(x), meanOf(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, value] of x.entries()) {
    const [dx, dy] = [value - meanX, (y[i] ?? 0) - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
}
