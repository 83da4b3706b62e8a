//! The interface between quantized weights and their matrix product, and the words that the product reads.

use super::quantized::Range;
use super::simd::{WORD, Words};
use crate::activation::Activation;
use crate::layout::Groups;

/// The number that makes int4 weights unsigned.
pub const SHIFT: f32 = 8.0;

/// Weights that the kernel reads panel by panel.
pub trait Panels {
    /// Whether weights have a scale for each group.
    const SCALED: bool;

    /// Whether activations are signed, of 8 bits in any build, and stored weights are [`SHIFT`] larger than their values.
    const SIGNED: bool = false;

    fn groups(&self) -> Groups;

    /// The largest activation; the smallest is 0.
    fn most(&self) -> f32;

    /// The factors by which inputs are multiplied before they are quantized, `[k]`.
    fn smooth(&self) -> Option<&[f32]>;

    /// Whether weights have an offset for each group, which is added to them.
    fn has_offsets(&self) -> bool {
        false
    }

    /// The panels in the layout that the kernel reads. Weights in another layout are unpacked to `buffer`.
    fn unpack<'a>(&'a self, panels: Span, buffer: &'a mut PanelBuffer) -> Unpacked<'a>;

    /// Multiplies one row by all panels, which are not unpacked for that.
    fn row<const PAIRS: bool>(&self, row: &Row, y: &mut [f32]);
}

/// One row of quantized activations, and the last step of its product.
pub struct Row<'a> {
    /// `[words]`
    pub values: &'a [i32],
    /// The quantization of each group.
    pub ranges: &'a [Range],
    /// The sum of the inputs of each group, if weights have offsets.
    pub inputs: &'a [f32],
    pub bias: &'a [f32],
    pub activation: Activation,
}

/// A range of panels.
pub type Span = std::ops::Range<usize>;

/// A buffer for panels of weights.
#[derive(Default)]
pub struct PanelBuffer {
    pub words: Vec<i32>,
    pub sums: Vec<f32>,
    pub group_scales: Vec<f32>,
    pub group_offsets: Vec<f32>,
}

/// The weights of neighbouring panels of eight outputs, and the numbers that convert integer sums to results.
pub struct Unpacked<'a> {
    /// The weights in words of the dot product, `[panels, words]` of two registers.
    pub words: &'a [[[i32; 4]; 2]],
    /// The sums of weights, `[panels, groups]` of two registers.
    pub sums: &'a [[[f32; 4]; 2]],
    /// The scales, `[panels, groups]` of two registers, if weights have a scale for each group.
    pub group_scales: &'a [[[f32; 4]; 2]],
    /// The offsets, `[panels, groups]` of two registers, if weights have an offset for each group.
    pub group_offsets: &'a [[[f32; 4]; 2]],
    /// The scale of each output, if it is the same for all groups.
    pub scale: &'a [f32],
}

/// The rows of a panel, two registers each.
pub fn registers<T>(values: &[T]) -> &[[[T; 4]; 2]] {
    values.as_chunks::<4>().0.as_chunks::<2>().0
}

/// Does the same as [`registers`] for values to be written.
pub fn registers_mut<T>(values: &mut [T]) -> &mut [[[T; 4]; 2]] {
    values.as_chunks_mut::<4>().0.as_chunks_mut::<2>().0
}

/// Divides rows into as few parts of at most `most` rows as possible, whose sizes differ by one at most.
pub fn parts(rows: usize, most: usize) -> impl Iterator<Item = Span> {
    let count = rows.div_ceil(most);
    (0..count).map(move |index| index * rows / count..(index + 1) * rows / count)
}

/// Returns the panels themselves, whose packing already has the words of this build's dot product.
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
pub fn words<'a>(quads: &'a [i32], _: &'a mut Vec<i32>) -> &'a [i32] {
    quads
}

/// Widens the bytes of the panels to 16 bits, once for all rows of a block.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub fn words<'a>(quads: &'a [i32], buffer: &'a mut Vec<i32>) -> &'a [i32] {
    buffer.resize(quads.len() * QUAD, 0);
    let words = registers_mut(buffer).as_chunks_mut().0;
    for (words, quads) in words.iter_mut().zip(registers(quads)) {
        store_quads([Words::load(&quads[0]), Words::load(&quads[1])], words);
    }
    buffer
}

/// The number of words that a quad of weights becomes.
pub const QUAD: usize = 4 / WORD;

/// Stores the quads of eight outputs as words of this build's dot product.
#[inline]
pub fn store_quads(quads: [Words; 2], words: &mut [[[i32; 4]; 2]; QUAD]) {
    for half in 0..2 {
        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
        quads[half].store(&mut words[0][half]);
        #[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
        for (word, to) in super::simd::widen_quads(quads[half])
            .into_iter()
            .zip(&mut *words)
        {
            word.store(&mut to[half]);
        }
    }
}
