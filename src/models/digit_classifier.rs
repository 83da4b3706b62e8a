//! A small classifier of handwritten digits, with which the generator is evaluated.
//!
//! It is the network `Judge` of `training/digits/models.py`, and its tensors have the names of that module's.

use burn::tensor::Tensor;

use super::digit_unet::EDGE;
use crate::error::Result;
use crate::ops::{Activation, Conv2d, GroupNorm, Linear, Window};
use crate::weights::Tensors;

/// The convolutions, each as input channels, output channels and stride.
const CONVOLUTIONS: [(usize, usize, usize); 5] = [
    (1, 24, 1),
    (24, 48, 2),
    (48, 48, 1),
    (48, 64, 2),
    (64, 64, 2),
];
/// The number of values after the convolutions: 4 by 4 pixels of 64 channels.
const FLAT: usize = 4 * 4 * 64;
const HIDDEN: usize = 64;
const GROUPS: usize = 8;
const EPSILON: f32 = 1e-5;

/// The network of the digit classifier.
pub struct DigitClassifier {
    /// The convolutions, each with the norm after it.
    layers: Vec<(Conv2d, GroupNorm)>,
    /// `[hidden, flat]`
    hidden: Linear,
    /// `[10, hidden]`
    output: Linear,
}

impl DigitClassifier {
    /// Takes the network's tensors.
    pub fn new(tensors: &mut Tensors) -> Result<Self> {
        let layers = CONVOLUTIONS.iter().zip(1..).map(|((c, n, stride), i)| {
            let window = Window {
                size: 3,
                stride: *stride,
                padding: 1,
            };
            Ok((
                tensors.conv2d(&format!("conv{i}"), [*n, *c], window)?,
                tensors.group_norm(&format!("norm{i}"), *n, GROUPS, EPSILON)?,
            ))
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            hidden: tensors.linear_of_rows("hidden", [HIDDEN, FLAT])?,
            output: tensors.linear_of_rows("output", [10, HIDDEN])?,
        })
    }

    /// Computes the logits of the ten classes.
    ///
    /// *Shapes*: `x: [b, 28, 28, 1]` in -1 to 1, result `[b, 10]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [b, ..] = x.dims();
        debug_assert_eq!(x.dims(), [b, EDGE, EDGE, 1]);
        let mut h = x;
        for (conv, norm) in &self.layers {
            h = norm.forward(conv.forward(h), Activation::Silu);
        }
        // [b, 4, 4, 64] → [b, 1024]
        let hidden = self.hidden.forward(h.reshape([b, FLAT]), Activation::Silu);
        self.output.forward(hidden, Activation::Identity)
    }
}
