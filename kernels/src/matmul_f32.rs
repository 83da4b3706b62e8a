//! The f32 matrix product with packed weights, bias and activation. Attention uses its tiles too.

use std::ops::Range;

use super::math::activate;
use super::panels::{parts, registers};
use super::simd::{F32x4, kernel, mul_add};
use crate::activation::Activation;
use crate::layout::PANEL;
use crate::parallel;

/// Rows of `x` in one register tile. A fused multiply-add needs no register for the product, which leaves room for more rows.
pub const ROWS: usize = if cfg!(all(target_arch = "wasm32", feature = "relaxed-simd")) {
    6
} else {
    4
};

/// Computes `y = activation(x · wᵀ + bias)`.
///
/// *Shapes*: `x: [m, k]`, `weight: [⌈n / 8⌉, k, 8]`, `bias: [n]`, `y: [m, n]`.
///
/// This is not a `kernel!`: those may be inlined into other crates, where they are optimized for size.
pub fn linear(
    x: &[f32],
    k: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    activation: Activation,
) {
    let n = bias.len();
    parallel::rows(y, n, k * n, ROWS, |rows, y| {
        let x = &x[rows.start * k..rows.end * k];
        let rows = Rows { x, stride: k, k };
        match x.len() / k {
            1 => few_rows::<1, 4>(rows, weight, bias, y, activation),
            2 => few_rows::<2, 2>(rows, weight, bias, y, activation),
            _ => {
                for (panel, weight) in weight.chunks_exact(k * PANEL).enumerate() {
                    let columns = panel * PANEL..n.min((panel + 1) * PANEL);
                    let bias = of_panel(&bias[columns.clone()]);
                    outputs(rows, weight, bias, columns, n, y, activation);
                }
            }
        }
    });
}

