//! The operations in which models spend their time.
//!
//! Each family of operations has a file with its shapes, its checks and a *plain body* of ordinary burn ops. Kernels are tested against
//! the plain body, and it runs on backends without a kernel. The methods of `HotOps` are overridden by `cpu` for Flex and by `gpu` for
//! Cube.

mod activation;
mod attention;
mod conv;
mod cpu;
mod embedding;
mod gated;
#[cfg(feature = "webgpu")]
mod gpu;
mod group_norm;
mod linear;
mod norm;
mod pack;
mod rotary;
mod transfer;
pub(crate) mod work;

pub use activation::{Activation, from_config as activation_from_config};
pub use attention::{RelativeBias, Spans, attention};
pub use conv::{Conv2d, Window, upsample};
pub use embedding::Embedding;
pub use gated::gated;
pub use group_norm::{GroupNorm, group_norm};
pub use linear::{
    Groups, Linear, LinearWeight, PANEL, group_sums, group_sums_shape, packed_f32_shape,
    packed_q4_shape, packed_q8_shape, q4_scale_shape,
};
pub use norm::{LayerNorm, RmsNorm};
pub use pack::Dtype;
pub use pilotlight_kernels::QUERY_BLOCK;
#[cfg(target_arch = "wasm32")]
pub(crate) use pilotlight_kernels::SIMD_LEVEL;
pub use rotary::Rotary;
pub(crate) use transfer::{columns, part, part_int};
pub use transfer::{floats, integers, read};

use burn::backend::backend_extension;
use burn::backend::tensor::{FloatTensor, IntTensor};

/// Operations for which this crate has kernels. Each has a default body of plain burn ops.
#[backend_extension(Flex, Cube: cfg(feature = "webgpu"))]
pub trait HotOps: burn::backend::Backend {
    /// `activation(x · wᵀ + bias)` with f32 weights.
    ///
    /// *Shapes*: `x: [m, k]`, `weight: [n / 8, k, 8]` (packed, see [`packed_f32_shape`]), `bias: [n]`, result `[m, n]`.
    fn linear_f32(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_f32::<Self>(x, weight, bias, activation)
    }

    /// `activation(x · wᵀ + bias)` with int8 weights, one scale per output, and activations quantized on the fly.
    ///
    /// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, quads, 8]` of four int8 in an i32 (see [`packed_q8_shape`]),
    /// `sums: [⌈n / 8⌉, groups, 8]`, `scale: [n]`, `smooth: [k]` (see [`LinearWeight`]), `bias: [n]`, result `[m, n]`.
    /// The plain body does not quantize the activations and so needs no sums.
    fn linear_q8(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        _sums: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        smooth: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_q8::<Self>(x, weight, scale, smooth, bias, activation)
    }

    /// `activation(x · wᵀ + bias)` with int4 weights, one scale per output and 32 inputs, and activations quantized on the fly.
    ///
    /// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, 4⌈k / 32⌉, 8]` of eight int4 in an i32 (see [`packed_q4_shape`]),
    /// `scale: [⌈n / 8⌉, ⌈k / 32⌉, 4]` of two f16 in an i32 (see [`q4_scale_shape`]), `bias: [n]`, result `[m, n]`.
    fn linear_q4(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        scale: IntTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_q4::<Self>(x, weight, scale, None, bias, activation)
    }

    /// Computes [`linear_q4`](Self::linear_q4) with an offset per output and 32 inputs that is added to the scaled weights.
    ///
    /// *Shapes*: `offset` as `scale`.
    fn linear_q4_offset(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        scale: IntTensor<Self>,
        offset: IntTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_q4::<Self>(x, weight, scale, Some(offset), bias, activation)
    }

