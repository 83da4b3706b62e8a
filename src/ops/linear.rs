//! Linear layers: `y = activation(x · wᵀ + bias)`, with f32, f16, int8 or int4 weights.
//!
//! Weights have the layout that the kernels read: outputs are grouped in panels of [`PANEL`], so that a vector register holds the weights
//! of neighbouring outputs for one input. Padding, both of outputs and of quantized inputs, is zero.

use std::ops::Range;

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, FloatDType, Scalar};
use burn::tensor::{Device, Int, Shape, Slice, Tensor};

use pilotlight_kernels::unpack_halves;

pub use pilotlight_kernels::layout::{
    Groups, PANEL, Q4_GROUP, group_sums, group_sums_shape, packed_f16_shape, packed_f32_shape,
    packed_q4_shape, packed_q8_shape, q4_scale_shape,
};

use super::{Activation, HotOps, activation, floats, integers, part, part_int};

/// The weights of a linear layer in the precision of the loaded model.
#[derive(Clone, Debug)]
pub enum LinearWeight {
    /// f32 weights, of the shape that [`packed_f32_shape`] gives.
    F32(Tensor<3>),
    /// f16 weights on a GPU, of the shape that [`packed_f16_shape`] gives. On the CPU they are in f32.
    #[cfg(feature = "webgpu")]
    F16(Tensor<3, Int>),
    /// int8 weights with one scale per output.
    Q8 {
        /// Four int8 in each i32, the lowest byte first, of the shape that [`packed_q8_shape`] gives.
        packed: Tensor<3, Int>,
        /// The sums of weights that [`group_sums`] computes.
        sums: Tensor<3>,
        /// The scale of each output, `[n]`.
        scale: Tensor<1>,
        /// The factor of each input, `[k]`: activations are multiplied by it before they are quantized, and the weights were divided by it.
        smooth: Tensor<1>,
    },
    /// int4 weights with one scale, and maybe one offset, per output and group of 32 inputs.
    Q4 {
        /// Eight int4 in each i32, of the shape that [`packed_q4_shape`] gives. The first four inputs are in the low halves of the bytes, the
        /// others in the high halves.
        packed: Tensor<3, Int>,
        /// The f16 scales, two in each i32, of the shape that [`q4_scale_shape`] gives.
        scale: Tensor<3, Int>,
        /// The f16 offsets, which are added to the scaled weights, in the layout of the scales.
        offset: Option<Tensor<3, Int>>,
    },
}

impl LinearWeight {
    /// Makes f16 weights from their packed values, of the shape that [`packed_f16_shape`] gives. A build without WebGPU converts them to f32.
    pub fn f16(packed: Vec<i32>, shape: [usize; 3], device: &Device) -> Self {
        #[cfg(feature = "webgpu")]
        return Self::F16(integers(packed, shape, device));
        #[cfg(not(feature = "webgpu"))]
        return Self::widened(&packed, shape, device);
    }

    /// Makes f32 weights of values packed in f16, of the shape that [`packed_f16_shape`] gives.
    pub(crate) fn widened(packed: &[i32], [panels, k, pairs]: [usize; 3], device: &Device) -> Self {
        let mut values = Vec::new();
        unpack_halves(packed, &mut values);
        Self::F32(floats(values, [panels, k, 2 * pairs], device))
    }

    /// Makes int8 weights from their packed values and side tensors.
    ///
    /// *Shapes*: `packed` by [`packed_q8_shape`], `sums: [⌈n / 8⌉, groups, 8]` as [`group_sums`] computes them for either grouping of the
    /// inputs, `scale: [n]`, `smooth: [k]`.
    pub fn q8(
        packed: Vec<i32>,
        sums: Vec<f32>,
        scale: Vec<f32>,
        smooth: Vec<f32>,
        device: &Device,
    ) -> Self {
        let (n, k) = (scale.len(), smooth.len());
        let shape = packed_q8_shape(n, k);
        let groups = sums.len() / (shape[0] * PANEL).max(1);
        Self::Q8 {
            packed: integers(packed, shape, device),
            sums: floats(sums, [shape[0], groups, PANEL], device),
            scale: floats(scale, [n], device),
            smooth: floats(smooth, [k], device),
        }
    }

