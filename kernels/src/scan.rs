//! Comparing one query with many rows, which takes most of the time of a search in `VectorIndex`. The rows are read from memory once, and
//! most of the time is spent waiting for it.
//!
//! Rows of numbers lie one after the other, each padded with zeros to whole vectors, and are read in that order. Several rows at a time
//! would share the loads of the query, but prefetching then works badly, and it took three to four times as long. Rows of bits lie in
//! groups of sixteen, interleaved byte by byte: a vector has one byte of each row, so that sums need no horizontal additions.

use super::simd::{F32x4, I16x8, ROUND, Sums, U8x16, kernel, mul_add};

/// The number of values to whose multiple a row is padded.
pub const ALIGN: usize = 16;

/// The number of rows in a group of bits.
pub const GROUP: usize = 16;

/// The number of bytes whose differing bits, counted in units of eight, fit a lane of eight bits.
const MOST: usize = 255 / 8 * 8;

/// Computes `dots[i] = Σ rows[i] · query`.
///
/// *Shapes*: `rows: [n, d]`, `query: [d]` with `d` a multiple of [`ALIGN`], `dots: [n]`.
pub fn dots_f32(rows: &[f32], query: &[f32], dots: &mut [f32]) {
    for (row, dot) in rows.chunks_exact(query.len()).zip(dots) {
        *dot = dot_f32(row, query);
    }
}

/// Computes `dots[i] = factors[i] · Σ rows[i] · query`, where the sum is exact.
///
/// *Shapes*: `rows: [n, d]`, `query: [d]` with `d` a multiple of [`ALIGN`], `factors, dots: [n]`. The product of the norms of the query
/// and any row must be below 2³¹: then so is each partial sum, in whatever order (Cauchy and Schwarz).
pub fn dots_q8(rows: &[i8], query: &[i16], factors: &[f32], dots: &mut [f32]) {
    let rows = rows.chunks_exact(query.len()).zip(factors);
    for ((row, factor), dot) in rows.zip(dots) {
        *dot = dot_q8(row, query) as f32 * factor;
    }
}

/// Counts how many bits of each row differ from the query's.
///
/// *Shapes*: `groups: [⌈n / 16⌉, bytes, 16]`, `query: [bytes]` with at most 8,191 bytes, `distances: [n]`.
pub fn hamming(groups: &[u8], query: &[u8], distances: &mut [u16]) {
    let groups = groups.chunks_exact(query.len() * GROUP);
    for (group, distances) in groups.zip(distances.chunks_mut(GROUP)) {
        distances.copy_from_slice(&hamming_16(group, query)[..distances.len()]);
    }
}

