//! The matrix product with int8 weights. Activations are quantized on the fly, each row in groups of inputs.
//!
//! A group of activations becomes `x ≈ step · (q - zero)` with unsigned `q`, so that
//! `Σ x·w = scale · Σ over groups of step · (Σ q·w - zero · Σ w)`: the inner sums are integers and exact.
//!
//! With int4 weights, the relaxed build has signed activations of 8 bits and unsigned weights: its dot product takes 8 bits of one operand
//! and 7 of the other.
//!
//! If weights have an offset for each group, the sum of the group's inputs times that offset is added; for this, inputs need not be
//! quantized.
//!
//! A few hidden channels of a trained BERT are an order of magnitude larger than the others and would widen the range of their group:
//! with 7 bits, some sentences would have a cosine of only 0.976 to f32. Therefore inputs are smoothed first: multiplied by factors that
//! equalize them, by which the weights were divided. *Source*: Xiao et al., "SmoothQuant", 2022.

use std::cell::RefCell;

use super::matmul_f32::{activate_rows, of_panel, store};
use super::quantized::{Quantized, Range};
use super::simd::{
    ACTIVATION_MAX, F32x4, FINE_ACTIVATION_MAX, ONES, Sums, Words, dot, kernel, mul_add,
};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
use super::simd::{add_pairs, pairs, signed_dot, signed_pairs, widen};
use crate::activation::Activation;
use crate::layout::{Groups, PANEL, padded_quads};

/// The method of adding up integer products. Both methods are exact, so their results are equal to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One instruction multiplies, and adds in 32 bits.
    Dot,
    /// Products of two words are added in 16 bits and then widened, for engines that compile the other method to several instructions.
    #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
    Pairs,
}

impl Method {
    /// The faster method on this machine.
    pub fn best() -> Self {
        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
        if super::simd::dot_saturates() {
            return Self::Pairs;
        }
        Self::Dot
    }

    /// Rows of `x` in one register tile, as many as keep the sums in registers. A dot product takes up to five cycles, and two begin in each, so
    /// that ten sums are needed to have one ready for each of them.
    fn rows(self) -> usize {
        match self {
            Self::Dot => 5,
            #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
            Self::Pairs => 3,
        }
    }
}

/// The number that makes int4 weights unsigned.
pub const SHIFT: f32 = 8.0;

/// Rows that are quantized at a time, so that they stay in the second-level cache. It is a multiple of the tiles of 3 and of 5 rows.
const BLOCK: usize = 120;

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

    /// A panel in the layout that the kernel reads. Weights in another layout are unpacked to `buffer`.
    fn panel<'a>(&'a self, index: usize, buffer: &'a mut PanelBuffer) -> Panel<'a>;
}

/// A buffer for one panel of weights.
#[derive(Default)]
pub struct PanelBuffer {
    pub quads: Vec<i32>,
    pub words: Vec<i32>,
    pub sums: Vec<f32>,
    pub group_scales: Vec<f32>,
    pub group_offsets: Vec<f32>,
}

/// The weights of eight outputs, and the numbers that convert integer sums to results.
pub struct Panel<'a> {
    /// The weights in words of the dot product, `[words]` of two registers.
    pub words: &'a [[[i32; 4]; 2]],
    /// The sums of weights, `[groups]` of two registers.
    pub sums: &'a [[[f32; 4]; 2]],
    /// The scales, `[groups]` of two registers, if weights have a scale for each group.
    pub group_scales: &'a [[[f32; 4]; 2]],
    /// The offsets, `[groups]` of two registers, if weights have an offset for each group.
    pub group_offsets: &'a [[[f32; 4]; 2]],
    pub scale: [F32x4; 2],
}

/// Packed int8 weights.
pub struct Q8Weights<'a> {
    /// The weights, `[⌈n / 8⌉, quads, 8]` of four int8 each.
    pub values: &'a [i32],
    /// The sum of weights of each group and output, `[⌈n / 8⌉, groups, 8]`.
    pub sums: &'a [f32],
    /// The scale of each output, `[n]`.
    pub scale: &'a [f32],
    /// The smoothing factor of each input, `[k]`.
    pub smooth: &'a [f32],
    /// The number of groups of inputs.
    pub groups: usize,
}

