//! Rotary position embeddings.

use super::simd::{F32x4, kernel, mul_add};

/// Rotates each pair of values `(i, i + d / 2)` of a head by the angle of its row and of `i`.
///
/// *Shapes*: `x`, `y`: `[t, heads * d]`, `cos`, `sin`: `[t, half]`, where `half` is `d / 2`.
///
/// This is not a `kernel!`: those may be inlined into other crates, where they are optimized for size.
pub fn rotary(x: &[f32], cos: &[f32], sin: &[f32], heads: usize, half: usize, y: &mut [f32]) {
    let width = heads * half * 2;
    let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
    let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
    for ((x, y), (cos, sin)) in rows.zip(angles) {
        for (x, y) in x.chunks_exact(half * 2).zip(y.chunks_exact_mut(half * 2)) {
            let (low, high) = x.split_at(half);
            let (y_low, y_high) = y.split_at_mut(half);
            rotate([low, high], [cos, sin], [y_low, y_high]);
        }
    }
}

kernel! {
    fn rotate([low, high]: [&[f32]; 2], [cos, sin]: [&[f32]; 2], [y_low, y_high]: [&mut [f32]; 2]) {
        // Whole vectors, then the rest.
        let ((low, low_rest), (high, high_rest)) = (low.as_chunks::<4>(), high.as_chunks::<4>());
        let ((cos, cos_rest), (sin, sin_rest)) = (cos.as_chunks::<4>(), sin.as_chunks::<4>());
        let ((y_low, y_low_rest), (y_high, y_high_rest)) = (y_low.as_chunks_mut::<4>(), y_high.as_chunks_mut::<4>());
        let inputs = low.iter().zip(high).zip(cos.iter().zip(sin));
        for (((low, high), (cos, sin)), (y_low, y_high)) in inputs.zip(y_low.iter_mut().zip(y_high)) {
            let (low, high, cos, sin) = (F32x4::load(low), F32x4::load(high), F32x4::load(cos), F32x4::load(sin));
            mul_add(F32x4::splat(0.0).sub(high), sin, low.mul(cos)).store(y_low);
            mul_add(low, sin, high.mul(cos)).store(y_high);
        }
        let inputs = low_rest.iter().zip(high_rest).zip(cos_rest.iter().zip(sin_rest));
        for (((low, high), (cos, sin)), (y_low, y_high)) in inputs.zip(y_low_rest.iter_mut().zip(y_high_rest)) {
            *y_low = low * cos - high * sin;
            *y_high = high * cos + low * sin;
        }
    }
}
