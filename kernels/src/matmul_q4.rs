//! The matrix product with int4 weights. A panel is unpacked to int8 and then used by the int8 kernel for all rows of a block.

use super::matmul_f32::{activate_rows, of_panel, store};
use super::matmul_q8::{self, Method, add_group};
use super::panels::{
    PanelBuffer, Panels, QUAD, Row, SHIFT, Span, Unpacked, registers, registers_mut, store_quads,
};
use super::simd::{
    self, F32x4, OctetUnpacker, RowSums, SIGNED_Q4, Words, kernel, mul_add, row_dot,
};
use crate::activation::Activation;
use crate::halves::unpack_halves;
use crate::layout::{Groups, PANEL, Q4_GROUP};

/// Packed int4 weights.
pub struct Q4Weights<'a> {
    /// The weights, `[⌈n / 8⌉, 4 groups, 8]` of eight int4 each.
    pub values: &'a [i32],
    /// The scales, `[⌈n / 8⌉, groups, 4]` of two f16 each.
    pub scale: &'a [i32],
    /// The offsets that are added to the weights, in the layout of the scales; empty where there are none.
    pub offset: &'a [i32],
    /// The number of groups of 32 inputs.
    pub groups: usize,
}

impl Panels for Q4Weights<'_> {
    const SCALED: bool = true;
    const SIGNED: bool = SIGNED_Q4;

    fn groups(&self) -> Groups {
        Groups {
            count: self.groups,
            quads: Q4_GROUP / 4,
        }
    }

    fn most(&self) -> f32 {
        255.0
    }

    fn smooth(&self) -> Option<&[f32]> {
        None
    }

    fn has_offsets(&self) -> bool {
        !self.offset.is_empty()
    }

    fn unpack<'a>(&'a self, panels: Span, buffer: &'a mut PanelBuffer) -> Unpacked<'a> {
        let (octets, halves) = (self.groups * 4 * PANEL, self.groups * PANEL / 2);
        let Span { start, end } = panels;
        let octets = &self.values[start * octets..end * octets];
        buffer.words.resize(octets.len() * 2 * QUAD, 0);
        buffer.sums.resize(octets.len() / 4, 0.0);
        let unpacker = OctetUnpacker::new();
        let quads = registers_mut(&mut buffer.words);
        let quads = quads.as_chunks_mut::<QUAD>().0.as_chunks_mut::<8>().0;
        let sums = registers_mut(&mut buffer.sums);
        for ((quads, sums), octets) in quads.iter_mut().zip(sums).zip(groups(octets)) {
            let mut totals = [Words::splat(0); 2];
            for (quads, octets) in quads.as_chunks_mut::<2>().0.iter_mut().zip(octets) {
                let [[a, c], [b, d]] = [0, 1].map(|half| unpacker.unpack(&octets[half]));
                store_quads([a, b], &mut quads[0]);
                store_quads([c, d], &mut quads[1]);
                totals = [
                    totals[0].add_bytes(a.add_bytes(c)),
                    totals[1].add_bytes(b.add_bytes(d)),
                ];
            }
            for (sum, to) in totals.into_iter().zip(sums) {
                weight_sum(sum).store(to);
            }
        }
        unpack_halves(
            &self.scale[start * halves..end * halves],
            &mut buffer.group_scales,
        );
        if self.has_offsets() {
            unpack_halves(
                &self.offset[start * halves..end * halves],
                &mut buffer.group_offsets,
            );
        } else {
            buffer.group_offsets.clear();
        }
        Unpacked {
            words: registers(&buffer.words),
            sums: registers(&buffer.sums),
            group_scales: registers(&buffer.group_scales),
            group_offsets: registers(&buffer.group_offsets),
            scale: &[],
        }
    }

    fn row<const PAIRS: bool>(&self, row: &Row, y: &mut [f32]) {
        row_q4::<PAIRS>(self, row, y);
    }
}

/// The four octets of each group, two registers each.
fn groups(octets: &[i32]) -> &[[[[i32; 4]; 2]; 4]] {
    registers(octets).as_chunks().0
}

