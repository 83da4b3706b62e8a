//! WGSL kernels for burn's Cube backend on wgpu.
//!
//! Operations without a kernel here run by their plain bodies. So do sizes that a kernel does not support; the methods document these. Upsampling needs no kernel, because its plain body is a single copy of a view.

mod attention;
mod clock;
mod kernel;
mod linear;
mod rows;
mod stats;
#[cfg(test)]
mod tests;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::{FloatDType, Shape};
use burn_wgpu::CubeTensor;

use super::attention as plain_attention;
use super::linear as plain;
use super::{
    Activation, HotOps, PANEL, Pool, Reduction, Spans, Window, conv, gated, group_norm, norm, pool,
    rotary,
};
pub(crate) use clock::now_ms;
use kernel::{Kernel, all_f32, contiguous, dims};
use linear::End;
pub use stats::GpuStats;
pub(crate) use stats::{count_opening, count_self_test};
pub(super) use stats::{count_read, count_sent};

/// Rows that an invocation of the linear kernel computes, and pixels that one of the convolution kernel computes.
const ROWS: usize = 4;
/// The largest number of panels of outputs that a workgroup of the convolution computes.
const WIDEST_TILE: usize = 8;
/// Invocations that share a group of the group norm. Each has nine values if 48 channels of 14 by 14 pixels form eight groups. On Mesa's
/// lavapipe, twice as many took longer for the sums than they saved.
const NORM_INVOCATIONS: usize = 128;

impl HotOps for Cube {
    /// Runs the plain body if a weight has no inputs.
    fn linear_f32(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        activation: Activation,
    ) -> CubeTensor {
        if !linear::fits(&x, [&weight]) {
            return plain::plain_f32::<Self>(x, weight, bias, activation);
        }
        linear::f32(x, weight, bias, End::Activation(activation))
    }

    /// Runs the plain body if a weight has no inputs.
    fn linear_f16(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        activation: Activation,
    ) -> CubeTensor {
        if !linear::fits(&x, []) {
            return plain::plain_f16::<Self>(x, weight, bias, activation);
        }
        linear::f16(x, weight, bias, End::Activation(activation))
    }

    /// Runs the plain body if a weight has no inputs. Activations are not quantized.
    fn linear_q8(
        x: CubeTensor,
        weight: CubeTensor,
        _sums: CubeTensor,
        scale: CubeTensor,
        smooth: CubeTensor,
        bias: CubeTensor,
        activation: Activation,
    ) -> CubeTensor {
        if !linear::fits(&x, [&scale, &smooth]) {
            return plain::plain_q8::<Self>(x, weight, scale, smooth, bias, activation);
        }
        linear::q8(x, weight, scale, smooth, bias, End::Activation(activation))
    }

    /// Runs the plain body if a weight has no inputs. Activations are not quantized.
    fn linear_q4(
        x: CubeTensor,
        weight: CubeTensor,
        scale: CubeTensor,
        bias: CubeTensor,
        activation: Activation,
    ) -> CubeTensor {
        if !linear::fits(&x, []) {
            return plain::plain_q4::<Self>(x, weight, scale, None, bias, activation);
        }
        linear::q4(x, weight, scale, bias, End::Activation(activation))
    }

    /// Runs the plain body if a weight has no inputs. Activations are not quantized.
    fn linear_q4_offset(
        x: CubeTensor,
        weight: CubeTensor,
        scale: CubeTensor,
        offset: CubeTensor,
        bias: CubeTensor,
        activation: Activation,
    ) -> CubeTensor {
        if !linear::fits(&x, []) {
            return plain::plain_q4::<Self>(x, weight, scale, Some(offset), bias, activation);
        }
        linear::q4_offset(x, weight, scale, offset, bias, End::Activation(activation))
    }

    fn linear_norm_f32(
        x: CubeTensor,
        weight: CubeTensor,
        side: CubeTensor,
        residual: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        linear::f32(x, weight, side, End::Norm { residual, epsilon })
    }

    fn linear_norm_f16(
        x: CubeTensor,
        weight: CubeTensor,
        side: CubeTensor,
        residual: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        linear::f16(x, weight, side, End::Norm { residual, epsilon })
    }

    fn linear_norm_q8(
        x: CubeTensor,
        weight: CubeTensor,
        _sums: CubeTensor,
        scale: CubeTensor,
        smooth: CubeTensor,
        side: CubeTensor,
        residual: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        linear::q8(
            x,
            weight,
            scale,
            smooth,
            side,
            End::Norm { residual, epsilon },
        )
    }

    fn linear_norm_q4(
        x: CubeTensor,
        weight: CubeTensor,
        scale: CubeTensor,
        side: CubeTensor,
        residual: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        linear::q4(x, weight, scale, side, End::Norm { residual, epsilon })
    }

    fn panel_rows_f16(weight: CubeTensor, ids: CubeTensor) -> CubeTensor {
        let [_, d, _] = dims(&weight);
        rows::f16(weight, ids, d, true)
    }

