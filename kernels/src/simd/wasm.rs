//! Vectors and instructions of WebAssembly. Only this file and `integers.rs` have `unsafe` code.

use core::arch::wasm32::*;

use super::{HALF, ROUND};

mod integers;
pub use integers::{I16x8, U8x16};

#[derive(Clone, Copy)]
pub struct F32x4(v128);

#[allow(clippy::inline_always)]
impl F32x4 {
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(f32x4_splat(x))
    }

    #[inline(always)]
    pub fn load(from: &[f32; 4]) -> Self {
        // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn store(self, to: &mut [f32; 4]) {
        // SAFETY: the reference covers the 16 bytes that are written; wasm stores need no alignment.
        unsafe { v128_store(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    pub fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }

    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(f32x4_abs(self.0))
    }

    /// The smaller of each pair of lanes; either one if one is NaN, because LLVM compiles it to a relaxed minimum.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        Self(f32x4_pmin(self.0, other.0))
    }

    /// The larger of each pair of lanes; either one if one is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(f32x4_pmax(self.0, other.0))
    }

    /// Replaces the lanes in which `x` is NaN by NaN.
    #[inline(always)]
    pub fn or_nan_of(self, x: Self) -> Self {
        Self(v128_or(self.0, f32x4_ne(x.0, x.0)))
    }

    /// Replaces the lanes in which `x` is at least `limit` by those of `other`.
    #[inline(always)]
    pub fn or_where_at_least(self, x: Self, limit: f32, other: Self) -> Self {
        Self(v128_bitselect(
            other.0,
            self.0,
            f32x4_ge(x.0, f32x4_splat(limit)),
        ))
    }

    /// Combines the magnitude of `self` with the sign of `sign`.
    #[inline(always)]
    pub fn copysign(self, sign: Self) -> Self {
        let mask = f32x4_splat(-0.0);
        Self(v128_bitselect(sign.0, self.0, mask))
    }

    /// Multiplies by 2 to the power of `n`, which is [`ROUND`] plus an integer; the result must be a normal number.
    #[inline(always)]
    pub fn times_power_of_two(self, n: Self) -> Self {
        // The integer is in the lowest bits of `n` and is shifted to the exponent.
        Self(i32x4_add(self.0, i32x4_shl(n.0, 23)))
    }

    #[inline(always)]
    pub fn to_array(self) -> [f32; 4] {
        [
            f32x4_extract_lane::<0>(self.0),
            f32x4_extract_lane::<1>(self.0),
            f32x4_extract_lane::<2>(self.0),
            f32x4_extract_lane::<3>(self.0),
        ]
    }

    #[inline(always)]
    fn to_bits(self) -> [i32; 4] {
        [
            i32x4_extract_lane::<0>(self.0),
            i32x4_extract_lane::<1>(self.0),
            i32x4_extract_lane::<2>(self.0),
            i32x4_extract_lane::<3>(self.0),
        ]
    }
}

kernel! {
    /// Computes `a * b + c` with one rounding or two.
    #[cfg(feature = "relaxed-simd")]
    pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        F32x4(f32x4_relaxed_madd(a.0, b.0, c.0))
    }

    /// Computes `a * b + c` with two roundings.
    #[cfg(not(feature = "relaxed-simd"))]
    pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        F32x4(f32x4_add(f32x4_mul(a.0, b.0), c.0))
    }
}

/// Packs sixteen numbers, each [`ROUND`] plus 0 to 127, or one beyond, in words of the dot product.
#[cfg(feature = "relaxed-simd")]
#[inline(always)]
pub fn to_words(numbers: [F32x4; 4], _: f32) -> [i32; 4] {
    let [a, b, c, d] = numbers.map(|x| i32x4_sub(x.0, f32x4_splat(ROUND)));
    let most = i16x8_splat(127);
    let low = i16x8_min(i16x8_narrow_i32x4(a, b), most);
    let high = i16x8_min(i16x8_narrow_i32x4(c, d), most);
    F32x4(u8x16_narrow_i16x8(low, high)).to_bits()
}

