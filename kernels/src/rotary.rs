//! Rotary position embeddings.

use super::simd::{F32x4, kernel, mul_add};

/// Rotates each pair of values `(i, i + d / 2)` of a head by the angle of its row and of `i`.
///
/// *Shapes*: `x`, `y`: `[t, heads * d]`, `cos`, `sin`: `[t, d / 2]`.
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
        let inputs = low.chunks(4).zip(high.chunks(4)).zip(cos.chunks(4).zip(sin.chunks(4)));
        let outputs = y_low.chunks_mut(4).zip(y_high.chunks_mut(4));
        for (((low, high), (cos, sin)), (y_low, y_high)) in inputs.zip(outputs) {
            let [low, high, cos, sin] = [low, high, cos, sin].map(F32x4::load_partial);
            let negative = F32x4::splat(0.0).sub(high);
            mul_add(negative, sin, low.mul(cos)).store_partial(y_low);
            mul_add(low, sin, high.mul(cos)).store_partial(y_high);
        }
    }
}
