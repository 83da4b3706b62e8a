//! A linear layer whose result is added to a residual and normalized, as both halves of a post-norm layer end.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{Slice, Tensor};

use super::linear::Q4_GROUP;
use super::{Activation, HotOps, LayerNorm, Linear, LinearWeight, PANEL, is_gpu};

/// The most outputs and inputs of a layer that a GPU computes together with its norm: a workgroup has all outputs of its rows, so that there
/// are few workgroups, each with much work. On SwiftShader, 384 inputs take a tenth longer than with a norm apart, which costs less than a
/// dispatch of a real GPU, and 1,536 inputs take a third longer.
const MOST: usize = 384;

/// A linear layer and the norm of the sum of its result and a residual.
#[derive(Clone, Debug)]
pub struct LinearNorm {
    linear: Linear,
    norm: LayerNorm,
    /// The bias, and the gain and the offset of the norm, `[3 · n]`, where a GPU computes both in one dispatch.
    side: Option<Tensor<1>>,
}

impl LinearNorm {
    /// Joins a layer and the norm that follows it, which are on the same device.
    pub fn new(linear: Linear, norm: LayerNorm) -> Self {
        let [n] = linear.bias.dims();
        let inputs = match &linear.weight {
            LinearWeight::F32(weight) => weight.dims()[1],
            #[cfg(feature = "webgpu")]
            LinearWeight::F16(weight) => weight.dims()[1],
            LinearWeight::Q8 { smooth, .. } => smooth.dims()[0],
            LinearWeight::Q4 { scale, offset, .. } if offset.is_none() => {
                scale.dims()[1] * Q4_GROUP
            }
            LinearWeight::Q4 { .. } => usize::MAX,
        };
        let is_one =
            is_gpu(&linear.bias.device()) && n.max(inputs) <= MOST && n.is_multiple_of(PANEL);
        let side = is_one.then(|| {
            let side = [&linear.bias, &norm.weight, &norm.bias];
            Tensor::cat(side.map(Clone::clone).into(), 0)
        });
        Self { linear, norm, side }
    }

    /// Computes `norm(linear(x) + residual)`. *Shapes*: `x: [m, k]`, `residual`, result: `[m, n]`.
    pub fn forward(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        // In a core without WebGPU the condition is always false, so that the compiler leaves out the rest.
        let Some(side) = self.side.as_ref().filter(|side| is_gpu(&side.device())) else {
            let y = self.linear.forward(x, Activation::Identity);
            return self.norm.forward(y, residual);
        };
        let (x, residual) = (x.into_dispatch(), residual.into_dispatch());
        let (side, epsilon) = (side.clone().into_dispatch(), self.norm.epsilon);
        Tensor::from_dispatch(match self.linear.weight.clone() {
            LinearWeight::F32(weight) => {
                Dispatch::linear_norm_f32(x, weight.into_dispatch(), side, residual, epsilon)
            }
            #[cfg(feature = "webgpu")]
            LinearWeight::F16(weight) => {
                Dispatch::linear_norm_f16(x, weight.into_dispatch(), side, residual, epsilon)
            }
            LinearWeight::Q8 {
                packed,
                sums,
                scale,
                smooth,
            } => Dispatch::linear_norm_q8(
                x,
                packed.into_dispatch(),
                sums.into_dispatch(),
                scale.into_dispatch(),
                smooth.into_dispatch(),
                side,
                residual,
                epsilon,
            ),
            LinearWeight::Q4 { packed, scale, .. } => Dispatch::linear_norm_q4(
                x,
                packed.into_dispatch(),
                scale.into_dispatch(),
                side,
                residual,
                epsilon,
            ),
        })
    }
}

/// Takes the bias, the gain and the offset apart.
pub(super) fn split<B: Backend>(side: FloatTensor<B>) -> [FloatTensor<B>; 3] {
    let [length] = side.shape().dims();
    let n = length / 3;
    [0, 1, 2].map(|part| B::float_slice(side.clone(), &[Slice::from(part * n..(part + 1) * n)]))
}
