//! Norms, one row at a time: layer norm of the sum of two inputs, and root mean square norm.

use super::simd::{F32x4, kernel, mul_add};
use crate::parallel;

/// The norm of one value counts as so many multiply-adds of a product.
const COST: usize = 8;

/// Computes `y = norm(x + residual) * gamma + beta` over rows of `gamma.len()` values.
pub fn add_layer_norm(
    x: &[f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    y: &mut [f32],
) {
    let d = gamma.len();
    parallel::rows(y, d, COST * d, 1, |rows, y| {
        let values = rows.start * d..rows.end * d;
        let rows = x[values.clone()]
            .chunks_exact(d)
            .zip(residual[values].chunks_exact(d))
            .zip(y.chunks_exact_mut(d));
        for ((x, residual), y) in rows {
            row(x, residual, gamma, beta, epsilon, y);
        }
    });
}

kernel! {
    fn row(x: &[f32], residual: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) {
        let count = y.len() as f32;
        // Whole vectors, then the rest of the row.
        let ((x, x_rest), (r, r_rest)) = (x.as_chunks::<4>(), residual.as_chunks::<4>());
        let (y, y_rest) = y.as_chunks_mut::<4>();
        let mut sum = F32x4::splat(0.0);
        for ((x, r), y) in x.iter().zip(r).zip(y.iter_mut()) {
            let value = F32x4::load(x).add(F32x4::load(r));
            value.store(y);
            sum = sum.add(value);
        }
        let mut sum = sum.sum();
        for ((x, r), y) in x_rest.iter().zip(r_rest).zip(y_rest.iter_mut()) {
            *y = x + r;
            sum += *y;
        }
        let mean = sum / count;
        // The variance takes a second pass over the centred values: a plain sum of squares loses digits if the mean is large.
        let mut squares = F32x4::splat(0.0);
        for y in y.iter_mut() {
            let centred = F32x4::load(y).sub(F32x4::splat(mean));
            centred.store(y);
            squares = mul_add(centred, centred, squares);
        }
        let mut square = squares.sum();
        for y in y_rest.iter_mut() {
            *y -= mean;
            square += *y * *y;
        }
        let inverse = 1.0 / (square / count + epsilon).sqrt();
        let ((gamma, gamma_rest), (beta, beta_rest)) = (gamma.as_chunks::<4>(), beta.as_chunks::<4>());
        for ((y, gamma), beta) in y.iter_mut().zip(gamma).zip(beta) {
            let scaled = F32x4::load(y).mul(F32x4::splat(inverse));
            mul_add(scaled, F32x4::load(gamma), F32x4::load(beta)).store(y);
        }
        for ((y, gamma), beta) in y_rest.iter_mut().zip(gamma_rest).zip(beta_rest) {
            *y = *y * inverse * gamma + beta;
        }
    }
}

/// Computes `y = x / √(mean(x²) + epsilon) * gain` over rows of `gain.len()` values.
pub fn rms_norm(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) {
    let d = gain.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        rms_row(x, gain, epsilon, y);
    }
}

kernel! {
    fn rms_row(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) {
        let count = y.len() as f32;
        // Whole vectors, then the rest of the row.
        let ((x, x_rest), (gain, gain_rest)) = (x.as_chunks::<4>(), gain.as_chunks::<4>());
        let (y, y_rest) = y.as_chunks_mut::<4>();
        let mut squares = F32x4::splat(0.0);
        for x in x {
            let x = F32x4::load(x);
            squares = mul_add(x, x, squares);
        }
        let square = x_rest.iter().fold(squares.sum(), |sum, x| sum + x * x);
        let inverse = 1.0 / (square / count + epsilon).sqrt();
        for ((x, gain), y) in x.iter().zip(gain).zip(y) {
            F32x4::load(x).mul(F32x4::splat(inverse)).mul(F32x4::load(gain)).store(y);
        }
        for ((x, gain), y) in x_rest.iter().zip(gain_rest).zip(y_rest) {
            *y = x * inverse * gain;
        }
    }
}
