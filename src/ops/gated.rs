//! The gate of a feed-forward layer.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::tensor::Tensor;

use super::{Activation, HotOps, activation};

/// Computes `gate · σ(gate) · up`, value by value. *Shapes*: `gate`, `up`, result: `[m, n]`.
///
/// *Source*: Shazeer, "GLU Variants Improve Transformer", 2020.
pub fn gated_silu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gated_silu(
        gate.into_dispatch(),
        up.into_dispatch(),
    ))
}

pub(super) fn plain<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(activation::plain::<B>(gate, Activation::Silu), up)
}
