//! f32 matrix products and exponentials whose bits are the same in every build: values are multiplied and added apart, never fused, and
//! summed in one order. Heads are fitted with them, so that the same examples give the same head everywhere.

use super::simd::{F32x4, ROUND};
use crate::layout::PANEL;

/// Rows of `a` in one register tile: 8 sums and 4 other values take 12 of 16 registers.
const ROWS: usize = 4;

/// Computes `y = a · b`, each sum in the order of `k`.
///
/// *Shapes*: `a: [m, k]`, `b: [⌈n / 8⌉, k, 8]` as [`to_panels`] makes it, `y: [m, 8 ⌈n / 8⌉]`.
pub fn product(a: &[f32], k: usize, b: &[f32], y: &mut [f32]) {
    if k == 0 {
        return y.fill(0.0);
    }
    let width = b.len() / k;
    for (panel, b) in b.chunks_exact(k * PANEL).enumerate() {
        let b = b.as_chunks::<4>().0.as_chunks::<2>().0;
        let tiles = a.chunks(ROWS * k).zip(y.chunks_mut(ROWS * width));
        for (a, y) in tiles {
            let y = &mut y[panel * PANEL..];
            match a.len() / k {
                4 => tile::<4>(a, k, b, y, width),
                3 => tile::<3>(a, k, b, y, width),
                2 => tile::<2>(a, k, b, y, width),
                _ => tile::<1>(a, k, b, y, width),
            }
        }
    }
}

fn tile<const M: usize>(a: &[f32], k: usize, b: &[[[f32; 4]; 2]], y: &mut [f32], width: usize) {
    let rows: [&[f32]; M] = std::array::from_fn(|row| &a[row * k..][..k]);
    let mut sums = [[F32x4::splat(0.0); 2]; M];
    for (i, b) in b.iter().enumerate().take(k) {
        let b = [F32x4::load(&b[0]), F32x4::load(&b[1])];
        for row in 0..M {
            let a = F32x4::splat(rows[row][i]);
            sums[row][0] = sums[row][0].add(a.mul(b[0]));
            sums[row][1] = sums[row][1].add(a.mul(b[1]));
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        if let [low, high, ..] = y[row * width..].as_chunks_mut::<4>().0 {
            sums[0].store(low);
            sums[1].store(high);
        }
    }
}

/// Computes the dot product of `x` with each of the `rows`, by eight partial sums that are then added in one order.
///
/// *Shapes*: `x: [k]`, `rows: [n, k]`, `y: [n]`.
pub fn dots(x: &[f32], rows: &[f32], y: &mut [f32]) {
    let (eights, rest) = x.as_chunks::<8>();
    for (row, y) in rows.chunks_exact(x.len().max(1)).zip(y) {
        let (row_eights, row_rest) = row.as_chunks::<8>();
        let mut sums = [F32x4::splat(0.0); 2];
        for (x, row) in eights.iter().zip(row_eights) {
            for ((sum, x), row) in sums
                .iter_mut()
                .zip(x.as_chunks::<4>().0)
                .zip(row.as_chunks::<4>().0)
            {
                *sum = sum.add(F32x4::load(x).mul(F32x4::load(row)));
            }
        }
        let mut four = [0.0; 4];
        sums[0].add(sums[1]).store(&mut four);
        let [a, b, c, d] = four;
        let rest: f32 = rest.iter().zip(row_rest).map(|(x, row)| x * row).sum();
        *y = (a + b) + (c + d) + rest;
    }
}

/// Lays the columns of a matrix in panels of eight, the last one padded with zeros.
///
/// *Shapes*: `matrix: [k, n]`, `panels: [⌈n / 8⌉, k, 8]`.
pub fn to_panels(matrix: &[f32], n: usize, panels: &mut [f32]) {
    let k = matrix.len() / n.max(1);
    for (panel, to) in panels.chunks_exact_mut((k * PANEL).max(1)).enumerate() {
        for (row, to) in matrix.chunks_exact(n).zip(to.as_chunks_mut::<PANEL>().0) {
            let from = &row[panel * PANEL..n.min((panel + 1) * PANEL)];
            *to = [0.0; PANEL];
            to[..from.len()].copy_from_slice(from);
        }
    }
}

/// Lays the rows of a matrix in panels of eight, the last one padded with zeros: the panels of its transpose.
///
/// *Shapes*: `matrix: [n, k]`, `panels: [⌈n / 8⌉, k, 8]`.
pub fn rows_to_panels(matrix: &[f32], k: usize, panels: &mut [f32]) {
    for (rows, to) in matrix
        .chunks(PANEL * k)
        .zip(panels.chunks_exact_mut(PANEL * k))
    {
        to.fill(0.0);
        for (lane, row) in rows.chunks_exact(k).enumerate() {
            for (value, to) in row.iter().zip(to.as_chunks_mut::<PANEL>().0) {
                to[lane] = *value;
            }
        }
    }
}

/// The coefficients of the polynomial of `eʳ`, and ln 2 in two parts, of which the first has few bits. *Source*: Cephes `expf`.
const EXP: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];
const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Replaces each value by its exponential, within 2 units in the last place; below -87 by 1.6e-38.
///
/// The length is a multiple of 4, and no value is above 88.7 or NaN.
pub fn exp(values: &mut [f32]) {
    for four in values.as_chunks_mut::<4>().0 {
        let x = F32x4::load(four).max(F32x4::splat(-87.0));
        let rounded = x
            .mul(F32x4::splat(std::f32::consts::LOG2_E))
            .add(F32x4::splat(ROUND));
        let n = rounded.sub(F32x4::splat(ROUND));
        let r = x.sub(n.mul(F32x4::splat(LN2[0])));
        let r = r.sub(n.mul(F32x4::splat(LN2[1])));
        let mut p = F32x4::splat(EXP[0]);
        for c in &EXP[1..] {
            p = p.mul(r).add(F32x4::splat(*c));
        }
        p.mul(r.mul(r))
            .add(r.add(F32x4::splat(1.0)))
            .times_power_of_two(rounded)
            .store(four);
    }
}

