//! Norms: layer norm, fused with the residual connection that precedes it, and root mean square norm.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Scalar, TensorMetadata};
use burn::tensor::{Shape, Tensor};

use super::HotOps;

/// A layer norm over the last dimension. *Source*: Ba, Kiros & Hinton, "Layer Normalization", 2016.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// The gain, `[d]`; `LayerNorm.weight` in checkpoints.
    pub weight: Tensor<1>,
    /// The offset, `[d]`.
    pub bias: Tensor<1>,
    /// The number that is added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalizes `x`. *Shapes*: `x`, result: `[m, d]`.
    pub fn normalize(&self, x: Tensor<2>) -> Tensor<2> {
        let nothing = x.zeros_like();
        self.forward(x, nothing)
    }

    /// Normalizes `x + residual`. *Shapes*: `x`, `residual`, result: `[m, d]`.
    pub fn forward(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::add_layer_norm(
            x.into_dispatch(),
            residual.into_dispatch(),
            self.weight.clone().into_dispatch(),
            self.bias.clone().into_dispatch(),
            self.epsilon,
        ))
    }
}

/// A root mean square norm over the last dimension. *Source*: Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// The gain, `[d]`.
    pub weight: Tensor<1>,
    /// The number that is added to the mean square.
    pub epsilon: f32,
}

impl RmsNorm {
    /// Normalizes `x`. *Shapes*: `x`, result: `[m, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::rms_norm(
            x.into_dispatch(),
            self.weight.clone().into_dispatch(),
            self.epsilon,
        ))
    }
}

pub(super) fn plain_rms<B: Backend>(
    x: FloatTensor<B>,
    gain: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let [_, d] = x.shape().dims();
    let square = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1);
    let root = B::float_sqrt(B::float_add_scalar(square, Scalar::from(epsilon)));
    let gain = B::float_reshape(gain, Shape::from([1, d]));
    B::float_mul(B::float_div(x, root), gain)
}

pub(super) fn plain<B: Backend>(
    x: FloatTensor<B>,
    residual: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let [_, d] = x.shape().dims();
    let row = |v| B::float_reshape(v, Shape::from([1, d]));
    let x = B::float_add(x, residual);
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    let deviation = B::float_sqrt(B::float_add_scalar(variance, Scalar::from(epsilon)));
    B::float_add(
        B::float_mul(B::float_div(centred, deviation), row(gamma)),
        row(beta),
    )
}
