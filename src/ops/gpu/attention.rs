//! Attention on the GPU.

use burn_wgpu::CubeTensor;

use super::kernel::{Kernel, contiguous};
use crate::ops::Spans;

/// Queries in one workgroup.
const QUERIES: usize = 4;
/// The widest head that the kernel supports. It has an invocation for each column, and WebGPU guarantees 256 in a workgroup.
pub(super) const WIDEST_HEAD: usize = 256;

/// Launches the kernel. `vectors`: where rows of the three matrices are parts of one row, the length of that row and the positions of
/// keys and values in it, in vectors of four; else zeros.
pub(super) fn launch(
    inputs: [CubeTensor; 3],
    [t, width]: [usize; 2],
    spans: Spans,
    [heads, key_heads]: [usize; 2],
    vectors: [usize; 3],
) -> CubeTensor {
    let head = width / heads;
    // A job is [`QUERIES`] queries of a sequence: the first query, the first row of the sequence, and the row past its last.
    let jobs: Vec<[u32; 3]> = spans
        .iter()
        .flat_map(|rows| {
            let span = [rows.start as u32, rows.end as u32];
            rows.step_by(QUERIES)
                .map(move |first| [first as u32, span[0], span[1]])
        })
        .collect();
    let (rows, longest) = spans
        .bias()
        .map_or((0, 0), |bias| (bias.rows, bias.longest));
    let sizes = [heads, jobs.len(), key_heads, rows, longest];
    let sizes = sizes.into_iter().chain(vectors).map(|size| size as u32);
    let bias = spans.bias().into_iter().flat_map(|bias| bias.table.iter());
    let info: Vec<u32> = sizes
        .chain(jobs.concat())
        .chain(bias.map(|value| value.to_bits()))
        .collect();
    let [query, key, value] = contiguous(inputs);
    let lanes = head.next_power_of_two().max(32);
    Kernel::new(
        "attention",
        include_str!("attention.wgsl"),
        (lanes as u32, 1),
    )
    .with("lanes", lanes)
    .with("head", head / 4)
    .with("causal", usize::from(spans.is_causal()))
    .with("bias", usize::from(spans.bias().is_some()))
    .launch(
        jobs.len() * heads,
        &[&query, &key, &value],
        [t, width],
        &info,
    )
}
