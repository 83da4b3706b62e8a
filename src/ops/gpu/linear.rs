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
}

macro_rules! format {
    ($name:literal, $tile_k:literal $(, $file:literal)*) => {
        Format {
            name: $name,
            text: concat!(
                include_str!("linear.wgsl"),
                $(include_str!($file),)*
                include_str!("panel_io.wgsl"),
                include_str!("activation.wgsl")
            ),
            tile_k: $tile_k,
        }
    };
}

const F32: Format = format!("linear", 16, "linear_f32.wgsl");
const Q8: Format = format!("linear_q8", 16, "linear_q8.wgsl");
const Q4: Format = format!("linear_q4", 32, "linear_q4.wgsl", "q4_no_offset.wgsl");
const Q4_OFFSET: Format = format!("linear_q4_offset", 32, "linear_q4.wgsl", "q4_offset.wgsl");

/// Whether the kernel can compute a layer: it has inputs, and what should be f32 is.
pub(super) fn fits<const N: usize>(x: &CubeTensor, floats: [&CubeTensor; N]) -> bool {
    let [_, k] = dims(x);
    k > 0 && all_f32([x]) && all_f32(floats)
}

pub(super) fn f32(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    activation: Activation,
) -> CubeTensor {
    launch(F32, [x, bias, weight], activation, 0, 1)
}

pub(super) fn q8(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    smooth: CubeTensor,
    bias: CubeTensor,
    activation: Activation,
) -> CubeTensor {
    let ([_, k], [factors]) = (dims(&x), dims(&smooth));
    let [_, quads, _] = dims(&weight);
    let inputs = [x, bias, weight, scale, smooth];
    launch(Q8, inputs, activation, quads, factors / k)
}

pub(super) fn q4(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    bias: CubeTensor,
    activation: Activation,
) -> CubeTensor {
    let [_, groups, _] = dims(&scale);
    launch(Q4, [x, bias, weight, scale], activation, groups, 1)
}

pub(super) fn q4_offset(
    x: CubeTensor,
    weight: CubeTensor,
    scale: CubeTensor,
    offset: CubeTensor,
    bias: CubeTensor,
    activation: Activation,
) -> CubeTensor {
    let [_, groups, _] = dims(&scale);
    let inputs = [x, bias, weight, scale, offset];
    launch(Q4_OFFSET, inputs, activation, groups, 1)
}

/// Launches the kernel. The first two inputs are `x` and the bias; `stride` is the number of words of a lane of quantized weights, and
/// `parts` that of joined layers.
fn launch<const N: usize>(
    format: Format,
    inputs: [CubeTensor; N],
    activation: Activation,
    stride: usize,
    parts: usize,
) -> CubeTensor {
    let ([m, k], [n]) = (dims(&inputs[0]), dims(&inputs[1]));
    if m == 0 || n == 0 {
        return empty(&inputs[0], [m, n]);
    }
    // Few rows make few tiles, so that smaller tiles keep more of the GPU busy.
    let (group_m, group_n) = if m <= 4 * ROWS { (4, 8) } else { (8, 8) };
    let panels = n.div_ceil(PANEL);
    let tiles = m.div_ceil(group_m * ROWS) * panels.div_ceil(group_n);
    let inputs = contiguous(inputs);
    let info = [
        m,
        k,
        n,
        activation_number(activation) as usize,
        tiles,
        stride,
        panels / parts,
    ];
    Kernel::new(format.name, format.text, (group_n as u32, group_m as u32))
        .with("group_m", group_m)
        .with("group_n", group_n)
        .with("tile_k", format.tile_k)
        .with("y", N)
        .with("info", N + 1)
        .launch(
            tiles,
            inputs.each_ref(),
            [m, n],
            &info.map(|number| number as u32),
        )
}