impl Panels for Q8Weights<'_> {
    const SCALED: bool = false;

    fn groups(&self) -> Groups {
        Groups::split(self.smooth.len(), self.groups)
    }

    fn most(&self) -> f32 {
        if self.groups > Groups::of(self.smooth.len()).count {
            FINE_ACTIVATION_MAX
        } else {
            ACTIVATION_MAX
        }
    }

    fn smooth(&self) -> Option<&[f32]> {
        Some(self.smooth)
    }

    fn panel<'a>(&'a self, index: usize, buffer: &'a mut PanelBuffer) -> Panel<'a> {
        let (count, size) = (self.groups, padded_quads(self.smooth.len()) * PANEL);
        let columns = index * PANEL..self.scale.len().min((index + 1) * PANEL);
        Panel {
            words: registers(words(
                &self.values[index * size..][..size],
                &mut buffer.words,
            )),
            sums: registers(&self.sums[index * count * PANEL..][..count * PANEL]),
            group_scales: &[],
            group_offsets: &[],
            scale: of_panel(&self.scale[columns]),
        }
    }
}

/// The rows of a panel, two registers each.
pub fn registers<T>(values: &[T]) -> &[[[T; 4]; 2]] {
    values.as_chunks::<4>().0.as_chunks::<2>().0
}

/// Computes `y = activation(x · wᵀ + bias)` by the faster method.
///
/// *Shapes*: `x: [m, k]`, `bias: [n]`, `y: [m, n]`.
pub fn linear_q8(
    x: &[f32],
    k: usize,
    weights: &Q8Weights,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    linear(x, k, weights, bias, y, activation, Method::best());
}

/// Computes `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `bias: [n]`, `y: [m, n]`.
pub fn linear<W: Panels>(
    x: &[f32],
    k: usize,
    weights: &W,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
    method: Method,
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| scratch.linear(x, k, weights, bias, y, activation, method));
}

/// Buffers that are reused by later calls.
#[derive(Default)]
struct Scratch {
    block: Quantized,
    panel: PanelBuffer,
}

impl Scratch {
    fn linear<W: Panels>(
        &mut self,
        x: &[f32],
        k: usize,
        weights: &W,
        bias: &[f32],
        y: &mut [f32],
        activation: Activation,
        method: Method,
    ) {
        let n = bias.len();
        let groups = weights.groups();
        let height = method.rows();
        for (x, y) in x.chunks(BLOCK * k).zip(y.chunks_mut(BLOCK * n)) {
            self.block.fill(x, k, weights, height);
            if weights.has_offsets() {
                self.block.sum(x, k, groups, height);
            }
            for index in 0..n.div_ceil(PANEL) {
                let columns = index * PANEL..n.min((index + 1) * PANEL);
                let panel = weights.panel(index, &mut self.panel);
                let end = Epilogue {
                    bias: of_panel(&bias[columns.clone()]),
                    columns,
                    n,
                    activation,
                };
                let (words, groups) = (panel.words.len(), groups.count);
                let tiles = self
                    .block
                    .words
                    .chunks(height * words)
                    .zip(self.block.ranges.chunks(height * groups));
                for (index, ((values, ranges), y)) in
                    tiles.zip(y.chunks_mut(height * n)).enumerate()
                {
                    // Only weights with offsets need the sums, and only for them they are up to date.
                    let sums = self.block.sums.get(index * height * groups..);
                    let sums = sums.unwrap_or_default();
                    macro_rules! tile {
                        ($rows:literal, $pairs:literal) => {
                            tile::<W, $rows, $pairs>(&panel, values, ranges, sums, &end, y)
                        };
                    }
                    match (method, ranges.len() / groups) {
                        (Method::Dot, 5) => tile!(5, false),
                        (Method::Dot, 4) => tile!(4, false),
                        (Method::Dot, 3) => tile!(3, false),
                        (Method::Dot, 2) => tile!(2, false),
                        (Method::Dot, _) => tile!(1, false),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, 3) => tile!(3, true),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, 2) => tile!(2, true),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, _) => tile!(1, true),
                    }
                }
            }
        }
    }
}

