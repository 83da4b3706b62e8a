//! f32 matrix product with packed weights, bias and activation.

use super::math::activate;
use super::simd::{F32x4, kernel, mul_add};
use crate::ops::{Activation, PANEL};

/// Rows of `x` that one register tile covers.
const ROWS: usize = 4;

/// `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, k, 8]`, `bias: [n]`, `y: [m, n]`.
/// Every output is summed over `k` in the same order whatever `m` is, so a row's result does not depend on its neighbours.
pub(super) fn linear(
    x: &[f32],
    k: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    let n = bias.len();
    for (panel, weight) in weight.chunks_exact(k * PANEL).enumerate() {
        let columns = panel * PANEL..n.min((panel + 1) * PANEL);
        for (x, y) in x.chunks(ROWS * k).zip(y.chunks_mut(ROWS * n)) {
            let epilogue = Epilogue {
                bias: &bias[columns.clone()],
                column: columns.start,
                n,
                activation,
            };
            match x.len() / k {
                4 => tile::<4>(x, k, weight, y, &epilogue),
                3 => tile::<3>(x, k, weight, y, &epilogue),
                2 => tile::<2>(x, k, weight, y, &epilogue),
                _ => tile::<1>(x, k, weight, y, &epilogue),
            }
        }
    }
}

/// What happens to a finished sum, and where it goes.
struct Epilogue<'a> {
    /// Of the panel's real outputs, 1 to 8.
    bias: &'a [f32],
    /// The panel's first output.
    column: usize,
    n: usize,
    activation: Activation,
}

kernel! {
    fn tile<const M: usize>(x: &[f32], k: usize, weight: &[f32], y: &mut [f32], epilogue: &Epilogue) {
        let mut sums = [[F32x4::splat(0.0); 2]; M];
        let rows: [&[f32]; M] = std::array::from_fn(|row| &x[row * k..][..k]);
        for (i, w) in weight.as_chunks::<4>().0.as_chunks::<2>().0.iter().enumerate().take(k) {
            let [w0, w1] = [F32x4::load(&w[0]), F32x4::load(&w[1])];
            for row in 0..M {
                let x = F32x4::splat(rows[row][i]);
                sums[row][0] = mul_add(x, w0, sums[row][0]);
                sums[row][1] = mul_add(x, w1, sums[row][1]);
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            let start = row * epilogue.n + epilogue.column;
            finish(sums, epilogue.bias, epilogue.activation, &mut y[start..start + epilogue.bias.len()]);
        }
    }

    /// Adds the bias to a panel's sums, applies the activation, stores what is real of them.
    pub(super) fn finish(sums: [F32x4; 2], bias: &[f32], activation: Activation, y: &mut [f32]) {
        for ((sum, bias), y) in sums.into_iter().zip(bias.chunks(4)).zip(y.chunks_mut(4)) {
            activate(sum.add(F32x4::load_partial(bias)), activation).store_partial(y);
        }
    }
}