/// Packs sixteen numbers, each [`ROUND`] plus 0 to 255, or one beyond, in words of [`signed_dot`]: less 128, so that they are signed.
#[cfg(feature = "relaxed-simd")]
#[inline(always)]
pub fn to_signed_words(numbers: [F32x4; 4]) -> [i32; 4] {
    let [a, b, c, d] = numbers.map(|x| i32x4_sub(x.0, f32x4_splat(ROUND)));
    let [low, high] = [i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d)];
    let bytes = u8x16_narrow_i16x8(low, high);
    F32x4(v128_xor(bytes, u8x16_splat(0x80))).to_bits()
}

/// Packs sixteen numbers, each [`ROUND`] plus 0 to `most`, or one beyond, in words of the dot product.
#[cfg(not(feature = "relaxed-simd"))]
#[inline(always)]
pub fn to_words(numbers: [F32x4; 4], most: f32) -> [i32; 8] {
    let [a, b, c, d] = numbers.map(|x| i32x4_sub(x.0, f32x4_splat(ROUND)));
    let (least, most) = (i16x8_splat(0), i16x8_splat(most as i16));
    let within = |x| F32x4(i16x8_max(i16x8_min(x, most), least)).to_bits();
    let [low, high] = [
        within(i16x8_narrow_i32x4(a, b)),
        within(i16x8_narrow_i32x4(c, d)),
    ];
    [
        low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
    ]
}

/// Words of the dot product for four outputs. Lanes have the weights of different outputs, or the same activations.
#[derive(Clone, Copy)]
pub struct Words(v128);

