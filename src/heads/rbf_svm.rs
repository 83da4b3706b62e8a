//! Support vector machines with a Gaussian kernel, one for each pair of classes.

use std::rc::Rc;

use pilotlight_kernels::exact::{product, rows_to_panels};
use pilotlight_kernels::layout::PANEL;

use super::calibration::{Calibrator, platt};
use super::math::exp;
use super::random::Random;
use super::svc::{Kernel, Svc, pairs};
use super::{Fit, Labelled, zeros};
use crate::error::Result;
use crate::scheduler::Scheduler;

/// The steps of a solution between two yields.
const STEPS: usize = 256;
/// The folds of the examples of a pair, by which its sigmoid is fitted. *Source*: libsvm, `svm_binary_svc_probability`.
const SIGMOID_FOLDS: usize = 5;
/// The least curvature along a step.
const TAU: f64 = 1e-12;

/// The options of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RbfSvmOptions {
    /// The bound of the dual coefficients, as scikit-learn's `C`.
    pub c: f64,
    /// γ of the kernel; `None` for scikit-learn's `scale`: 1 / (d · variance of all values).
    pub gamma: Option<f64>,
    /// The violation of the conditions of Karush, Kuhn and Tucker at which a fit ends.
    pub tolerance: f64,
    /// Determines the folds.
    pub seed: u64,
}

impl Default for RbfSvmOptions {
    fn default() -> Self {
        Self {
            c: 10.0,
            gamma: None,
            tolerance: 1e-3,
            seed: 0,
        }
    }
}

/// Fits the head, with a sigmoid for each pair if `probabilities`.
///
/// *Errors*: `Aborted`, `ResourceLimit` where the kernel matrices or the coefficients do not fit in memory.
/// *Source*: Fan, Chen and Lin, "Working Set Selection Using Second Order Information for Training SVM", 2005, as in libsvm.
pub async fn fit(
    examples: &Labelled<'_>,
    options: &RbfSvmOptions,
    probabilities: bool,
    fit: &mut Fit<'_>,
    scheduler: &dyn Scheduler,
) -> Result<Svc> {
    let count = examples.class_count;
    let gamma = options.gamma.unwrap_or_else(|| scale(examples));
    let classes: Vec<Class> = (0..count as u32)
        .map(|class| Class::new(examples, class))
        .collect::<Result<_>>()?;
    let mut own = Vec::with_capacity(count);
    for class in &classes {
        scheduler.yield_now().await?;
        own.push(Rc::new(kernel_block(
            class,
            class,
            gamma,
            examples.dimensions,
        )?));
    }
    let total = examples.classes.len();
    let starts: Vec<usize> = classes
        .iter()
        .scan(0, |next, class| {
            let start = *next;
            *next += class.rows.len();
            Some(start)
        })
        .collect();
    let mut dual: Vec<Vec<f64>> = (1..count).map(|_| zeros(total)).collect::<Result<_>>()?;
    let (mut rho, mut sigmoids) = (Vec::new(), Vec::new());
    let pair_count = count * (count - 1) / 2;
    for (done, (i, j)) in pairs(count).enumerate() {
        fit.report(done as f64 / pair_count as f64);
        scheduler.yield_now().await?;
        let between = kernel_block(&classes[i], &classes[j], gamma, examples.dimensions)?;
        let problem = Problem {
            sizes: [classes[i].rows.len(), classes[j].rows.len()],
            blocks: [own[i].clone(), Rc::new(between), own[j].clone()],
        };
        let all: Vec<usize> = (0..problem.len()).collect();
        let solution = problem.solve(&all, options, scheduler).await?;
        for (at, alpha) in solution.alpha.iter().enumerate() {
            if at < problem.sizes[0] {
                dual[j - 1][starts[i] + at] = *alpha;
            } else {
                dual[i][starts[j] + at - problem.sizes[0]] = -alpha;
            }
        }
        rho.push(solution.rho);
        if probabilities {
            sigmoids.push(problem.sigmoid(options, scheduler).await?);
        }
    }
    let used: Vec<bool> = (0..total)
        .map(|at| dual.iter().any(|row| row[at] != 0.0))
        .collect();
    let keep = |values: &[f64]| -> Vec<f64> {
        values
            .iter()
            .zip(&used)
            .filter(|(_, used)| **used)
            .map(|(value, _)| *value)
            .collect()
    };
    let rows = classes.iter().flat_map(|class| &class.rows);
    let vectors = rows.zip(&used).filter(|(_, used)| **used);
    let counts = classes.iter().zip(&starts).map(|(class, start)| {
        used[*start..start + class.rows.len()]
            .iter()
            .filter(|used| **used)
            .count()
    });
    Ok(Svc {
        kernel: Kernel::Rbf { gamma },
        vectors: vectors
            .map(|(row, _)| examples.row(*row).iter().map(|x| f64::from(*x)).collect())
            .collect(),
        counts: counts.collect(),
        dual: dual.iter().map(|row| keep(row)).collect(),
        rho,
        sigmoids: probabilities.then_some(sigmoids),
        pairwise: false,
    })
}

