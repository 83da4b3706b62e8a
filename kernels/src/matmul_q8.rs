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

use super::dots::{dots, dots_by_pairs, outlined_dots};
use super::matmul_f32::{activate_rows, of_panel, store};
use super::panels::{PanelBuffer, Panels, QUAD, Row, Span, Unpacked, parts, registers, words};
use super::quantized::{Quantized, Range};
use super::simd::{
    ACTIVATION_MAX, F32x4, FINE_ACTIVATION_MAX, RowSums, WORD, Words, kernel, mul_add, row_dot,
};
use crate::activation::Activation;
use crate::layout::{Groups, PANEL, padded_quads};
use crate::parallel::{self, Buffers};

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

    /// The method's name, `dot` or `pairs`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
            Self::Pairs => "pairs",
        }
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

/// Rows that are quantized at a time, so that they stay in the second-level cache.
const BLOCK: usize = 128;

/// Bytes of weights that are multiplied with one tile after the other, so that they stay in the first-level cache.
const PANELS_SIZE: usize = 16 << 10;

/// The most panels that are multiplied with one tile after the other. The outputs of two fill a line of the cache, which is then written as a whole.
const MOST_PANELS: usize = 4;

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

    fn unpack<'a>(&'a self, panels: Span, buffer: &'a mut PanelBuffer) -> Unpacked<'a> {
        let (sums, size) = (self.groups * PANEL, padded_quads(self.smooth.len()) * PANEL);
        let Span { start, end } = panels;
        let quads = &self.values[start * size..end * size];
        Unpacked {
            words: registers(words(quads, &mut buffer.words)),
            sums: registers(&self.sums[start * sums..end * sums]),
            group_scales: &[],
            group_offsets: &[],
            scale: &self.scale[start * PANEL..self.scale.len().min(end * PANEL)],
        }
    }

    fn row<const PAIRS: bool>(&self, row: &Row, y: &mut [f32]) {
        row_q8::<PAIRS>(self, row, y);
    }
}