    /// Makes int4 weights from their packed values, scales and offsets, of which there may be none.
    ///
    /// *Shapes*: `shape` is that of `packed`, by [`packed_q4_shape`]; `scale`, `offset` by [`q4_scale_shape`].
    pub fn q4(
        packed: Vec<i32>,
        scale: Vec<i32>,
        offset: Vec<i32>,
        shape: [usize; 3],
        device: &Device,
    ) -> Self {
        let [panels, _, _] = shape;
        let groups = scale.len() / (panels * PANEL / 2).max(1);
        let of_groups = |halves| integers(halves, [panels, groups, PANEL / 2], device);
        Self::Q4 {
            packed: integers(packed, shape, device),
            scale: of_groups(scale),
            offset: (!offset.is_empty()).then(|| of_groups(offset)),
        }
    }
}

/// A linear layer with bias.
#[derive(Clone, Debug)]
pub struct Linear {
    /// The packed matrix.
    pub weight: LinearWeight,
    /// `[n]`
    pub bias: Tensor<1>,
}

impl Linear {
    /// The layer of the outputs in some panels.
    pub fn panels(&self, panels: Range<usize>) -> Self {
        let [n] = self.bias.dims();
        let outputs = panels.start * PANEL..n.min(panels.end * PANEL);
        let weight = match &self.weight {
            LinearWeight::F32(weight) => LinearWeight::F32(part(weight, panels)),
            #[cfg(feature = "webgpu")]
            LinearWeight::F16(weight) => LinearWeight::F16(part_int(weight, panels)),
            LinearWeight::Q8 {
                packed,
                sums,
                scale,
                smooth,
            } => LinearWeight::Q8 {
                packed: part_int(packed, panels.clone()),
                sums: part(sums, panels),
                scale: part(scale, outputs.clone()),
                smooth: smooth.clone(),
            },
            LinearWeight::Q4 {
                packed,
                scale,
                offset,
            } => LinearWeight::Q4 {
                packed: part_int(packed, panels.clone()),
                scale: part_int(scale, panels.clone()),
                offset: offset.as_ref().map(|offset| part_int(offset, panels)),
            },
        };
        let bias = part(&self.bias, outputs);
        Self { weight, bias }
    }

    /// Computes `activation(x · wᵀ + bias)`. *Shapes*: `x: [m, k]`, result `[m, n]`.
    pub fn forward(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let (x, bias) = (x.into_dispatch(), self.bias.clone().into_dispatch());
        Tensor::from_dispatch(match &self.weight {
            LinearWeight::F32(weight) => {
                Dispatch::linear_f32(x, weight.clone().into_dispatch(), bias, activation)
            }
            #[cfg(feature = "webgpu")]
            LinearWeight::F16(weight) => {
                Dispatch::linear_f16(x, weight.clone().into_dispatch(), bias, activation)
            }
            LinearWeight::Q8 {
                packed,
                sums,
                scale,
                smooth,
            } => Dispatch::linear_q8(
                x,
                packed.clone().into_dispatch(),
                sums.clone().into_dispatch(),
                scale.clone().into_dispatch(),
                smooth.clone().into_dispatch(),
                bias,
                activation,
            ),
            LinearWeight::Q4 {
                packed,
                scale,
                offset: None,
            } => Dispatch::linear_q4(
                x,
                packed.clone().into_dispatch(),
                scale.clone().into_dispatch(),
                bias,
                activation,
            ),
            LinearWeight::Q4 {
                packed,
                scale,
                offset: Some(offset),
            } => Dispatch::linear_q4_offset(
                x,
                packed.clone().into_dispatch(),
                scale.clone().into_dispatch(),
                offset.clone().into_dispatch(),
                bias,
                activation,
            ),
        })
    }
}

