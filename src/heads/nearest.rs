//! The heads that need no fit: the nearest mean of a class, and the nearest examples.

use pilotlight_kernels::exact::dot;

use super::model::{Linear, Link};

/// The classes of the nearest examples, by cosine.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// The number of examples that count.
    pub k: usize,
    /// The number of values of a vector.
    pub dimensions: usize,
    /// The examples, normalized, `[n, d]`.
    pub vectors: Vec<f32>,
    /// The class of each example, `[n]`.
    pub classes: Vec<u32>,
    /// The number of classes.
    pub class_count: usize,
}

impl Neighbours {
    /// The decision value of each class: the sum of the cosines of its examples among the `k` nearest, divided by `k`.
    pub(super) fn decisions(&self, x: &[f64]) -> Vec<f64> {
        let norm = dot(x, x).sqrt();
        let rows = self.vectors.chunks_exact(self.dimensions.max(1));
        // `k` may be larger than the number of examples.
        let count = self.k.min(self.classes.len());
        let mut nearest: Vec<(f64, u32)> = Vec::with_capacity(count + 1);
        let mut row64 = vec![0.0; self.dimensions];
        for (row, class) in rows.zip(&self.classes) {
            for (to, value) in row64.iter_mut().zip(row) {
                *to = f64::from(*value);
            }
            let cosine = if norm == 0.0 {
                0.0
            } else {
                dot(x, &row64) / norm
            };
            if nearest.len() == self.k && nearest.last().is_some_and(|last| last.0 >= cosine) {
                continue;
            }
            let at = nearest.partition_point(|one| one.0 >= cosine);
            nearest.insert(at, (cosine, *class));
            nearest.truncate(self.k);
        }
        let mut decisions = vec![0.0; self.class_count];
        for (cosine, class) in nearest {
            if let Some(decision) = decisions.get_mut(class as usize) {
                *decision += cosine / self.k as f64;
            }
        }
        decisions
    }
}

/// A head whose decision values are the cosines between a vector and the mean of each class.
///
/// *Shapes*: `vectors: [n, d]`, normalized; `classes: [n]`, each below `class_count`.
pub fn prototypes(
    vectors: &[f32],
    dimensions: usize,
    classes: &[u32],
    class_count: usize,
) -> Linear {
    let mut sums = vec![vec![0.0; dimensions]; class_count];
    for (row, class) in vectors.chunks_exact(dimensions).zip(classes) {
        for (sum, value) in sums[*class as usize].iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    for sum in &mut sums {
        let norm = dot(sum, sum).sqrt();
        if norm != 0.0 {
            sum.iter_mut().for_each(|value| *value /= norm);
        }
    }
    Linear {
        intercepts: vec![0.0; class_count],
        coefficients: sums,
        link: Link::None,
    }
}
