//! The tensors of a loaded model, taken out one by one to build its layers.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use pilotlight_kernels::embedding_q8;
use pilotlight_kernels::pack::pack_row_f32;

use super::layout::{PackedTensor, PackedValues};
use crate::error::{Error, Result};
use crate::ops::{
    Conv2d, Embedding, GroupNorm, LayerNorm, Linear, LinearWeight, PANEL, Window, floats, integers,
    packed_f32_shape,
};

/// A model's tensors by name, each taken out once.
pub struct Tensors {
    tensors: HashMap<String, PackedTensor>,
    device: Device,
}

impl Tensors {
    pub(super) fn new(tensors: HashMap<String, PackedTensor>, device: Device) -> Self {
        Self { tensors, device }
    }

    /// No tensors yet.
    pub fn none(device: &Device) -> Self {
        Self::new(HashMap::new(), device.clone())
    }

    /// Adds the tensors of another file.
    pub fn join(&mut self, others: Self) {
        self.tensors.extend(others.tensors);
    }

    /// The layer whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn linear(&mut self, name: &str) -> Result<Linear> {
        let bias = self.vector(&format!("{name}.bias"))?;
        self.linear_with(name, bias)
    }

    /// The layer of `n` outputs whose tensor is `{name}.weight`; it has no bias.
    pub fn linear_without_bias(&mut self, name: &str, n: usize) -> Result<Linear> {
        let bias = floats(vec![0.0; n], [n], &self.device);
        self.linear_with(name, bias)
    }

    fn linear_with(&mut self, name: &str, bias: Tensor<1>) -> Result<Linear> {
        let PackedTensor {
            values,
            shape,
            scale,
            smooth,
            sums,
            halves,
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1], shape[2]];
        let weight = match values {
            PackedValues::F32(values) => LinearWeight::F32(floats(values, shape, &self.device)),
            PackedValues::Q8(values) => LinearWeight::q8(values, sums, scale, smooth, &self.device),
            PackedValues::Q4(values) => {
                let groups = halves.len() / (shape[0] * PANEL / 2).max(1);
                LinearWeight::Q4 {
                    packed: integers(values, shape, &self.device),
                    scale: integers(halves, [shape[0], groups, PANEL / 2], &self.device),
                }
            }
        };
        Ok(Linear { weight, bias })
    }

    /// The table `{name}.weight`.
    pub fn embedding(&mut self, name: &str, dimensions: usize) -> Result<Embedding> {
        let PackedTensor {
            values,
            shape,
            scale,
            ..
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1]];
        Ok(match values {
            PackedValues::F32(values) => Embedding::F32(floats(values, shape, &self.device)),
            PackedValues::Q8(values) | PackedValues::Q4(values) => {
                let packed = integers(values, shape, &self.device);
                Embedding::Q8 {
                    packed,
                    scale: self.scale(scale),
                    dimensions,
                }
            }
        })
    }

    /// The norm whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn layer_norm(&mut self, name: &str, epsilon: f32) -> Result<LayerNorm> {
        let weight = self.vector(&format!("{name}.weight"))?;
        Ok(LayerNorm {
            weight,
            bias: self.vector(&format!("{name}.bias"))?,
            epsilon,
        })
    }

    /// The norm whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn group_norm(&mut self, name: &str, groups: usize, epsilon: f32) -> Result<GroupNorm> {
        Ok(GroupNorm {
            weight: self.vector(&format!("{name}.weight"))?,
            bias: self.vector(&format!("{name}.bias"))?,
            groups,
            epsilon,
        })
    }

    /// The convolution of `c` channels whose tensors are `{name}.weight`, rows of `[rows, columns, c]`, and `{name}.bias`, in f32.
    pub fn conv2d(&mut self, name: &str, c: usize, window: Window) -> Result<Conv2d> {
        let (weight, bias) = self.panels(name, window.size * window.size * c)?;
        Ok(Conv2d {
            weight,
            bias,
            window,
        })
    }

    /// The layer of `k` inputs whose tensors are `{name}.weight`, kept row by row, and `{name}.bias`, in f32.
    pub fn linear_of_rows(&mut self, name: &str, k: usize) -> Result<Linear> {
        let (weight, bias) = self.panels(name, k)?;
        Ok(Linear {
            weight: LinearWeight::F32(weight),
            bias,
        })
    }

    fn panels(&mut self, name: &str, k: usize) -> Result<(Tensor<3>, Tensor<1>)> {
        let bias = self.vector(&format!("{name}.bias"))?;
        let rows = self.rows(&format!("{name}.weight"), k)?;
        let shape = packed_f32_shape(rows.len() / k, k);
        let mut packed = vec![0.0; shape.iter().product()];
        for (output, row) in rows.chunks_exact(k).enumerate() {
            pack_row_f32(&mut packed, k, output, row);
        }
        Ok((floats(packed, shape, &self.device), bias))
    }

    /// The rows of a table, `d` values each, in f32.
    pub fn rows(&mut self, name: &str, d: usize) -> Result<Vec<f32>> {
        let PackedTensor {
            values,
            shape,
            scale,
            ..
        } = self.take(name)?;
        Ok(match values {
            PackedValues::F32(values) => values,
            PackedValues::Q8(values) | PackedValues::Q4(values) => {
                let mut rows = vec![0.0; scale.len() * d];
                let ids: Vec<i32> = (0..scale.len() as i32).collect();
                embedding_q8(&values, &scale, &ids, shape[1], &mut rows, d);
                rows
            }
        })
    }

    /// A tensor with one dimension.
    pub fn vector(&mut self, name: &str) -> Result<Tensor<1>> {
        let values = self.values(name)?;
        let length = values.len();
        Ok(floats(values, [length], &self.device))
    }

    /// The values of a plain tensor.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>> {
        match self.take(name)?.values {
            PackedValues::F32(values) => Ok(values),
            PackedValues::Q8(_) | PackedValues::Q4(_) => {
                Err(Error::internal(format!("tensor '{name}' is not plain")))
            }
        }
    }

    fn scale(&self, scale: Vec<f32>) -> Tensor<1> {
        let length = scale.len();
        floats(scale, [length], &self.device)
    }

    fn take(&mut self, name: &str) -> Result<PackedTensor> {
        self.tensors
            .remove(name)
            .ok_or_else(|| Error::internal(format!("tensor '{name}' was not asked for")))
    }
}