kernel! {
    fn row_q8<const PAIRS: bool>(weights: &Q8Weights, row: &Row, y: &mut [f32]) {
        let (groups, quads) = (weights.groups, padded_quads(weights.smooth.len()));
        let size = quads / groups;
        let panels = registers(weights.values)
            .chunks_exact(quads)
            .zip(registers(weights.sums).chunks_exact(groups))
            .zip(weights.scale.chunks(PANEL))
            .zip(row.bias.chunks(PANEL))
            .zip(y.chunks_mut(PANEL));
        for ((((quads, sums), scale), bias), y) in panels {
            let mut totals = [F32x4::splat(0.0); 2];
            let each = quads
                .chunks_exact(size)
                .zip(row.values.chunks_exact(size * QUAD))
                .zip(row.ranges)
                .zip(sums);
            for (((quads, values), range), sums) in each {
                // Two sums of each output, so that enough are added up to have one ready at any time.
                let mut dots = [[RowSums::zero(); 2]; 2];
                let quads = quads.as_chunks::<2>().0.as_chunks::<2>().0;
                let values = values.as_chunks::<{ 2 * QUAD }>().0.as_chunks::<2>().0;
                for (quads, values) in quads.iter().zip(values) {
                    for part in 0..2 {
                        for half in 0..2 {
                            let quads = [0, 1].map(|quad| Words::load(&quads[part][quad][half]));
                            dots[part][half] = row_dot::<false, PAIRS>(dots[part][half], quads, &values[part]);
                        }
                    }
                }
                for half in 0..2 {
                    let dot = dots[0][half].add(dots[1][half]).total().to_f32();
                    totals[half] = add_group(totals[half], dot, F32x4::load(&sums[half]), None, range);
                }
            }
            let (scale, bias) = (of_panel(scale), of_panel(bias));
            let totals = [0, 1].map(|half| mul_add(totals[half], scale[half], bias[half]));
            let [totals] = activate_rows([totals], row.activation);
            store(totals, y);
        }
    }

    /// Adds the products of a group to the total of four outputs. `sum` is that of the weights.
    pub fn add_group(total: F32x4, dot: F32x4, sum: F32x4, scale: Option<F32x4>, range: &Range) -> F32x4 {
        let mut centred = mul_add(sum, F32x4::splat(-range.zero), dot);
        if let Some(scale) = scale {
            centred = centred.mul(scale);
        }
        mul_add(centred, F32x4::splat(range.step), total)
    }
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
pub fn linear<W: Panels + Sync>(
    x: &[f32],
    k: usize,
    weights: &W,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
    method: Method,
) {
    static SCRATCH: Buffers<Scratch> = Buffers::new();
    let n = bias.len();
    parallel::rows(y, n, k * n, method.rows(), |rows, y| {
        let x = &x[rows.start * k..rows.end * k];
        SCRATCH.lend(|scratch| {
            scratch.linear(x, k, weights, bias, y, activation, method);
        });
    });
}

/// Buffers that are reused by later calls.
#[derive(Default)]
struct Scratch {
    block: Quantized,
    panels: PanelBuffer,
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
        let (m, n) = (x.len() / k, bias.len());
        let groups = weights.groups();
        let (count, height) = (n.div_ceil(PANEL), method.rows());
        let words = groups.count * groups.quads * 4 / WORD;
        let together = (PANELS_SIZE / (words * PANEL * 4)).clamp(1, MOST_PANELS);
        for rows in parts(m, BLOCK) {
            let (x, y) = (
                &x[rows.start * k..rows.end * k],
                &mut y[rows.start * n..rows.end * n],
            );
            self.block.fill(x, k, weights, height);
            if weights.has_offsets() {
                self.block.sum(x, k, groups, height);
            }
            if rows.len() == 1 {
                let row = Row {
                    values: &self.block.words,
                    ranges: &self.block.ranges,
                    inputs: &self.block.sums,
                    bias,
                    activation,
                };
                match method {
                    Method::Dot => weights.row::<false>(&row, y),
                    #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                    Method::Pairs => weights.row::<true>(&row, y),
                }
                continue;
            }
            for first in (0..count).step_by(together) {
                let panels = first..count.min(first + together);
                let first = first * PANEL;
                let end = Epilogue {
                    bias: &bias[first..n.min(panels.end * PANEL)],
                    first,
                    n,
                    activation,
                };
                let unpacked = weights.unpack(panels, &mut self.panels);
                for rows in parts(rows.len(), height) {
                    let values = &self.block.words[rows.start * words..rows.end * words];
                    let ranges =
                        &self.block.ranges[rows.start * groups.count..rows.end * groups.count];
                    // Only weights with offsets need the sums, and only for them they are up to date.
                    let inputs = self.block.sums.get(rows.start * groups.count..);
                    let inputs = inputs.unwrap_or_default();
                    let y = &mut y[rows.start * n..rows.end * n];
                    macro_rules! tile {
                        ($rows:literal, $pairs:literal) => {
                            tile::<W, $rows, $pairs>(&unpacked, values, ranges, inputs, &end, y)
                        };
                    }
                    // A single row is alone in its block.
                    match (method, rows.len()) {
                        (Method::Dot, 5) => tile!(5, false),
                        (Method::Dot, 4) => tile!(4, false),
                        (Method::Dot, 3) => tile!(3, false),
                        (Method::Dot, _) => tile!(2, false),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, 3) => tile!(3, true),
                        #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
                        (Method::Pairs, _) => tile!(2, true),
                    }
                }
            }
        }
    }
}

/// The last step of a tile: the bias and the activation of its sums, and the columns of the output that they go to.
struct Epilogue<'a> {
    /// The bias of the panels' outputs.
    bias: &'a [f32],
    /// The column of the first output.
    first: usize,
    /// The number of columns.
    n: usize,
    activation: Activation,
}

