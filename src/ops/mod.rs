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
mod linear_norm;
mod norm;
mod pack;
mod pool;
mod rotary;
mod self_attention;
mod transfer;
pub(crate) mod work;

pub use activation::{Activation, from_config as activation_from_config};
pub use attention::{RelativeBias, Spans, attention};
pub use conv::{Conv2d, Window, upsample};
pub use embedding::Embedding;
pub use gated::gated;
#[cfg(feature = "webgpu")]
pub use gpu::GpuStats;
#[cfg(feature = "webgpu")]
pub(crate) use gpu::{count_opening, count_self_test, now_ms};
pub use group_norm::{GroupNorm, group_norm};
pub use linear::{
    Groups, Linear, LinearWeight, PANEL, group_sums, group_sums_shape, packed_f16_shape,
    packed_f32_shape, packed_q4_shape, packed_q8_shape, q4_scale_shape,
};
pub use linear_norm::LinearNorm;
pub use norm::{LayerNorm, RmsNorm};
pub use pack::Dtype;
pub use pilotlight_kernels::QUERY_BLOCK;
#[cfg(target_arch = "wasm32")]
pub(crate) use pilotlight_kernels::{Method, SIMD_LEVEL};
pub use pool::{Pool, Reduction, pool};
pub use rotary::Rotary;
pub use self_attention::QueryKeyValue;
pub(crate) use transfer::{columns, part, part_int};
#[cfg(feature = "webgpu")]
pub(crate) use transfer::{float_on, integer_on};
pub use transfer::{floats, integers, read};

use burn::backend::backend_extension;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Device;

/// Whether a device is a GPU. A core without WebGPU has none, so that the compiler leaves out what is for it.
pub(crate) fn is_gpu(device: &Device) -> bool {
    cfg!(feature = "webgpu") && *device != Device::flex()
}

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

    /// `activation(x · wᵀ + bias)` with f16 weights.
    ///
    /// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, k, 4]` of two f16 in an i32 (see [`packed_f16_shape`]), `bias: [n]`, result `[m, n]`.
    #[cfg(feature = "webgpu")]
    fn linear_f16(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_f16::<Self>(x, weight, bias, activation)
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

    /// `norm(x · wᵀ + bias + residual) · gain + offset` with f32 weights, the norm over all outputs.
    ///
    /// *Shapes*: as for [`linear_f32`](Self::linear_f32), with `side: [3 · n]`, the bias, the gain and the offset, and `residual: [m, n]`.
    fn linear_norm_f32(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        side: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [bias, gain, offset] = linear_norm::split::<Self>(side);
        let y = Self::linear_f32(x, weight, bias, Activation::Identity);
        Self::add_layer_norm(y, residual, gain, offset, epsilon)
    }

    /// Computes [`linear_norm_f32`](Self::linear_norm_f32) with the f16 weights of [`linear_f16`](Self::linear_f16).
    #[cfg(feature = "webgpu")]
    fn linear_norm_f16(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        side: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [bias, gain, offset] = linear_norm::split::<Self>(side);
        let y = Self::linear_f16(x, weight, bias, Activation::Identity);
        Self::add_layer_norm(y, residual, gain, offset, epsilon)
    }

    /// Computes [`linear_norm_f32`](Self::linear_norm_f32) with the int8 weights of [`linear_q8`](Self::linear_q8).
    fn linear_norm_q8(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        sums: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        smooth: FloatTensor<Self>,
        side: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [bias, gain, offset] = linear_norm::split::<Self>(side);
        let identity = Activation::Identity;
        let y = Self::linear_q8(x, weight, sums, scale, smooth, bias, identity);
        Self::add_layer_norm(y, residual, gain, offset, epsilon)
    }

    /// Computes [`linear_norm_f32`](Self::linear_norm_f32) with the int4 weights of [`linear_q4`](Self::linear_q4).
    fn linear_norm_q4(
        x: FloatTensor<Self>,
        weight: IntTensor<Self>,
        scale: IntTensor<Self>,
        side: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [bias, gain, offset] = linear_norm::split::<Self>(side);
        let y = Self::linear_q4(x, weight, scale, bias, Activation::Identity);
        Self::add_layer_norm(y, residual, gain, offset, epsilon)
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

    /// Computes [`attention`](Self::attention) of queries, keys and values, as many of each, that lie side by side.
    ///
    /// *Shapes*: `all: [t, 3 · h · d]`, result `[t, h · d]`.
    #[cfg(feature = "webgpu")]
    fn joined_attention(all: FloatTensor<Self>, spans: Spans, heads: usize) -> FloatTensor<Self> {
        let [query, key, value] = attention::split::<Self>(all);
        <Self as HotOps>::attention(query, key, value, spans, heads)
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

    /// Looks up the weights of an output of an f16 linear layer for each id.
    ///
    /// *Shapes*: `weight: [⌈n / 8⌉, k, 4]` of two f16 in an i32, `ids: [t]` below `n`, result `[t, k]`.
    #[cfg(feature = "webgpu")]
    fn panel_rows_f16(weight: IntTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        embedding::plain_panel_rows_f16::<Self>(weight, ids)
    }

    /// Looks up rows of an f16 table.
    ///
    /// *Shapes*: `table: [v, ⌈d / 2⌉]` of two f16 in an i32, `ids: [t]` below `v`, result `[t, d]`.
    #[cfg(feature = "webgpu")]
    fn embedding_f16(
        table: IntTensor<Self>,
        ids: IntTensor<Self>,
        dimensions: usize,
    ) -> FloatTensor<Self> {
        embedding::plain_f16::<Self>(table, ids, dimensions)
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

    /// Reduces neighbouring rows to one, for each of `pools`.
    ///
    /// *Shapes*: `x: [t, d]`, result `[pools, d]`.
    fn pool(x: FloatTensor<Self>, pools: Vec<Pool>) -> FloatTensor<Self> {
        pool::plain::<Self>(x, pools)
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