    fn embedding_f16(table: CubeTensor, ids: CubeTensor, dimensions: usize) -> CubeTensor {
        rows::f16(table, ids, dimensions, false)
    }

    fn panel_rows_q8(
        weight: CubeTensor,
        scale: CubeTensor,
        smooth: CubeTensor,
        ids: CubeTensor,
    ) -> CubeTensor {
        let [d] = dims(&smooth);
        rows::q8(weight, scale, Some(smooth), ids, d)
    }

    fn embedding_q8(
        table: CubeTensor,
        scale: CubeTensor,
        ids: CubeTensor,
        dimensions: usize,
    ) -> CubeTensor {
        rows::q8(table, scale, None, ids, dimensions)
    }

    /// Runs the plain body for heads whose width exceeds [`attention::WIDEST_HEAD`] or is no multiple of four.
    fn attention(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        spans: Spans,
        heads: usize,
    ) -> CubeTensor {
        let [t, width] = dims(&query);
        if t == 0 || width == 0 {
            return empty(&query, [t, width]);
        }
        let head = width / heads;
        let [rows, key_width] = dims(&key);
        let fits = head.is_multiple_of(4) && head <= attention::WIDEST_HEAD && rows == t;
        if !fits || !all_f32([&query, &key, &value]) {
            return plain_attention::plain::<Self>(query, key, value, spans, heads);
        }
        attention::launch(
            [query, key, value],
            [t, width],
            spans,
            [heads, key_width / head],
            [0; 3],
        )
    }

    /// Runs the plain body for heads whose width the kernel does not support.
    fn joined_attention(all: CubeTensor, spans: Spans, heads: usize) -> CubeTensor {
        let [t, width] = dims(&all);
        let d = width / 3;
        let head = d / heads;
        if t == 0 || !head.is_multiple_of(4) || head > attention::WIDEST_HEAD || !all_f32([&all]) {
            let [query, key, value] = plain_attention::split::<Self>(all);
            return <Self as HotOps>::attention(query, key, value, spans, heads);
        }
        let vectors = [width / 4, d / 4, d / 2];
        attention::launch(
            [all.clone(), all.clone(), all],
            [t, d],
            spans,
            [heads, heads],
            vectors,
        )
    }

    fn add_layer_norm(
        x: CubeTensor,
        residual: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        epsilon: f32,
    ) -> CubeTensor {
        let [m, d] = dims(&x);
        if m == 0 || d == 0 {
            return empty(&x, [m, d]);
        }
        if !all_f32([&x, &residual, &gamma, &beta]) {
            return norm::plain::<Self>(x, residual, gamma, beta, epsilon);
        }
        let [x, residual, gamma, beta] = contiguous([x, residual, gamma, beta]);
        Kernel::new(
            "add_layer_norm",
            concat!(
                include_str!("add_layer_norm.wgsl"),
                include_str!("reduce.wgsl")
            ),
            (64, 1),
        )
        .launch(
            m,
            &[&x, &residual, &gamma, &beta],
            [m, d],
            &[m as u32, d as u32, epsilon.to_bits()],
        )
    }

    fn rms_norm(x: CubeTensor, gain: CubeTensor, epsilon: f32) -> CubeTensor {
        let [m, d] = dims(&x);
        if m == 0 || d == 0 {
            return empty(&x, [m, d]);
        }
        if !all_f32([&x, &gain]) {
            return norm::plain_rms::<Self>(x, gain, epsilon);
        }
        let [x, gain] = contiguous([x, gain]);
        let text = concat!(include_str!("rms_norm.wgsl"), include_str!("reduce.wgsl"));
        Kernel::new("rms_norm", text, (64, 1)).launch(
            m,
            &[&x, &gain],
            [m, d],
            &[m as u32, d as u32, epsilon.to_bits()],
        )
    }

    fn rotary(x: CubeTensor, cos: CubeTensor, sin: CubeTensor) -> CubeTensor {
        let ([t, width], [_, half]) = (dims(&x), dims(&cos));
        if t == 0 || width == 0 {
            return empty(&x, [t, width]);
        }
        if !all_f32([&x, &cos, &sin]) {
            return rotary::plain::<Self>(x, cos, sin);
        }
        let [x, cos, sin] = contiguous([x, cos, sin]);
        let values = t * width;
        Kernel::new("rotary", include_str!("rotary.wgsl"), (64, 1)).launch(
            values.div_ceil(64),
            &[&x, &cos, &sin],
            [t, width],
            &[values as u32, width as u32, half as u32],
        )
    }

    fn gated(gate: CubeTensor, up: CubeTensor, activation: Activation) -> CubeTensor {
        let [m, n] = dims(&gate);
        if m == 0 || n == 0 {
            return empty(&gate, [m, n]);
        }
        if !all_f32([&gate, &up]) {
            return gated::plain::<Self>(gate, up, activation);
        }
        let [gate, up] = contiguous([gate, up]);
        let values = m * n;
        Kernel::new(
            "gated",
            concat!(include_str!("gated.wgsl"), include_str!("activation.wgsl")),
            (64, 1),
        )
        .launch(
            values.div_ceil(64),
            &[&gate, &up],
            [m, n],
            &[values as u32, activation_number(activation)],
        )
    }

