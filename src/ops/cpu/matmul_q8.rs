//! int8 matrix product with packed weights: activations are quantized as they come, each row in groups along its inputs.
//!
//! A group of activations becomes `x ≈ step · (q - zero)` with unsigned `q`, so that
//! `Σ x·w = scale · Σ over groups of step · (Σ q·w - zero · Σ w)`: the inner sums are integers and exact.
//!
//! A few hidden channels of a trained BERT are an order of magnitude larger than the rest, and would stretch the range of all:
//! with 7 bits some sentences then keep a cosine of only 0.976 to f32. Therefore inputs are smoothed first: multiplied with
//! factors that even them out, by which the weights were divided. *Source*: Xiao et al., "SmoothQuant", 2022.

use std::cell::RefCell;

use super::matmul_f32::{finish, of_panel};
use super::simd::{
    ACTIVATION_MAX, F32x4, ROUND, Sums, WORD, Words, dot, kernel, mul_add, to_words,
};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
use super::simd::{add_pairs, pairs, widen};
use crate::ops::{Activation, Groups, PANEL};

/// How integer products are added up. Both are exact, so the results are the same to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// One instruction multiplies and adds to 32 bits.
    Dot,
    /// Sums of 16 bits for two words, then widened: for engines that make the above of several instructions.
    #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
    Pairs,
}

impl Method {
    /// The faster one on this machine.
    pub fn best() -> Self {
        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
        if super::simd::dot_saturates() {
            return Self::Pairs;
        }
        Self::Dot
    }

    /// Rows of `x` in one register tile: as many as leave the sums in registers.
    fn rows(self) -> usize {
        match self {
            Self::Dot => 4,
            #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
            Self::Pairs => 3,
        }
    }
}

/// Rows that are quantized at a time, so that they stay in the second-level cache: whole tiles of 3 and of 4.
const BLOCK: usize = 120;

/// Weights as the kernel reads them.
pub(super) struct PackedWeights<'a> {
    /// `[⌈n / 8⌉, quads, 8]` of four int8 each.
    pub values: &'a [i32],
    /// Σ w of each group and output, `[⌈n / 8⌉, groups, 8]`.
    pub sums: &'a [f32],
    /// `[n]`
    pub scale: &'a [f32],
    /// `[k]`
    pub smooth: &'a [f32],
}

/// `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `bias: [n]`, `y: [m, n]`.
pub(super) fn linear(
    x: &[f32],
    weights: &PackedWeights,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
    method: Method,
) {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| scratch.linear(x, weights, bias, y, activation, method));
}

/// Buffers that are kept from call to call.
#[derive(Default)]
struct Scratch {
    block: Quantized,
    /// One panel of weights in the words of the dot product, where they are not packed so.
    panel: Vec<i32>,
}

impl Scratch {
    fn linear(
        &mut self,
        x: &[f32],
        weights: &PackedWeights,
        bias: &[f32],
        y: &mut [f32],
        activation: Activation,
        method: Method,
    ) {
        let (n, k) = (bias.len(), weights.smooth.len());
        let groups = Groups::of(k);
        let height = method.rows();
        let panel_values = weights
            .values
            .chunks_exact(groups.count * groups.quads * PANEL);
        let panel_sums = weights.sums.chunks_exact(groups.count * PANEL);
        for (x, y) in x.chunks(BLOCK * k).zip(y.chunks_mut(BLOCK * n)) {
            self.block.fill(x, weights.smooth, height);
            let panels = panel_values.clone().zip(panel_sums.clone());
            for (panel, (values, sums)) in panels.enumerate() {
                let columns = panel * PANEL..n.min((panel + 1) * PANEL);
                let words = words(values, &mut self.panel);
                let panel = Panel {
                    words: words.as_chunks::<4>().0.as_chunks::<2>().0,
                    group: groups.quads * (4 / WORD),
                    sums: sums.as_chunks::<4>().0.as_chunks::<2>().0,
                    scale: of_panel(&weights.scale[columns.clone()]),
                    bias: of_panel(&bias[columns.clone()]),
                    column: columns.start,
                    width: columns.len(),
                    n,
                    activation,
                };
                let words = panel.words.len();
                let groups = groups.count;
                let tiles = self
                    .block
                    .words
                    .chunks(height * words)
                    .zip(self.block.ranges.chunks(height * groups));
                for ((values, ranges), y) in tiles.zip(y.chunks_mut(height * n)) {
                    match (method, ranges.len() / groups) {
                        (Method::Dot, 4) => panel.tile::<4, false>(values, ranges, y),
                        (Method::Dot, 3) => panel.tile::<3, false>(values, ranges, y),
                        (Method::Dot, 2) => panel.tile::<2, false>(values, ranges, y),
                        (Method::Dot, _) => panel.tile::<1, false>(values, ranges, y),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, 3) => panel.tile::<3, true>(values, ranges, y),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, 2) => panel.tile::<2, true>(values, ranges, y),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, _) => panel.tile::<1, true>(values, ranges, y),
                    }
                }
            }
        }
    }
}

/// The panel itself: it is packed in the words of this build's dot product.
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
fn words<'a>(quads: &'a [i32], _: &'a mut Vec<i32>) -> &'a [i32] {
    quads
}

