//! Support vector machines with a kernel, as libsvm has them: a function for each pair of classes.

use pilotlight_kernels::exact::dot;

use super::math::{exp, sigmoid, tanh};
use super::model::first_largest;
use crate::error::{Error, Result};

/// The least probability of a pair; the largest is 1 minus this. *Source*: libsvm, `svm_predict_probability`.
const MIN_PROBABILITY: f64 = 1e-7;
/// The largest degree of a polynomial kernel.
const MAX_DEGREE: u32 = 100;

/// A support vector machine. *Shapes*: `k` classes, `s` support vectors, which are grouped by class.
#[derive(Clone, Debug, PartialEq)]
pub struct Svc {
    /// The kernel.
    pub kernel: Kernel,
    /// The support vectors, `[s, d]`.
    pub vectors: Vec<Vec<f64>>,
    /// The number of support vectors of each class, `[k]`.
    pub counts: Vec<usize>,
    /// The dual coefficients, `[k - 1, s]`: row `j - 1` belongs to the class with index `j` for vectors of classes before it, and
    /// row `i` to the class `i` for vectors of classes behind it.
    pub dual: Vec<Vec<f64>>,
    /// The constant to subtract for each pair `(0, 1), (0, 2), …, (1, 2), …`.
    pub rho: Vec<f64>,
    /// The slope and the offset of the sigmoid of each pair, if the machine has probabilities.
    pub sigmoids: Option<Vec<[f64; 2]>>,
    /// Whether decision values are those of the pairs, for more than two classes.
    pub pairwise: bool,
}

/// The similarity of two vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// `x · v`
    Linear,
    /// `exp(-γ |x - v|²)`
    Rbf {
        /// γ
        gamma: f64,
    },
    /// `(γ x · v + c)ᵈ`
    Poly {
        /// γ
        gamma: f64,
        /// c
        constant: f64,
        /// d
        degree: u32,
    },
    /// `tanh(γ x · v + c)`
    Sigmoid {
        /// γ
        gamma: f64,
        /// c
        constant: f64,
    },
}

impl Kernel {
    /// Checks the parameters.
    ///
    /// *Errors*: `InvalidInput`.
    pub(super) fn check(&self) -> Result<()> {
        let parameters = match *self {
            Self::Linear => [0.0; 2],
            Self::Rbf { gamma } => [gamma, 0.0],
            Self::Poly {
                gamma, constant, ..
            }
            | Self::Sigmoid { gamma, constant } => [gamma, constant],
        };
        let degree = match self {
            Self::Poly { degree, .. } => *degree,
            _ => 1,
        };
        if parameters.iter().all(|value| value.is_finite()) && degree <= MAX_DEGREE {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "head: the kernel is {self:?}, expected finite numbers and a degree of {MAX_DEGREE} at most"
        )))
    }

    fn value(&self, x: &[f64], v: &[f64], x_squared: f64) -> f64 {
        let product = dot(x, v);
        match *self {
            Self::Linear => product,
            Self::Rbf { gamma } => exp(-gamma * (x_squared + dot(v, v) - 2.0 * product).max(0.0)),
            Self::Poly {
                gamma,
                constant,
                degree,
            } => {
                let base = gamma * product + constant;
                (0..degree).fold(1.0, |power, _| power * base)
            }
            Self::Sigmoid { gamma, constant } => tanh(gamma * product + constant),
        }
    }
}

impl Svc {
    /// The value of each pair `(i, j)` with `i < j`: above 0 it is a vote for `i`.
    fn pair_values(&self, x: &[f64]) -> Vec<f64> {
        let x_squared = dot(x, x);
        let kernel: Vec<f64> = self
            .vectors
            .iter()
            .map(|v| self.kernel.value(x, v, x_squared))
            .collect();
        let mut starts = vec![0];
        for count in &self.counts {
            starts.push(starts.last().copied().unwrap_or_default() + count);
        }
        let part = |row: usize, class: usize| {
            let range = starts[class]..starts[class + 1];
            dot(&self.dual[row][range.clone()], &kernel[range])
        };
        let pairs = pairs(self.counts.len()).zip(&self.rho);
        pairs
            .map(|((i, j), rho)| part(j - 1, i) + part(i, j) - rho)
            .collect()
    }

    /// The decision values, as scikit-learn's `decision_function` returns them.
    pub(super) fn decisions(&self, x: &[f64]) -> Vec<f64> {
        let values = self.pair_values(x);
        let count = self.counts.len();
        if count == 2 {
            return values.iter().map(|value| -value).collect();
        }
        if self.pairwise {
            return values;
        }
        let (mut votes, mut sums) = (vec![0.0; count], vec![0.0; count]);
        for ((i, j), value) in pairs(count).zip(values) {
            sums[i] += value;
            sums[j] -= value;
            votes[if value >= 0.0 { i } else { j }] += 1.0;
        }
        // The sums only order classes with as many votes.
        let both = votes.into_iter().zip(sums);
        both.map(|(votes, sum): (f64, f64)| votes + sum / (3.0 * (sum.abs() + 1.0)))
            .collect()
    }

    /// The class with the most votes of pairs.
    pub(super) fn predict(&self, x: &[f64]) -> usize {
        let count = self.counts.len();
        let mut votes = vec![0.0; count];
        for ((i, j), value) in pairs(count).zip(self.pair_values(x)) {
            votes[if value > 0.0 { i } else { j }] += 1.0;
        }
        first_largest(&votes)
    }

    /// The probability of each class, coupled from those of the pairs; `None` without sigmoids.
    pub(super) fn probabilities(&self, x: &[f64]) -> Option<Vec<f64>> {
        let sigmoids = self.sigmoids.as_ref()?;
        let count = self.counts.len();
        let mut r = vec![vec![0.0; count]; count];
        for (((i, j), value), [slope, offset]) in
            pairs(count).zip(self.pair_values(x)).zip(sigmoids)
        {
            let p =
                sigmoid(-(value * slope + offset)).clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
            r[i][j] = p;
            r[j][i] = 1.0 - p;
        }
        Some(couple(&r))
    }
}

/// The pairs of classes `(i, j)` with `i < j`, in libsvm's order.
pub(super) fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i + 1..count).map(move |j| (i, j)))
}

/// Computes the probabilities of classes from those of pairs.
///
/// *Source*: Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling", 2004, second method, with
/// libsvm's rule to stop.
fn couple(r: &[Vec<f64>]) -> Vec<f64> {
    let k = r.len();
    let mut q = vec![vec![0.0; k]; k];
    for t in 0..k {
        for j in (0..k).filter(|j| *j != t) {
            q[t][t] += r[j][t] * r[j][t];
            q[t][j] = -r[j][t] * r[t][j];
        }
    }
    let mut p = vec![1.0 / k as f64; k];
    for _ in 0..k.max(100) {
        let mut qp: Vec<f64> = q
            .iter()
            .map(|row| row.iter().zip(&p).map(|(q, p)| q * p).sum())
            .collect();
        let mut pqp: f64 = p.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        let error = qp
            .iter()
            .fold(0.0f64, |largest, qp| largest.max((qp - pqp).abs()));
        if error < 0.005 / k as f64 {
            break;
        }
        for t in 0..k {
            let change = (pqp - qp[t]) / q[t][t];
            let scale = 1.0 + change;
            p[t] += change;
            pqp = (pqp + change * (change * q[t][t] + 2.0 * qp[t])) / scale / scale;
            for (qp, q) in qp.iter_mut().zip(&q[t]) {
                *qp = (*qp + change * q) / scale;
            }
            p.iter_mut().for_each(|p| *p /= scale);
        }
    }
    p
}