/// Returns the panel itself, whose packing already has the words of this build's dot product.
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
pub fn words<'a>(quads: &'a [i32], _: &'a mut Vec<i32>) -> &'a [i32] {
    quads
}

/// Widens the bytes of the panel to 16 bits, once for all rows of a block.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub fn words<'a>(quads: &'a [i32], buffer: &'a mut Vec<i32>) -> &'a [i32] {
    buffer.resize(quads.len() * 2, 0);
    let quads = quads.as_chunks::<4>().0.as_chunks::<2>().0;
    for (words, [low, high]) in buffer
        .as_chunks_mut::<4>()
        .0
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(quads)
    {
        let ([a, c], [b, d]) = (super::simd::unpack(low), super::simd::unpack(high));
        *words = [a, b, c, d];
    }
    buffer
}

/// The last step of a tile: the bias and the activation of its sums, and the columns of the output that they go to.
struct Epilogue {
    bias: [F32x4; 2],
    /// The outputs of the panel without its padding.
    columns: std::ops::Range<usize>,
    n: usize,
    activation: Activation,
}

kernel! {
    /// Multiplies `M` rows of quantized activations, with the quantization of their groups, by one panel.
    fn tile<W: Panels, const M: usize, const PAIRS: bool>(
        panel: &Panel,
        values: &[i32],
        ranges: &[Range],
        inputs: &[f32],
        end: &Epilogue,
        y: &mut [f32],
    ) {
        let mut totals = [[F32x4::splat(0.0); 2]; M];
        let size = panel.words.len() / panel.sums.len();
        let groups = panel
            .words
            .chunks_exact(size)
            .zip(values.as_chunks::<M>().0.chunks_exact(size))
            .zip(ranges.as_chunks::<M>().0)
            .zip(panel.sums);
        for (group, (((words, values), ranges), sums)) in groups.enumerate() {
            let dots = match (PAIRS, W::SIGNED) {
                (false, false) => dots(words, values),
                (false, true) => signed_dots(words, values),
                (true, false) => dots_by_pairs(words, values),
                (true, true) => signed_dots_by_pairs(words, values),
            };
            let sums = [F32x4::load(&sums[0]), F32x4::load(&sums[1])];
            for row in 0..M {
                let Range { step, zero, shifted } = ranges[row];
                for half in 0..2 {
                    let mut dot = dots[row][half].to_f32();
                    if W::SIGNED {
                        dot = dot.sub(F32x4::splat(shifted));
                    }
                    let mut centred = mul_add(sums[half], F32x4::splat(-zero), dot);
                    if W::SCALED {
                        centred = centred.mul(F32x4::load(&panel.group_scales[group][half]));
                    }
                    totals[row][half] = mul_add(centred, F32x4::splat(step), totals[row][half]);
                }
            }
        }
        // Empty unless weights have offsets.
        for (offsets, inputs) in panel.group_offsets.iter().zip(inputs.as_chunks::<M>().0) {
            for row in 0..M {
                for half in 0..2 {
                    totals[row][half] =
                        mul_add(F32x4::load(&offsets[half]), F32x4::splat(inputs[row]), totals[row][half]);
                }
            }
        }
        // A loop, because `map` of five rows is not inlined.
        for row in &mut totals {
            *row = [0, 1].map(|half| mul_add(row[half], panel.scale[half], end.bias[half]));
        }
        let totals = activate_rows(totals, end.activation);
        for row in 0..M {
            store(totals[row], &mut y[row * end.n + end.columns.start..][..end.columns.len()]);
        }
    }

    /// The sum of weights over one group.
    pub fn word_sums(words: &[[[i32; 4]; 2]]) -> [F32x4; 2] {
        let mut sums = [Sums::zero(); 2];
        for w in words {
            sums = [0, 1].map(|half| dot(sums[half], Words::load(&w[half]), Words::splat(ONES)));
        }
        sums.map(Sums::to_f32)
    }
}

