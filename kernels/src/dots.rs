//! The innermost loops of the matrix product with quantized weights: a tile of rows and one panel, over one group of inputs.

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
use super::simd::{Pairs, add_pairs, pairs, signed_dot, signed_pairs, widen};
use super::simd::{Sums, Words, dot, kernel};

/// Returns the sums of products over one group of inputs, of unsigned activations. It is not inlined, so that nothing of its caller takes registers from the loop.
#[cfg_attr(
    all(target_arch = "wasm32", feature = "relaxed-simd"),
    target_feature(enable = "relaxed-simd")
)]
#[inline(never)]
pub fn outlined_dots<const M: usize>(
    words: &[[[i32; 4]; 2]],
    values: &[[i32; M]],
) -> [[Sums; 2]; M] {
    dots::<false, M>(words, values)
}

kernel! {
    /// Returns the sums of products over one group of inputs; `SIGNED` says whether activations are signed.
    // A plain loop, because LLVM orders the instructions of an iterator differently, and that was not measured.
    #[allow(clippy::needless_range_loop)]
    pub fn dots<const SIGNED: bool, const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.iter().zip(values) {
            let [w0, w1] = [Words::load(&w[0]), Words::load(&w[1])];
            for row in 0..M {
                let q = Words::spread(q, row);
                sums[row][0] = add_product::<SIGNED>(sums[row][0], w0, q);
                sums[row][1] = add_product::<SIGNED>(sums[row][1], w1, q);
            }
        }
        sums
    }
}

#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
kernel! {
    fn add_product<const SIGNED: bool>(sums: Sums, weights: Words, activations: Words) -> Sums {
        if SIGNED { signed_dot(sums, weights, activations) } else { dot(sums, weights, activations) }
    }

    fn product<const SIGNED: bool>(weights: Words, activations: Words) -> Pairs {
        if SIGNED { signed_pairs(weights, activations) } else { pairs(weights, activations) }
    }

    /// Returns the same sums as `dots`, which it adds up from two words at a time.
    pub fn dots_by_pairs<const SIGNED: bool, const M: usize>(words: &[[[i32; 4]; 2]], values: &[[i32; M]]) -> [[Sums; 2]; M] {
        let mut sums = [[Sums::zero(); 2]; M];
        for (w, q) in words.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0) {
            let [a0, a1, b0, b1] = [&w[0][0], &w[0][1], &w[1][0], &w[1][1]].map(Words::load);
            for row in 0..M {
                let (a, b) = (Words::splat(q[0][row]), Words::splat(q[1][row]));
                sums[row][0] = widen(sums[row][0], add_pairs(product::<SIGNED>(a0, a), product::<SIGNED>(b0, b)));
                sums[row][1] = widen(sums[row][1], add_pairs(product::<SIGNED>(a1, a), product::<SIGNED>(b1, b)));
            }
        }
        sums
    }
}

/// Adds products to sums; the dot product of this build takes signed and unsigned activations alike.
#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
#[inline]
fn add_product<const SIGNED: bool>(sums: Sums, weights: Words, activations: Words) -> Sums {
    dot(sums, weights, activations)
}

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub use dots as dots_by_pairs;