kernel! {
    /// The outputs of `M` rows. `PANELS` panels are computed at once, so that enough sums are added up to have one ready at any time.
    fn few_rows<const M: usize, const PANELS: usize>(
        rows: Rows,
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
        activation: Activation,
    ) {
        let n = bias.len();
        let size = rows.k * PANEL;
        let mut first = 0;
        let mut take = |row: usize, panel: usize, sums: [F32x4; 2]| {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            let bias = of_panel(&bias[columns.clone()]);
            let [sums] = activate_rows([[0, 1].map(|half| sums[half].add(bias[half]))], activation);
            store(sums, &mut y[row * n..][columns]);
        };
        let together = weight.chunks_exact(size * PANELS);
        let rest = together.remainder();
        for weight in together {
            wide_tile::<M, PANELS>(rows, weight, |row, panel, sums| take(row, first + panel, sums));
            first += PANELS;
        }
        for weight in rest.chunks_exact(size) {
            wide_tile::<M, 1>(rows, weight, |row, _, sums| take(row, first, sums));
            first += 1;
        }
    }

    /// The products of `M` rows with `PANELS` panels. Each is summed in the order in which [`product`] sums it.
    fn wide_tile<const M: usize, const PANELS: usize>(
        rows: Rows,
        weight: &[f32],
        mut take: impl FnMut(usize, usize, [F32x4; 2]),
    ) {
        let mut sums = [[[F32x4::splat(0.0); 2]; PANELS]; M];
        let x: [&[f32]; M] = std::array::from_fn(|row| &rows.x[row * rows.stride..][..rows.k]);
        let weight: [&[[[f32; 4]; 2]]; PANELS] =
            std::array::from_fn(|panel| &registers(&weight[panel * rows.k * PANEL..])[..rows.k]);
        for i in 0..rows.k {
            let x: [F32x4; M] = std::array::from_fn(|row| F32x4::splat(x[row][i]));
            for panel in 0..PANELS {
                for half in 0..2 {
                    let w = F32x4::load(&weight[panel][i][half]);
                    for row in 0..M {
                        sums[row][panel][half] = mul_add(x[row], w, sums[row][panel][half]);
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (panel, sums) in sums.into_iter().enumerate() {
                take(row, panel, sums);
            }
        }
    }
}

kernel! {
    /// One panel, which is eight columns, of the outputs.
    fn outputs(
        rows: Rows,
        weight: &[f32],
        bias: [F32x4; 2],
        columns: Range<usize>,
        n: usize,
        y: &mut [f32],
        activation: Activation,
    ) {
        product(rows, weight, |row, sums| {
            let y = &mut y[row * n + columns.start..][..columns.len()];
            let [sums] = activate_rows([[0, 1].map(|half| sums[half].add(bias[half]))], activation);
            store(sums, y);
        });
    }
}

/// The rows of a matrix: the first `k` of every `stride` values.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub x: &'a [f32],
    pub stride: usize,
    pub k: usize,
}

kernel! {
    /// Computes the products of all rows with one panel of weights `[k, 8]`, row by row.
    ///
    /// Each is summed over `k` in the same order, so that the result of a row does not depend on its neighbours.
    pub fn product(rows: Rows, weight: &[f32], mut take: impl FnMut(usize, [F32x4; 2])) {
        let weight = registers(weight);
        let count = (rows.x.len() + rows.stride - rows.k) / rows.stride;
        for part in parts(count, ROWS) {
            let x = Rows {
                x: &rows.x[part.start * rows.stride..],
                ..rows
            };
            let mut take = |row, sums| take(part.start + row, sums);
            match part.len() {
                6 => tile::<6>(x, weight, &mut take),
                5 => tile::<5>(x, weight, &mut take),
                4 => tile::<4>(x, weight, &mut take),
                3 => tile::<3>(x, weight, &mut take),
                2 => tile::<2>(x, weight, &mut take),
                _ => tile::<1>(x, weight, &mut take),
            }
        }
    }

    /// Computes a tile. `take` gets the sums of each row in place of a return value, because engines keep a returned array in memory.
    fn tile<const M: usize>(rows: Rows, weight: &[[[f32; 4]; 2]], take: &mut impl FnMut(usize, [F32x4; 2])) {
        let mut sums = [[F32x4::splat(0.0); 2]; M];
        outlined_sums(rows, weight, &mut sums);
        for (row, sums) in sums.into_iter().enumerate() {
            take(row, sums);
        }
    }

    /// Applies the activation to rows of eight outputs.
    pub fn activate_rows<const M: usize>(rows: [[F32x4; 2]; M], activation: Activation) -> [[F32x4; 2]; M] {
        if activation == Activation::Identity {
            return rows;
        }
        // A copy, so that only this branch keeps the sums in memory.
        let mut copy = rows;
        activate(copy.as_flattened_mut(), activation);
        copy
    }

    /// Stores as many of the eight outputs of a panel as fit in `y`.
    pub fn store(sums: [F32x4; 2], y: &mut [f32]) {
        if let [low, high] = y.as_chunks_mut::<4>().0 {
            sums[0].store(low);
            sums[1].store(high);
        } else {
            store_partial(sums, y);
        }
    }
}

/// Sums the products of `M` rows with one panel. It is not inlined, so that nothing of its caller takes registers from the loop: Firefox and
/// WebKit otherwise keep sums in memory.
#[cfg_attr(
    all(target_arch = "wasm32", feature = "relaxed-simd"),
    target_feature(enable = "relaxed-simd")
)]
#[inline(never)]
fn outlined_sums<const M: usize>(
    rows: Rows,
    weight: &[[[f32; 4]; 2]],
    total: &mut [[F32x4; 2]; M],
) {
    let mut sums = [[F32x4::splat(0.0); 2]; M];
    let x: [&[f32]; M] = std::array::from_fn(|row| &rows.x[row * rows.stride..][..rows.k]);
    for (i, w) in weight[..rows.k].iter().enumerate() {
        let w = [F32x4::load(&w[0]), F32x4::load(&w[1])];
        for row in 0..M {
            let x = F32x4::splat(x[row][i]);
            sums[row][0] = mul_add(x, w[0], sums[row][0]);
            sums[row][1] = mul_add(x, w[1], sums[row][1]);
        }
    }
    *total = sums;
}

/// Stores a part of the sums. It is not inlined, to keep the loop of the common case small.
#[inline(never)]
fn store_partial(sums: [F32x4; 2], y: &mut [f32]) {
    for (sum, y) in sums.into_iter().zip(y.chunks_mut(4)) {
        sum.store_partial(y);
    }
}

/// Loads up to eight values of a panel of outputs, followed by zeros.
#[inline]
pub fn of_panel(values: &[f32]) -> [F32x4; 2] {
    if let [low, high] = values.as_chunks::<4>().0 {
        return [F32x4::load(low), F32x4::load(high)];
    }
    let mut eight = [0.0; PANEL];
    eight[..values.len()].copy_from_slice(values);
    [0, 1].map(|half| F32x4::load(&eight.as_chunks::<4>().0[half]))
}
