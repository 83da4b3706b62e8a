//! The tensors of a loaded model, taken out one by one to build its layers.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};

use super::layout::{Loaded, Values};
use crate::error::{Error, Result};
use crate::ops::{Embedding, LayerNorm, Linear, LinearWeight, PANEL, floats, integers};

/// A model's tensors by name, each taken out once.
pub struct Weights {
    tensors: HashMap<String, Loaded>,
    device: Device,
}

impl Weights {
    pub(super) fn new(tensors: HashMap<String, Loaded>, device: Device) -> Self {
        Self { tensors, device }
    }

    /// The layer whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn linear(&mut self, name: &str) -> Result<Linear> {
        let bias = self.vector(&format!("{name}.bias"))?;
        let Loaded {
            values,
            shape,
            scale,
            smooth,
            sums,
            halves,
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1], shape[2]];
        let weight = match values {
            Values::F32(values) => LinearWeight::F32(floats(values, shape, &self.device)),
            Values::Q8(values) => LinearWeight::q8(values, sums, scale, smooth, &self.device),
            Values::Q4(values) => {
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
        let Loaded {
            values,
            shape,
            scale,
            ..
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1]];
        Ok(match values {
            Values::F32(values) => Embedding::F32(floats(values, shape, &self.device)),
            Values::Q8(values) | Values::Q4(values) => {
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

    /// A tensor with one dimension.
    pub fn vector(&mut self, name: &str) -> Result<Tensor<1>> {
        match self.take(name)? {
            Loaded {
                values: Values::F32(values),
                shape,
                ..
            } => Ok(floats(values, [shape[0]], &self.device)),
            Loaded {
                values: Values::Q8(_) | Values::Q4(_),
                ..
            } => Err(Error::internal(format!("tensor '{name}' is not plain"))),
        }
    }

    fn scale(&self, scale: Vec<f32>) -> Tensor<1> {
        let length = scale.len();
        floats(scale, [length], &self.device)
    }

    fn take(&mut self, name: &str) -> Result<Loaded> {
        self.tensors
            .remove(name)
            .ok_or_else(|| Error::internal(format!("tensor '{name}' was not asked for")))
    }
}
