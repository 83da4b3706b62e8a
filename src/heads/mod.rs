//! Heads: small classifiers of vectors, fitted here or imported from scikit-learn.
//!
//! A fit gives the same bits on every platform: products come from `kernels::exact`, sums are in f64 in one order, and [`math`] has its
//! own elementary functions.

pub mod calibration;
pub mod check;
pub mod classifier;
pub mod evaluation;
pub mod examples;
pub mod fitting;
pub mod folds;
mod json;
pub mod lbfgs;
pub mod linear_svm;
pub mod logistic;
pub mod math;
pub mod model;
pub mod nearest;
pub mod random;
pub mod rbf_svm;
pub mod svc;

pub use model::{Head, Linear, Link, Member, Step};
pub use svc::{Kernel, Svc};

use crate::error::Result;
use crate::memory::{out_of_memory, try_zeros};

/// Vectors of known classes.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// `[n, d]`, finite values.
    pub vectors: &'a [f32],
    /// `d`
    pub dimensions: usize,
    /// The class of each vector, `[n]`, below `class_count`; each class has one vector at least.
    pub classes: &'a [u32],
    /// The number of classes, two at least.
    pub class_count: usize,
}

impl<'a> Labelled<'a> {
    /// The vector with an index.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.vectors[index * self.dimensions..][..self.dimensions]
    }

    /// Copies the vectors with these indices, one after the other.
    ///
    /// *Errors*: `ResourceLimit`.
    fn rows(&self, indices: &[usize]) -> Result<Vec<f32>> {
        let mut rows = zeros(indices.len() * self.dimensions)?;
        for (row, index) in rows.chunks_exact_mut(self.dimensions).zip(indices) {
            row.copy_from_slice(self.row(*index));
        }
        Ok(rows)
    }
}

/// Receives the progress of a fit: a number from 0 to 1.
pub struct Fit<'a> {
    on_progress: &'a mut dyn FnMut(f64),
}

impl<'a> Fit<'a> {
    /// A fit that reports to `on_progress`.
    pub fn new(on_progress: &'a mut dyn FnMut(f64)) -> Self {
        Self { on_progress }
    }

    fn report(&mut self, share: f64) {
        (self.on_progress)(share);
    }
}

/// Makes a list of `count` zeros for a fit.
///
/// *Errors*: `ResourceLimit`.
fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    try_zeros(count)
        .map_err(|error| out_of_memory(format!("out of memory for {count} values of a fit"), error))
}
