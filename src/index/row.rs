//! One vector as it is kept, and as it is asked with.

use std::collections::TryReserveError;

use super::IndexPrecision;
use crate::error::{Error, Result};
use crate::memory;
use pilotlight_kernels::scan::{
    ALIGN, GROUP, largest, quantize, scale, signs, square_f32, square_q8,
};

/// Bytes of values in one block of rows: what is read at a time, and what a save writes anew where one of its rows changed.
/// In tests few rows make many blocks.
const BLOCK: usize = if cfg!(test) { 256 } else { 2 << 20 };

/// Squares of values between this and its inverse are normal numbers, and so are the sums of many.
const LARGE: f32 = 1e15;

/// What all rows of an index have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub dimensions: usize,
    pub precision: IndexPrecision,
    pub prefilter: bool,
}

impl Shape {
    /// Numbers of a row with what it is padded by.
    pub fn stride(self) -> usize {
        self.dimensions.next_multiple_of(ALIGN)
    }

    /// Bytes of a row's signs.
    pub fn sign_bytes(self) -> usize {
        self.dimensions.div_ceil(8)
    }

    pub fn has_signs(self) -> bool {
        self.prefilter || self.precision == IndexPrecision::Binary
    }

    /// Bytes of a row's values as they are written.
    pub fn value_bytes(self) -> usize {
        match self.precision {
            IndexPrecision::Float32 => 4 * self.dimensions,
            IndexPrecision::Int8 => self.dimensions,
            IndexPrecision::Binary => self.sign_bytes(),
        }
    }

    /// Rows of a block.
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

/// A row as it is kept. What the precision does not need is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Of length 1, padded.
    pub floats: Vec<f32>,
    /// The largest is 127 or -127; padded.
    pub bytes: Vec<i8>,
    /// 1 divided by the length of `bytes`.
    pub factor: f32,
    /// One bit for each value.
    pub signs: Vec<u8>,
    /// The vector itself, padded.
    scratch: Vec<f32>,
}

impl Row {
    pub fn new(shape: Shape) -> Result<Self> {
        let is = |precision| usize::from(shape.precision == precision) * shape.stride();
        Ok(Self {
            floats: zeros(is(IndexPrecision::Float32))?,
            bytes: zeros(is(IndexPrecision::Int8))?,
            factor: 1.0,
            signs: zeros(usize::from(shape.has_signs()) * shape.sign_bytes())?,
            scratch: zeros(shape.stride())?,
        })
    }

    /// *Errors*: `InvalidInput` beginning with `name` where the vector has no direction.
    pub fn set(&mut self, vector: &[f32], name: impl Fn() -> String) -> Result<()> {
        let most = set_scratch(&mut self.scratch, vector, name)?;
        if !self.floats.is_empty() {
            self.floats.copy_from_slice(&self.scratch);
            scale(
                &mut self.floats,
                1.0 / square_f32(&self.scratch).sqrt() as f32,
            );
        }
        if !self.bytes.is_empty() {
            quantize(&self.scratch, 127.0 / most, &mut self.bytes);
        }
        if self.floats.is_empty() && self.bytes.is_empty() {
            signs(&self.scratch[..vector.len()], &mut self.signs);
        }
        self.finish(vector.len());
        Ok(())
    }

    /// What follows from the values: of a row that was made as of one that was read.
    pub fn finish(&mut self, dimensions: usize) {
        if !self.bytes.is_empty() {
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

/// A vector to search by.
pub(super) struct Query {
    pub floats: Vec<f32>,
    /// Padded; in 16 bits, because the rows are widened to that many anyway.
    pub words: Vec<i16>,
    /// 1 divided by the length of `words`.
    pub factor: f32,
    pub signs: Vec<u8>,
}

impl Query {
    /// *Errors*: as [`Row::set`].
    pub fn new(shape: Shape, vector: &[f32]) -> Result<Self> {
        let name = || "query".into();
        let mut row = Row::new(shape)?;
        row.set(vector, name)?;
        let mut words = Vec::new();
        let mut factor = 1.0;
        if shape.precision == IndexPrecision::Int8 {
            let most = set_scratch(&mut row.scratch, vector, name)?;
            let length = square_f32(&row.scratch).sqrt();
            // The most that a dot product with the longest row can take, and as much less as rounding may add.
            let limit = (2f64.powi(31) - 1.0) / (127.0 * (shape.dimensions as f64).sqrt())
                - (shape.dimensions as f64).sqrt();
            let to = (32767.0 / f64::from(most)).min(limit / length);
            words = zeros(shape.stride())?;
            for (word, x) in words.iter_mut().zip(&row.scratch) {
                *word = (f64::from(*x) * to).round_ties_even() as i16;
            }
            let squares = words.iter().map(|word| f64::from(*word).powi(2));
            factor = 1.0 / squares.sum::<f64>().sqrt() as f32;
        }
        Ok(Self {
            floats: row.floats,
            words,
            factor,
            signs: row.signs,
        })
    }
}

/// Copies a vector to where there is room for its padding, and returns its largest magnitude.
fn set_scratch(scratch: &mut [f32], vector: &[f32], name: impl Fn() -> String) -> Result<f32> {
    let most = largest(vector);
    if !most.is_finite() {
        let name = name();
        return Err(Error::invalid_input(format!(
            "{name} has a value that is not a number or infinite"
        )));
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