#[cfg(feature = "webgpu")]
impl Linear {
    /// Computes as [`forward`](Self::forward) by the plain body, which does not quantize activations.
    pub(crate) fn forward_plainly(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let (x, bias) = (x.into_dispatch(), self.bias.clone().into_dispatch());
        Tensor::from_dispatch(match self.weight.clone() {
            LinearWeight::F32(weight) => {
                plain_f32::<Dispatch>(x, weight.into_dispatch(), bias, activation)
            }
            LinearWeight::F16(weight) => {
                plain_f16::<Dispatch>(x, weight.into_dispatch(), bias, activation)
            }
            LinearWeight::Q8 {
                packed,
                scale,
                smooth,
                ..
            } => plain_q8::<Dispatch>(
                x,
                packed.into_dispatch(),
                scale.into_dispatch(),
                smooth.into_dispatch(),
                bias,
                activation,
            ),
            LinearWeight::Q4 {
                packed,
                scale,
                offset,
            } => plain_q4::<Dispatch>(
                x,
                packed.into_dispatch(),
                scale.into_dispatch(),
                offset.map(Tensor::into_dispatch),
                bias,
                activation,
            ),
        })
    }
}

pub(super) fn plain_f32<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let [panels, k, lanes] = weight.shape().dims();
    // [panels, k, lanes] → [panels, lanes, k] → [n, k]
    let weight = B::float_reshape(
        B::float_permute(weight, &[0, 2, 1]),
        Shape::from([panels * lanes, k]),
    );
    finish::<B>(
        B::float_matmul(x, B::float_transpose(weight)),
        bias,
        activation,
    )
}

#[cfg(feature = "webgpu")]
pub(super) fn plain_f16<B: Backend>(
    x: FloatTensor<B>,
    weight: IntTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    plain_f32::<B>(x, panels_of_halves::<B>(weight), bias, activation)
}

/// Converts the f16 weights of panels: `[⌈n / 8⌉, k, 4]` to `[⌈n / 8⌉, k, 8]`.
#[cfg(feature = "webgpu")]
pub(super) fn panels_of_halves<B: Backend>(weight: IntTensor<B>) -> FloatTensor<B> {
    let [panels, k, pairs] = weight.shape().dims();
    B::float_reshape(halves::<B>(weight), Shape::from([panels, k, 2 * pairs]))
}

/// The product with unquantized activations, which the int8 kernels approximate.
pub(super) fn plain_q8<B: Backend>(
    x: FloatTensor<B>,
    weight: IntTensor<B>,
    scale: FloatTensor<B>,
    smooth: FloatTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let [panels, quads, lanes] = weight.shape().dims();
    let [_, k] = x.shape().dims();
    let x = B::float_mul(x, B::float_reshape(smooth, Shape::from([1, k])));
    let [n] = scale.shape().dims();
    // [panels, quads, lanes, 4] → [panels, lanes, quads, 4] → [n, k] without the padding
    let bytes = B::float_permute(unpack_bytes::<B>(weight), &[0, 2, 1, 3]);
    let weight = B::float_reshape(bytes, Shape::from([panels * lanes, quads * 4]));
    let weight = B::float_slice(weight, &[Slice::from(0..n), Slice::from(0..k)]);
    let y = B::float_matmul(x, B::float_transpose(weight));
    let y = B::float_mul(y, B::float_reshape(scale, Shape::from([1, n])));
    finish::<B>(y, bias, activation)
}

/// The product with unquantized activations, which the int4 kernels approximate.
pub(super) fn plain_q4<B: Backend>(
    x: FloatTensor<B>,
    weight: IntTensor<B>,
    scale: IntTensor<B>,
    offset: Option<IntTensor<B>>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let [panels, octets, lanes] = weight.shape().dims();
    let [_, k] = x.shape().dims();
    let [n] = bias.shape().dims();
    let groups = octets / 4;
    // Inputs 0 to 3 of an octet, then 4 to 7: [panels, octets, lanes, 8]
    let nibbles = (0..8)
        .map(|i| signed_field::<B>(weight.clone(), 8 * (i % 4) + 4 * (i / 4), 4))
        .collect();
    let weight = B::float_cat(nibbles, 3);
    // → [panels, lanes, groups, 32] · [panels, lanes, groups, 1] → [n, k]
    let weight = B::float_permute(weight, &[0, 2, 1, 3]);
    let weight = B::float_reshape(weight, Shape::from([panels, lanes, groups, Q4_GROUP]));
    let of_groups = |packed| {
        let numbers = Shape::from([panels, groups, lanes, 1]);
        B::float_permute(
            B::float_reshape(halves::<B>(packed), numbers),
            &[0, 2, 1, 3],
        )
    };
    let weight = B::float_mul(weight, of_groups(scale));
    let weight = match offset {
        Some(offset) => B::float_add(weight, of_groups(offset)),
        None => weight,
    };
    let weight = B::float_reshape(weight, Shape::from([panels * lanes, groups * Q4_GROUP]));
    let weight = B::float_slice(weight, &[Slice::from(0..n), Slice::from(0..k)]);
    finish::<B>(
        B::float_matmul(x, B::float_transpose(weight)),
        bias,
        activation,
    )
}

