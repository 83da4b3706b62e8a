//! Converting f16, of which an i32 has two.

use half::f16;

use crate::panels::registers_mut;
use crate::simd;

/// Converts the two f16 of each i32, of which the lower half is the first. Finite numbers keep their value.
pub fn unpack_halves(halves: &[i32], to: &mut Vec<f32>) {
    to.resize(halves.len() * 2, 0.0);
    let (halves, rest) = halves.as_chunks();
    let (to, last) = to.split_at_mut(halves.len() * 8);
    for (to, halves) in registers_mut(to).iter_mut().zip(halves) {
        let [low, high] = simd::unpack_halves(halves);
        low.store(&mut to[0]);
        high.store(&mut to[1]);
    }
    for (to, pair) in last.as_chunks_mut::<2>().0.iter_mut().zip(rest) {
        *to = [*pair as u16, (pair >> 16) as u16].map(|half| f16::from_bits(half).to_f32());
    }
}

/// Whether all of the f16 are finite.
pub fn are_finite_halves(halves: &[i32]) -> bool {
    let is_finite = |half: i32| f16::from_bits(half as u16).is_finite();
    // One comparison at the end instead of a branch for each value.
    let both = |finite, pair: &i32| finite & is_finite(*pair) & is_finite(pair >> 16);
    halves.iter().fold(true, both)
}

/// Whether f16 has a finite number for each value.
pub fn fits_halves(values: &[f32]) -> bool {
    // Values from here on are rounded to infinity: half a step above 65,504, the largest f16.
    const LIMIT: f32 = 65_520.0;
    let all = |fits, value: &f32| fits & (value.abs() < LIMIT);
    values.iter().fold(true, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn every_finite_half_becomes_its_value() {
        for bits in (0..=u16::MAX).step_by(2) {
            let expected = [bits, bits + 1].map(f16::from_bits);
            let pair = i32::from(bits) | i32::from(bits + 1) << 16;
            let is_finite = expected.iter().all(|half| half.is_finite());
            assert_eq!(are_finite_halves(&[0, pair, 0]), is_finite, "{bits}");
            if is_finite {
                let expected = expected.map(|half| half.to_f32().to_bits());
                // One register and a rest of two.
                let mut floats = Vec::new();
                unpack_halves(&[pair, 0, 0, pair, 0, pair], &mut floats);
                let floats: Vec<u32> = floats.into_iter().map(f32::to_bits).collect();
                let zeros = [0; 2];
                let expected = [expected, zeros, zeros, expected, zeros, expected];
                assert_eq!(floats, expected.as_flattened());
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_value_fits_if_its_half_is_finite() {
        for value in [0.0, 1e-30, 65_504.0, 65_519.99, 65_520.0, 1e30] {
            let is_finite = f16::from_f32(value).is_finite();
            assert_eq!(fits_halves(&[1.0, -value]), is_finite, "{value}");
        }
        assert!(!fits_halves(&[f32::NAN]));
    }
}
