//! Calibration: turns decision values into probabilities that match the share of right predictions.

use super::math::{exp, ln, ln_1p_exp, sigmoid};

/// Turns the decision values of a head into probabilities.
#[derive(Clone, Debug, PartialEq)]
pub enum Calibrator {
    /// `1 / (1 + exp(a f + b))`, of one decision value.
    Sigmoid {
        /// The slope, which is negative where larger values mean yes.
        a: f64,
        /// The offset.
        b: f64,
    },
    /// Linear interpolation between points, constant beyond them, of one decision value.
    Isotonic {
        /// Ascending decision values, one at least.
        x: Vec<f64>,
        /// The probability at each of them.
        y: Vec<f64>,
    },
    /// `softmax(beta · decisions)`, of all decision values.
    Temperature {
        /// The inverse temperature.
        beta: f64,
    },
}

impl Calibrator {
    /// The probability of one decision value. A temperature has none: it takes all values at once.
    pub(super) fn probability(&self, decision: f64) -> f64 {
        match self {
            Self::Sigmoid { a, b } => sigmoid(-(a * decision + b)),
            Self::Isotonic { x, y } => interpolate(x, y, decision),
            Self::Temperature { beta } => sigmoid(2.0 * beta * decision),
        }
    }
}

fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let next = x.partition_point(|x| *x <= at);
    let point = |i: usize| x.get(i).copied().zip(y.get(i).copied());
    match (next.checked_sub(1).and_then(point), point(next)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) / (x1 - x0) * (at - x0),
        (Some((_, y)), None) | (None, Some((_, y))) => y,
        (None, None) => f64::NAN,
    }
}

/// Finds the inverse temperature with the least cross-entropy.
///
/// *Shapes*: `decisions: [n, k]`, `classes: [n]`, each below `k`.
/// *Source*: Guo et al., "On Calibration of Modern Neural Networks", 2017. The cross-entropy is convex in it, so that Newton's method
/// between bounds finds the one minimum; if the classes are separated without error there is none, and the bound is the result.
pub fn temperature(decisions: &[Vec<f64>], classes: &[u32]) -> Calibrator {
    let (mut low, mut high) = (1e-3f64, 1e3f64);
    let mut beta = 1.0;
    for _ in 0..100 {
        let [slope, curvature] = slope_and_curvature(decisions, classes, beta);
        if slope > 0.0 {
            high = beta;
        } else {
            low = beta;
        }
        let newton = beta - slope / curvature;
        let next = if newton > low && newton < high {
            newton
        } else {
            (low * high).sqrt()
        };
        if (next - beta).abs() <= 1e-10 * beta {
            break;
        }
        beta = next;
    }
    Calibrator::Temperature { beta }
}

/// The first and the second derivative of the cross-entropy by the inverse temperature.
fn slope_and_curvature(decisions: &[Vec<f64>], classes: &[u32], beta: f64) -> [f64; 2] {
    let mut total = [0.0; 2];
    for (decisions, class) in decisions.iter().zip(classes) {
        let largest = decisions.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let [mut sum, mut first, mut second] = [0.0; 3];
        for decision in decisions {
            let below = decision - largest;
            let weight = exp(beta * below);
            sum += weight;
            first += weight * below;
            second += weight * below * below;
        }
        let mean = first / sum;
        let own = decisions
            .get(*class as usize)
            .map_or(0.0, |own| own - largest);
        total[0] += mean - own;
        total[1] += second / sum - mean * mean;
    }
    total
}

