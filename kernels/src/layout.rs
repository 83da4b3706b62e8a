//! The memory layout of packed weights: outputs in panels, inputs in groups.

/// The number of outputs in a panel of packed weights.
pub const PANEL: usize = 8;

/// The shape of packed f32 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, k, 8]`.
pub fn packed_f32_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k, PANEL]
}

/// The largest number of inputs that int8 kernels quantize together, with one step and zero point.
const MAX_IN_GROUP: usize = 384;

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
    pub fn of(k: usize) -> Self {
        let count = k.div_ceil(MAX_IN_GROUP);
        let quads = k.div_ceil(count).next_multiple_of(16) / 4;
        Self { count, quads }
    }
}

/// The shape of packed int8 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, quads, 8]` with four neighbouring inputs in each i32.
pub fn packed_q8_shape(n: usize, k: usize) -> [usize; 3] {
    let groups = Groups::of(k);
    [n.div_ceil(PANEL), groups.count * groups.quads, PANEL]
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

/// Sums the weights of each output over each group of the `k` inputs. The zero points of the groups are multiplied with these sums.
///
/// *Shapes*: `packed` by [`packed_q8_shape`], result by [`group_sums_shape`].
pub fn group_sums(packed: &[i32], k: usize) -> Vec<f32> {
    let groups = packed.chunks_exact(Groups::of(k).quads * PANEL);
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
