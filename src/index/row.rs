//! One vector, encoded for an index or as a query.

use std::collections::TryReserveError;

use super::{IndexMetric, IndexPrecision};
use crate::error::{Error, Result};
use crate::memory;
use pilotlight_kernels::scan::{
    ALIGN, GROUP, largest, quantize, scale, signs, square_f32, square_q8,
};

/// Bytes of values in one block, the unit that a save rewrites if one of its rows changed. Tests use small blocks, so that few rows make
/// many of them.
const BLOCK: usize = if cfg!(test) { 256 } else { 2 << 20 };

/// Vectors whose largest magnitude is above this or below its inverse are scaled first, so that sums of squares stay normal numbers. An
/// index by dot products, which must keep lengths, takes no larger magnitudes, so that scores stay finite.
pub(super) const LARGE: f32 = 1e15;

/// The layout that all rows of an index share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowLayout {
    pub dimensions: usize,
    pub precision: IndexPrecision,
    pub metric: IndexMetric,
    pub prefilter: bool,
}

impl RowLayout {
    /// The values of a row including its padding.
    pub fn stride(self) -> usize {
        self.dimensions.next_multiple_of(ALIGN)
    }

    /// Bytes of the sign bits of a row.
    pub fn sign_bytes(self) -> usize {
        self.dimensions.div_ceil(8)
    }

    pub fn has_signs(self) -> bool {
        self.prefilter || self.precision == IndexPrecision::Binary
    }

    pub fn is_dot(self) -> bool {
        self.metric == IndexMetric::Dot
    }

    /// Bytes of the values of a row in the file format, which has no padding.
    pub fn value_bytes(self) -> usize {
        match self.precision {
            IndexPrecision::Float32 => 4 * self.dimensions,
            IndexPrecision::Int8 if self.is_dot() => self.dimensions + size_of::<f32>(),
            IndexPrecision::Int8 => self.dimensions,
            IndexPrecision::Binary => self.sign_bytes(),
        }
    }

    /// The number of rows in a block.
    pub fn block_rows(self) -> usize {
        let rows = (BLOCK / self.value_bytes()).clamp(1, 8192);
        rows.next_multiple_of(GROUP)
    }
}

/// The error of an index for which there is no memory.
pub(super) fn out_of_memory(error: TryReserveError) -> Error {
    memory::out_of_memory("the index does not fit into memory", error)
}

/// Checks that `bytes` could be allocated, before maps and lists of names allocate in a way that cannot report a failure.
pub(super) fn probe(bytes: usize) -> Result<()> {
    memory::probe(bytes).map_err(out_of_memory)
}

pub(super) fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    memory::try_zeros(count).map_err(out_of_memory)
}

/// A vector encoded as a row. Fields that the precision does not use are empty.
#[derive(Clone, Debug, Default)]
pub(super) struct EncodedRow {
    /// The vector, padded; normalized to length 1 for cosines.
    pub floats: Vec<f32>,
    /// The quantized vector, padded; its largest magnitude is 127, or 0 for a vector of zeros.
    pub bytes: Vec<i8>,
    /// The factor of products with `bytes`: for cosines 1 divided by their length, else the value of one step of them.
    pub factor: f32,
    /// One bit for each value, set if the value is positive.
    pub signs: Vec<u8>,
    /// The vector before encoding, padded.
    scratch: Vec<f32>,
    metric: IndexMetric,
}

impl EncodedRow {
    pub fn new(layout: RowLayout) -> Result<Self> {
        let is = |precision| usize::from(layout.precision == precision) * layout.stride();
        Ok(Self {
            floats: zeros(is(IndexPrecision::Float32))?,
            bytes: zeros(is(IndexPrecision::Int8))?,
            factor: 1.0,
            signs: zeros(usize::from(layout.has_signs()) * layout.sign_bytes())?,
            scratch: zeros(layout.stride())?,
            metric: layout.metric,
        })
    }