/// Fits a sigmoid to decision values of two classes; larger values mean the second class.
///
/// *Source*: Lin, Lin and Weng, "A Note on Platt's Probabilistic Outputs for Support Vector Machines", 2007: Newton's method with
/// backtracking, and targets that keep a distance from 0 and 1.
pub fn platt(decisions: &[f64], is_second: &[bool]) -> Calibrator {
    let second = is_second.iter().filter(|yes| **yes).count() as f64;
    let first = is_second.len() as f64 - second;
    let [high, low] = [(second + 1.0) / (second + 2.0), 1.0 / (first + 2.0)];
    let points: Vec<(f64, f64)> = decisions
        .iter()
        .zip(is_second)
        .map(|(decision, yes)| (*decision, if *yes { high } else { low }))
        .collect();
    let loss = |a: f64, b: f64| -> f64 {
        let each = points
            .iter()
            .map(|(f, t)| ln_1p_exp(a * f + b) - (1.0 - t) * (a * f + b));
        each.sum()
    };
    let (mut a, mut b) = (0.0, ln((first + 1.0) / (second + 1.0)));
    let mut value = loss(a, b);
    for _ in 0..100 {
        // A little of the identity keeps the matrix of second derivatives positive.
        let [mut h11, mut h22, mut h21, mut g1, mut g2] = [1e-12, 1e-12, 0.0, 0.0, 0.0];
        for (f, t) in &points {
            let p = sigmoid(-(a * f + b));
            let d2 = p * (1.0 - p);
            h11 += f * f * d2;
            h22 += d2;
            h21 += f * d2;
            g1 += f * (t - p);
            g2 += t - p;
        }
        if g1.abs() < 1e-10 && g2.abs() < 1e-10 {
            break;
        }
        let determinant = h11 * h22 - h21 * h21;
        let da = -(h22 * g1 - h21 * g2) / determinant;
        let db = -(h11 * g2 - h21 * g1) / determinant;
        let slope = g1 * da + g2 * db;
        let mut step = 1.0;
        let better = loop {
            let next = loss(a + step * da, b + step * db);
            if next < value + 1e-4 * step * slope {
                break Some(next);
            }
            step /= 2.0;
            if step < 1e-10 {
                break None;
            }
        };
        let Some(next) = better else { break };
        (a, b, value) = (a + step * da, b + step * db, next);
    }
    Calibrator::Sigmoid { a, b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_is_constant_beyond_the_points() {
        let isotonic = Calibrator::Isotonic {
            x: vec![-1.0, 1.0, 3.0],
            y: vec![0.1, 0.3, 0.9],
        };
        for (at, expected) in [
            (-9.0, 0.1),
            (-1.0, 0.1),
            (0.0, 0.2),
            (2.0, 0.6),
            (3.0, 0.9),
            (4.0, 0.9),
        ] {
            assert!((isotonic.probability(at) - expected).abs() < 1e-15, "{at}");
        }
    }

    #[test]
    fn the_temperature_is_at_the_minimum() {
        // Three of four are right, with a difference of 1 between the decisions: then β is ln 3.
        let decisions = vec![vec![1.0, 0.0]; 4];
        let Calibrator::Temperature { beta } = temperature(&decisions, &[0, 0, 0, 1]) else {
            panic!("another calibrator")
        };
        assert!((beta - 3f64.ln()).abs() < 1e-9, "{beta}");
        let Calibrator::Temperature { beta } = temperature(&decisions, &[0, 0, 0, 0]) else {
            panic!("another calibrator")
        };
        assert!(beta > 30.0 && beta <= 1e3, "{beta}");
    }

    #[test]
    fn platt_has_the_mean_of_its_targets() {
        let decisions = [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 0.1, -0.1];
        let is_second = [false, false, true, true, true, true, false, true];
        let sigmoid = platt(&decisions, &is_second);
        let mean: f64 = decisions
            .iter()
            .map(|f| sigmoid.probability(*f))
            .sum::<f64>()
            / 8.0;
        let targets = (5.0 * 6.0 / 7.0 + 3.0 / 5.0) / 8.0;
        assert!((mean - targets).abs() < 1e-9, "{mean} {targets}");
        assert!(sigmoid.probability(2.0) > sigmoid.probability(-2.0));
    }
}
