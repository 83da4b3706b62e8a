//! int8 matrix product with packed weights: activations are quantized as they come, each row in groups along its inputs.
//!
//! A group of activations becomes `x ≈ step · (q - zero)` with unsigned `q`, so that
//! `Σ x·w = scale · Σ over groups of step · (Σ q·w - zero · Σ w)`: the inner sums are integers and exact.
//!
//! Groups, because a few hidden channels of a trained BERT are an order of magnitude larger than the rest. One range for the
//! whole row would be stretched by them: with 7 bits some sentences then keep a cosine of only 0.976 to f32.

use super::matmul_f32::finish;
use super::simd::{ACTIVATION_MAX, Activation8, Dots, F32x4, Quad, Weights, dot, kernel, mul_add};
use crate::ops::{Activation, GROUP, PANEL};

/// Rows of `x` that one register tile covers: as many as leave the sums in registers.
const ROWS: usize = if cfg!(feature = "relaxed-simd") { 4 } else { 2 };

/// Rows that are quantized at a time, so that they stay in the second-level cache.
const BLOCK: usize = 128;

/// Quads of inputs in one group.
const QUADS: usize = GROUP / 4;

/// Weights as the kernel reads them.
pub(super) struct PackedWeights<'a> {
    /// `[⌈n / 8⌉, ⌈k / 4⌉, 8]` of four int8 each.
    pub values: &'a [i32],
    /// Σ w of each group and output, `[⌈n / 8⌉, ⌈k / 64⌉, 8]`.
    pub sums: &'a [f32],
    /// `[n]`
    pub scale: &'a [f32],
}

/// `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `bias: [n]`, `y: [m, n]`.
pub(super) fn linear(
    x: &[f32],
    k: usize,
    weights: &PackedWeights,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    let n = bias.len();
    let quads = k.div_ceil(4);
    let groups = k.div_ceil(GROUP);
    let mut block = Quantized::with_capacity(BLOCK.min(x.len() / k), k);
    for (x, y) in x.chunks(BLOCK * k).zip(y.chunks_mut(BLOCK * n)) {
        block.fill(x, k);
        let panels = weights
            .values
            .chunks_exact(quads * PANEL)
            .zip(weights.sums.chunks_exact(groups * PANEL));
        for (panel, (values, sums)) in panels.enumerate() {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            let panel = Panel {
                values: values.as_chunks::<4>().0.as_chunks::<2>().0,
                sums: sums.as_chunks::<4>().0.as_chunks::<2>().0,
                scale: &weights.scale[columns.clone()],
                bias: &bias[columns.clone()],
                column: columns.start,
                n,
                activation,
            };
            let rows = block
                .values
                .chunks(ROWS * quads * 4)
                .zip(block.ranges.chunks(ROWS * groups));
            for ((values, ranges), y) in rows.zip(y.chunks_mut(ROWS * n)) {
                match ranges.len() / groups {
                    4 => panel.tile::<4>(values, ranges, y),
                    3 => panel.tile::<3>(values, ranges, y),
                    2 => panel.tile::<2>(values, ranges, y),
                    _ => panel.tile::<1>(values, ranges, y),
                }
            }
        }
    }
}

/// How one group of activations was quantized: `x ≈ step · (q - zero)`.
#[derive(Clone, Copy)]
struct Range {
    step: f32,
    zero: f32,
}

/// A block of quantized rows.
struct Quantized {
    /// `[rows, ⌈k / 4⌉ * 4]`, zeros behind `k`: the weights there are zeros too.
    values: Vec<Activation8>,
    /// `[rows, ⌈k / 64⌉]`
    ranges: Vec<Range>,
}

impl Quantized {
    fn with_capacity(rows: usize, k: usize) -> Self {
        let values = Vec::with_capacity(rows * k.next_multiple_of(4));
        Self {
            values,
            ranges: Vec::with_capacity(rows * k.div_ceil(GROUP)),
        }
    }

