//! Group normalization followed by an activation.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Scalar, TensorMetadata};
use burn::tensor::{Shape, Tensor};

use super::{Activation, HotOps, activation};

/// A group norm over inputs with channels last. *Source*: Wu & He, "Group Normalization", 2018.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    /// The gain, `[c]`; `GroupNorm.weight` in checkpoints.
    pub weight: Tensor<1>,
    /// The offset, `[c]`.
    pub bias: Tensor<1>,
    /// The number of groups that the channels form.
    pub groups: usize,
    /// The number that is added to the variance.
    pub epsilon: f32,
}

impl GroupNorm {
    /// Normalizes `x` and applies the activation. *Shapes*: `x: [b, h, w, c]`, result the same.
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let (gain, offset) = (self.weight.clone(), self.bias.clone());
        let (groups, epsilon) = (self.groups, self.epsilon);
        group_norm(
            x,
            gain.unsqueeze(),
            offset.unsqueeze(),
            groups,
            epsilon,
            activation,
        )
    }
}

/// Computes `activation(norm(x) * gain + offset)`, for norms whose gain and offset depend on a condition.
///
/// *Shapes*: `x: [b, h, w, c]`, `gain`, `offset`: `[b, c]`, or `[1, c]` for the same in all images, result as `x`.
pub fn group_norm(
    x: Tensor<4>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups: usize,
    epsilon: f32,
    activation: Activation,
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::group_norm(
        x.into_dispatch(),
        gain.into_dispatch(),
        offset.into_dispatch(),
        groups,
        epsilon,
        activation,
    ))
}

pub(super) fn plain<B: Backend>(
    x: FloatTensor<B>,
    gain: FloatTensor<B>,
    offset: FloatTensor<B>,
    groups: usize,
    epsilon: f32,
    activation: Activation,
) -> FloatTensor<B> {
    let [b, h, w, c] = x.shape().dims();
    let grouped = Shape::from([b, h * w, groups, c / groups]);
    let mean = |x| B::float_mean_dim(B::float_mean_dim(x, 1), 3);
    let row = |v: FloatTensor<B>| {
        let [rows, _] = v.shape().dims();
        B::float_reshape(v, Shape::from([rows, 1, 1, c]))
    };
    let x = B::float_reshape(x, grouped);
    let centred = B::float_sub(x.clone(), mean(x));
    let variance = mean(B::float_mul(centred.clone(), centred.clone()));
    let deviation = B::float_sqrt(B::float_add_scalar(variance, Scalar::from(epsilon)));
    let normal = B::float_reshape(B::float_div(centred, deviation), Shape::from([b, h, w, c]));
    let y = B::float_add(B::float_mul(normal, row(gain)), row(offset));
    activation::plain::<B>(y, activation)
}