/// Replaces the logits of each column by their softmax. The logarithm of the sum of a column's exponentials is `largest + ln(sums)`:
/// the largest logit, and the sum of the exponentials of the differences from it.
///
/// *Shapes*: `logits: [classes, n]` with `n` a multiple of 4, `largest: [n]`, `sums: [n]`.
pub fn softmax_columns(logits: &mut [f32], largest: &mut [f32], sums: &mut [f64]) {
    largest.fill(f32::NEG_INFINITY);
    sums.fill(0.0);
    for row in logits.chunks_exact(largest.len()) {
        for (largest, logit) in largest.iter_mut().zip(row) {
            *largest = if *logit > *largest { *logit } else { *largest };
        }
    }
    for row in logits.chunks_exact_mut(largest.len()) {
        for (logit, largest) in row.iter_mut().zip(&*largest) {
            *logit -= largest;
        }
        exp(row);
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    for row in logits.chunks_exact_mut(largest.len()) {
        for (value, sum) in row.iter_mut().zip(&*sums) {
            *value = (f64::from(*value) / sum) as f32;
        }
    }
}

/// Computes `sums += values`.
pub fn add(sums: &mut [f64], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += f64::from(*value);
    }
}

/// Computes `y += factor · x`.
pub fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Computes the dot product by eight partial sums, which are then added in one order.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum_of_products(a, b)
}

/// Computes `y += factor · x` for values in f32.
pub fn add_scaled_f32(y: &mut [f64], factor: f64, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * f64::from(*x);
    }
}

/// Computes the dot product as [`dot`] does, where one side is in f32.
pub fn dot_f32(a: &[f64], b: &[f32]) -> f64 {
    sum_of_products(a, b)
}

fn sum_of_products<T: Copy + Into<f64>>(a: &[f64], b: &[T]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * (*b).into();
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * (*b).into();
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn products_equal_the_plain_body_to_the_bit() {
        let mut random = Random::new(1);
        for (m, k, n) in [(1, 1, 1), (4, 8, 8), (5, 3, 9), (7, 33, 31), (77, 384, 10)] {
            let a = random.values(m * k);
            let b = random.values(k * n);
            let padded = n.div_ceil(PANEL) * PANEL;
            let mut panels = vec![f32::NAN; padded * k];
            to_panels(&b, n, &mut panels);
            let mut y = vec![f32::NAN; m * padded];
            product(&a, k, &panels, &mut y);
            for row in 0..m {
                for column in 0..padded {
                    let sum = (0..k).fold(0.0f32, |sum, i| {
                        let b = if column < n { b[i * n + column] } else { 0.0 };
                        sum + a[row * k + i] * b
                    });
                    let got = y[row * padded + column];
                    assert_eq!(got.to_bits(), sum.to_bits(), "{m} {k} {n}: {row} {column}");
                }
            }
        }
    }

    #[test]
    fn dot_products_equal_the_plain_body_to_the_bit() {
        let mut random = Random::new(3);
        for (k, n) in [(1, 3), (7, 2), (8, 1), (13, 5), (384, 4)] {
            let (x, rows) = (random.values(k), random.values(n * k));
            let mut y = vec![f32::NAN; n];
            dots(&x, &rows, &mut y);
            for (row, got) in rows.chunks_exact(k).zip(y) {
                let mut sums = [0.0f32; 8];
                for (i, sum) in sums.iter_mut().enumerate() {
                    for at in (i..k / 8 * 8).step_by(8) {
                        *sum += x[at] * row[at];
                    }
                }
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| sums[i] + sums[i + 4]);
                let rest: f32 = (k / 8 * 8..k).map(|i| x[i] * row[i]).sum();
                assert_eq!(
                    got.to_bits(),
                    ((a + b) + (c + d) + rest).to_bits(),
                    "{k} {n}"
                );
            }
        }
    }

    #[test]
    fn panels_of_rows_are_those_of_the_transpose() {
        let (n, k) = (11, 5);
        let rows = Random::new(2).values(n * k);
        let transposed: Vec<f32> = (0..k * n).map(|i| rows[i % n * k + i / n]).collect();
        let size = n.div_ceil(PANEL) * PANEL * k;
        let [mut a, mut b] = [vec![f32::NAN; size], vec![f32::NAN; size]];
        rows_to_panels(&rows, k, &mut a);
        to_panels(&transposed, n, &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn exponentials_are_within_two_units_in_the_last_place() {
        for i in 0..4000 {
            let x = -87.0 + i as f32 * 0.0437;
            let mut values = [x, 0.0, -100.0, 1.0];
            exp(&mut values);
            let expected = f64::from(x).exp();
            let error = (f64::from(values[0]) - expected).abs() / expected;
            assert!(error < 2.5e-7, "{x}: {error}");
            assert_eq!(values[1], 1.0);
            assert!(values[2] > 0.0 && values[2] < 2e-38);
        }
    }
}
