//! Logistic regression: multinomial, or binary for two classes, with a penalty on the squared weights.

use pilotlight_kernels::exact::{add, product, rows_to_panels, softmax_columns, to_panels};
use pilotlight_kernels::layout::PANEL;

use super::lbfgs::minimize;
use super::math::{ln, ln_1p_exp, sigmoid};
use super::model::{Linear, Link};
use super::{Fit, Labelled, zeros};
use crate::error::Result;
use crate::scheduler::Scheduler;

/// The examples of a block. Work can yield and be cancelled after each: 256 of 384 values with 77 classes take 1 ms.
const BLOCK: usize = 256;

/// The factor of the gradient in the first step of a fit that begins near its end, where the default would be far too long. A hundredth is
/// a usual curvature; the line search corrects its error.
const FIRST_STEP: f64 = 100.0;

/// The options of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticOptions {
    /// The inverse strength of the penalty, as scikit-learn's `C`. Its default of 1 loses 2 to 6 points on vectors of length 1.
    pub c: f64,
    /// The largest partial derivative that may remain.
    pub tolerance: f64,
    /// The most evaluations of the objective.
    pub max_evaluations: usize,
}

impl Default for LogisticOptions {
    fn default() -> Self {
        Self {
            c: 10.0,
            tolerance: 1e-5,
            max_evaluations: 1000,
        }
    }
}

/// Fits the head by minimizing `mean cross-entropy + |W|² / (2 C n)`, in which intercepts are free.
///
/// `start` is a head from which to begin instead of zero; the minimum is the same.
///
/// *Errors*: `Aborted`, `ResourceLimit`.
/// *Source*: the objective of scikit-learn's `LogisticRegression`.
pub async fn fit(
    examples: &Labelled<'_>,
    options: &LogisticOptions,
    start: Option<&Linear>,
    fit: &mut Fit<'_>,
    scheduler: &dyn Scheduler,
) -> Result<Linear> {
    let d = examples.dimensions;
    let classes = match examples.class_count {
        2 => 1,
        more => more,
    };
    let mut objective = Objective::new(examples, classes, options.c)?;
    // All weights, class by class, then all intercepts.
    let mut x = zeros(classes.saturating_mul(d + 1))?;
    if let Some(start) = start {
        let values = start.coefficients.iter().flatten().chain(&start.intercepts);
        x.iter_mut().zip(values).for_each(|(x, value)| *x = *value);
    }
    let mut evaluations = 0;
    minimize(
        &mut x,
        start.map(|_| FIRST_STEP),
        options.tolerance,
        options.max_evaluations,
        async |x, gradient| {
            let value = objective.evaluate(x, gradient, scheduler).await?;
            evaluations += 1;
            fit.report(progress(gradient, options.tolerance, evaluations));
            Ok(value)
        },
    )
    .await?;
    let (weights, intercepts) = x.split_at(classes * d);
    Ok(Linear {
        coefficients: weights.chunks(d).map(<[f64]>::to_vec).collect(),
        intercepts: intercepts.to_vec(),
        link: if classes == 1 {
            Link::Logistic
        } else {
            Link::Softmax
        },
    })
}

/// Estimates the progress of a fit, from 0 to 1: the logarithm of the gradient falls about evenly, and a hundred evaluations are usual.
fn progress(gradient: &[f64], tolerance: f64, evaluations: usize) -> f64 {
    let largest = gradient
        .iter()
        .fold(1e-300, |largest: f64, g| largest.max(g.abs()));
    let by_gradient =
        1.0 + ln(tolerance.max(1e-300) / largest) / ln(0.1 / tolerance.clamp(1e-300, 0.01));
    let by_evaluations = f64::from(u32::try_from(evaluations).unwrap_or(u32::MAX)) / 150.0;
    by_gradient.max(by_evaluations).clamp(0.0, 0.99)
}

/// The objective and its gradient, computed by blocks of examples.
struct Objective<'a> {
    classes: &'a [u32],
    dimensions: usize,
    outputs: usize,
    /// The factor of `|W|² / 2`.
    penalty: f64,
    blocks: Vec<Block>,
    weights: Vec<f32>,
    logits: Vec<f32>,
    largest: Vec<f32>,
    sums: Vec<f64>,
    products: Vec<f32>,
}

/// The vectors of a block in both layouts of a product's right side; its rows are padded with zeros to whole panels.
struct Block {
    count: usize,
    rows: usize,
    /// `[rows / 8, d, 8]`
    by_row: Vec<f32>,
    /// `[⌈d / 8⌉, rows, 8]`
    by_column: Vec<f32>,
}

