//! The gate of a feed-forward layer.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::tensor::Tensor;

use super::{Activation, HotOps, activation};

/// Computes `activation(gate) · up`, value by value. *Shapes*: `gate`, `up`, result: `[m, n]`.
///
/// *Source*: Shazeer, "GLU Variants Improve Transformer", 2020.
pub fn gated(gate: Tensor<2>, up: Tensor<2>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gated(
        gate.into_dispatch(),
        up.into_dispatch(),
        activation,
    ))
}

pub(super) fn plain<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    B::float_mul(activation::plain::<B>(gate, activation), up)
}