    fn fill(&mut self, x: &[f32], k: usize) {
        self.values.clear();
        self.ranges.clear();
        for row in x.chunks_exact(k) {
            for group in row.chunks(GROUP) {
                let range = range(group);
                let start = self.values.len();
                self.values
                    .resize(start + group.len().next_multiple_of(4), 0);
                quantize(group, range, &mut self.values[start..start + group.len()]);
                self.ranges.push(range);
            }
        }
    }
}

kernel! {
    /// The step and zero point that cover a group's values and zero.
    fn range(x: &[f32]) -> Range {
        let (mut low, mut high) = (F32x4::splat(0.0), F32x4::splat(0.0));
        for x in x.chunks(4) {
            let x = F32x4::load_partial(x);
            low = low.min(x);
            high = high.max(x);
        }
        let (low, high) = (low.smallest(), high.largest());
        let step = (high - low) / ACTIVATION_MAX;
        // A group of zeros, or of values so small that the step underflows, quantizes to zeros; NaN stays NaN.
        let step = if step > f32::MIN_POSITIVE || step.is_nan() { step } else { 1.0 };
        Range { step, zero: (-low / step).round_ties_even() }
    }

    fn quantize(x: &[f32], range: Range, to: &mut [Activation8]) {
        let (inverse, zero) = (F32x4::splat(1.0 / range.step), F32x4::splat(range.zero));
        let (least, most) = (F32x4::splat(0.0), F32x4::splat(ACTIVATION_MAX));
        for (x, to) in x.chunks(4).zip(to.chunks_mut(4)) {
            let q = F32x4::load_partial(x).mul(inverse).round().add(zero).max(least).min(most);
            to.copy_from_slice(&q.to_activations()[..to.len()]);
        }
    }
}

/// Eight outputs: their weights, and what turns integer sums into results.
struct Panel<'a> {
    /// `[⌈k / 4⌉]` of two registers.
    values: &'a [[[i32; 4]; 2]],
    /// `[⌈k / 64⌉]` of two registers.
    sums: &'a [[[f32; 4]; 2]],
    /// Of the panel's real outputs, 1 to 8.
    scale: &'a [f32],
    bias: &'a [f32],
    /// The panel's first output.
    column: usize,
    n: usize,
    activation: Activation,
}

impl Panel<'_> {
    kernel! {
        /// `M` rows of quantized activations, with the ranges of their groups.
        fn tile<const M: usize>(&self, values: &[Activation8], ranges: &[Range], y: &mut [f32]) {
            let (quads, groups) = (self.values.len(), self.sums.len());
            let values: [&[[Activation8; 4]]; M] =
                std::array::from_fn(|row| values[row * quads * 4..][..quads * 4].as_chunks::<4>().0);
            let mut totals = [[F32x4::splat(0.0); 2]; M];
            for (group, (weights, sums)) in self.values.chunks(QUADS).zip(self.sums).enumerate() {
                let rows: [&[[Activation8; 4]]; M] =
                    std::array::from_fn(|row| &values[row][group * QUADS..][..weights.len()]);
                let mut dots = [[Dots::zero(); 2]; M];
                for (i, w) in weights.iter().enumerate() {
                    let [w0, w1] = [Weights::load(&w[0]), Weights::load(&w[1])];
                    for row in 0..M {
                        let quad = Quad::load(&rows[row][i]);
                        dots[row][0] = dot(dots[row][0], w0, quad);
                        dots[row][1] = dot(dots[row][1], w1, quad);
                    }
                }
                let sums = [F32x4::load(&sums[0]), F32x4::load(&sums[1])];
                for row in 0..M {
                    let Range { step, zero } = ranges[row * groups + group];
                    for half in 0..2 {
                        let centred = dots[row][half].to_f32().sub(sums[half].mul(F32x4::splat(zero)));
                        totals[row][half] = mul_add(centred, F32x4::splat(step), totals[row][half]);
                    }
                }
            }
            for (row, mut totals) in totals.into_iter().enumerate() {
                for (total, scale) in totals.iter_mut().zip(self.scale.chunks(4)) {
                    *total = total.mul(F32x4::load_partial(scale));
                }
                let start = row * self.n + self.column;
                finish(totals, self.bias, self.activation, &mut y[start..start + self.bias.len()]);
            }
        }
    }
}
