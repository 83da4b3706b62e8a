//! 128-bit vectors: those of WebAssembly, or plain arrays on other targets.
//!
//! The kernels are written once on these types, so that native tests run the same loops as browsers. All differences between the two
//! WebAssembly builds and the native one are in this folder: the fused multiply-add and the int8 dot product.
//!
//! Functions that use relaxed SIMD carry the target feature themselves, and so must the kernels that call them, because
//! LLVM inlines only into functions that have it. [`kernel!`] adds it in the relaxed build.

/// Marks a function as a kernel. With the `relaxed-simd` feature of this crate it is compiled for relaxed SIMD.
macro_rules! kernel {
    ($($item:item)*) => {
        $(
            #[cfg_attr(all(target_arch = "wasm32", feature = "relaxed-simd"), target_feature(enable = "relaxed-simd"))]
            #[inline]
            $item
        )*
    };
}
pub(crate) use kernel;

/// Adding this to a number below 2²² rounds it to an integer, ties to even, which is then in the lowest bits of the sum.
pub const ROUND: f32 = 12_582_912.0;

/// 2¹¹², by which an f16 is too small if its bits are moved to those of an f32.
const HALF: f32 = f32::from_bits(239 << 23);

/// The largest activation that the dot product of this build takes; the smallest is 0.
pub const ACTIVATION_MAX: f32 = if RELAXED { 127.0 } else { 255.0 };

/// The largest activation of layers in fine groups. The baseline's dot product takes 16 bits of both operands, and the sum of the products of
/// 384 inputs still fits 32 bits.
pub const FINE_ACTIVATION_MAX: f32 = if RELAXED { 127.0 } else { 32_767.0 };

/// Whether activations of int4 layers are signed and their weights are not: the relaxed dot product takes 8 bits of one operand and 7 of the
/// other, and an int4 weight needs no more than 4.
pub const SIGNED_Q4: bool = RELAXED;

/// The number of inputs in a word of the dot product: four of 8 bits, or two of 16 bits.
pub const WORD: usize = if RELAXED { 4 } else { 2 };

pub const RELAXED: bool = cfg!(all(target_arch = "wasm32", feature = "relaxed-simd"));

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
mod wasm;
#[cfg(target_arch = "wasm32")]
use wasm as arch;

#[cfg(not(target_arch = "wasm32"))]
mod plain;
#[cfg(not(target_arch = "wasm32"))]
use plain as arch;

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub(crate) use arch::widen_quads;
pub(crate) use arch::{
    F32x4, I16x8, OctetUnpacker, RowSums, Sums, U8x16, Words, dot, mul_add, row_dot, to_words,
    unpack_halves,
};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
pub(crate) use arch::{
    Pairs, add_pairs, dot_saturates, pairs, signed_dot, signed_pairs, to_signed_words, widen,
};

impl F32x4 {
    /// The largest lane that is not NaN.
    #[inline]
    pub fn largest(self) -> f32 {
        self.to_array()
            .into_iter()
            .fold(f32::NEG_INFINITY, f32::max)
    }

    /// The smallest lane that is not NaN.
    #[inline]
    pub fn smallest(self) -> f32 {
        self.to_array().into_iter().fold(f32::INFINITY, f32::min)
    }

    /// The sum of the lanes.
    #[inline]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + b) + (c + d)
    }

    /// Loads as many lanes as the slice has, followed by zeros.
    #[inline]
    pub fn load_partial(from: &[f32]) -> Self {
        if let Ok(whole) = from.try_into() {
            return Self::load(whole);
        }
        let mut four = [0.0; 4];
        four[..from.len()].copy_from_slice(from);
        Self::load(&four)
    }

    /// Stores as many lanes as the slice takes.
    #[inline]
    pub fn store_partial(self, to: &mut [f32]) {
        if let Ok(whole) = to.try_into() {
            return self.store(whole);
        }
        to.copy_from_slice(&self.to_array()[..to.len()]);
    }
}
