//! Minimization of a smooth function: L-BFGS.

use std::collections::VecDeque;

use pilotlight_kernels::exact::{add_scaled, dot};

use crate::error::Result;
use crate::memory::{out_of_memory, probe};

/// The number of steps whose curvature is remembered.
const HISTORY: usize = 10;
/// The most vectors of the length of `x` that a minimization has at a time: two for each step, and those of the current step.
const VECTORS: usize = 2 * HISTORY + 8;
/// The evaluations that one search along a direction may take.
const MAX_SEARCH: usize = 30;
/// The conditions of Wolfe: the share of the promised decrease that a step must bring, and the share of the slope that may remain.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

/// The cost of a minimization, and the gradient where it stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// The number of evaluations of the function.
    pub evaluations: usize,
    /// The largest magnitude of a partial derivative.
    pub gradient: f64,
}

/// Minimizes a function from `x` on, until no partial derivative is above `tolerance` in magnitude, rounding hides any decrease, or
/// `max_evaluations` were made.
///
/// `first_step` is the factor of the gradient with which the search begins, before any curvature is known. By default the largest
/// coordinate changes by 1.
///
/// `evaluate(x, gradient)` returns the value at `x` and writes the gradient; it is where the work may yield and be cancelled.
///
/// *Errors*: `ResourceLimit` where the vectors of the search do not fit in memory, and those of `evaluate`.
/// *Source*: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989; the search along a direction is
/// that of Lewis and Overton, "Nonsmooth optimization via quasi-Newton methods", 2013, section 4, which brackets and bisects.
pub async fn minimize(
    x: &mut Vec<f64>,
    first_step: Option<f64>,
    tolerance: f64,
    max_evaluations: usize,
    mut evaluate: impl AsyncFnMut(&[f64], &mut [f64]) -> Result<f64>,
) -> Result<Minimum> {
    probe((VECTORS * size_of::<f64>()).saturating_mul(x.len()))
        .map_err(|error| out_of_memory("the weights of the head do not fit in memory", error))?;
    let mut gradient = vec![0.0; x.len()];
    let mut value = evaluate(x, &mut gradient).await?;
    let mut evaluations = 1;
    let mut history: VecDeque<Pair> = VecDeque::new();
    while largest(&gradient) > tolerance && evaluations < max_evaluations {
        let direction = direction(&gradient, &history);
        let slope = dot(&gradient, &direction);
        let mut step = if history.is_empty() {
            first_step.unwrap_or(1.0 / largest(&gradient))
        } else {
            1.0
        };
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let (mut next_x, mut next_gradient) = (x.clone(), gradient.clone());
        let mut found = None;
        for _ in 0..MAX_SEARCH {
            next_x.copy_from_slice(x);
            add_scaled(&mut next_x, step, &direction);
            let next = evaluate(&next_x, &mut next_gradient).await?;
            evaluations += 1;
            if next.is_nan() || next > value + DECREASE * step * slope {
                high = step;
            } else if dot(&next_gradient, &direction) < CURVATURE * slope {
                low = step;
            } else {
                found = Some(next);
                break;
            }
            step = if high.is_finite() {
                (low + high) / 2.0
            } else {
                2.0 * low
            };
            if evaluations >= max_evaluations {
                break;
            }
        }
        // No step is found if rounding hides the decrease.
        let Some(next) = found else { break };
        let mut difference = next_x.clone();
        add_scaled(&mut difference, -1.0, x);
        let mut change = next_gradient.clone();
        add_scaled(&mut change, -1.0, &gradient);
        let product = dot(&difference, &change);
        if product > 0.0 {
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(Pair {
                product,
                scale: product / dot(&change, &change),
                difference,
                change,
            });
        }
        (*x, gradient, value) = (next_x, next_gradient, next);
    }
    Ok(Minimum {
        evaluations,
        gradient: largest(&gradient),
    })
}

/// The change of the position and of the gradient in one step.
struct Pair {
    difference: Vec<f64>,
    change: Vec<f64>,
    /// The dot product of the two.
    product: f64,
    /// An estimate of the inverse curvature.
    scale: f64,
}

/// The gradient times an estimate of the negative inverse Hessian.
fn direction(gradient: &[f64], history: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(history.len());
    for pair in history.iter().rev() {
        let factor = dot(&pair.difference, &direction) / pair.product;
        add_scaled(&mut direction, -factor, &pair.change);
        factors.push(factor);
    }
    if let Some(last) = history.back() {
        direction.iter_mut().for_each(|d| *d *= last.scale);
    }
    for (pair, factor) in history.iter().zip(factors.into_iter().rev()) {
        let other = dot(&pair.change, &direction) / pair.product;
        add_scaled(&mut direction, factor - other, &pair.difference);
    }
    direction
}

fn largest(gradient: &[f64]) -> f64 {
    gradient.iter().fold(
        0.0,
        |largest: f64, g| if g.abs() > largest { g.abs() } else { largest },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;

    #[test]
    fn finds_the_minimum_of_a_curved_valley() {
        let mut x = vec![-1.2, 1.0];
        let minimum = block_on(minimize(&mut x, None, 1e-9, 500, async |x, gradient| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient[0] = -2.0 * a - 400.0 * x[0] * b;
            gradient[1] = 200.0 * b;
            Ok(a * a + 100.0 * b * b)
        }))
        .unwrap();
        assert!(
            (x[0] - 1.0).abs() < 1e-8 && (x[1] - 1.0).abs() < 1e-8,
            "{x:?}"
        );
        assert!(
            minimum.evaluations < 100 && minimum.gradient <= 1e-9,
            "{minimum:?}"
        );
    }

    #[test]
    fn ends_where_rounding_hides_the_decrease() {
        let mut x = vec![1.0; 3];
        let minimum = block_on(minimize(&mut x, None, 0.0, 10_000, async |x, gradient| {
            gradient.copy_from_slice(&x.iter().map(|x| 2.0 * (x - 1e-3)).collect::<Vec<_>>());
            Ok(1.0 + x.iter().map(|x| (x - 1e-3) * (x - 1e-3)).sum::<f64>())
        }))
        .unwrap();
        assert!(minimum.evaluations < 200, "{minimum:?}");
        assert!(x.iter().all(|x| (x - 1e-3).abs() < 1e-6), "{x:?}");
    }
}