/// Computes γ as scikit-learn's `gamma='scale'` does.
fn scale(examples: &Labelled<'_>) -> f64 {
    let n = examples.vectors.len() as f64;
    let mean = examples.vectors.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares = examples
        .vectors
        .iter()
        .map(|x| (f64::from(*x) - mean) * (f64::from(*x) - mean));
    let variance = squares.sum::<f64>() / n;
    if variance == 0.0 {
        1.0
    } else {
        1.0 / (examples.dimensions as f64 * variance)
    }
}

/// The examples of one class.
struct Class {
    rows: Vec<usize>,
    vectors: Vec<f32>,
    /// `[⌈n / 8⌉, d, 8]`
    panels: Vec<f32>,
    /// The squared norm of each vector.
    squares: Vec<f64>,
}

impl Class {
    fn new(examples: &Labelled<'_>, class: u32) -> Result<Self> {
        let d = examples.dimensions;
        let rows: Vec<usize> = (0..examples.classes.len())
            .filter(|row| examples.classes[*row] == class)
            .collect();
        let vectors = examples.rows(&rows)?;
        let mut panels = zeros(rows.len().div_ceil(PANEL) * PANEL * d)?;
        rows_to_panels(&vectors, d, &mut panels);
        let squares = vectors.chunks_exact(d);
        let squares = squares.map(|row| row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum());
        Ok(Self {
            squares: squares.collect(),
            rows,
            vectors,
            panels,
        })
    }
}

/// The kernel between the examples of two classes, `[n, m]`, without padding.
fn kernel_block(a: &Class, b: &Class, gamma: f64, d: usize) -> Result<Vec<f32>> {
    let (n, m) = (a.rows.len(), b.rows.len());
    let width = m.div_ceil(PANEL) * PANEL;
    // In 32 bits the product may overflow: no memory holds so many values.
    let mut products = zeros(n.saturating_mul(width))?;
    product(&a.vectors, d, &b.panels, &mut products);
    let mut block = zeros(n * m)?;
    let rows = products
        .chunks_exact(width)
        .zip(block.chunks_exact_mut(m))
        .zip(&a.squares);
    for ((products, to), square) in rows {
        for ((to, product), other) in to.iter_mut().zip(products).zip(&b.squares) {
            let distance = (square + other - 2.0 * f64::from(*product)).max(0.0);
            *to = exp(-gamma * distance) as f32;
        }
    }
    Ok(block)
}

/// The dual problem of telling two classes apart, where the sign of the first is 1 and that of the second -1.
struct Problem {
    sizes: [usize; 2],
    /// The kernel within the first class, between both, and within the second.
    blocks: [Rc<Vec<f32>>; 3],
}

/// The solution of a [`Problem`].
struct Solution {
    /// The dual coefficient of each example that took part, in the order that was given.
    alpha: Vec<f64>,
    /// The constant that is subtracted from the decision value.
    rho: f64,
}

impl Problem {
    fn len(&self) -> usize {
        self.sizes[0] + self.sizes[1]
    }

    fn kernel(&self, a: usize, b: usize) -> f64 {
        let [n, m] = self.sizes;
        let (low, high) = (a.min(b), a.max(b));
        f64::from(if high < n {
            self.blocks[0][low * n + high]
        } else if low < n {
            self.blocks[1][low * m + high - n]
        } else {
            self.blocks[2][(low - n) * m + high - n]
        })
    }

    fn sign(&self, at: usize) -> f64 {
        if at < self.sizes[0] { 1.0 } else { -1.0 }
    }

