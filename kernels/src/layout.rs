//! How weights lie in memory: outputs in panels, inputs in groups.

/// Outputs in one panel of packed weights.
pub const PANEL: usize = 8;

/// Shape of packed f32 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, k, 8]`.
pub fn packed_f32_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k, PANEL]
}

/// Most inputs that int8 kernels quantize together, with one step and zero point.
const MOST_IN_GROUP: usize = 384;

/// How the inputs of an int8 layer are grouped: in groups of equal size, the last filled up with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many there are.
    pub count: usize,
    /// Quads of neighbouring inputs in each: whole sixteens of inputs.
    pub quads: usize,
}

impl Groups {
    /// Of `k` inputs.
    pub fn of(k: usize) -> Self {
        let count = k.div_ceil(MOST_IN_GROUP);
        let quads = k.div_ceil(count).next_multiple_of(16) / 4;
        Self { count, quads }
    }
}

/// Shape of packed int8 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, quads, 8]` of four neighbouring inputs each.
pub fn packed_q8_shape(n: usize, k: usize) -> [usize; 3] {
    let groups = Groups::of(k);
    [n.div_ceil(PANEL), groups.count * groups.quads, PANEL]
}

/// Neighbouring inputs of an int4 layer that share a scale; their activations are quantized together too.
pub const Q4_GROUP: usize = 32;

/// Shape of packed int4 weights for `n` outputs of `k` inputs: `[⌈n / 8⌉, 4⌈k / 32⌉, 8]` of eight neighbouring inputs each.
pub fn packed_q4_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k.div_ceil(Q4_GROUP) * 4, PANEL]
}

/// Shape of an int4 layer's scales: `[⌈n / 8⌉, ⌈k / 32⌉, 4]` of two neighbouring outputs' each.
pub fn q4_scale_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), k.div_ceil(Q4_GROUP), PANEL / 2]
}

/// Kernels that add 7-bit activations in 16 bits take four weights at a time: this is how much their positive ones may
/// add up to, and their negative ones.
pub const MOST_OF_FOUR: i32 = i16::MAX as i32 / 127;

/// The two fours that are added in 16 bits, of eight neighbouring inputs.
pub const FOURS: [[usize; 4]; 2] = [[0, 1, 4, 5], [2, 3, 6, 7]];

/// Shape of Σ w of each group of inputs and output: `[⌈n / 8⌉, groups, 8]`.
pub fn group_sums_shape(n: usize, k: usize) -> [usize; 3] {
    [n.div_ceil(PANEL), Groups::of(k).count, PANEL]
}

/// Σ w of each group of `k` inputs and output: what the zero point of a group is multiplied with.
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