impl Block {
    fn new(vectors: &[f32], d: usize) -> Result<Self> {
        let count = vectors.len() / d;
        let rows = count.div_ceil(PANEL) * PANEL;
        let mut by_row = zeros(rows * d)?;
        rows_to_panels(vectors, d, &mut by_row);
        let mut padded = zeros(rows * d)?;
        padded[..vectors.len()].copy_from_slice(vectors);
        let mut by_column = zeros(d.div_ceil(PANEL) * PANEL * rows)?;
        to_panels(&padded, d, &mut by_column);
        Ok(Self {
            count,
            rows,
            by_row,
            by_column,
        })
    }
}

impl<'a> Objective<'a> {
    fn new(examples: &Labelled<'a>, outputs: usize, c: f64) -> Result<Self> {
        let d = examples.dimensions;
        let blocks = examples
            .vectors
            .chunks(BLOCK * d)
            .map(|vectors| Block::new(vectors, d));
        Ok(Self {
            classes: examples.classes,
            dimensions: d,
            outputs,
            penalty: 1.0 / (c * examples.classes.len() as f64),
            blocks: blocks.collect::<Result<_>>()?,
            weights: zeros(outputs.saturating_mul(d))?,
            logits: zeros(outputs.saturating_mul(BLOCK))?,
            largest: vec![0.0; BLOCK],
            sums: vec![0.0; BLOCK],
            products: zeros(outputs.saturating_mul(d.div_ceil(PANEL) * PANEL))?,
        })
    }

    async fn evaluate(
        &mut self,
        x: &[f64],
        gradient: &mut [f64],
        scheduler: &dyn Scheduler,
    ) -> Result<f64> {
        let d = self.dimensions;
        let (weights, intercepts) = x.split_at(self.outputs * d);
        self.weights
            .iter_mut()
            .zip(weights)
            .for_each(|(to, w)| *to = *w as f32);
        gradient.fill(0.0);
        let (by_weight, by_intercept) = gradient.split_at_mut(self.outputs * d);
        let mut loss = 0.0;
        let mut first = 0;
        for block in &self.blocks {
            scheduler.yield_now().await?;
            let classes = &self.classes[first..first + block.count];
            first += block.count;
            let logits = &mut self.logits[..self.outputs * block.rows];
            product(&self.weights, d, &block.by_row, logits);
            for (row, intercept) in logits.chunks_exact_mut(block.rows).zip(intercepts) {
                row.iter_mut().for_each(|logit| *logit += *intercept as f32);
            }
            // Logits become residuals: the probability of each class, less 1 for the right one.
            loss += if self.outputs == 1 {
                binary(logits, classes)
            } else {
                multinomial(
                    logits,
                    classes,
                    &mut self.largest[..block.rows],
                    &mut self.sums[..block.rows],
                )
            };
            for (residuals, sum) in logits.chunks_exact(block.rows).zip(&mut *by_intercept) {
                *sum += residuals.iter().map(|r| f64::from(*r)).sum::<f64>();
            }
            product(logits, block.rows, &block.by_column, &mut self.products);
            let rows = self.products.chunks_exact(d.div_ceil(PANEL) * PANEL);
            for (row, sums) in rows.zip(by_weight.chunks_exact_mut(d)) {
                add(sums, row);
            }
        }
        let count = self.classes.len() as f64;
        let mut squares = 0.0;
        for (g, w) in by_weight.iter_mut().zip(weights) {
            squares += w * w;
            *g = *g / count + self.penalty * w;
        }
        by_intercept.iter_mut().for_each(|g| *g /= count);
        Ok(loss / count + self.penalty * squares / 2.0)
    }
}

/// Returns the cross-entropy of a block and replaces logits by residuals.
fn multinomial(logits: &mut [f32], classes: &[u32], largest: &mut [f32], sums: &mut [f64]) -> f64 {
    let rows = largest.len();
    let own: Vec<f32> = classes
        .iter()
        .enumerate()
        .map(|(i, class)| logits[*class as usize * rows + i])
        .collect();
    softmax_columns(logits, largest, sums);
    let mut loss = 0.0;
    for (i, class) in classes.iter().enumerate() {
        loss += f64::from(largest[i] - own[i]) + ln(sums[i]);
        logits[*class as usize * rows + i] -= 1.0;
    }
    for row in logits.chunks_exact_mut(rows) {
        row[classes.len()..].fill(0.0);
    }
    loss
}

/// Returns the cross-entropy of a block of two classes, whose one logit is that of the second class, and replaces logits by residuals.
fn binary(logits: &mut [f32], classes: &[u32]) -> f64 {
    let mut loss = 0.0;
    for (logit, class) in logits.iter_mut().zip(classes) {
        let (value, target) = (f64::from(*logit), f64::from(*class));
        loss += ln_1p_exp(value) - target * value;
        *logit = (sigmoid(value) - target) as f32;
    }
    logits[classes.len()..].fill(0.0);
    loss
}
