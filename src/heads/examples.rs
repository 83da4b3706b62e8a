//! Examples of a classifier: vectors of known classes.

use super::Labelled;
use crate::error::{Error, Result};
use crate::memory::{out_of_memory, try_zeros};
use crate::scheduler::Scheduler;
use pilotlight_kernels::exact::{dot, dot_f32, product, rows_to_panels};
use pilotlight_kernels::layout::PANEL;

/// The examples of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The number of values of a vector.
    pub dimensions: usize,
    /// `[n, d]`, normalized.
    pub vectors: Vec<f32>,
    /// `[n]`
    pub classes: Vec<u32>,
}

impl Examples {
    pub(super) fn labelled(&self, class_count: usize) -> Labelled<'_> {
        Labelled {
            vectors: &self.vectors,
            dimensions: self.dimensions,
            classes: &self.classes,
            class_count,
        }
    }

    /// The example with the largest cosine.
    pub(super) fn nearest(&self, x: &[f64]) -> Option<(usize, f64)> {
        let norm = dot(x, x).sqrt();
        let rows = self.vectors.chunks_exact(self.dimensions).enumerate();
        let mut best: Option<(usize, f64)> = None;
        for (i, row) in rows {
            let product = dot_f32(x, row);
            if best.is_none_or(|(_, most)| product > most) {
                best = Some((i, product));
            }
        }
        best.map(|(i, product)| (i, if norm == 0.0 { 0.0 } else { product / norm }))
    }
}

pub(super) fn check(examples: &Examples, class_count: usize) -> Result<()> {
    let d = examples.dimensions;
    if class_count < 2 {
        return Err(Error::invalid_input(format!(
            "examples have {class_count} labels, expected two at least"
        )));
    }
    if d == 0 || examples.classes.len().checked_mul(d) != Some(examples.vectors.len()) {
        return Err(Error::invalid_input(format!(
            "examples have {} labels and {} values, expected {d} values for each label",
            examples.classes.len(),
            examples.vectors.len()
        )));
    }
    // Before anything is reserved for each label.
    if class_count > examples.classes.len() {
        return Err(Error::invalid_input(format!(
            "{} examples are fewer than the {class_count} labels",
            examples.classes.len()
        )));
    }
    for (i, row) in examples.vectors.chunks_exact(d).enumerate() {
        if let Some(value) = row.iter().find(|value| !value.is_finite()) {
            return Err(Error::invalid_input(format!(
                "the vector of example {i} has the value {value}"
            )));
        }
    }
    let mut counts = vec![0usize; class_count];
    for class in &examples.classes {
        let Some(count) = counts.get_mut(*class as usize) else {
            return Err(Error::invalid_input(format!(
                "examples have the label {class}, expected less than {class_count}"
            )));
        };
        *count += 1;
    }
    match counts.iter().position(|count| *count == 0) {
        Some(class) => Err(Error::invalid_input(format!(
            "label {class} has no examples"
        ))),
        None => Ok(()),
    }
}

pub(super) fn normalize(examples: &mut Examples) -> Result<()> {
    for (i, row) in examples
        .vectors
        .chunks_exact_mut(examples.dimensions)
        .enumerate()
    {
        let norm = row
            .iter()
            .map(|x| f64::from(*x) * f64::from(*x))
            .sum::<f64>()
            .sqrt();
        if norm == 0.0 {
            return Err(Error::invalid_input(format!(
                "the vector of example {i} is all zeros"
            )));
        }
        // A vector that is normalized keeps its bits, so that a classifier that is fitted again is the same.
        if (norm - 1.0).abs() > 1e-6 {
            row.iter_mut()
                .for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
    Ok(())
}

/// The largest cosine of each row with any of the `others`; both are normalized.
pub(super) async fn nearest_cosines(
    rows: &[f32],
    others: &[f32],
    d: usize,
    scheduler: &dyn Scheduler,
) -> Result<Vec<f64>> {
    /// Others of a block.
    const BLOCK: usize = 512;
    let count = rows.len() / d;
    let mut best = vec![f32::NEG_INFINITY; count];
    let zeros = |size| {
        try_zeros::<f32>(size)
            .map_err(|error| out_of_memory("the cosines do not fit in memory", error))
    };
    let mut panels = zeros(BLOCK * d)?;
    let mut products = zeros(BLOCK * BLOCK)?;
    for others in others.chunks(BLOCK * d) {
        let many = others.len() / d;
        let width = many.div_ceil(PANEL) * PANEL;
        let panels = &mut panels[..width * d];
        rows_to_panels(others, d, panels);
        for (rows, best) in rows.chunks(BLOCK * d).zip(best.chunks_mut(BLOCK)) {
            scheduler.yield_now().await?;
            let products = &mut products[..best.len() * width];
            product(rows, d, panels, products);
            for (best, cosines) in best.iter_mut().zip(products.chunks_exact(width)) {
                *best = cosines[..many]
                    .iter()
                    .fold(*best, |best, cosine| best.max(*cosine));
            }
        }
    }
    Ok(best.into_iter().map(f64::from).collect())
}
