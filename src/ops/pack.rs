//! The precisions of a model, and linear layers packed from values in memory.

use burn::tensor::Device;
use pilotlight_kernels::pack::{
    linear_scale, pack_row_f16, pack_row_f32, pack_row_q4, pack_row_q8, quantize_row,
};

use super::{
    Groups, Linear, LinearWeight, floats, group_sums, packed_f16_shape, packed_f32_shape,
    packed_q4_shape, packed_q8_shape, q4_scale_shape,
};
use crate::error::{Error, Result};

/// The precision of a loaded model's large matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Values in f32, as trained.
    F32,
    /// Values in f16. The CPU computes with them in f32.
    F16,
    /// Values in int8 with one scale per output channel, or per row of an embedding table.
    Q8,
    /// Values in int4 with one scale per output and 32 inputs; embedding tables are as in `Q8`.
    Q4,
}

impl Dtype {
    /// All of them, from the one with the most bits to the one with the fewest.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8, Self::Q4];

    /// The name in options, keys and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// Finds a dtype by its name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|dtype| dtype.name() == name);
        named.ok_or_else(|| {
            Error::invalid_input(format!(
                "dtype is '{name}', expected 'f32', 'f16', 'q8' or 'q4'"
            ))
        })
    }
}

impl Linear {
    /// Packs a layer from values in memory.
    ///
    /// *Shapes*: `weight: [n, k]`, `bias: [n]`. *Errors*: `InvalidInput` where `n` does not divide the weights.
    pub fn pack(weight: &[f32], bias: &[f32], dtype: Dtype, device: &Device) -> Result<Self> {
        let n = bias.len();
        if n == 0 || weight.is_empty() || !weight.len().is_multiple_of(n) {
            let values = weight.len();
            return Err(Error::invalid_input(format!(
                "weight has {values} values, expected a multiple of the {n} outputs"
            )));
        }
        let k = weight.len() / n;
        let rows = weight.chunks_exact(k).enumerate();
        let weight = match dtype {
            Dtype::F32 => {
                let shape = packed_f32_shape(n, k);
                let mut packed = vec![0.0; shape.iter().product()];
                for (output, row) in rows {
                    pack_row_f32(&mut packed, k, output, row);
                }
                LinearWeight::F32(floats(packed, shape, device))
            }
            Dtype::F16 => {
                let shape = packed_f16_shape(n, k);
                let mut packed = vec![0; shape.iter().product()];
                for (output, row) in rows {
                    pack_row_f16(&mut packed, k, output, row);
                }
                LinearWeight::f16(packed, shape, device)
            }
            Dtype::Q8 => {
                let shape = packed_q8_shape(n, k);
                let (mut packed, mut bytes) = (vec![0; shape.iter().product()], vec![0; k]);
                let mut scale = Vec::with_capacity(n);
                for (output, row) in rows {
                    scale.push(quantize_row(row, linear_scale(row), &mut bytes));
                    pack_row_q8(&mut packed, k, output, &bytes);
                }
                let sums = group_sums(&packed, Groups::of(k));
                LinearWeight::q8(packed, sums, scale, vec![1.0; k], device)
            }
            Dtype::Q4 => {
                let (shape, scales) = (packed_q4_shape(n, k), q4_scale_shape(n, k));
                let mut packed = vec![0; shape.iter().product()];
                let mut scale = vec![0; scales.iter().product()];
                for (output, row) in rows {
                    pack_row_q4(&mut packed, &mut scale, output, row);
                }
                LinearWeight::q4(packed, scale, Vec::new(), shape, device)
            }
        };
        Ok(Self {
            weight,
            bias: floats(bias.to_vec(), [n], device),
        })
    }
}