kernel! {
    fn dot_f32(row: &[f32], query: &[f32]) -> f32 {
        let mut sums = [F32x4::splat(0.0); 4];
        for (x, q) in row.as_chunks::<ALIGN>().0.iter().zip(query.as_chunks::<ALIGN>().0) {
            for ((sum, x), q) in sums.iter_mut().zip(x.as_chunks().0).zip(q.as_chunks().0) {
                *sum = mul_add(F32x4::load(x), F32x4::load(q), *sum);
            }
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum()
    }

    fn dot_q8(row: &[i8], query: &[i16]) -> i32 {
        // The query has 16 bits at no cost: no exact instruction multiplies two signed bytes, so the rows are widened to 16 bits anyway.
        let mut sums = [Sums::zero(); 4];
        let ((row, rest), (query, rest_query)) = (row.as_chunks::<32>(), query.as_chunks::<32>());
        for (x, q) in row.iter().zip(query) {
            let (x, q) = (x.as_chunks::<8>().0, q.as_chunks::<8>().0);
            for i in 0..4 {
                sums[i] = I16x8::widen(&x[i]).dot(I16x8::load(&q[i]), sums[i]);
            }
        }
        for (x, q) in rest.as_chunks().0.iter().zip(rest_query.as_chunks().0) {
            sums[0] = I16x8::widen(x).dot(I16x8::load(q), sums[0]);
        }
        let [a, b, c, d] = sums;
        a.add(b).add(c.add(d)).to_array().into_iter().sum()
    }

    /// Bits are added by carry-save adders, so that only an eighth of the vectors and a remainder are counted bit by bit.
    ///
    /// *Source*: Muła, Kurz and Lemire, "Faster Population Counts Using AVX2 Instructions", 2018 (Harley and Seal).
    fn hamming_16(group: &[u8], query: &[u8]) -> [u16; GROUP] {
        let mut totals = [I16x8::zero(); 2];
        let columns = group.as_chunks::<GROUP>().0;
        for (columns, query) in columns.chunks(MOST).zip(query.chunks(MOST)) {
            let zero = U8x16::splat(0);
            let (mut ones, mut twos, mut fours, mut eights) = (zero, zero, zero, zero);
            let ((columns, rest), (query, rest_query)) = (columns.as_chunks::<8>(), query.as_chunks::<8>());
            for (x, q) in columns.iter().zip(query) {
                let [a, b, c, d] = [0, 2, 4, 6].map(|i| {
                    [i, i + 1].map(|i| U8x16::load(&x[i]).xor(U8x16::splat(q[i])))
                });
                let (sum, two_a) = add_bits(ones, a);
                let (sum, two_b) = add_bits(sum, b);
                let (sum, two_c) = add_bits(sum, c);
                let (sum, two_d) = add_bits(sum, d);
                ones = sum;
                let (sum, four_a) = add_bits(twos, [two_a, two_b]);
                let (sum, four_b) = add_bits(sum, [two_c, two_d]);
                twos = sum;
                let (sum, eight) = add_bits(fours, [four_a, four_b]);
                fours = sum;
                eights = eights.add(eight.count());
            }
            let mut sums = ones.count();
            for (x, q) in rest.iter().zip(rest_query) {
                sums = sums.add(U8x16::load(x).xor(U8x16::splat(*q)).count());
            }
            let twos = twos.count().add(fours.count()).add(fours.count());
            let sums = sums.add(twos).add(twos);
            totals = sums.add_to(eights.add_eightfold_to(totals));
        }
        let mut distances = [0; GROUP];
        for (total, to) in totals.into_iter().zip(distances.as_chunks_mut().0) {
            *to = total.to_array();
        }
        distances
    }

    /// Adds three bits at each position and returns the lower and the higher bit of the sums.
    fn add_bits(a: U8x16, [b, c]: [U8x16; 2]) -> (U8x16, U8x16) {
        let differing = a.xor(b);
        (differing.xor(c), a.and(b).or(differing.and(c)))
    }
}

/// The first index from `from` on whose score is above `limit`.
pub fn next_above(scores: &[f32], from: usize, limit: f32) -> Option<usize> {
    let rest = scores.get(from..)?;
    Some(from + rest.iter().position(|score| *score > limit)?)
}

/// The first index from `from` on whose distance is at most `limit`.
pub fn next_within(distances: &[u16], from: usize, limit: u16) -> Option<usize> {
    let rest = distances.get(from..)?;
    Some(from + rest.iter().position(|distance| *distance <= limit)?)
}

/// Counts how often each distance occurs. Distances beyond the end of `counts` are ignored.
pub fn count(distances: &[u16], counts: &mut [u32]) {
    for distance in distances {
        if let Some(count) = counts.get_mut(usize::from(*distance)) {
            *count += 1;
        }
    }
}

/// Computes `Σ row²` exactly, for up to 2¹⁷ values.
pub fn square_q8(row: &[i8]) -> i32 {
    row.iter().map(|x| i32::from(*x) * i32::from(*x)).sum()
}

/// Computes `Σ row²` in f64, so that a few large values do not absorb the others.
pub fn square_f32(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

/// Multiplies each value by `factor`.
pub fn scale(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// Computes one bit for each value, which is set if the value is positive; the lowest bit comes first.
pub fn signs<T: Copy + Default + PartialOrd>(row: &[T], bits: &mut [u8]) {
    for (values, byte) in row.chunks(8).zip(bits) {
        let bit = |(i, x): (usize, &T)| u8::from(*x > T::default()) << i;
        *byte = values.iter().enumerate().map(bit).sum();
    }
}

/// The largest magnitude of a row; NaN if a value is NaN or infinite.
pub fn largest(row: &[f32]) -> f32 {
    let (vectors, rest) = row.as_chunks();
    let (zero, mut most, mut sum) = (F32x4::splat(0.0), F32x4::splat(0.0), F32x4::splat(0.0));
    for x in vectors {
        let x = F32x4::load(x);
        most = most.max(x.abs());
        // The maximum ignores a NaN, but NaN and infinity times zero are NaN.
        sum = mul_add(x, zero, sum);
    }
    let most = rest
        .iter()
        .fold(most.largest(), |most, x| most.max(x.abs()));
    most + rest.iter().fold(sum.sum(), |sum, x| sum + x * 0.0)
}

/// Rounds `row · scale` to integers, ties to even. The results must be within the range of int8.
pub fn quantize(row: &[f32], scale: f32, to: &mut [i8]) {
    for (x, to) in row.iter().zip(to) {
        // The integer is in the lowest bits of the sum.
        *to = (x * scale + ROUND).to_bits() as i8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use wasm_bindgen_test::wasm_bindgen_test;

    /// Sizes around whole vectors, and the dimensions of MiniLM, CLIP and larger models.
    const SIZES: [usize; 8] = [1, 3, 7, 31, 33, 384, 512, 1536];
    /// Numbers of rows: none, one, part of a group, a whole group, and more than one.
    const ROWS: [usize; 6] = [0, 1, 5, 16, 17, 40];

    fn random(count: usize) -> Vec<u32> {
        let mut random = Random::new(0x9e37_79b9);
        (0..count).map(|_| random.bits()).collect()
    }

    fn padded<T: Copy + Default>(rows: &[T], d: usize) -> Vec<T> {
        let mut all = Vec::new();
        for row in rows.chunks_exact(d) {
            all.extend_from_slice(row);
            all.resize(all.len().next_multiple_of(ALIGN), T::default());
        }
        all
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn dots_of_int8_rows_are_exact_whatever_the_values() {
        for d in SIZES {
            for n in ROWS {
                let bytes: Vec<i8> = random(n * d).iter().map(|x| (x >> 9) as i8).collect();
                let extremes: Vec<i8> = (0..n * d).map(|i| [127, -128, -127][i / 2 % 3]).collect();
                // The largest query whose norm times that of the largest row is below 2³¹.
                let most = (2f64.powi(31) / (128.0 * d as f64)).min(32767.0) as i16;
                let mixed: Vec<i16> = random(d).iter().map(|x| (x >> 7) as i16 % most).collect();
                for rows in [&bytes, &extremes] {
                    for query in [&mixed, &vec![most; d], &vec![-most; d]] {
                        let factors: Vec<f32> = (0..n).map(|i| 0.5 + i as f32).collect();
                        let plain: Vec<f32> = rows
                            .chunks_exact(d)
                            .map(|row| {
                                row.iter()
                                    .zip(query)
                                    .map(|(x, q)| i64::from(*x) * i64::from(*q))
                                    .sum::<i64>()
                            })
                            .zip(&factors)
                            .map(|(dot, factor)| dot as f32 * factor)
                            .collect();
                        let mut dots = vec![7.0; n];
                        dots_q8(&padded(rows, d), &padded(query, d), &factors, &mut dots);
                        assert_eq!(dots, plain, "{n} x {d}");
                    }
                }
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn dots_of_f32_rows_are_those_of_the_plain_body() {
        for d in SIZES {
            for n in ROWS {
                let value = |x: &u32| (x >> 8) as f32 / (1 << 23) as f32 - 1.0;
                let rows: Vec<f32> = random(n * d).iter().map(value).collect();
                let query: Vec<f32> = random(d + 5)[5..].iter().map(value).collect();
                let mut dots = vec![7.0; n];
                dots_f32(&padded(&rows, d), &padded(&query, d), &mut dots);
                for (row, dot) in rows.chunks_exact(d).zip(dots) {
                    let plain: f64 = row
                        .iter()
                        .zip(&query)
                        .map(|(x, q)| f64::from(*x) * f64::from(*q))
                        .sum();
                    // Each of d roundings is at most 2⁻²⁴ of a partial sum.
                    assert!(
                        (f64::from(dot) - plain).abs() <= 1e-7 * d as f64,
                        "{n} x {d}: {dot}, {plain}"
                    );
                }
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn distances_are_counted_bit_by_bit() {
        for bytes in [1, 2, 4, 31, 32, 48, 62, 64, 192, 8191] {
            for n in ROWS {
                let rows: Vec<u8> = random(n * bytes).iter().map(|x| (x >> 9) as u8).collect();
                let query: Vec<u8> = random(bytes + 3)[3..]
                    .iter()
                    .map(|x| (x >> 9) as u8)
                    .collect();
                for rows in [
                    rows,
                    query.repeat(n),
                    query.iter().map(|q| !q).collect::<Vec<_>>().repeat(n),
                ] {
                    let mut groups = vec![0; n.next_multiple_of(GROUP) * bytes];
                    for (i, row) in rows.chunks_exact(bytes).enumerate() {
                        for (column, byte) in row.iter().enumerate() {
                            groups[(i / GROUP * bytes + column) * GROUP + i % GROUP] = *byte;
                        }
                    }
                    let plain: Vec<u32> = rows
                        .chunks_exact(bytes)
                        .map(|row| {
                            row.iter()
                                .zip(&query)
                                .map(|(x, q)| (x ^ q).count_ones())
                                .sum()
                        })
                        .collect();
                    let mut distances = vec![7; n];
                    hamming(&groups, &query, &mut distances);
                    assert_eq!(
                        distances.into_iter().map(u32::from).collect::<Vec<_>>(),
                        plain,
                        "{n} x {bytes}"
                    );
                }
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_largest_magnitude_is_found_and_what_is_no_number_too() {
        for d in SIZES {
            for at in [0, d / 2, d - 1] {
                let mut row = vec![0.25; d];
                row[at] = -3.0;
                assert_eq!(largest(&row), 3.0);
                for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    row[at] = odd;
                    assert!(!largest(&row).is_finite(), "{odd} at {at} of {d}");
                }
            }
            assert_eq!(largest(&vec![0.0; d]), 0.0);
            assert_eq!(largest(&vec![f32::MAX; d]), f32::MAX);
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_passes_a_limit_is_found_in_order() {
        let scores = [0.5, f32::NAN, 0.25, 0.5, 0.75];
        assert_eq!(next_above(&scores, 0, 0.25), Some(0));
        assert_eq!(next_above(&scores, 1, 0.25), Some(3));
        assert_eq!(next_above(&scores, 0, 0.75), None);
        assert_eq!(next_above(&scores, 6, 0.0), None);
        let distances = [7, 3, u16::MAX, 3, 0];
        assert_eq!(next_within(&distances, 2, 3), Some(3));
        assert_eq!(next_within(&distances, 5, 3), None);
        let mut counts = [0; 8];
        count(&distances, &mut counts);
        assert_eq!(counts, [1, 0, 0, 2, 0, 0, 0, 1]);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_row_has_a_bit_for_each_value_and_zeros_behind() {
        let row = [1.0, -1.0, 0.0, -0.0, 1e-40, 2.0, -3.0, 4.0, 5.0];
        let mut bits = [255; 2];
        signs(&row, &mut bits);
        assert_eq!(bits, [0b1011_0001, 1]);
        let mut bits = [255; 2];
        signs(&row.map(|x| x as i8), &mut bits);
        assert_eq!(bits, [0b1010_0001, 1]);
        assert_eq!(square_q8(&vec![-127; 1 << 17]), (127 * 127) << 17);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn quantized_values_are_rounded_to_even() {
        let row = [0.5, 1.5, -0.5, -1.5, 2.4, -2.6, 127.0, -127.0, 0.0, -0.0];
        let mut to = [9; 10];
        quantize(&row, 1.0, &mut to);
        assert_eq!(to, [0, 2, 0, -2, 2, -3, 127, -127, 0, 0]);
    }
}
