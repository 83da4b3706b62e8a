//! Rows of tables in f16 and in int8 on the GPU.

use burn::backend::TensorMetadata;
use burn_wgpu::CubeTensor;

use super::empty;
use super::kernel::{Kernel, contiguous, dims};
use crate::ops::PANEL;

/// Looks up rows of `d` values in f16 by their ids, in a table `[v, ⌈d / 2⌉]` or, `is_layer`, among the outputs of a linear layer,
/// `[⌈v / 8⌉, d, 4]`.
pub(super) fn f16(table: CubeTensor, ids: CubeTensor, d: usize, is_layer: bool) -> CubeTensor {
    let [t] = dims(&ids);
    if t == 0 || d == 0 {
        return empty(&table, [t, d]);
    }
    let [table, ids] = contiguous([table, ids]);
    Kernel::new("rows_f16", include_str!("rows_f16.wgsl"), (64, 1))
        .with("lanes", if is_layer { PANEL / 2 } else { 1 })
        .launch(
            (t * d).div_ceil(64),
            &[&table, &ids],
            [t, d],
            &[(t * d) as u32, d as u32],
        )
}

/// Looks up rows of `d` values by their ids, in a table `[v, quads]` or among the outputs of a linear layer, `[⌈v / 8⌉, quads, 8]`.
pub(super) fn q8(
    table: CubeTensor,
    scale: CubeTensor,
    smooth: Option<CubeTensor>,
    ids: CubeTensor,
    d: usize,
) -> CubeTensor {
    let [t] = dims(&ids);
    if t == 0 || d == 0 {
        return empty(&scale, [t, d]);
    }
    let stride = table.shape().to_vec()[1];
    let lanes = if smooth.is_some() { PANEL } else { 1 };
    let factors = if smooth.is_some() { d } else { 0 };
    let [table, scale, ids] = contiguous([table, scale, ids]);
    // A table has no factors, but the kernel needs a buffer in their place.
    let [smooth] = contiguous([smooth.unwrap_or_else(|| scale.clone())]);
    let quads = d.div_ceil(4);
    let info = [t, quads, stride, d, factors];
    Kernel::new("rows_q8", include_str!("rows_q8.wgsl"), (64, 1))
        .with("lanes", lanes)
        .launch(
            (t * quads).div_ceil(64),
            &[&table, &scale, &smooth, &ids],
            [t, d],
            &info.map(|number| number as u32),
        )
}
