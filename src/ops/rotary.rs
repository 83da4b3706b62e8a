//! Rotary position embeddings.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{Device, Shape, Slice, Tensor};

use super::{HotOps, Spans, floats};

/// The rotations of the rows of one ragged batch, by each row's position in its sequence.
///
/// *Source*: Su et al., "RoFormer", 2021; the pairs are `(i, i + d / 2)`, as in `transformers`.
pub struct Rotary {
    /// `[t, d / 2]` each
    pub(super) cos: Tensor<2>,
    pub(super) sin: Tensor<2>,
}

impl Rotary {
    /// Computes the rotations. `d`: the width of a head; `theta`: the base of the wavelengths.
    pub fn new(spans: &Spans, d: usize, theta: f32, device: &Device) -> Self {
        let half = d / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|i| 1.0 / theta.powf(2.0 * i as f32 / d as f32))
            .collect();
        let mut angles = Vec::new();
        for position in spans.iter().flat_map(|rows| 0..rows.len()) {
            angles.extend(frequencies.iter().map(|f| position as f32 * f));
        }
        let table = |of: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|angle| of(*angle)).collect();
            floats(values, [angles.len() / half.max(1), half], device)
        };
        Self {
            cos: table(f32::cos),
            sin: table(f32::sin),
        }
    }

    /// Rotates each head. *Shapes*: `x`, result: `[t, heads * d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::rotary(
            x.into_dispatch(),
            self.cos.clone().into_dispatch(),
            self.sin.clone().into_dispatch(),
        ))
    }
}

pub(super) fn plain<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
) -> FloatTensor<B> {
    let [t, width] = x.shape().dims();
    let [_, half] = cos.shape().dims();
    let heads = width / (2 * half);
    // [t, h * d] → [t, h, 2, d / 2]; the angles: [t, 1, d / 2]
    let x = B::float_reshape(x, Shape::from([t, heads, 2, half]));
    let part = |i: usize| {
        let part = [0..t, 0..heads, i..i + 1, 0..half].map(Slice::from);
        B::float_reshape(
            B::float_slice(x.clone(), &part),
            Shape::from([t, heads, half]),
        )
    };
    let [cos, sin] = [cos, sin].map(|x| B::float_reshape(x, Shape::from([t, 1, half])));
    let (low, high) = (part(0), part(1));
    let product = |x: &FloatTensor<B>, y: &FloatTensor<B>| B::float_mul(x.clone(), y.clone());
    let rotated = [
        B::float_sub(product(&low, &cos), product(&high, &sin)),
        B::float_add(product(&high, &cos), product(&low, &sin)),
    ];
    B::float_reshape(B::float_cat(rotated.into(), 2), Shape::from([t, width]))
}
