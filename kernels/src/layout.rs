//! The memory layout of packed weights: outputs in panels, inputs in groups.

use crate::simd::RELAXED;

/// The number of outputs in a panel of packed weights.
pub const PANEL: usize = 8;

/// The shape of packed f32 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, k, 8]`.
pub fn packed_f32_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k, PANEL]
}

/// The shape of packed f16 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, k, 4]` with two neighbouring outputs in each i32.
pub fn packed_f16_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k, PANEL / 2]
}

/// The largest number of inputs that int8 kernels quantize together, with one step and zero point.
const MAX_IN_GROUP: usize = 384;

/// The largest number of inputs in fine groups, where it leaves a choice. In SmolLM2-135M, groups of 48 take 2 % more time than the coarse
/// ones on relaxed SIMD, and groups of 32 take 13 %. In the baseline, groups need not be small, because activations of fine groups have more
/// bits: they are told from coarse ones by their number.
const MAX_IN_FINE_GROUP: usize = if RELAXED { 48 } else { 192 };

/// The grouping of the inputs of an int8 layer, in groups of equal size; the last is padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The number of groups.
    pub count: usize,
    /// Quads of neighbouring inputs in each group; its number of inputs is a multiple of sixteen.
    pub quads: usize,
}

impl Groups {
    /// The grouping of `k` inputs.
    #[inline(never)]
    pub fn of(k: usize) -> Self {
        let count = k.div_ceil(MAX_IN_GROUP);
        let quads = k.div_ceil(count).next_multiple_of(16) / 4;
        Self { count, quads }
    }

    /// The finer grouping of `k` inputs: activations have smaller errors, and weights the layout of the coarse one. Groups are as large as
    /// fits; where only groups of sixteen would fit, which take much more time, they are as small as fits beyond that.
    #[inline(never)]
    pub fn fine(k: usize) -> Self {
        let coarse = Self::of(k);
        let quads = coarse.count * coarse.quads;
        let most = coarse.quads.min(MAX_IN_FINE_GROUP / 4);
        let mut size = most;
        while size > 4 && !quads.is_multiple_of(size) {
            size -= 4;
        }
        if size == 4 {
            // The coarse group is the last that is tried.
            size = most;
            while !quads.is_multiple_of(size) {
                size += 4;
            }
        }
        Self::split(k, quads / size)
    }

    /// The grouping of `k` inputs in as many groups as [`of`](Self::of) or [`fine`](Self::fine) has.
    pub fn split(k: usize, count: usize) -> Self {
        let quads = padded_quads(k) / count;
        Self { count, quads }
    }
}

/// The quads of `k` inputs with their padding, however they are grouped.
pub(crate) fn padded_quads(k: usize) -> usize {
    let Groups { count, quads } = Groups::of(k);
    count * quads
}

/// The shape of packed int8 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, quads, 8]` with four neighbouring inputs in each i32.
pub fn packed_q8_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), padded_quads(k), PANEL]
}

/// The number of neighbouring inputs of an int4 layer that share a scale. Their activations are quantized together too.
pub const Q4_GROUP: usize = 32;

/// The shape of packed int4 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, 4⌈k / 32⌉, 8]` with eight neighbouring inputs in each i32.
pub fn packed_q4_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k.div_ceil(Q4_GROUP) * 4, PANEL]
}

/// The shape of the scales of an int4 layer: `[⌈n / 8⌉, ⌈k / 32⌉, 4]` with those of two neighbouring outputs in each i32.
pub fn q4_scale_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k.div_ceil(Q4_GROUP), PANEL / 2]
}

/// The largest sum of the positive weights, and of the negative ones, among four whose products with 7-bit activations are added in 16
/// bits.
pub const MOST_OF_FOUR: i32 = i16::MAX as i32 / 127;

/// The positions of the weights, among eight neighbouring inputs, whose products are added in 16 bits.
pub const FOURS: [[usize; 4]; 2] = [[0, 1, 4, 5], [2, 3, 6, 7]];

/// The shape of the sums of weights of each group of inputs and output: `[⌈n / 8⌉, groups, 8]`.
pub fn group_sums_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), Groups::of(k).count, PANEL]
}

/// Sums the weights of each output over each group of inputs. The zero points of the groups are multiplied with these sums.
///
/// *Shapes*: `packed` by [`packed_q8_shape`], result `[⌈n / 8⌉, groups, 8]`.
#[inline(never)]
pub fn group_sums(packed: &[i32], groups: Groups) -> Vec<f32> {
    let groups = packed.chunks_exact(groups.quads * PANEL);
    let sums = groups.flat_map(|group| {
        let mut sum = [0; PANEL];
        for quad in group.as_chunks::<PANEL>().0 {
            for (sum, quad) in sum.iter_mut().zip(quad) {
                let bytes = quad.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
                *sum += bytes.iter().sum::<i32>();
            }
        }
        sum.map(|sum| sum as f32)
    });
    sums.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fine_groups_cover_the_inputs_of_coarse_ones() {
        for k in 1..=9_000 {
            let (coarse, fine, padded) = (Groups::of(k), Groups::fine(k), padded_quads(k));
            assert_eq!(Groups::split(k, coarse.count), coarse, "{k} inputs");
            assert_eq!(Groups::split(k, fine.count), fine, "{k} inputs");
            assert_eq!(fine.count * fine.quads, padded, "{k} inputs: {fine:?}");
            assert!(fine.quads.is_multiple_of(4) && fine.quads <= coarse.quads);
        }
        // The sizes of layers in SmolLM2-135M and -360M, Qwen2.5-0.5B, Qwen3-0.6B and Llama-3.2-1B.
        for k in [576, 1536, 960, 896, 4864, 1024, 3072, 2048, 8192] {
            assert!(
                MAX_IN_FINE_GROUP / 4 >= Groups::fine(k).quads,
                "{k} inputs: {:?}",
                Groups::fine(k)
            );
        }
        // 2560 inputs are padded to 16 · 7 · 23.
        assert_eq!(Groups::fine(2560).quads, 7 * 4);
    }
}