/// The panel with its bytes widened to 16 bits: once for all the rows of a block.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
fn words<'a>(quads: &'a [i32], buffer: &'a mut Vec<i32>) -> &'a [i32] {
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

/// How one group of activations was quantized: `x ≈ step · (q - zero)`.
#[derive(Clone, Copy, Default)]
struct Range {
    step: f32,
    zero: f32,
}

/// A block of quantized rows, tile by tile as the kernel reads them.
#[derive(Default)]
struct Quantized {
    /// Of each tile `[words, rows]`. Behind `k` stands whatever zero is quantized to: the weights there are zeros.
    words: Vec<i32>,
    /// Of each tile `[groups, rows]`.
    ranges: Vec<Range>,
    /// One row, padded with zeros to whole sixteens.
    row: Vec<f32>,
}

impl Quantized {
    fn fill(&mut self, x: &[f32], smooth: &[f32], height: usize) {
        let k = smooth.len();
        let groups = Groups::of(k);
        let group = groups.quads * 4;
        let words = groups.count * group / WORD;
        let m = x.len() / k;
        self.words.resize(m * words, 0);
        self.ranges.resize(m * groups.count, Range::default());
        self.row.clear();
        self.row.resize(groups.count * group, 0.0);
        let tiles = self
            .words
            .chunks_mut(height * words)
            .zip(self.ranges.chunks_mut(height * groups.count));
        for (x, (words, ranges)) in x.chunks(height * k).zip(tiles) {
            let rows = x.len() / k;
            for (row, x) in x.chunks_exact(k).enumerate() {
                for ((to, x), factor) in self.row.iter_mut().zip(x).zip(smooth) {
                    *to = x * factor;
                }
                let to = words
                    .chunks_exact_mut(group / WORD * rows)
                    .zip(ranges.chunks_exact_mut(rows));
                for (x, (words, ranges)) in self.row.chunks_exact(group).zip(to) {
                    let x = x.as_chunks().0;
                    ranges[row] = range(x);
                    quantize(x, ranges[row], words, row, rows);
                }
            }
        }
    }
}

kernel! {
    /// The step and zero point that cover a group's values and zero.
    fn range(x: &[[f32; 16]]) -> Range {
        let zero = F32x4::splat(0.0);
        let (mut low, mut high, mut sum) = ([zero; 2], [zero; 2], zero);
        for x in x.iter().flat_map(|x| x.as_chunks::<4>().0.as_chunks::<2>().0) {
            let x = [F32x4::load(&x[0]), F32x4::load(&x[1])];
            low = [low[0].min(x[0]), low[1].min(x[1])];
            high = [high[0].max(x[0]), high[1].max(x[1])];
            sum = sum.add(x[0].add(x[1]));
        }
        let (low, high) = (low[0].min(low[1]).smallest(), high[0].max(high[1]).largest());
        let step = (high - low) / ACTIVATION_MAX;
        // A NaN is lost to minimum and maximum, not to the sum.
        let step = if sum.sum().is_nan() {
            f32::NAN
        } else if step > f32::MIN_POSITIVE {
            step
        } else {
            // A group of zeros, or of values so small that the step underflows, quantizes to zeros.
            1.0
        };
        Range { step, zero: (-low / step).round_ties_even() }
    }

    /// Writes the words of one row of `rows`.
    fn quantize(x: &[[f32; 16]], range: Range, to: &mut [i32], row: usize, rows: usize) {
        let (inverse, zero) = (F32x4::splat(1.0 / range.step), F32x4::splat(range.zero + ROUND));
        let mut at = row;
        for x in x {
            let [a, b, c, d] = x.as_chunks::<4>().0 else { return };
            for word in to_words([a, b, c, d].map(|x| mul_add(F32x4::load(x), inverse, zero))) {
                to[at] = word;
                at += rows;
            }
        }
    }
}

/// Eight outputs: their weights, and what turns integer sums into results.
struct Panel<'a> {
    /// `[words]` of two registers.
    words: &'a [[[i32; 4]; 2]],
    /// Words in one group.
    group: usize,
    /// `[groups]` of two registers.
    sums: &'a [[[f32; 4]; 2]],
    scale: [F32x4; 2],
    bias: [F32x4; 2],
    /// The panel's first output.
    column: usize,
    /// How many of its outputs are real.
    width: usize,
    n: usize,
    activation: Activation,
}

impl Panel<'_> {
    kernel! {
        /// `M` rows of quantized activations, with the ranges of their groups.
        fn tile<const M: usize, const PAIRS: bool>(&self, values: &[i32], ranges: &[Range], y: &mut [f32]) {
            let mut totals = [[F32x4::splat(0.0); 2]; M];
            let groups = self
                .words
                .chunks_exact(self.group)
                .zip(values.as_chunks::<M>().0.chunks_exact(self.group))
                .zip(ranges.as_chunks::<M>().0)
                .zip(self.sums);
            for (((words, values), ranges), sums) in groups {
                let dots = if PAIRS { dots_by_pairs(words, values) } else { dots(words, values) };
                let sums = [F32x4::load(&sums[0]), F32x4::load(&sums[1])];
                for row in 0..M {
                    let Range { step, zero } = ranges[row];
                    for half in 0..2 {
                        let centred = mul_add(sums[half], F32x4::splat(-zero), dots[row][half].to_f32());
                        totals[row][half] = mul_add(centred, F32x4::splat(step), totals[row][half]);
                    }
                }
            }
            for (row, totals) in totals.into_iter().enumerate() {
                let sums = [0, 1].map(|half| mul_add(totals[half], self.scale[half], self.bias[half]));
                finish(sums, self.activation, &mut y[row * self.n + self.column..][..self.width]);
            }
        }
    }
}

kernel! {
    /// Σ q·w over one group.
    fn dots<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::splat(q[row]);
                sums[row][0] = dot(sums[row][0], w0, q);
                sums[row][1] = dot(sums[row][1], w1, q);
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// Σ q·w over one group, two words at a time.
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

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
use dots as dots_by_pairs;
