//! The output format of vectors: whole or truncated, as floats, bytes or bits.

use super::pooling::normalize;
use crate::error::{Error, Result};
use crate::memory::{out_of_memory, try_vec};
use crate::text::Tokens;

/// The numeric format of an embedding's values, with the names of sentence-transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Values as they were computed.
    Float32,
    /// Values of -127 to 127, scaled per vector so that the largest magnitude is 127: the cosine does not depend on the scale.
    Int8,
    /// The values of `Int8` plus 128.
    Uint8,
    /// The bytes of `Ubinary` minus 128.
    Binary,
    /// The signs, eight in a byte, the first in the highest bit.
    Ubinary,
}

impl Precision {
    /// Finds a precision by its name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "float32" => Ok(Self::Float32),
            "int8" => Ok(Self::Int8),
            "uint8" => Ok(Self::Uint8),
            "binary" => Ok(Self::Binary),
            "ubinary" => Ok(Self::Ubinary),
            other => Err(Error::invalid_input(format!(
                "precision is '{other}', expected 'float32', 'int8', 'uint8', 'binary' or 'ubinary'"
            ))),
        }
    }
}

/// The options of an embedding call.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// The number of leading values to keep, which are then normalized again; all where it is `None`.
    pub dimensions: Option<usize>,
    /// The numeric format of the values.
    pub precision: Precision,
    /// The prompt that is put before each text: the name of one of the model's prompts, or the prompt's own text. With `None`, the model's
    /// default prompt is used.
    pub prompt: Option<String>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            dimensions: None,
            precision: Precision::Float32,
            prompt: None,
        }
    }
}

/// The vectors, or the hidden states, of a list of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// The values of all vectors.
    pub values: Values,
    /// The number of rows, and of values in each.
    pub dims: [usize; 2],
    /// The number of tokens of each text after truncation, special tokens included.
    pub tokens: Vec<usize>,
    /// Whether each text was truncated.
    pub truncated: Vec<bool>,
}

impl Embeddings {
    /// Makes the result of rows of `width` values, one text after the other.
    pub(super) fn new(
        vectors: Vec<f32>,
        width: usize,
        precision: Precision,
        tokens: &[Tokens],
    ) -> Self {
        let rows = vectors.len() / width;
        let (values, width) = quantize(vectors, width, precision);
        Self {
            values,
            dims: [rows, width],
            tokens: tokens.iter().map(|tokens| tokens.ids.len()).collect(),
            truncated: tokens.iter().map(|tokens| tokens.truncated).collect(),
        }
    }
}

/// The values of all rows, one row after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Values of `Float32`.
    Float32(Vec<f32>),
    /// Values of `Int8` and `Binary`.
    Int8(Vec<i8>),
    /// Values of `Uint8` and `Ubinary`.
    Uint8(Vec<u8>),
}

impl EmbedOptions {
    /// The number of values that a returned vector has, of the model's `dimensions`.
    ///
    /// *Errors*: `InvalidInput` naming the option.
    pub(super) fn output_dimensions(&self, dimensions: usize) -> Result<usize> {
        let width = self.dimensions.unwrap_or(dimensions);
        if width == 0 || width > dimensions {
            return Err(Error::invalid_input(format!(
                "dimensions is {width}, expected 1 to {dimensions}"
            )));
        }
        Ok(width)
    }

    /// Refuses a prompt, for a model that has none.
    ///
    /// *Errors*: `InvalidInput` naming the option.
    pub(super) fn refuse_prompt(&self) -> Result<()> {
        match self.prompt {
            None => Ok(()),
            Some(_) => Err(Error::invalid_input(
                "prompt: this model has no prompts: leave it out",
            )),
        }
    }
}

/// Allocates memory for `count` vectors of `width` values.
///
/// *Errors*: `ResourceLimit`.
pub(super) fn try_reserve(count: usize, width: usize) -> Result<Vec<f32>> {
    let values = try_vec(count.saturating_mul(width));
    let message = || format!("out of memory for {count} vectors of {width} values");
    values.map_err(|error| out_of_memory(message(), error))
}

/// Truncates a normalized vector to its first `width` values, and normalizes these again.
pub(super) fn truncate_and_normalize(vector: &mut [f32], width: usize) -> &[f32] {
    let width = width.min(vector.len());
    if width < vector.len() {
        normalize(&mut vector[..width]);
    }
    &vector[..width]
}

/// Converts vectors of `dimensions` values to a precision. Returns the number of elements of one vector as well.
pub(super) fn quantize(
    vectors: Vec<f32>,
    dimensions: usize,
    precision: Precision,
) -> (Values, usize) {
    let int8 = || {
        vectors.chunks_exact(dimensions).flat_map(|vector| {
            let largest = vector
                .iter()
                .fold(0.0f32, |largest, x| largest.max(x.abs()));
            let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            vector
                .iter()
                .map(move |x| (x * factor).round_ties_even() as i8)
        })
    };
    let bits = || {
        vectors.chunks_exact(dimensions).flat_map(|vector| {
            vector.chunks(8).map(|eight| {
                eight
                    .iter()
                    .enumerate()
                    .fold(0u8, |byte, (i, x)| byte | u8::from(*x > 0.0) << (7 - i))
            })
        })
    };
    match precision {
        Precision::Int8 => (Values::Int8(int8().collect()), dimensions),
        Precision::Uint8 => (
            Values::Uint8(int8().map(|x| x.cast_unsigned() ^ 0x80).collect()),
            dimensions,
        ),
        Precision::Binary => (
            Values::Int8(bits().map(|x| (x ^ 0x80).cast_signed()).collect()),
            dimensions.div_ceil(8),
        ),
        Precision::Ubinary => (Values::Uint8(bits().collect()), dimensions.div_ceil(8)),
        Precision::Float32 => (Values::Float32(vectors), dimensions),
    }
}
