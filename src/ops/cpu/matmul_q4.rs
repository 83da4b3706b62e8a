//! int4 weights for the int8 kernel: a panel at a time is unpacked, and serves all the rows of a block.

use super::matmul_q8::{Panel, PanelBuffer, Panels, registers, word_sums, words};
use super::simd::{F32x4, unpack_nibbles};
use crate::ops::{Groups, PANEL, Q4_GROUP};

/// int4 weights as they are packed.
pub(super) struct Q4Weights<'a> {
    /// `[⌈n / 8⌉, 4 groups, 8]` of eight int4 each.
    pub values: &'a [i32],
    /// `[⌈n / 8⌉, groups, 4]` of two f16 each.
    pub scale: &'a [i32],
    pub groups: usize,
}

impl Panels for Q4Weights<'_> {
    const SCALED: bool = true;

    fn groups(&self) -> Groups {
        Groups {
            count: self.groups,
            quads: Q4_GROUP / 4,
        }
    }

    fn smooth(&self) -> Option<&[f32]> {
        None
    }

    fn panel<'a>(&'a self, index: usize, buffer: &'a mut PanelBuffer) -> Panel<'a> {
        let (octets, scales) = (self.groups * 4 * PANEL, self.groups * PANEL / 2);
        buffer.quads.clear();
        for [low, high] in registers(&self.values[index * octets..][..octets]) {
            let ([a, c], [b, d]) = (unpack_nibbles(low), unpack_nibbles(high));
            buffer.quads.extend([a, b, c, d].as_flattened());
        }
        let words = registers(words(&buffer.quads, &mut buffer.words));
        buffer.sums.clear();
        for group in words.chunks_exact(words.len() / self.groups) {
            buffer
                .sums
                .extend(word_sums(group).map(F32x4::to_array).as_flattened());
        }
        let halves = self.scale[index * scales..][..scales].iter();
        buffer.group_scales.clear();
        buffer
            .group_scales
            .extend(halves.flat_map(|pair| [float(*pair), float(pair >> 16)]));
        Panel {
            words,
            sums: registers(&buffer.sums),
            group_scales: registers(&buffer.group_scales),
            scale: [F32x4::splat(1.0); 2],
        }
    }
}

/// The f16 in the lower half.
fn float(half: i32) -> f32 {
    half::f16::from_bits(half as u16).to_f32()
}