kernel! {
    /// Multiplies `M` rows of quantized activations, with the quantization of their groups, by neighbouring panels.
    fn tile<W: Panels, const M: usize, const PAIRS: bool>(
        panels: &Unpacked,
        values: &[i32],
        ranges: &[Range],
        inputs: &[f32],
        end: &Epilogue,
        y: &mut [f32],
    ) {
        let (values, ranges) = (values.as_chunks::<M>().0, ranges.as_chunks::<M>().0);
        let groups = ranges.len();
        let size = values.len() / groups;
        let each = panels
            .words
            .chunks_exact(values.len())
            .zip(panels.sums.chunks_exact(groups));
        for (panel, (words, sums)) in each.enumerate() {
            let mut totals = [[F32x4::splat(0.0); 2]; M];
            let each = words
                .chunks_exact(size)
                .zip(values.chunks_exact(size))
                .zip(ranges)
                .zip(sums);
            for (group, (((words, values), ranges), sums)) in each.enumerate() {
                let dots = match (PAIRS, W::SIGNED) {
                    (false, false) if !W::SCALED => outlined_dots(words, values),
                    (false, false) => dots::<false, M>(words, values),
                    (false, true) => dots::<true, M>(words, values),
                    (true, false) => dots_by_pairs::<false, M>(words, values),
                    (true, true) => dots_by_pairs::<true, M>(words, values),
                };
                let sums = [F32x4::load(&sums[0]), F32x4::load(&sums[1])];
                let scales = panels.group_scales.get(panel * groups + group);
                let scales = scales.filter(|_| W::SCALED).map(|scales| [F32x4::load(&scales[0]), F32x4::load(&scales[1])]);
                for row in 0..M {
                    for half in 0..2 {
                        let mut dot = dots[row][half].to_f32();
                        if W::SIGNED {
                            dot = dot.sub(F32x4::splat(ranges[row].shifted));
                        }
                        let scale = scales.map(|scales| scales[half]);
                        totals[row][half] = add_group(totals[row][half], dot, sums[half], scale, &ranges[row]);
                    }
                }
            }
            if !panels.group_offsets.is_empty() {
                let offsets = &panels.group_offsets[panel * groups..][..groups];
                for (offsets, inputs) in offsets.iter().zip(inputs.as_chunks::<M>().0) {
                    for row in 0..M {
                        for half in 0..2 {
                            let offset = F32x4::load(&offsets[half]);
                            totals[row][half] = mul_add(offset, F32x4::splat(inputs[row]), totals[row][half]);
                        }
                    }
                }
            }
            let columns = panel * PANEL..end.bias.len().min((panel + 1) * PANEL);
            let bias = of_panel(&end.bias[columns.clone()]);
            let scale = if W::SCALED {
                [F32x4::splat(1.0); 2]
            } else {
                of_panel(&panels.scale[columns.clone()])
            };
            // A loop, because `map` of five rows is not inlined.
            for row in &mut totals {
                *row = [0, 1].map(|half| mul_add(row[half], scale[half], bias[half]));
            }
            let totals = activate_rows(totals, end.activation);
            for (row, totals) in totals.into_iter().enumerate() {
                let at = row * end.n + end.first + columns.start;
                store(totals, &mut y[at..][..columns.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::group_sums;
    use crate::pack::pack_row_q8;
    use crate::testing::Random;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn a_row_alone_has_the_bits_that_it_has_among_others() {
        let mut random = Random::new(6);
        for (k, n) in [(1usize, 1usize), (31, 7), (65, 9), (400, 41), (768, 24)] {
            let mut values = vec![0; n.div_ceil(PANEL) * padded_quads(k) * PANEL];
            for output in 0..n {
                let row: Vec<i8> = (0..k).map(|_| random.below(127) as i8 - 63).collect();
                pack_row_q8(&mut values, k, output, &row);
            }
            let [scale, bias] = [0, 1].map(|_| random.values(n));
            let smooth = random.values(k);
            for groups in [Groups::of(k), Groups::fine(k)] {
                let weights = Q8Weights {
                    values: &values,
                    sums: &group_sums(&values, groups),
                    scale: &scale,
                    smooth: &smooth,
                    groups: groups.count,
                };
                let run = |x: &[f32]| {
                    let mut y = vec![0.0; x.len() / k * n];
                    linear_q8(x, k, &weights, &bias, &mut y, Activation::Gelu);
                    y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                for m in 2..=7 {
                    let x = random.values(m * k);
                    let alone: Vec<u32> = x.chunks_exact(k).flat_map(run).collect();
                    assert_eq!(run(&x), alone, "{m}x{k}x{n}");
                }
            }
        }
    }

    #[test]
    fn parts_cover_all_rows_evenly() {
        for rows in 0..300 {
            for most in [3, 5, 6, 128] {
                let parts: Vec<Span> = parts(rows, most).collect();
                assert_eq!(parts.len(), rows.div_ceil(most));
                let ends: Vec<usize> = parts.iter().map(|part| part.end).collect();
                let starts: Vec<usize> = parts.iter().map(|part| part.start).collect();
                assert_eq!(starts, [&[0][..], &ends].concat()[..parts.len()]);
                assert_eq!(ends.last().copied().unwrap_or(0), rows);
                let lengths = || parts.iter().map(Span::len);
                let (least, largest) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
                assert!(
                    largest <= most && largest - least <= 1,
                    "{rows} rows: {parts:?}"
                );
            }
        }
    }

    #[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
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
