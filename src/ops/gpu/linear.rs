//! Linear layers on the GPU: one kernel for all formats of weights, which it turns into f32 as it copies them to workgroup memory.

use burn_wgpu::CubeTensor;

use super::kernel::{Kernel, all_f32, contiguous, dims};
use super::{ROWS, activation_number, empty};
use crate::ops::{Activation, PANEL};

/// The format of packed weights.
struct Format {
    /// The name of the kernel, and its text after `linear.wgsl`.
    name: &'static str,
    text: &'static str,
    /// Inputs that a workgroup copies at a time.
    tile_k: usize,
    /// The kernel in whose end a layer norm is.
    name_with_norm: &'static str,
    with_norm: &'static str,
}

macro_rules! of_files {
    ($name:literal, $tile_k:literal $(, $file:literal)*) => {
        Format {
            name: $name,
            text: concat!(
                include_str!("linear.wgsl"),
                $(include_str!($file),)*
                include_str!("linear_end.wgsl"),
                include_str!("panel_io.wgsl"),
                include_str!("activation.wgsl")
            ),
            tile_k: $tile_k,
            name_with_norm: concat!($name, "_norm"),
            with_norm: concat!(
                include_str!("linear.wgsl"),
                $(include_str!($file),)*
                include_str!("linear_norm.wgsl"),
                include_str!("panel_io.wgsl")
            ),
        }
    };
}

const F32: Format = of_files!("linear", 16, "linear_f32.wgsl");
const F16: Format = of_files!("linear_f16", 16, "linear_f16.wgsl");
const Q8: Format = of_files!("linear_q8", 16, "linear_q8.wgsl");
const Q4: Format = of_files!("linear_q4", 32, "linear_q4.wgsl", "q4_no_offset.wgsl");
const Q4_OFFSET: Format = of_files!("linear_q4_offset", 32, "linear_q4.wgsl", "q4_offset.wgsl");

/// Inputs that a workgroup copies at a time where it has all outputs: for 48 panels, 12 of the 16 KiB of memory that WebGPU guarantees it.
const TILE_K_WITH_NORM: usize = 8;

/// The steps that the kernel takes after the matrix product.
pub(super) enum End {
    /// A bias and an activation.
    Activation(Activation),
    /// A bias, the sum with a residual and a layer norm, whose gain and offset follow the bias in its tensor.
    Norm { residual: CubeTensor, epsilon: f32 },
}

/// Whether the kernel can compute a layer: it has inputs, and what should be f32 is.
pub(super) fn fits<const N: usize>(x: &CubeTensor, floats: [&CubeTensor; N]) -> bool {
    let [_, k] = dims(x);
    k > 0 && all_f32([x]) && all_f32(floats)
}

pub(super) fn f32(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, end: End) -> CubeTensor {
    launch(F32, [x, bias, weight], end, 0, 1)
}

pub(super) fn f16(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, end: End) -> CubeTensor {
    launch(F16, [x, bias, weight], end, 0, 1)
}

pub(super) fn q8(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    smooth: CubeTensor,
    bias: CubeTensor,
    end: End,
) -> CubeTensor {
    let ([_, k], [factors]) = (dims(&x), dims(&smooth));
    let [_, quads, _] = dims(&weight);
    let inputs = [x, bias, weight, scale, smooth];
    launch(Q8, inputs, end, quads, factors / k)
}

pub(super) fn q4(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    bias: CubeTensor,
    end: End,
) -> CubeTensor {
    let [_, groups, _] = dims(&scale);
    launch(Q4, [x, bias, weight, scale], end, groups, 1)
}

pub(super) fn q4_offset(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    offset: CubeTensor,
    bias: CubeTensor,
    end: End,
) -> CubeTensor {
    let [_, groups, _] = dims(&scale);
    let inputs = [x, bias, weight, scale, offset];
    launch(Q4_OFFSET, inputs, end, groups, 1)
}

/// Launches the kernel. The first two inputs are `x` and the bias; `stride` is the number of words of a lane of quantized weights, and
/// `parts` that of joined layers.
fn launch<const N: usize>(
    format: Format,
    inputs: [CubeTensor; N],
    end: End,
    stride: usize,
    parts: usize,
) -> CubeTensor {
    let ([m, k], [biases]) = (dims(&inputs[0]), dims(&inputs[1]));
    let (n, tile_k) = match end {
        End::Activation(_) => (biases, format.tile_k),
        End::Norm { .. } => (biases / 3, TILE_K_WITH_NORM),
    };
    if m == 0 || n == 0 {
        return empty(&inputs[0], [m, n]);
    }
    let panels = n.div_ceil(PANEL);
    // Few rows make few tiles, so that smaller tiles keep more of the GPU busy. With the rows of one invocation no other would have work: on
    // SwiftShader, one row takes half of the time of the next larger tile, or less.
    let (group_m, group_n) = match (&end, m) {
        (End::Norm { .. }, m) => (m.div_ceil(2 * ROWS).min(4), panels),
        (_, ..=ROWS) => (1, 16),
        (_, m) if m <= 4 * ROWS => (4, 8),
        _ => (8, 8),
    };
    let tiles = m.div_ceil(group_m * ROWS) * panels.div_ceil(group_n);
    let inputs = contiguous(inputs);
    let (activation, epsilon) = match end {
        End::Activation(activation) => (activation_number(activation), 0.0),
        End::Norm { epsilon, .. } => (0, epsilon),
    };
    let sizes = [m, k, n].map(|size| size as u32);
    let rest = [tiles, stride, panels / parts].map(|size| size as u32);
    let info = [&sizes[..], &[activation], &rest, &[epsilon.to_bits()]].concat();
    let kernel = |name, text| {
        Kernel::new(name, text, (group_n as u32, group_m as u32))
            .with("group_m", group_m)
            .with("group_n", group_n)
            .with("tile_k", tile_k)
    };
    let inputs = inputs.each_ref();
    match end {
        End::Activation(_) => kernel(format.name, format.text)
            .with("y", N)
            .with("info", N + 1)
            .launch(tiles, &inputs, [m, n], &info),
        End::Norm { residual, .. } => {
            let [residual] = contiguous([residual]);
            let inputs: Vec<_> = inputs.into_iter().chain([&residual]).collect();
            kernel(format.name_with_norm, format.with_norm)
                .with("residual", N)
                .with("y", N + 1)
                .with("info", N + 2)
                .launch(tiles, &inputs, [m, n], &info)
        }
    }
}