    /// Solves the dual problem of the examples `taken`, which are in ascending order.
    async fn solve(
        &self,
        taken: &[usize],
        options: &RbfSvmOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Solution> {
        let n = taken.len();
        let c = options.c;
        let y: Vec<f64> = taken.iter().map(|at| self.sign(*at)).collect();
        let (mut alpha, mut gradient) = (vec![0.0; n], vec![-1.0; n]);
        // The limit of steps is that of libsvm.
        let most = (100 * n).max(10_000_000);
        let row = |i: usize, to: &mut [f64]| {
            for (to, at) in to.iter_mut().zip(taken) {
                *to = self.kernel(taken[i], *at);
            }
        };
        let (mut of_i, mut of_j) = (vec![0.0; n], vec![0.0; n]);
        for step in 0..most {
            if step % STEPS == 0 {
                scheduler.yield_now().await?;
            }
            let up = |t: usize, alpha: &[f64]| {
                if y[t] > 0.0 {
                    alpha[t] < c
                } else {
                    alpha[t] > 0.0
                }
            };
            let down = |t: usize, alpha: &[f64]| {
                if y[t] > 0.0 {
                    alpha[t] > 0.0
                } else {
                    alpha[t] < c
                }
            };
            let mut first: Option<(usize, f64)> = None;
            for t in (0..n).filter(|t| up(*t, &alpha)) {
                let value = -y[t] * gradient[t];
                if first.is_none_or(|(_, largest)| value > largest) {
                    first = Some((t, value));
                }
            }
            let Some((i, largest)) = first else { break };
            row(i, &mut of_i);
            let mut second: Option<(usize, f64)> = None;
            let mut least = f64::INFINITY;
            for t in (0..n).filter(|t| down(*t, &alpha)) {
                let value = -y[t] * gradient[t];
                least = least.min(value);
                let difference = largest - value;
                if difference > 0.0 {
                    // Each vector's kernel with itself is 1.
                    let curvature = (2.0 - 2.0 * of_i[t]).max(TAU);
                    let gain = -difference * difference / curvature;
                    if second.is_none_or(|(_, best)| gain < best) {
                        second = Some((t, gain));
                    }
                }
            }
            let Some((j, _)) = second.filter(|_| largest - least >= options.tolerance) else {
                break;
            };
            row(j, &mut of_j);
            let curvature = (2.0 - 2.0 * of_i[j]).max(TAU);
            // Along `y_i α_i + y_j α_j` constant.
            let mut change = (-y[i] * gradient[i] + y[j] * gradient[j]) / curvature;
            let slack = |t: usize, sign: f64| if sign > 0.0 { c - alpha[t] } else { alpha[t] };
            change = change.min(slack(i, y[i])).min(slack(j, -y[j]));
            let before = [alpha[i], alpha[j]];
            alpha[i] = (alpha[i] + y[i] * change).clamp(0.0, c);
            alpha[j] = (alpha[j] - y[j] * change).clamp(0.0, c);
            let [di, dj] = [y[i] * (alpha[i] - before[0]), y[j] * (alpha[j] - before[1])];
            for t in 0..n {
                gradient[t] += y[t] * (di * of_i[t] + dj * of_j[t]);
            }
        }
        Ok(Solution {
            rho: rho(&alpha, &gradient, &y, c),
            alpha,
        })
    }

    /// Fits the slope and the offset of the pair's sigmoid to decision values of examples that took no part in the fit.
    async fn sigmoid(
        &self,
        options: &RbfSvmOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<[f64; 2]> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        Random::new(options.seed).shuffle(&mut order);
        let (mut decisions, mut is_first) = (Vec::new(), Vec::new());
        for fold in 0..SIGMOID_FOLDS.min(self.len()) {
            let held: Vec<usize> = order
                .iter()
                .skip(fold)
                .step_by(SIGMOID_FOLDS)
                .copied()
                .collect();
            let mut taken: Vec<usize> = order
                .iter()
                .enumerate()
                .filter(|(at, _)| at % SIGMOID_FOLDS != fold)
                .map(|(_, one)| *one)
                .collect();
            taken.sort_unstable();
            let one_class = taken.iter().all(|at| self.sign(*at) == self.sign(taken[0]));
            let solution = match taken.is_empty() || one_class {
                true => None,
                false => Some(self.solve(&taken, options, scheduler).await?),
            };
            for at in held {
                decisions.push(match &solution {
                    Some(solution) => {
                        let terms = solution.alpha.iter().zip(&taken);
                        let terms = terms
                            .map(|(alpha, one)| alpha * self.sign(*one) * self.kernel(*one, at));
                        terms.sum::<f64>() - solution.rho
                    }
                    // As in libsvm: where all other examples are of one class, the answer is that class.
                    None => taken.first().map_or(0.0, |one| self.sign(*one)),
                });
                is_first.push(at < self.sizes[0]);
            }
        }
        Ok(match platt(&decisions, &is_first) {
            Calibrator::Sigmoid { a, b } => [a, b],
            _ => [-1.0, 0.0],
        })
    }
}

/// The constant of the decision: the mean over examples between the bounds, or the middle of what those at the bounds allow.
fn rho(alpha: &[f64], gradient: &[f64], y: &[f64], c: f64) -> f64 {
    let (mut sum, mut free) = (0.0, 0);
    let (mut upper, mut lower) = (f64::INFINITY, f64::NEG_INFINITY);
    for ((alpha, gradient), y) in alpha.iter().zip(gradient).zip(y) {
        let value = y * gradient;
        if *alpha >= c {
            if *y < 0.0 {
                upper = upper.min(value)
            } else {
                lower = lower.max(value)
            }
        } else if *alpha <= 0.0 {
            if *y > 0.0 {
                upper = upper.min(value)
            } else {
                lower = lower.max(value)
            }
        } else {
            free += 1;
            sum += value;
        }
    }
    if free > 0 {
        sum / f64::from(free)
    } else {
        (upper + lower) / 2.0
    }
}
