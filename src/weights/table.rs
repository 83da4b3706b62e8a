//! A table of rows that is read on the CPU, without tensors.

use super::layout::{PackedTensor, PackedValues, widened_rows};

/// A table whose rows are looked up, in f32 or in int8 with a scale for each row.
#[derive(Default)]
pub struct Table {
    values: Values,
    rows: usize,
    columns: usize,
}

enum Values {
    /// `[rows, columns]`
    F32(Vec<f32>),
    Q8 {
        /// `[rows, ⌈columns / 4⌉]`, four values in each element.
        packed: Vec<i32>,
        /// `[rows]`
        scale: Vec<f32>,
    },
}

impl Default for Values {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl Table {
    pub(super) fn new(tensor: PackedTensor) -> Self {
        Self {
            rows: tensor.shape.first().copied().unwrap_or_default(),
            columns: tensor.columns,
            values: match tensor.values {
                PackedValues::F32(values) => Values::F32(values),
                PackedValues::F16(values) => Values::F32(widened_rows(&values, tensor.columns)),
                PackedValues::Q8(packed) | PackedValues::Q4(packed) => Values::Q8 {
                    packed,
                    scale: tensor.scale,
                },
            },
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of values in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Adds the row at `index`, times `weight`, to the `columns` values of `to`.
    pub fn add_row(&self, index: usize, weight: f32, to: &mut [f32]) {
        match &self.values {
            Values::F32(values) => {
                let row = &values[index * self.columns..(index + 1) * self.columns];
                for (to, x) in to.iter_mut().zip(row) {
                    *to += weight * x;
                }
            }
            Values::Q8 { packed, scale } => {
                let quads = self.columns.div_ceil(4);
                let row: &[i8] = bytemuck::cast_slice(&packed[index * quads..(index + 1) * quads]);
                let weight = weight * scale[index];
                for (to, x) in to.iter_mut().zip(row) {
                    *to += weight * f32::from(*x);
                }
            }
        }
    }
}