    /// Encodes a vector.
    ///
    /// *Errors*: `InvalidInput` beginning with `name` for a vector with a value that is not finite, of zeros where cosines are computed, or
    /// with values that are too large where dot products are.
    pub fn set(&mut self, vector: &[f32], name: impl Fn() -> String) -> Result<()> {
        let most = set_scratch(&mut self.scratch, vector, self.metric, name)?;
        if !self.floats.is_empty() {
            self.floats.copy_from_slice(&self.scratch);
            if self.metric == IndexMetric::Cosine {
                let length = square_f32(&self.scratch).sqrt() as f32;
                scale(&mut self.floats, 1.0 / length);
            }
        }
        if !self.bytes.is_empty() {
            let to = 127.0 / most;
            // A vector of zeros, or of numbers so small that the quotient overflows, is kept as zeros.
            let to = if to.is_finite() { to } else { 0.0 };
            quantize(&self.scratch, to, &mut self.bytes);
            self.factor = if to > 0.0 { most / 127.0 } else { 0.0 };
        }
        if self.floats.is_empty() && self.bytes.is_empty() {
            signs(&self.scratch[..vector.len()], &mut self.signs);
        }
        self.finish(vector.len());
        Ok(())
    }

    /// Computes the factor of cosines and the signs from the values, which were encoded or read from a file.
    pub fn finish(&mut self, dimensions: usize) {
        if !self.bytes.is_empty() && self.metric == IndexMetric::Cosine {
            self.factor = 1.0 / (square_q8(&self.bytes) as f32).sqrt();
        }
        if self.signs.is_empty() {
            return;
        }
        if !self.bytes.is_empty() {
            signs(&self.bytes[..dimensions], &mut self.signs);
        } else if !self.floats.is_empty() {
            signs(&self.floats[..dimensions], &mut self.signs);
        }
    }
}

/// A vector encoded as a query.
pub(super) struct Query {
    pub floats: Vec<f32>,
    /// The quantized vector, padded. It has 16 bits because the kernel widens the int8 rows to 16 bits.
    pub words: Vec<i16>,
    /// The factor of `words`, as [`EncodedRow::factor`].
    pub factor: f32,
    pub signs: Vec<u8>,
}

impl Query {
    /// Encodes a query.
    ///
    /// *Errors*: as [`EncodedRow::set`].
    pub fn new(layout: RowLayout, vector: &[f32]) -> Result<Self> {
        let name = || "query".into();
        let mut row = EncodedRow::new(layout)?;
        row.set(vector, name)?;
        let mut words = Vec::new();
        let mut factor = 1.0;
        if layout.precision == IndexPrecision::Int8 {
            let most = set_scratch(&mut row.scratch, vector, layout.metric, name)?;
            let length = square_f32(&row.scratch).sqrt();
            // The largest norm for which the dot product with the longest row stays below 2³¹, less what rounding may add.
            let limit = (2f64.powi(31) - 1.0) / (127.0 * (layout.dimensions as f64).sqrt())
                - (layout.dimensions as f64).sqrt();
            let to = (32767.0 / f64::from(most)).min(limit / length);
            words = zeros(layout.stride())?;
            for (word, x) in words.iter_mut().zip(&row.scratch) {
                *word = (f64::from(*x) * to).round_ties_even() as i16;
            }
            factor = if layout.is_dot() {
                // 0 for a query of zeros, whose `to` is infinite.
                1.0 / to as f32
            } else {
                let squares = words.iter().map(|word| f64::from(*word).powi(2));
                1.0 / squares.sum::<f64>().sqrt() as f32
            };
        }
        Ok(Self {
            floats: row.floats,
            words,
            factor,
            signs: row.signs,
        })
    }
}

/// Copies a vector into the padded `scratch`, for cosines scaled if it is very large or small, and returns the largest magnitude of the
/// copy.
///
/// *Errors*: as [`EncodedRow::set`].
fn set_scratch(
    scratch: &mut [f32],
    vector: &[f32],
    metric: IndexMetric,
    name: impl Fn() -> String,
) -> Result<f32> {
    let most = largest(vector);
    if !most.is_finite() {
        let name = name();
        return Err(Error::invalid_input(format!(
            "{name} has a value that is not a number or infinite"
        )));
    }
    if metric == IndexMetric::Dot {
        if most > LARGE {
            let name = name();
            return Err(Error::invalid_input(format!(
                "{name} has a value of magnitude {most:e}, expected at most {LARGE:e} with metric 'dot'"
            )));
        }
        scratch[..vector.len()].copy_from_slice(vector);
        return Ok(most);
    }
    if most == 0.0 {
        let name = name();
        return Err(Error::invalid_input(format!(
            "{name} has nothing but zeros, and so no direction"
        )));
    }
    scratch[..vector.len()].copy_from_slice(vector);
    if (1.0 / LARGE..=LARGE).contains(&most) {
        return Ok(most);
    }
    for x in scratch.iter_mut() {
        *x = (f64::from(*x) / f64::from(most)) as f32;
    }
    Ok(1.0)
}
