//! Activations quantized on the fly, each row in groups of inputs, in the tiles that the matrix product reads.

use super::panels::{Panels, parts};
use super::simd::{F32x4, ROUND, WORD, kernel, mul_add, to_words};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
use super::{
    panels::SHIFT,
    simd::{Sums, Words, signed_dot, to_signed_words},
};
use crate::layout::Groups;

/// The quantization of one group of activations: `x ≈ step · (q - zero)`.
#[derive(Clone, Copy, Default)]
pub struct Range {
    pub step: f32,
    pub zero: f32,
    /// The amount by which the [`SHIFT`] of the weights makes each sum of products of the group too large.
    pub shifted: f32,
}

/// A block of quantized rows, in tiles as the kernel reads them.
#[derive(Default)]
pub struct Quantized {
    /// The activations of each tile, `[words, rows]`. Padding after input `k` has arbitrary values, because its weights are zero.
    pub words: Vec<i32>,
    /// The quantization of the groups of each tile, `[groups, rows]`.
    pub ranges: Vec<Range>,
    /// The sums of the inputs of the groups of each tile, `[groups, rows]`.
    pub sums: Vec<f32>,
    /// One row, padded with zeros to a multiple of sixteen.
    row: Vec<f32>,
}

impl Quantized {
    pub fn fill<W: Panels>(&mut self, x: &[f32], k: usize, weights: &W, height: usize) {
        let groups = weights.groups();
        let (most, smooth) = (weights.most(), weights.smooth());
        let group = groups.quads * 4;
        let words = groups.count * group / WORD;
        let m = x.len() / k;
        self.words.resize(m * words, 0);
        self.ranges.resize(m * groups.count, Range::default());
        self.row.clear();
        self.row.resize(groups.count * group, 0.0);
        for part in parts(m, height) {
            let rows = part.len();
            let words = &mut self.words[part.start * words..part.end * words];
            let ranges = &mut self.ranges[part.start * groups.count..part.end * groups.count];
            for (row, x) in x[part.start * k..part.end * k].chunks_exact(k).enumerate() {
                match smooth {
                    None => self.row[..k].copy_from_slice(x),
                    Some(smooth) => {
                        for ((to, x), factor) in self.row.iter_mut().zip(x).zip(smooth) {
                            *to = x * factor;
                        }
                    }
                }
                let to = words
                    .chunks_exact_mut(group / WORD * rows)
                    .zip(ranges.chunks_exact_mut(rows));
                for (x, (words, ranges)) in self.row.chunks_exact(group).zip(to) {
                    let x = x.as_chunks().0;
                    ranges[row] = range(x, most);
                    if W::SIGNED {
                        quantize_signed(x, &mut ranges[row], words, row, rows);
                    } else {
                        quantize(x, ranges[row], most, words, row, rows);
                    }
                }
            }
        }
    }

    /// Sums the inputs of each group, in tiles as `fill` makes them.
    pub fn sum(&mut self, x: &[f32], k: usize, groups: Groups, height: usize) {
        let group = groups.quads * 4;
        self.sums.clear();
        for part in parts(x.len() / k, height) {
            let x = &x[part.start * k..part.end * k];
            for first in (0..groups.count).map(|index| index * group) {
                let sums = x
                    .chunks_exact(k)
                    .map(|x| x[first..k.min(first + group)].iter().sum::<f32>());
                self.sums.extend(sums);
            }
        }
    }
}

kernel! {
    /// Computes the step and zero point that cover the values of a group and zero with integers from 0 to `most`.
    fn range(x: &[[f32; 16]], most: f32) -> Range {
        let zero = F32x4::splat(0.0);
        let (mut low, mut high, mut sum) = ([zero; 2], [zero; 2], zero);
        for x in x.iter().flat_map(|x| x.as_chunks::<4>().0.as_chunks::<2>().0) {
            let x = [F32x4::load(&x[0]), F32x4::load(&x[1])];
            low = [low[0].min(x[0]), low[1].min(x[1])];
            high = [high[0].max(x[0]), high[1].max(x[1])];
            sum = sum.add(x[0].add(x[1]));
        }
        let (low, high) = (low[0].min(low[1]).smallest(), high[0].max(high[1]).largest());
        let step = (high - low) / most;
        // Minimum and maximum ignore a NaN; the sum does not.
        let step = if sum.sum().is_nan() {
            f32::NAN
        } else if step > f32::MIN_POSITIVE {
            step
        } else {
            // A group of zeros, or of values so small that the step underflows, quantizes to zeros.
            1.0
        };
        Range { step, zero: (-low / step).round_ties_even(), shifted: 0.0 }
    }

    /// Writes the words of one row of a tile of `rows` rows.
    fn quantize(x: &[[f32; 16]], range: Range, most: f32, to: &mut [i32], row: usize, rows: usize) {
        let (inverse, zero) = (F32x4::splat(1.0 / range.step), F32x4::splat(range.zero + ROUND));
        let mut at = row;
        for x in x {
            let [a, b, c, d] = x.as_chunks::<4>().0 else { return };
            for word in to_words([a, b, c, d].map(|x| mul_add(F32x4::load(x), inverse, zero)), most) {
                to[at] = word;
                at += rows;
            }
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// Writes the words of one row of a tile of `rows` rows, of signed activations, and makes the range that of these.
    fn quantize_signed(x: &[[f32; 16]], range: &mut Range, to: &mut [i32], row: usize, rows: usize) {
        let (inverse, zero) = (F32x4::splat(1.0 / range.step), F32x4::splat(range.zero + ROUND));
        let (mut at, mut sum) = (row, Sums::zero());
        for x in x {
            let [a, b, c, d] = x.as_chunks::<4>().0 else { return };
            let words = to_signed_words([a, b, c, d].map(|x| mul_add(F32x4::load(x), inverse, zero)));
            sum = signed_dot(sum, Words::splat(0x0101_0101), Words::load(&words));
            for word in words {
                to[at] = word;
                at += rows;
            }
        }
        range.zero -= 128.0;
        range.shifted = SHIFT * sum.to_f32().sum();
    }
}

/// The baseline's dot product takes 16 bits of both operands, so that nothing is signed for its sake.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
fn quantize_signed(x: &[[f32; 16]], range: &mut Range, to: &mut [i32], row: usize, rows: usize) {
    quantize(x, *range, 255.0, to, row, rows);
}
