//! Statistics of predictions over a vocabulary whose logits are computed block by block and never stored as a whole.

use super::math::exp;
use super::simd::{F32x4, kernel, mul_add};

/// The sums over the logits `z` of one prediction, of those blocks that were added so far.
///
/// All sums are taken relative to the largest logit, so that they neither overflow nor lose their digits.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// The logit of the token that came.
    target: f32,
    /// The largest logit.
    largest: f64,
    /// Σ eᵈ, with `d = z - largest`.
    sum: f64,
    /// Σ d eᵈ
    first: f64,
    /// Σ d² eᵈ
    second: f64,
    /// The number of logits that are larger than the target's.
    above: u32,
}

/// The statistics of one prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenStatistics {
    /// The natural logarithm of the probability of the token that came.
    pub log_probability: f32,
    /// The entropy of the prediction, in nats.
    pub entropy: f32,
    /// The variance of the logarithm of the probability under the prediction.
    pub variance: f32,
    /// The rank of the token that came; 1 is the most likely.
    pub rank: u32,
}

impl Prediction {
    /// Makes the prediction of a token with this logit, of no blocks yet.
    pub fn new(target: f32) -> Self {
        Self {
            target,
            largest: f64::NEG_INFINITY,
            sum: 0.0,
            first: 0.0,
            second: 0.0,
            above: 0,
        }
    }

    /// Adds a block of logits. `target`: the place in the block of the token that came, if it is in this one.
    pub fn add(&mut self, logits: &[f32], target: Option<usize>) {
        if logits.is_empty() {
            return;
        }
        let (largest, [sum, first, second]) = block(logits);
        let next = self.largest.max(f64::from(largest));
        let own = shifted([self.sum, self.first, self.second], self.largest - next);
        let others = [sum, first, second].map(f64::from);
        let others = shifted(others, f64::from(largest) - next);
        [self.sum, self.first, self.second] = [0, 1, 2].map(|i| own[i] + others[i]);
        self.largest = next;
        let above = logits
            .iter()
            .fold(0, |count, z| count + u32::from(*z > self.target));
        // The target is not above itself, whichever way its logit was rounded.
        let itself = target
            .and_then(|at| logits.get(at))
            .is_some_and(|z| *z > self.target);
        self.above += above - u32::from(itself);
    }

    /// The statistics, when all blocks were added.
    pub fn statistics(&self) -> TokenStatistics {
        let mean = self.first / self.sum;
        let log_sum = self.sum.ln();
        TokenStatistics {
            log_probability: (f64::from(self.target) - self.largest - log_sum) as f32,
            entropy: (log_sum - mean) as f32,
            variance: (self.second / self.sum - mean * mean).max(0.0) as f32,
            rank: self.above + 1,
        }
    }
}

/// Converts sums relative to a logit to those relative to another: `by` is the first minus the second, zero or less.
fn shifted([sum, first, second]: [f64; 3], by: f64) -> [f64; 3] {
    if by == f64::NEG_INFINITY {
        return [0.0; 3];
    }
    let factor = by.exp();
    [
        sum * factor,
        (first + by * sum) * factor,
        (second + 2.0 * by * first + by * by * sum) * factor,
    ]
}

kernel! {
    /// The largest of some logits, and Σ eᵈ, Σ d eᵈ and Σ d² eᵈ relative to it.
    fn block(logits: &[f32]) -> (f32, [f32; 3]) {
        let (whole, rest) = logits.as_chunks::<4>();
        let lowest = F32x4::splat(f32::NEG_INFINITY);
        let largest = whole.iter().fold(lowest, |most, z| most.max(F32x4::load(z)));
        let largest = rest.iter().copied().fold(largest.largest(), f32::max);
        let mut sums = [F32x4::splat(0.0); 3];
        for z in whole {
            let d = F32x4::load(z).sub(F32x4::splat(largest));
            let e = exp(d);
            let de = d.mul(e);
            sums = [sums[0].add(e), sums[1].add(de), mul_add(d, de, sums[2])];
        }
        let mut sums = sums.map(F32x4::sum);
        for z in rest {
            let d = z - largest;
            let e = d.exp();
            sums = [sums[0] + e, sums[1] + d * e, sums[2] + d * d * e];
        }
        (largest, sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use wasm_bindgen_test::wasm_bindgen_test;

    /// The statistics in f64, from all logits at once.
    fn plain(logits: &[f32], target: usize) -> [f64; 4] {
        let z: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln() + largest;
        let log_p: Vec<f64> = z.iter().map(|z| z - log_sum).collect();
        let mean = log_p.iter().map(|l| l.exp() * l).sum::<f64>();
        let square = log_p
            .iter()
            .map(|l| l.exp() * (l - mean).powi(2))
            .sum::<f64>();
        let rank = z.iter().filter(|other| **other > z[target]).count() + 1;
        [log_p[target], -mean, square, rank as f64]
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn blocks_of_any_size_give_the_statistics_of_all_logits() {
        let mut random = Random::new(1);
        // Steep and flat predictions, far from zero too, where plain sums of squares would lose the variance.
        for (steepness, offset) in [(0.1, 0.0), (8.0, 0.0), (30.0, 500.0), (30.0, -500.0)] {
            for n in [1, 3, 7, 31, 33, 300] {
                let values = random.values(n);
                let logits: Vec<f32> = values.iter().map(|z| z * steepness + offset).collect();
                for size in [1, 4, 7, 64, 300] {
                    let target = (n * 2) / 3;
                    let mut prediction = Prediction::new(logits[target]);
                    for (index, block) in logits.chunks(size).enumerate() {
                        let at = target.checked_sub(index * size);
                        prediction.add(block, at.filter(|at| *at < block.len()));
                    }
                    let got = prediction.statistics();
                    let got = [
                        got.log_probability,
                        got.entropy,
                        got.variance,
                        got.rank as f32,
                    ];
                    for (got, expected) in got.into_iter().zip(plain(&logits, target)) {
                        // Logits near 500 have steps of 3e-5.
                        let tolerance =
                            1e-5 + 2e-6 * expected.abs() + f64::from(offset.abs()) * 1e-7;
                        let error = (f64::from(got) - expected).abs();
                        assert!(error < tolerance, "{n}, {size}: {got}, expected {expected}");
                    }
                }
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_target_whose_logit_was_rounded_differently_is_not_above_itself() {
        let logits = [1.0, 2.000_000_2, 0.5];
        let mut prediction = Prediction::new(2.0);
        prediction.add(&logits, Some(1));
        assert_eq!(prediction.statistics().rank, 1);
    }
}