/// Converts the two f16 in each i32 to floats in a new last dimension. A normal f16 is `±(1024 + mantissa) · 2^(exponent - 25)`, a subnormal
/// one `±mantissa · 2^(1 - 25)`.
pub(super) fn halves<B: Backend>(packed: IntTensor<B>) -> FloatTensor<B> {
    let float = |x| B::int_into_float(x, FloatDType::F32);
    let parts = [0, 16].map(|at| {
        let field = |from: i32, bits: i32| {
            let right = B::bitwise_right_shift_scalar(packed.clone(), Scalar::from(at + from));
            B::bitwise_and_scalar(right, Scalar::from((1 << bits) - 1))
        };
        let (mantissa, exponent, sign) = (field(0, 10), field(10, 5), field(15, 1));
        let normal = B::int_clamp_max(exponent.clone(), Scalar::from(1));
        let significand = B::int_add(mantissa, B::int_mul_scalar(normal, Scalar::from(1024)));
        let exponent = B::int_clamp_min(exponent, Scalar::from(1));
        let one = B::int_add_scalar(
            B::int_mul_scalar(sign.clone(), Scalar::from(0)),
            Scalar::from(1),
        );
        let power = float(B::bitwise_left_shift(one, exponent));
        let sign = B::float_add_scalar(
            B::float_mul_scalar(float(sign), Scalar::from(-2.0f32)),
            Scalar::from(1.0f32),
        );
        let value = B::float_mul(B::float_mul(float(significand), power), sign);
        let mut shape = packed.shape().to_vec();
        shape.push(1);
        B::float_reshape(
            B::float_mul_scalar(value, Scalar::from(0.5f32.powi(25))),
            Shape::from(shape),
        )
    });
    let last = packed.shape().num_dims();
    B::float_cat(parts.into(), last)
}

/// Extracts the signed field of `bits` bits from bit `at` of each i32, as floats in a new last dimension of size one.
fn signed_field<B: Backend>(packed: IntTensor<B>, at: i32, bits: i32) -> FloatTensor<B> {
    let mut shape = packed.shape().to_vec();
    shape.push(1);
    // Shift the field to the top and back: the second shift is arithmetic and extends the sign.
    let top = B::bitwise_left_shift_scalar(packed, Scalar::from(32 - bits - at));
    let field = B::bitwise_right_shift_scalar(top, Scalar::from(32 - bits));
    B::float_reshape(
        B::int_into_float(field, FloatDType::F32),
        Shape::from(shape),
    )
}

/// Extracts the four signed bytes of each i32, as floats in a new last dimension.
pub(super) fn unpack_bytes<B: Backend>(packed: IntTensor<B>) -> FloatTensor<B> {
    let last = packed.shape().num_dims();
    let bytes = (0..4).map(|i| signed_field::<B>(packed.clone(), 8 * i, 8));
    B::float_cat(bytes.collect(), last)
}

/// Removes the padding of the panels, adds the bias and applies the activation.
fn finish<B: Backend>(
    y: FloatTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let [m, _] = y.shape().dims();
    let [n] = bias.shape().dims();
    let y = B::float_slice(y, &[Slice::from(0..m), Slice::from(0..n)]);
    let y = B::float_add(y, B::float_reshape(bias, Shape::from([1, n])));
    activation::plain::<B>(y, activation)
}