    /// Scaled dot-product self-attention over sequences that lie one after the other. A row attends only to rows of its own span, and
    /// only to itself and earlier ones if the spans are causal.
    ///
    /// *Shapes*: `query`: `[t, h * d]`, `key`, `value`: `[t, g * d]`, where `g` divides `h`; result as `query`. Of a single span, `query` may
    /// have only the last rows.
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        spans: Spans,
        heads: usize,
    ) -> FloatTensor<Self> {
        attention::plain::<Self>(query, key, value, spans, heads)
    }

    /// Layer norm of the sum of two inputs: `norm(x + residual) * gamma + beta` over the last dimension.
    ///
    /// *Shapes*: `x`, `residual`: `[m, d]`, `gamma`, `beta`: `[d]`, result `[m, d]`.
    fn add_layer_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        norm::plain::<Self>(x, residual, gamma, beta, epsilon)
    }

    /// Root mean square norm: `x / √(mean(x²) + epsilon) * gain` over the last dimension.
    ///
    /// *Shapes*: `x: [m, d]`, `gain: [d]`, result `[m, d]`.
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        norm::plain_rms::<Self>(x, gain, epsilon)
    }

    /// Rotates each pair of values `(i, i + d / 2)` of each head by the angle of its row and of `i`.
    ///
    /// *Shapes*: `x: [t, h * d]`, `cos`, `sin`: `[t, d / 2]`, result as `x`.
    fn rotary(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        rotary::plain::<Self>(x, cos, sin)
    }

    /// `activation(gate) · up`, value by value.
    ///
    /// *Shapes*: `gate`, `up`, result: `[m, n]`.
    fn gated(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        gated::plain::<Self>(gate, up, activation)
    }

    /// Looks up the weights of an output of an f32 linear layer for each id.
    ///
    /// *Shapes*: `weight: [⌈n / 8⌉, k, 8]`, `ids: [t]` below `n`, result `[t, k]`.
    fn panel_rows_f32(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        embedding::plain_panel_rows_f32::<Self>(weight, ids)
    }

    /// Looks up the weights of an output of an int8 linear layer for each id.
    ///
    /// *Shapes*: `weight: [⌈n / 8⌉, quads, 8]`, `scale: [n]`, `smooth: [k]`, `ids: [t]` below `n`, result `[t, k]`.
    fn panel_rows_q8(
        weight: IntTensor<Self>,
        scale: FloatTensor<Self>,
        smooth: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        embedding::plain_panel_rows_q8::<Self>(weight, scale, smooth, ids)
    }

    /// Looks up rows of an int8 table with one scale per row.
    ///
    /// *Shapes*: `table: [v, d / 4]` of four int8 in an i32, `scale: [v]`, `ids: [t]` below `v`, result `[t, d]`.
    fn embedding_q8(
        table: IntTensor<Self>,
        scale: FloatTensor<Self>,
        ids: IntTensor<Self>,
        dimensions: usize,
    ) -> FloatTensor<Self> {
        embedding::plain_q8::<Self>(table, scale, ids, dimensions)
    }

    /// 2-D convolution with channels last.
    ///
    /// *Shapes*: `x: [b, h, w, c]`, `weight: [⌈n / 8⌉, size · size · c, 8]` (see [`Conv2d`]), `bias: [n]`, result
    /// `[b, h', w', n]`.
    fn conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        conv::plain::<Self>(x, weight, bias, window)
    }

    /// `activation(norm(x) * gain + offset)`, the norm over the pixels and channels of each group.
    ///
    /// *Shapes*: `x: [b, h, w, c]`, `gain`, `offset`: `[b, c]`, or `[1, c]` for the same in all images, result as `x`.
    fn group_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        activation: Activation,
    ) -> FloatTensor<Self> {
        group_norm::plain::<Self>(x, gain, offset, groups, epsilon, activation)
    }

    /// Repeats each pixel `factor` times in both directions.
    ///
    /// *Shapes*: `x: [b, h, w, c]`, result `[b, h · factor, w · factor, c]`.
    fn upsample(x: FloatTensor<Self>, factor: usize) -> FloatTensor<Self> {
        conv::plain_upsample::<Self>(x, factor)
    }
}

#[cfg(test)]
mod tests;
