//! int8 matrix product with packed weights: activations are quantized row by row as they come.
//!
//! A row of activations becomes `x ≈ step · (q - zero)` with unsigned `q`, so that
//! `Σ x·w = step · scale · (Σ q·w - zero · Σ w)`: the sums are integers and exact, whatever order they are taken in.

use super::matmul_f32::finish;
use super::simd::{ACTIVATION_MAX, Activation8, Dots, F32x4, Quad, Weights, dot, kernel};
use crate::ops::{Activation, PANEL};

/// Rows of `x` that one register tile covers: as many as leave the sums in registers.
const ROWS: usize = if cfg!(feature = "relaxed-simd") { 4 } else { 2 };

/// Rows that are quantized at a time, so that they stay in the second-level cache.
const BLOCK: usize = 128;

/// `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, ⌈k / 4⌉, 8]` of four int8 each, `scale`, `bias`: `[n]`, `y: [m, n]`.
pub(super) fn linear(
    x: &[f32],
    k: usize,
    weight: &[i32],
    scale: &[f32],
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    let n = bias.len();
    let quads = k.div_ceil(4);
    let mut block = Quantized::with_capacity(BLOCK.min(x.len() / k), quads);
    for (x, y) in x.chunks(BLOCK * k).zip(y.chunks_mut(BLOCK * n)) {
        block.fill(x, k);
        for (panel, weight) in weight.chunks_exact(quads * PANEL).enumerate() {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            let epilogue = Epilogue {
                sums: weight_sums(weight),
                scale: &scale[columns.clone()],
                bias: &bias[columns.clone()],
                column: columns.start,
                n,
                activation,
            };
            let values = block.values.chunks(ROWS * quads * 4);
            let rows = block.rows.chunks(ROWS);
            for ((values, rows), y) in values.zip(rows).zip(y.chunks_mut(ROWS * n)) {
                match rows.len() {
                    4 => tile::<4>(values, rows, weight, y, &epilogue),
                    3 => tile::<3>(values, rows, weight, y, &epilogue),
                    2 => tile::<2>(values, rows, weight, y, &epilogue),
                    _ => tile::<1>(values, rows, weight, y, &epilogue),
                }
            }
        }
    }
}

/// Σ w of each output of a panel, for the zero point.
fn weight_sums(weight: &[i32]) -> [f32; PANEL] {
    let mut sums = [0i32; PANEL];
    for quad in weight.as_chunks::<PANEL>().0 {
        for (sum, packed) in sums.iter_mut().zip(quad) {
            *sum += packed
                .to_le_bytes()
                .iter()
                .map(|byte| i32::from(byte.cast_signed()))
                .sum::<i32>();
        }
    }
    sums.map(|sum| sum as f32)
}

/// How one row of activations was quantized: `x ≈ step · (q - zero)`.
#[derive(Clone, Copy)]
struct Row {
    step: f32,
    zero: f32,
}

/// A block of quantized rows.
struct Quantized {
    /// `[rows, quads * 4]`, zeros behind `k`: the weights there are zeros too.
    values: Vec<Activation8>,
    rows: Vec<Row>,
    quads: usize,
}

impl Quantized {
    fn with_capacity(rows: usize, quads: usize) -> Self {
        Self {
            values: Vec::with_capacity(rows * quads * 4),
            rows: Vec::with_capacity(rows),
            quads,
        }
    }

    fn fill(&mut self, x: &[f32], k: usize) {
        self.values.clear();
        self.rows.clear();
        for x in x.chunks_exact(k) {
            let row = range(x);
            let start = self.values.len();
            self.values.resize(start + self.quads * 4, 0);
            quantize(x, row, &mut self.values[start..start + k]);
            self.rows.push(row);
        }
    }
}

kernel! {
    /// The step and zero point that cover a row's values and zero.
    fn range(x: &[f32]) -> Row {
        let (chunks, rest) = x.as_chunks::<4>();
        let (mut low, mut high) = (F32x4::splat(0.0), F32x4::splat(0.0));
        for chunk in chunks {
            let x = F32x4::load(chunk);
            low = low.min(x);
            high = high.max(x);
        }
        let x = F32x4::load_partial(rest);
        let (low, high) = (low.min(x).smallest(), high.max(x).largest());
        let step = (high - low) / ACTIVATION_MAX;
        // A row of zeros, or of values so small that the step underflows, quantizes to zeros.
        let step = if step > f32::MIN_POSITIVE { step } else { 1.0 };
        Row { step, zero: (-low / step).round_ties_even() }
    }

    fn quantize(x: &[f32], row: Row, to: &mut [Activation8]) {
        let (inverse, zero) = (F32x4::splat(1.0 / row.step), F32x4::splat(row.zero));
        let (least, most) = (F32x4::splat(0.0), F32x4::splat(ACTIVATION_MAX));
        for (x, to) in x.chunks(4).zip(to.chunks_mut(4)) {
            let q = F32x4::load_partial(x).mul(inverse).round().add(zero).max(least).min(most).to_array();
            for (to, q) in to.iter_mut().zip(q) {
                *to = q as Activation8;
            }
        }
    }

    fn tile<const M: usize>(values: &[Activation8], rows: &[Row], weight: &[i32], y: &mut [f32], epilogue: &Epilogue) {
        let mut sums = [[Dots::zero(); 2]; M];
        let quads = values.len() / M / 4;
        let values: [&[[Activation8; 4]]; M] =
            std::array::from_fn(|row| values[row * quads * 4..(row + 1) * quads * 4].as_chunks::<4>().0);
        for (i, w) in weight.as_chunks::<4>().0.as_chunks::<2>().0.iter().enumerate().take(quads) {
            let [w0, w1] = [Weights::load(&w[0]), Weights::load(&w[1])];
            for row in 0..M {
                let quad = Quad::load(&values[row][i]);
                sums[row][0] = dot(sums[row][0], w0, quad);
                sums[row][1] = dot(sums[row][1], w1, quad);
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            let start = row * epilogue.n + epilogue.column;
            epilogue.apply(sums, rows[row], &mut y[start..start + epilogue.bias.len()]);
        }
    }
}

/// What turns a panel's integer sums into outputs, and where they go.
struct Epilogue<'a> {
    /// Σ w of each output.
    sums: [f32; PANEL],
    /// Of the panel's real outputs, 1 to 8.
    scale: &'a [f32],
    bias: &'a [f32],
    /// The panel's first output.
    column: usize,
    n: usize,
    activation: Activation,
}

impl Epilogue<'_> {
    kernel! {
        fn apply(&self, dots: [Dots; 2], row: Row, y: &mut [f32]) {
            let (sums, _) = self.sums.as_chunks::<4>();
            let mut outputs = [F32x4::splat(0.0); 2];
            for (half, scale) in self.scale.chunks(4).enumerate() {
                let centred = dots[half].to_f32().sub(F32x4::load(&sums[half]).mul(F32x4::splat(row.zero)));
                outputs[half] = centred.mul(F32x4::load_partial(scale)).mul(F32x4::splat(row.step));
            }
            finish(outputs, self.bias, self.activation, y);
        }
    }
}
