//! Layer norm with the residual, one row at a time.

use super::simd::{F32x4, kernel};

/// `y = norm(x + residual) * gamma + beta` over rows of `gamma.len()`.
pub(super) fn add_layer_norm(
    x: &[f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    y: &mut [f32],
) {
    let d = gamma.len();
    let rows = x
        .chunks_exact(d)
        .zip(residual.chunks_exact(d))
        .zip(y.chunks_exact_mut(d));
    for ((x, residual), y) in rows {
        row(x, residual, gamma, beta, epsilon, y);
    }
}

kernel! {
    fn row(x: &[f32], residual: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) {
        let count = y.len() as f32;
        let mut sum = F32x4::splat(0.0);
        for ((x, r), y) in x.chunks(4).zip(residual.chunks(4)).zip(y.chunks_mut(4)) {
            let value = F32x4::load_partial(x).add(F32x4::load_partial(r));
            value.store_partial(y);
            sum = sum.add(value);
        }
        let mean = sum.sum() / count;
        // In a second pass over the centred values: the sum of squares alone loses digits where the mean is large.
        let mut squares = F32x4::splat(0.0);
        let (chunks, rest) = y.as_chunks_mut::<4>();
        for chunk in chunks {
            let centred = F32x4::load(chunk).sub(F32x4::splat(mean));
            centred.store(chunk);
            squares = squares.add(centred.mul(centred));
        }
        let mut square = squares.sum();
        for value in rest {
            *value -= mean;
            square += *value * *value;
        }
        let inverse = F32x4::splat(1.0 / (square / count + epsilon).sqrt());
        for ((y, gamma), beta) in y.chunks_mut(4).zip(gamma.chunks(4)).zip(beta.chunks(4)) {
            let scaled = F32x4::load_partial(y).mul(inverse).mul(F32x4::load_partial(gamma));
            scaled.add(F32x4::load_partial(beta)).store_partial(y);
        }
    }
}
