//! The matrix product with int4 weights. A panel is unpacked to int8 and then used by the int8 kernel for all rows of a block.

use super::matmul_q8::{
    self, Method, Panel, PanelBuffer, Panels, SHIFT, registers, word_sums, words,
};
use super::simd::{F32x4, SIGNED_Q4, unpack_nibbles};
use crate::activation::Activation;
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

    fn panel<'a>(&'a self, index: usize, buffer: &'a mut PanelBuffer) -> Panel<'a> {
        let (octets, scales) = (self.groups * 4 * PANEL, self.groups * PANEL / 2);
        buffer.quads.resize(octets * 2, 0);
        let quads = buffer.quads.as_chunks_mut::<4>().0.as_chunks_mut::<4>().0;
        for (quads, [low, high]) in quads
            .iter_mut()
            .zip(registers(&self.values[index * octets..][..octets]))
        {
            let ([a, c], [b, d]) = (unpack_nibbles(low), unpack_nibbles(high));
            *quads = [a, b, c, d];
        }
        let words = registers(words(&buffer.quads, &mut buffer.words));
        buffer.sums.clear();
        for group in words.chunks_exact(words.len() / self.groups) {
            let mut sums = word_sums(group);
            if SIGNED_Q4 {
                // The sums are those of the unshifted weights: padding is shifted too.
                sums = sums.map(|sum| sum.sub(F32x4::splat(SHIFT * Q4_GROUP as f32)));
            }
            buffer.sums.extend(sums.map(F32x4::to_array).as_flattened());
        }
        unpack_halves(
            &self.scale[index * scales..][..scales],
            &mut buffer.group_scales,
        );
        if self.has_offsets() {
            unpack_halves(
                &self.offset[index * scales..][..scales],
                &mut buffer.group_offsets,
            );
        } else {
            buffer.group_offsets.clear();
        }
        Panel {
            words,
            sums: registers(&buffer.sums),
            group_scales: registers(&buffer.group_scales),
            group_offsets: registers(&buffer.group_offsets),
            scale: [F32x4::splat(1.0); 2],
        }
    }
}

/// Converts the two f16 of each i32.
fn unpack_halves(halves: &[i32], to: &mut Vec<f32>) {
    to.resize(halves.len() * 2, 0.0);
    for (to, pair) in to.as_chunks_mut().0.iter_mut().zip(halves) {
        *to = [float(*pair as u16), float((pair >> 16) as u16)];
    }
}

/// Converts a finite f16 to f32. Its bits, moved to those of an f32, make a number that is too small by 2¹¹², also if it is subnormal.
fn float(half: u16) -> f32 {
    let half = u32::from(half);
    f32::from_bits((half & 0x7fff) << 13 | (half & 0x8000) << 16) * f32::from_bits(239 << 23)
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
    use half::f16;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn every_finite_half_becomes_its_value() {
        for bits in 0..=u16::MAX {
            let expected = f16::from_bits(bits);
            if expected.is_finite() {
                assert_eq!(
                    float(bits).to_bits(),
                    expected.to_f32().to_bits(),
                    "{bits:#x}"
                );
            }
        }
    }
}