/// The sum of weights over a group, from the sums of their bytes.
#[inline]
fn weight_sum(bytes: Words) -> F32x4 {
    // The sums are those of the unshifted weights: padding is shifted too.
    let shifted = if SIGNED_Q4 {
        SHIFT * Q4_GROUP as f32
    } else {
        0.0
    };
    bytes.byte_sums().to_f32().sub(F32x4::splat(shifted))
}

kernel! {
    fn row_q4<const PAIRS: bool>(weights: &Q4Weights, row: &Row, y: &mut [f32]) {
        let unpacker = OctetUnpacker::new();
        let count = weights.groups;
        let values = row.values.as_chunks::<{ 2 * QUAD }>().0.as_chunks::<4>().0;
        let panels = groups(weights.values)
            .chunks_exact(count)
            .zip(weights.scale.as_chunks().0.chunks_exact(count))
            .zip(row.bias.chunks(PANEL))
            .zip(y.chunks_mut(PANEL));
        for (panel, (((octets, scales), bias), y)) in panels.enumerate() {
            let mut totals = [F32x4::splat(0.0); 2];
            let groups = octets.iter().zip(values);
            for (((octets, values), scales), range) in groups.zip(scales).zip(row.ranges) {
                let (mut dots, mut sums) = ([RowSums::zero(); 2], [Words::splat(0); 2]);
                for (octets, values) in octets.iter().zip(values) {
                    for half in 0..2 {
                        let quads = unpacker.unpack(&octets[half]);
                        sums[half] = sums[half].add_bytes(quads[0]).add_bytes(quads[1]);
                        dots[half] = row_dot::<SIGNED_Q4, PAIRS>(dots[half], quads, values);
                    }
                }
                let scales = simd::unpack_halves(scales);
                for half in 0..2 {
                    let mut dot = dots[half].total().to_f32();
                    if SIGNED_Q4 {
                        dot = dot.sub(F32x4::splat(range.shifted));
                    }
                    totals[half] = add_group(totals[half], dot, weight_sum(sums[half]), Some(scales[half]), range);
                }
            }
            if weights.has_offsets() {
                let offsets = &weights.offset.as_chunks().0[panel * count..][..count];
                for (offsets, input) in offsets.iter().zip(row.inputs) {
                    let offsets = simd::unpack_halves(offsets);
                    for half in 0..2 {
                        totals[half] = mul_add(offsets[half], F32x4::splat(*input), totals[half]);
                    }
                }
            }
            let bias = of_panel(bias);
            let [totals] = activate_rows([[0, 1].map(|half| totals[half].add(bias[half]))], row.activation);
            store(totals, y);
        }
    }
}

/// Computes `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `bias: [n]`, `y: [m, n]`.
pub fn linear(
    x: &[f32],
    k: usize,
    weights: &Q4Weights,
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    matmul_q8::linear(x, k, weights, bias, y, activation, Method::best());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn a_row_alone_has_the_bits_that_it_has_among_others() {
        let mut random = Random::new(5);
        for (k, n) in [(1usize, 1usize), (31, 7), (64, 9), (100, 41), (384, 24)] {
            let groups = k.div_ceil(Q4_GROUP);
            let mut integers = |count: usize, bits: u32| -> Vec<i32> {
                (0..count).map(|_| (random.bits() & bits) as i32).collect()
            };
            let panels = n.div_ceil(PANEL);
            let values = integers(panels * groups * 4 * PANEL, !0);
            // Finite halves below 4 of any sign.
            let [scale, offset] =
                [0, 1].map(|_| integers(panels * groups * PANEL / 2, 0xc3ff_c3ff));
            let bias = random.values(n);
            for offset in [&[][..], &offset] {
                let weights = Q4Weights {
                    values: &values,
                    scale: &scale,
                    offset,
                    groups,
                };
                let run = |x: &[f32]| {
                    let mut y = vec![0.0; x.len() / k * n];
                    linear(x, k, &weights, &bias, &mut y, Activation::Silu);
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
}
