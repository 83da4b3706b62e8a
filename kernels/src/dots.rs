//! The innermost loops of the matrix product with quantized weights: a tile of rows and one panel, over one group of inputs.

use super::simd::{Sums, Words, dot, kernel};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
use super::simd::{add_pairs, pairs, signed_dot, signed_pairs, widen};

/// The sum of products over one group. It is not inlined, so that nothing of its caller takes registers from the loop.
#[cfg_attr(
    all(target_arch = "wasm32", feature = "relaxed-simd"),
    target_feature(enable = "relaxed-simd")
)]
#[inline(never)]
pub fn outlined_dots<const M: usize>(
    words: &[[[i32; 4]; 2]],
    values: &[[i32; M]],
) -> [[Sums; 2]; M] {
    dots(words, values)
}

kernel! {
    /// The sum of products over one group.
    // A plain loop, because LLVM orders the instructions of an iterator differently, and that was not measured.
    #[allow(clippy::needless_range_loop)]
    pub fn dots<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::spread(q, row);
                sums[row][0] = dot(sums[row][0], w0, q);
                sums[row][1] = dot(sums[row][1], w1, q);
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// The sum of products over one group, two words at a time.
    pub fn dots_by_pairs<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0) {
            let [a0, a1, b0, b1] = [&w[0][0], &w[0][1], &w[1][0], &w[1][1]].map(Words::load);
            for row in 0..M {
                let (a, b) = (Words::splat(q[0][row]), Words::splat(q[1][row]));
                sums[row][0] = widen(sums[row][0], add_pairs(pairs(a0, a), pairs(b0, b)));
                sums[row][1] = widen(sums[row][1], add_pairs(pairs(a1, a), pairs(b1, b)));
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    /// Does the same as `dots` for signed activations.
    #[allow(clippy::needless_range_loop)]
    pub fn signed_dots<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::spread(q, row);
                sums[row][0] = signed_dot(sums[row][0], w0, q);
                sums[row][1] = signed_dot(sums[row][1], w1, q);
            }
        }
        sums
    }

    /// Does the same as `dots_by_pairs` for signed activations.
    pub fn signed_dots_by_pairs<const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0) {
            let [a0, a1, b0, b1] = [&w[0][0], &w[0][1], &w[1][0], &w[1][1]].map(Words::load);
            for row in 0..M {
                let (a, b) = (Words::splat(q[0][row]), Words::splat(q[1][row]));
                sums[row][0] = widen(sums[row][0], add_pairs(signed_pairs(a0, a), signed_pairs(b0, b)));
                sums[row][1] = widen(sums[row][1], add_pairs(signed_pairs(a1, a), signed_pairs(b1, b)));
            }
        }
        sums
    }
}

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub use {dots as dots_by_pairs, dots as signed_dots, dots as signed_dots_by_pairs};
