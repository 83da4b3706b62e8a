//! Examples of a classifier: vectors of known classes.

use super::{Labelled, zeros};
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;
use pilotlight_kernels::exact::{dot, dots, product, rows_to_panels};
use pilotlight_kernels::layout::PANEL;

/// The most values of a vector: no embedder has more, and the sizes of blocks of vectors fit 32 bits.
const MAX_DIMENSIONS: usize = 1 << 16;

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

/// Examples that a head can be fitted to: checked, and normalized unless they are raw.
#[derive(Clone, Debug)]
pub struct TrainingSet {
    pub(super) examples: Examples,
    pub(super) class_count: usize,
    /// Whether each example is the name of a label; examples past the end of this list are not.
    pub(super) is_label_text: Vec<bool>,
    /// Whether the vectors have length one, so that their products are cosines.
    pub(super) is_normalized: bool,
}

impl TrainingSet {
    /// Checks and normalizes examples.
    ///
    /// *Errors*: `InvalidInput` where there are fewer than two classes, a class without examples, or a vector of zeros or with a value
    /// that is no number.
    pub fn new(
        mut examples: Examples,
        class_count: usize,
        is_label_text: Vec<bool>,
    ) -> Result<Self> {
        check(&examples, class_count)?;
        normalize(&mut examples)?;
        Ok(Self {
            examples,
            class_count,
            is_label_text,
            is_normalized: true,
        })
    }

    /// Checks examples and keeps their vectors as they are, for heads of statistics whose length means something. A classifier that is
    /// fitted to them keeps no examples, and its scores are probabilities alone.
    ///
    /// *Errors*: as [`new`](Self::new), but a vector of zeros is one like others.
    pub fn raw(examples: Examples, class_count: usize) -> Result<Self> {
        check(&examples, class_count)?;
        Ok(Self {
            examples,
            class_count,
            is_label_text: Vec::new(),
            is_normalized: false,
        })
    }

    /// The number of classes.
    pub fn class_count(&self) -> usize {
        self.class_count
    }

    pub(super) fn labelled(&self) -> Labelled<'_> {
        Labelled {
            vectors: &self.examples.vectors,
            dimensions: self.examples.dimensions,
            classes: &self.examples.classes,
            class_count: self.class_count,
        }
    }
}

impl Examples {
    /// The example with the largest cosine.
    pub(super) fn nearest(&self, x: &[f64]) -> Option<(usize, f64)> {
        let mut best: Option<(usize, f32)> = None;
        for (i, cosine) in cosines(&self.vectors, x).into_iter().enumerate() {
            if best.is_none_or(|(_, most)| cosine > most) {
                best = Some((i, cosine));
            }
        }
        best.map(|(i, cosine)| (i, f64::from(cosine)))
    }
}

/// The cosine of a vector with each of the `rows`, which are normalized; 0 for a vector of zeros.
pub(super) fn cosines(rows: &[f32], x: &[f64]) -> Vec<f32> {
    let norm = match dot(x, x).sqrt() {
        0.0 => 1.0,
        norm => norm,
    };
    let x: Vec<f32> = x.iter().map(|value| (value / norm) as f32).collect();
    let mut cosines = vec![0.0; rows.len() / x.len().max(1)];
    dots(&x, rows, &mut cosines);
    cosines
}

/// Checks that the parts of examples fit each other, that their vectors are finite, and that each class has an example.
///
/// *Errors*: `InvalidInput`, naming the invalid part.
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
    if d > MAX_DIMENSIONS {
        return Err(Error::invalid_input(format!(
            "examples have vectors of {d} values, expected {MAX_DIMENSIONS} at most"
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
    // Checked before a list of this length is made: each class has one example at least.
    if class_count > examples.classes.len() {
        return Err(Error::invalid_input(format!(
            "there are {} examples for {class_count} labels, expected one at least for each",
            examples.classes.len()
        )));
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

fn normalize(examples: &mut Examples) -> Result<()> {
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
