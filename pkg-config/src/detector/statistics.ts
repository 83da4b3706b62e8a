/** Order statistics, and the interval of a share. */

/**
 * The score that `rate` of the texts reach: the k-th highest, with k as large as the rate allows and 1 at least. Of texts of the same
 * kind, k in n + 1 score higher.
 */
export function upperThreshold(scores: readonly number[], rate: number): { threshold: number; k: number } {
  const k = Math.max(1, Math.floor(rate * (scores.length + 1)));
  const sorted = [...scores].sort((a, b) => b - a);
  return { threshold: sorted[k - 1] ?? Number.POSITIVE_INFINITY, k };
}

/** The quantile of numbers, the nearest of them. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/**
 * The interval of 95 % of a share that was seen `count` times in `total`.
 *
 * *Source*: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934.
 */
export function shareInterval(count: number, total: number): [number, number] {
  return [
    count === 0 ? 0 : betaQuantile(0.025, count, total - count + 1),
    count === total ? 1 : betaQuantile(0.975, count + 1, total - count),
  ];
}

/** The quantile of a beta distribution, by bisection. */
export function betaQuantile(share: number, a: number, b: number): number {
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (betaShare(middle, a, b) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The regularized incomplete beta function, by the continued fraction that converges for the smaller part. */
function betaShare(x: number, a: number, b: number): number {
  if (x > (a + 1) / (a + b + 2)) return 1 - betaShare(1 - x, b, a);
  if (x <= 0) return 0;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  return front * fraction(x, a, b);
}

/** *Source*: Lentz's method for the fraction of DLMF 8.17.22. */
function fraction(x: number, a: number, b: number): number {
  const away = (value: number): number => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let [c, d] = [1, 1 / away(1 - ((a + b) * x) / (a + 1))];
  let result = d;
  for (let m = 1; m < 500; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      change = c * d;
      result *= change;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return result;
}

/** The logarithm of the gamma function for whole numbers and others from 1 on. *Source*: Stirling's series, DLMF 5.11.1. */
function logGamma(x: number): number {
  // The series has all digits from 10 on.
  let [at, product] = [x, 1];
  for (; at < 10; at += 1) product *= at;
  const inverse = 1 / (at * at);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / at;
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}