kernel! {
    /// The sum of products over one group.
    // A plain loop, because LLVM orders the instructions of an iterator differently, and that was not measured.
    #[allow(clippy::needless_range_loop)]
    fn dots<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::spread(q, row);
                sums[row][0] = dot(sums[row][0], w0, q);
                sums[row][1] = dot(sums[row][1], w1, q);
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// The sum of products over one group, two words at a time.
    fn dots_by_pairs<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0) {
            let [a0, a1, b0, b1] = [&w[0][0], &w[0][1], &w[1][0], &w[1][1]].map(Words::load);
            for row in 0..M {
                let (a, b) = (Words::splat(q[0][row]), Words::splat(q[1][row]));
                sums[row][0] = widen(sums[row][0], add_pairs(pairs(a0, a), pairs(b0, b)));
                sums[row][1] = widen(sums[row][1], add_pairs(pairs(a1, a), pairs(b1, b)));
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// Does the same as `dots` for signed activations.
    #[allow(clippy::needless_range_loop)]
    fn signed_dots<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::spread(q, row);
                sums[row][0] = signed_dot(sums[row][0], w0, q);
                sums[row][1] = signed_dot(sums[row][1], w1, q);
            }
        }
        sums
    }

    /// Does the same as `dots_by_pairs` for signed activations.
    fn signed_dots_by_pairs<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0) {
            let [a0, a1, b0, b1] = [&w[0][0], &w[0][1], &w[1][0], &w[1][1]].map(Words::load);
            for row in 0..M {
                let (a, b) = (Words::splat(q[0][row]), Words::splat(q[1][row]));
                sums[row][0] = widen(sums[row][0], add_pairs(signed_pairs(a0, a), signed_pairs(b0, b)));
                sums[row][1] = widen(sums[row][1], add_pairs(signed_pairs(a1, a), signed_pairs(b1, b)));
            }
        }
        sums
    }
}

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
use {dots as dots_by_pairs, dots as signed_dots, dots as signed_dots_by_pairs};

#[cfg(all(test, target_arch = "wasm32", feature = "relaxed-simd"))]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test]
    fn both_methods_give_the_same_bits() {
        // The largest sums: activations at both ends of the range, and the largest weights of all signs that fit.
        for (m, n, k, Groups { count, .. }) in [
            (1usize, 1usize, 1usize, Groups::of(1)),
            (2, 8, 16, Groups::of(16)),
            (7, 17, 33, Groups::of(33)),
            (13, 24, 400, Groups::of(400)),
            (13, 24, 400, Groups::fine(400)),
        ] {
            let x: Vec<f32> = (0..m * k).map(|i| [0.0, 1.0, 0.3, 1.0][i % 4]).collect();
            let words = [0x4040_4040, -0x3f3f_3f40, 0x017f_017f, -0x7e00_7e02];
            let values: Vec<i32> = (0..n.div_ceil(PANEL) * padded_quads(k) * PANEL)
                .map(|i| words[(i / 3) % 4])
                .collect();
            let weights = Q8Weights {
                values: &values,
                sums: &vec![5.0; n.div_ceil(PANEL) * count * PANEL],
                scale: &vec![0.01; n],
                smooth: &vec![1.0; k],
                groups: count,
            };
            let run = |method| {
                let mut y = vec![0.0; m * n];
                linear(
                    &x,
                    k,
                    &weights,
                    &vec![0.5; n],
                    &mut y,
                    Activation::Gelu,
                    method,
                );
                y
            };
            assert_eq!(run(Method::Dot), run(Method::Pairs), "{m}x{k}x{n}");
        }
    }
}
