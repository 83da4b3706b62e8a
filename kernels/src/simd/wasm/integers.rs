//! Vectors of 16-bit and 8-bit integers, for searches.

use core::arch::wasm32::*;

use super::{F32x4, Sums};

/// Eight integers of 16 bits.
#[derive(Clone, Copy)]
pub struct I16x8(v128);

#[allow(clippy::inline_always)]
impl I16x8 {
    #[inline(always)]
    pub fn zero() -> Self {
        Self(i16x8_splat(0))
    }

    /// Returns the lanes as unsigned numbers.
    #[inline(always)]
    pub fn to_array(self) -> [u16; 8] {
        let [a, b, c, d] = F32x4(self.0).to_bits();
        let halves = |word: i32| [word as u16, (word >> 16) as u16];
        let [[a, b], [c, d], [e, f], [g, h]] = [a, b, c, d].map(halves);
        [a, b, c, d, e, f, g, h]
    }

    #[inline(always)]
    pub fn load(from: &[i16; 8]) -> Self {
        // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    /// Loads eight signed bytes and widens them.
    #[inline(always)]
    pub fn widen(from: &[i8; 8]) -> Self {
        // SAFETY: the reference covers the 8 bytes that are read; wasm loads need no alignment.
        Self(unsafe { i16x8_load_extend_i8x8(from.as_ptr()) })
    }

    /// Adds the products of neighbouring lanes to a sum of 32 bits, exactly.
    #[inline(always)]
    pub fn dot(self, other: Self, sums: Sums) -> Sums {
        Sums(i32x4_add(sums.0, i32x4_dot_i16x8(self.0, other.0)))
    }
}

/// Sixteen unsigned bytes.
#[derive(Clone, Copy)]
pub struct U8x16(v128);

#[allow(clippy::inline_always)]
impl U8x16 {
    #[inline(always)]
    pub fn splat(byte: u8) -> Self {
        Self(u8x16_splat(byte))
    }

    #[inline(always)]
    pub fn load(from: &[u8; 16]) -> Self {
        // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(v128_and(self.0, other.0))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    #[inline(always)]
    pub fn xor(self, other: Self) -> Self {
        Self(v128_xor(self.0, other.0))
    }

    /// Counts the set bits of each byte.
    #[inline(always)]
    pub fn count(self) -> Self {
        Self(u8x16_popcnt(self.0))
    }

    /// Adds eight times each lane to its total, modulo 65,536.
    #[inline(always)]
    pub fn add_eightfold_to(self, [low, high]: [I16x8; 2]) -> [I16x8; 2] {
        let [a, b] = [
            u16x8_extend_low_u8x16(self.0),
            u16x8_extend_high_u8x16(self.0),
        ];
        [
            I16x8(i16x8_add(low.0, i16x8_shl(a, 3))),
            I16x8(i16x8_add(high.0, i16x8_shl(b, 3))),
        ]
    }

    /// Adds lane by lane, modulo 256.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(u8x16_add(self.0, other.0))
    }

    /// Adds each lane to its total, modulo 65,536.
    #[inline(always)]
    pub fn add_to(self, [low, high]: [I16x8; 2]) -> [I16x8; 2] {
        [
            I16x8(i16x8_add(low.0, u16x8_extend_low_u8x16(self.0))),
            I16x8(i16x8_add(high.0, u16x8_extend_high_u8x16(self.0))),
        ]
    }
}