    fn pool(x: CubeTensor, pools: Vec<Pool>) -> CubeTensor {
        let ([_, d], count) = (dims(&x), pools.len());
        if count * d == 0 {
            return empty(&x, [count, d]);
        }
        if !all_f32([&x]) {
            return pool::plain::<Self>(x, pools);
        }
        let [x] = contiguous([x]);
        let blocks = d.div_ceil(64);
        let pools = pools.into_iter().flat_map(|(rows, reduction)| {
            let (number, place) = match reduction {
                Reduction::Mean => (0, 0),
                Reduction::MeanSqrtLength => (1, 0),
                Reduction::Max => (2, 0),
                Reduction::WeightedMean { first } => (3, first),
            };
            [rows.start, rows.end, number, place]
        });
        let info: Vec<u32> = [d, blocks, count * blocks, 0]
            .into_iter()
            .chain(pools)
            .map(|number| number as u32)
            .collect();
        let kernel = Kernel::new("pool", include_str!("pool.wgsl"), (64, 1));
        kernel.launch(count * blocks, &[&x], [count, d], &info)
    }

    /// Runs the plain body if a weight has no inputs.
    fn conv2d(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, window: Window) -> CubeTensor {
        let ([b, h, w, c], [n]) = (dims(&x), dims(&bias));
        let (high, wide) = (window.outputs(h), window.outputs(w));
        let (pixels, panels) = (b * high * wide, n.div_ceil(PANEL));
        if pixels == 0 || n == 0 {
            return empty(&x, [b, high, wide, n]);
        }
        let inputs = window.size * window.size * c;
        if inputs * h * w == 0 || !all_f32([&x, &weight, &bias]) {
            return conv::plain::<Self>(x, weight, bias, window);
        }
        // The fewest tiles side by side, all of one width: 48 or 96 channels fill no power of two.
        let group_n = panels.div_ceil(panels.div_ceil(WIDEST_TILE));
        // At least 32 invocations, in a multiple of TILE_K, as the shader requires.
        let group_m = if group_n == 1 { 32 } else { 16 };
        let tiles = pixels.div_ceil(group_m * ROWS) * panels.div_ceil(group_n);
        let [x, weight, bias] = contiguous([x, weight, bias]);
        let info = [
            pixels,
            h,
            w,
            c,
            high,
            wide,
            n,
            window.size,
            window.stride,
            window.padding,
            tiles,
        ];
        Kernel::new(
            "conv2d",
            concat!(include_str!("conv2d.wgsl"), include_str!("panel_io.wgsl")),
            ((group_m * group_n) as u32, 1),
        )
        .with("group_m", group_m)
        .with("group_n", group_n)
        .launch(
            tiles,
            &[&x, &weight, &bias],
            [b, high, wide, n],
            &info.map(|number| number as u32),
        )
    }

    fn group_norm(
        x: CubeTensor,
        gain: CubeTensor,
        offset: CubeTensor,
        groups: usize,
        epsilon: f32,
        activation: Activation,
    ) -> CubeTensor {
        let [b, h, w, c] = dims(&x);
        if b * h * w * c == 0 {
            return empty(&x, [b, h, w, c]);
        }
        if !all_f32([&x, &gain, &offset]) {
            return group_norm::plain::<Self>(x, gain, offset, groups, epsilon, activation);
        }
        // The distance from the gain and offset of one image to those of the next.
        let [gain_stride, offset_stride] = [&gain, &offset].map(|rows| {
            let [rows, _] = dims(rows);
            if rows == 1 { 0 } else { c as u32 }
        });
        let [x, gain, offset] = contiguous([x, gain, offset]);
        Kernel::new(
            "group_norm",
            concat!(
                include_str!("group_norm.wgsl"),
                include_str!("reduce.wgsl"),
                include_str!("activation.wgsl")
            ),
            (NORM_INVOCATIONS as u32, 1),
        )
        .with("invocations", NORM_INVOCATIONS)
        .launch(
            b * groups,
            &[&x, &gain, &offset],
            [b, h, w, c],
            &[
                (b * groups) as u32,
                groups as u32,
                (h * w) as u32,
                c as u32,
                gain_stride,
                offset_stride,
                epsilon.to_bits(),
                activation_number(activation),
            ],
        )
    }
}

/// The number of an activation in `activation.wgsl`.
fn activation_number(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::QuickGelu => 4,
        Activation::Silu => 5,
    }
}

/// A result without values, for which no kernel is launched: a GPU refuses a dispatch of no workgroups.
fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    Cube::float_empty(Shape::from(shape), &like.device(), FloatDType::F32)
}