impl Words {
    #[inline(always)]
    pub fn load(from: &[i32; 4]) -> Self {
        // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn store(self, to: &mut [i32; 4]) {
        // SAFETY: the reference covers the 16 bytes that are written; wasm stores need no alignment.
        unsafe { v128_store(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    pub fn splat(word: i32) -> Self {
        Self(i32x4_splat(word))
    }

    /// Adds byte by byte. The sums must fit 8 bits.
    #[inline(always)]
    pub fn add_bytes(self, other: Self) -> Self {
        Self(i8x16_add(self.0, other.0))
    }

    /// Adds the four signed bytes of each output.
    #[inline(always)]
    pub fn byte_sums(self) -> Sums {
        Sums(i32x4_extadd_pairwise_i16x8(i16x8_extadd_pairwise_i8x16(
            self.0,
        )))
    }

    /// The word of one row in all lanes.
    ///
    /// For four or five rows, the words of four rows are loaded at once and shuffled. Engines without guard pages compare the address of each load
    /// with the size of the memory, whatever they compared before, and then a shuffle costs less than a load. With guard pages it costs as
    /// much where the dot product is one instruction, which leaves a port free for it; in the other builds and methods it would
    /// cost a quarter more, so they load each word into all lanes.
    #[inline(always)]
    pub fn spread<const M: usize>(words: &[i32; M], row: usize) -> Self {
        #[cfg(feature = "relaxed-simd")]
        if row < 4
            && let Some(four) = words.first_chunk::<4>()
        {
            let four = Self::load(four).0;
            return Self(match row {
                0 => i32x4_shuffle::<0, 0, 0, 0>(four, four),
                1 => i32x4_shuffle::<1, 1, 1, 1>(four, four),
                2 => i32x4_shuffle::<2, 2, 2, 2>(four, four),
                _ => i32x4_shuffle::<3, 3, 3, 3>(four, four),
            });
        }
        Self::splat(words[row])
    }
}

/// The unpacking of octets of int4. It has vectors that engines would otherwise make anew in each iteration of a loop.
#[derive(Clone, Copy)]
pub struct OctetUnpacker {
    sign: v128,
    low: v128,
    #[cfg(not(feature = "relaxed-simd"))]
    shift: v128,
}

impl OctetUnpacker {
    #[inline]
    pub fn new() -> Self {
        let bytes = std::hint::black_box([0x88, 0x0f, 8]);
        Self {
            sign: u8x16_splat(bytes[0]),
            low: u8x16_splat(bytes[1]),
            #[cfg(not(feature = "relaxed-simd"))]
            shift: u8x16_splat(bytes[2]),
        }
    }

    /// Unpacks octets of four outputs to quads of int8: the low halves of the bytes, then the high halves. In the relaxed build, each is larger by
    /// 8, so that they are 0 to 15.
    #[inline(always)]
    pub fn unpack(self, octets: &[i32; 4]) -> [Words; 2] {
        let bytes = v128_xor(Words::load(octets).0, self.sign);
        // A shift of 16 bits is one instruction, of 8 bits several.
        let quads = [bytes, u16x8_shr(bytes, 4)].map(|x| v128_and(x, self.low));
        #[cfg(not(feature = "relaxed-simd"))]
        let quads = quads.map(|x| i8x16_sub(x, self.shift));
        quads.map(Words)
    }
}

/// Converts eight finite f16, two in each i32. The bits of an f16, moved to those of an f32, make a number that is too small by 2¹¹², also
/// if it is subnormal.
#[inline]
pub fn unpack_halves(halves: &[i32; 4]) -> [F32x4; 2] {
    let halves = Words::load(halves).0;
    [
        u32x4_extend_low_u16x8(halves),
        u32x4_extend_high_u16x8(halves),
    ]
    .map(|half| {
        let magnitude = v128_and(i32x4_shl(half, 13), i32x4_splat(0x0fff_e000));
        let sign = v128_and(i32x4_shl(half, 16), i32x4_splat(i32::MIN));
        F32x4(v128_or(magnitude, sign)).mul(F32x4::splat(HALF))
    })
}

/// Running integer sums of four outputs.
#[derive(Clone, Copy)]
pub struct Sums(v128);

impl Sums {
    #[inline(always)]
    pub fn zero() -> Self {
        Self(i32x4_splat(0))
    }

    #[inline(always)]
    pub fn to_f32(self) -> F32x4 {
        F32x4(f32x4_convert_i32x4(self.0))
    }
}

/// Running integer sums of one row and four outputs, in two parts.
#[derive(Clone, Copy)]
pub struct RowSums([v128; 2]);

impl RowSums {
    #[inline(always)]
    pub fn zero() -> Self {
        Self([i32x4_splat(0); 2])
    }

    /// The sum of both parts, which are those of neighbouring quads.
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    pub fn total(self) -> Sums {
        Sums(i32x4_add(self.0[0], self.0[1]))
    }

    /// The sum of neighbouring lanes. The parts are those of the first two outputs and of the others.
    #[cfg(not(feature = "relaxed-simd"))]
    #[inline(always)]
    pub fn total(self) -> Sums {
        let [low, high] = self.0;
        Sums(i32x4_add(
            i32x4_shuffle::<0, 2, 4, 6>(low, high),
            i32x4_shuffle::<1, 3, 5, 7>(low, high),
        ))
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self([0, 1].map(|part| i32x4_add(self.0[part], other.0[part])))
    }
}

/// Running sums of 16 bits, two for each of four outputs.
#[cfg(feature = "relaxed-simd")]
#[derive(Clone, Copy)]
pub struct Pairs(v128);

#[cfg(feature = "relaxed-simd")]
kernel! {
    /// Adds the products of four weights and four activations to each output's sum.
    pub fn dot(sums: Sums, weights: Words, activations: Words) -> Sums {
        Sums(i32x4_relaxed_dot_i8x16_i7x16_add(weights.0, activations.0, sums.0))
    }

    /// Adds the products of four weights from 0 to 127 and four signed activations to each output's sum.
    pub fn signed_dot(sums: Sums, weights: Words, activations: Words) -> Sums {
        Sums(i32x4_relaxed_dot_i8x16_i7x16_add(activations.0, weights.0, sums.0))
    }

    /// Multiplies as [`signed_dot`] does, and adds the products in pairs.
    pub fn signed_pairs(weights: Words, activations: Words) -> Pairs {
        Pairs(i16x8_relaxed_dot_i8x16_i7x16(activations.0, weights.0))
    }

    /// Multiplies four weights and four activations of each output, and adds the products in pairs.
    pub fn pairs(weights: Words, activations: Words) -> Pairs {
        Pairs(i16x8_relaxed_dot_i8x16_i7x16(weights.0, activations.0))
    }

    /// Adds the products of two quads of bytes of four outputs and one row's activations to its sums. In a `SIGNED` product, activations are signed
    /// and weights are not; with `PAIRS`, products are first added in 16 bits.
    pub fn row_dot<const SIGNED: bool, const PAIRS: bool>(sums: RowSums, quads: [Words; 2], values: &[i32; 2]) -> RowSums {
        let [a, b] = values.map(Words::splat);
        let [even, odd] = sums.0;
        RowSums(match (SIGNED, PAIRS) {
            (true, true) => [widen(Sums(even), add_pairs(signed_pairs(quads[0], a), signed_pairs(quads[1], b))).0, odd],
            (false, true) => [widen(Sums(even), add_pairs(pairs(quads[0], a), pairs(quads[1], b))).0, odd],
            (true, false) => [signed_dot(Sums(even), quads[0], a).0, signed_dot(Sums(odd), quads[1], b).0],
            (false, false) => [dot(Sums(even), quads[0], a).0, dot(Sums(odd), quads[1], b).0],
        })
    }

    /// Adds lane by lane. The weights are limited so that two sums fit 16 bits.
    pub fn add_pairs(a: Pairs, b: Pairs) -> Pairs {
        Pairs(i16x8_add(a.0, b.0))
    }

    /// Adds both sums of each output to its running one.
    pub fn widen(sums: Sums, pairs: Pairs) -> Sums {
        Sums(i32x4_add(sums.0, i32x4_dot_i16x8(pairs.0, i16x8_splat(1))))
    }

    /// Whether the engine compiles [`dot`] to several instructions, so that 16-bit sums are faster.
    ///
    /// The result for activations above 127 depends on the engine, and reveals its instruction. `pmaddubsw` saturates to 16
    /// bits; then `pmaddwd` and `paddd` follow. `vpdpbusd` saturates nowhere, and Arm's `sdot` takes them as negative.
    pub fn dot_saturates() -> bool {
        let [weights, activations] = std::hint::black_box([i8x16_splat(127), u8x16_splat(255)]);
        let sums = i32x4_relaxed_dot_i8x16_i7x16_add(weights, activations, i32x4_splat(0));
        i32x4_extract_lane::<0>(sums) == 2 * i32::from(i16::MAX)
    }
}

#[cfg(not(feature = "relaxed-simd"))]
kernel! {
    /// Adds the products of two weights and two activations to each output's sum.
    pub fn dot(sums: Sums, weights: Words, activations: Words) -> Sums {
        Sums(i32x4_add(sums.0, i32x4_dot_i16x8(weights.0, activations.0)))
    }

    /// Adds the products of two quads of bytes of four outputs and one row's activations to its sums.
    pub fn row_dot<const SIGNED: bool, const PAIRS: bool>(sums: RowSums, quads: [Words; 2], values: &[i32; 4]) -> RowSums {
        let [mut low, mut high] = sums.0;
        for (quads, values) in quads.into_iter().zip(values.as_chunks::<2>().0) {
            let values = i32x4(values[0], values[1], values[0], values[1]);
            low = i32x4_add(low, i32x4_dot_i16x8(i16x8_extend_low_i8x16(quads.0), values));
            high = i32x4_add(high, i32x4_dot_i16x8(i16x8_extend_high_i8x16(quads.0), values));
        }
        RowSums([low, high])
    }

    /// Widens quads of int8 of four outputs to words of two 16-bit weights: the first halves of the quads, then the second halves.
    pub fn widen_quads(quads: Words) -> [Words; 2] {
        let (low, high) = (i16x8_extend_low_i8x16(quads.0), i16x8_extend_high_i8x16(quads.0));
        [
            i32x4_shuffle::<0, 2, 4, 6>(low, high),
            i32x4_shuffle::<1, 3, 5, 7>(low, high),
        ]
        .map(Words)
    }
}

#[allow(clippy::inline_always)]
impl Sums {
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(i32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn to_array(self) -> [i32; 4] {
        F32x4(self.0).to_bits()
    }
}
