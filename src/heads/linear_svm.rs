//! Linear support vector machines, one against the rest.

use pilotlight_kernels::exact::{add_scaled_f32, dot_f32};

use super::model::{Linear, Link};
use super::random::Random;
use super::{Fit, Labelled};
use crate::error::Result;
use crate::scheduler::Scheduler;

/// The examples between two yields: 512 of 384 values take 0.3 ms.
const BLOCK: usize = 512;

/// The options of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearSvmOptions {
    /// The weight of errors against the penalty, as scikit-learn's `C`.
    pub c: f64,
    /// The difference between the largest and the least projected derivative at which a fit ends.
    pub tolerance: f64,
    /// The most passes over the examples for a class.
    pub max_passes: usize,
    /// Determines the order in which examples are visited.
    pub seed: u64,
}

impl Default for LinearSvmOptions {
    fn default() -> Self {
        Self {
            c: 1.0,
            tolerance: 1e-4,
            max_passes: 1000,
            seed: 0,
        }
    }
}

/// Fits a head by minimizing `(|w|² + b²) / 2 + C Σ max(0, 1 - y (w x + b))²` for each class against the rest.
///
/// *Errors*: `Aborted`.
/// *Source*: Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", 2008, with its shrinking, as in liblinear.
pub async fn fit(
    examples: &Labelled<'_>,
    options: &LinearSvmOptions,
    fit: &mut Fit<'_>,
    scheduler: &dyn Scheduler,
) -> Result<Linear> {
    let positives: Vec<u32> = match examples.class_count {
        2 => vec![1],
        count => (0..count as u32).collect(),
    };
    let d = examples.dimensions;
    let squares: Vec<f64> = (0..examples.classes.len())
        .map(|i| {
            examples
                .row(i)
                .iter()
                .map(|x| f64::from(*x) * f64::from(*x))
                .sum()
        })
        .collect();
    let mut linear = Linear {
        coefficients: Vec::new(),
        intercepts: Vec::new(),
        link: Link::None,
    };
    for (done, class) in positives.iter().enumerate() {
        fit.report(done as f64 / positives.len() as f64);
        let mut weights = one_against_rest(examples, &squares, *class, options, scheduler).await?;
        linear.intercepts.push(weights.pop().unwrap_or_default());
        weights.truncate(d);
        linear.coefficients.push(weights);
    }
    Ok(linear)
}

/// Returns the weights of a class, and the intercept behind them.
async fn one_against_rest(
    examples: &Labelled<'_>,
    squares: &[f64],
    class: u32,
    options: &LinearSvmOptions,
    scheduler: &dyn Scheduler,
) -> Result<Vec<f64>> {
    let (n, d) = (squares.len(), examples.dimensions);
    let mut random = Random::new(options.seed ^ u64::from(class));
    let diagonal = 1.0 / (2.0 * options.c);
    let (mut weights, mut intercept) = (vec![0.0; d], 0.0);
    let mut alpha = vec![0.0; n];
    let mut order: Vec<usize> = (0..n).collect();
    let mut active = n;
    // The bounds of the last pass, beyond which an example at its bound is left out of the next ones.
    let mut last_largest = f64::INFINITY;
    for _ in 0..options.max_passes {
        let [mut largest, mut least] = [f64::NEG_INFINITY, f64::INFINITY];
        random.shuffle(&mut order[..active]);
        let mut at = 0;
        while at < active {
            if at % BLOCK == 0 {
                scheduler.yield_now().await?;
            }
            let i = order[at];
            let row = examples.row(i);
            let y = if examples.classes[i] == class {
                1.0
            } else {
                -1.0
            };
            let slope = y * (dot_f32(&weights, row) + intercept) - 1.0 + diagonal * alpha[i];
            let projected = if alpha[i] == 0.0 {
                if slope > last_largest {
                    active -= 1;
                    order.swap(at, active);
                    continue;
                }
                slope.min(0.0)
            } else {
                slope
            };
            largest = largest.max(projected);
            least = least.min(projected);
            if projected.abs() > 1e-12 {
                let before = alpha[i];
                alpha[i] = (before - slope / (squares[i] + 1.0 + diagonal)).max(0.0);
                let change = (alpha[i] - before) * y;
                add_scaled_f32(&mut weights, change, row);
                intercept += change;
            }
            at += 1;
        }
        if largest - least <= options.tolerance {
            if active == n {
                break;
            }
            // All examples are visited once more, because some may have been left out too early.
            active = n;
            last_largest = f64::INFINITY;
            continue;
        }
        last_largest = if largest > 0.0 {
            largest
        } else {
            f64::INFINITY
        };
    }
    weights.push(intercept);
    Ok(weights)
}
