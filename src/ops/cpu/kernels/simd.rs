//! 128-bit vectors: WebAssembly's where there are any, plain arrays elsewhere.
//!
//! The kernels are written once on these types, so native tests run the very loops that the browser runs. All that the
//! two builds and the native one do differently is in this file: the fused multiply-add and the int8 dot product.
//!
//! Functions that use relaxed SIMD carry the target feature themselves, and so must the kernels that call them, because
//! LLVM inlines only into functions that have it. [`kernel!`] adds it where the build is the relaxed one.

/// Marks a function as a kernel: with the `relaxed-simd` feature of this crate it is compiled for relaxed SIMD.
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

/// A number below 2²² that is added to this is rounded to an integer, ties to even, in the lowest bits of the sum.
pub const ROUND: f32 = 12_582_912.0;

/// The dot product of this build takes activations from 0 to this.
pub const ACTIVATION_MAX: f32 = if RELAXED { 127.0 } else { 255.0 };

/// Inputs in one word of the dot product: four bytes, or two numbers of 16 bits.
pub const WORD: usize = if RELAXED { 4 } else { 2 };

/// The activation 1 in each input of a word.
pub const ONES: i32 = if RELAXED { 0x0101_0101 } else { 0x0001_0001 };

const RELAXED: bool = cfg!(all(target_arch = "wasm32", feature = "relaxed-simd"));

#[cfg(target_arch = "wasm32")]
mod arch {
    use core::arch::wasm32::*;

    use super::ROUND;

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

        /// The smaller; either where one is NaN, because LLVM makes a relaxed minimum of it.
        #[inline(always)]
        pub fn min(self, other: Self) -> Self {
            Self(f32x4_pmin(self.0, other.0))
        }

        /// The larger; either where one is NaN.
        #[inline(always)]
        pub fn max(self, other: Self) -> Self {
            Self(f32x4_pmax(self.0, other.0))
        }

        /// NaN in the lanes where `x` is.
        #[inline(always)]
        pub fn or_nan_of(self, x: Self) -> Self {
            Self(v128_or(self.0, f32x4_ne(x.0, x.0)))
        }

        /// `other` in the lanes where `x` is at least `limit`.
        #[inline(always)]
        pub fn or_where_at_least(self, x: Self, limit: f32, other: Self) -> Self {
            Self(v128_bitselect(
                other.0,
                self.0,
                f32x4_ge(x.0, f32x4_splat(limit)),
            ))
        }

        /// This magnitude with the sign of `sign`.
        #[inline(always)]
        pub fn copysign(self, sign: Self) -> Self {
            let mask = f32x4_splat(-0.0);
            Self(v128_bitselect(sign.0, self.0, mask))
        }

        /// Times 2 to the power of `n`, which is [`ROUND`] plus an integer; the result must be a normal number.
        #[inline(always)]
        pub fn times_power_of_two(self, n: Self) -> Self {
            // The integer stands in the lowest bits of `n`, and goes where the exponent is.
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
        /// `a * b + c`, in one rounding or two.
        #[cfg(feature = "relaxed-simd")]
        pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
            F32x4(f32x4_relaxed_madd(a.0, b.0, c.0))
        }

        /// `a * b + c`, in two roundings.
        #[cfg(not(feature = "relaxed-simd"))]
        pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
            F32x4(f32x4_add(f32x4_mul(a.0, b.0), c.0))
        }
    }

    /// Sixteen numbers of [`ROUND`] plus 0 to `ACTIVATION_MAX`, or one beyond, in the words that the dot product takes.
    #[cfg(feature = "relaxed-simd")]
    #[inline(always)]
    pub fn to_words(numbers: [F32x4; 4]) -> [i32; 4] {
        let [a, b, c, d] = numbers.map(|x| i32x4_sub(x.0, f32x4_splat(ROUND)));
        let most = i16x8_splat(127);
        let low = i16x8_min(i16x8_narrow_i32x4(a, b), most);
        let high = i16x8_min(i16x8_narrow_i32x4(c, d), most);
        F32x4(u8x16_narrow_i16x8(low, high)).to_bits()
    }

    /// Sixteen numbers of [`ROUND`] plus 0 to `ACTIVATION_MAX`, or one beyond, in the words that the dot product takes.
    #[cfg(not(feature = "relaxed-simd"))]
    #[inline(always)]
    pub fn to_words(numbers: [F32x4; 4]) -> [i32; 8] {
        let [a, b, c, d] = numbers.map(|x| i32x4_sub(x.0, f32x4_splat(ROUND)));
        let (least, most) = (i16x8_splat(0), i16x8_splat(255));
        let within = |x| F32x4(i16x8_max(i16x8_min(x, most), least)).to_bits();
        let [low, high] = [
            within(i16x8_narrow_i32x4(a, b)),
            within(i16x8_narrow_i32x4(c, d)),
        ];
        [
            low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
        ]
    }

    /// Words of as many outputs: weights, one output's in each lane, or activations, the same in all.
    #[derive(Clone, Copy)]
    pub struct Words(v128);

    impl Words {
        #[inline(always)]
        pub fn load(from: &[i32; 4]) -> Self {
            // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
            Self(unsafe { v128_load(from.as_ptr().cast()) })
        }

        #[inline(always)]
        pub fn splat(word: i32) -> Self {
            Self(i32x4_splat(word))
        }
    }

    /// Four outputs' octets of int4 as quads of int8: the low halves of the bytes, then the high ones.
    #[inline]
    pub fn unpack_nibbles(octets: &[i32; 4]) -> [[i32; 4]; 2] {
        let bytes = Words::load(octets).0;
        [i8x16_shr(i8x16_shl(bytes, 4), 4), i8x16_shr(bytes, 4)].map(|quads| F32x4(quads).to_bits())
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

    /// Sums of 16 bits: two for each of four outputs.
    #[cfg(feature = "relaxed-simd")]
    #[derive(Clone, Copy)]
    pub struct Pairs(v128);

    #[cfg(feature = "relaxed-simd")]
    kernel! {
        /// Adds the products of four weights and four activations to each output's sum.
        pub fn dot(sums: Sums, weights: Words, activations: Words) -> Sums {
            Sums(i32x4_relaxed_dot_i8x16_i7x16_add(weights.0, activations.0, sums.0))
        }

        /// The products of four weights and four activations of each output, added up in twos.
        pub fn pairs(weights: Words, activations: Words) -> Pairs {
            Pairs(i16x8_relaxed_dot_i8x16_i7x16(weights.0, activations.0))
        }

        /// Lane by lane. The weights are such that two never leave 16 bits.
        pub fn add_pairs(a: Pairs, b: Pairs) -> Pairs {
            Pairs(i16x8_add(a.0, b.0))
        }

        /// Adds both sums of each output to its running one.
        pub fn widen(sums: Sums, pairs: Pairs) -> Sums {
            Sums(i32x4_add(sums.0, i32x4_dot_i16x8(pairs.0, i16x8_splat(1))))
        }

        /// Whether the engine makes several instructions of [`dot`], so that going by 16-bit sums is faster.
        ///
        /// What activations above 127 give is left to the engine, and tells its instruction. `pmaddubsw` saturates to 16
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

        /// Four outputs' quads of int8 as words of two 16-bit weights each: their first halves, then their second.
        pub fn unpack(quads: &[i32; 4]) -> [[i32; 4]; 2] {
            let bytes = Words::load(quads).0;
            let (low, high) = (i16x8_extend_low_i8x16(bytes), i16x8_extend_high_i8x16(bytes));
            let halves = [
                i32x4_shuffle::<0, 2, 4, 6>(low, high),
                i32x4_shuffle::<1, 3, 5, 7>(low, high),
            ];
            halves.map(|half| F32x4(half).to_bits())
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

    /// Eight integers of 16 bits.
    #[derive(Clone, Copy)]
    pub struct I16x8(v128);

    #[allow(clippy::inline_always)]
    impl I16x8 {
        #[inline(always)]
        pub fn zero() -> Self {
            Self(i16x8_splat(0))
        }

        /// Without signs.
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

        /// Eight bytes, widened with their signs.
        #[inline(always)]
        pub fn widen(from: &[i8; 8]) -> Self {
            // SAFETY: the reference covers the 8 bytes that are read; wasm loads need no alignment.
            Self(unsafe { i16x8_load_extend_i8x8(from.as_ptr()) })
        }

        /// Adds the products of neighbours to a sum of 32 bits each; exact.
        #[inline(always)]
        pub fn dot(self, other: Self, sums: Sums) -> Sums {
            Sums(i32x4_add(sums.0, i32x4_dot_i16x8(self.0, other.0)))
        }
    }

    /// Sixteen bytes without signs.
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

        /// How many bits of each byte are set.
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

        /// Lane by lane, modulo 256.
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
}

#[cfg(not(target_arch = "wasm32"))]
mod arch {
    use std::array::from_fn;

    use super::ROUND;

    #[derive(Clone, Copy)]
    pub struct F32x4([f32; 4]);

    impl F32x4 {
        pub fn splat(x: f32) -> Self {
            Self([x; 4])
        }

        pub fn load(from: &[f32; 4]) -> Self {
            Self(*from)
        }

        pub fn store(self, to: &mut [f32; 4]) {
            *to = self.0;
        }

        pub fn add(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] + other.0[i]))
        }

        pub fn sub(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] - other.0[i]))
        }

        pub fn mul(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] * other.0[i]))
        }

        pub fn div(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] / other.0[i]))
        }

        pub fn abs(self) -> Self {
            Self(self.0.map(f32::abs))
        }

        /// The smaller; either where one is NaN.
        pub fn min(self, other: Self) -> Self {
            Self(from_fn(|i| {
                if other.0[i] < self.0[i] {
                    other.0[i]
                } else {
                    self.0[i]
                }
            }))
        }

        /// The larger; either where one is NaN.
        pub fn max(self, other: Self) -> Self {
            Self(from_fn(|i| {
                if self.0[i] < other.0[i] {
                    other.0[i]
                } else {
                    self.0[i]
                }
            }))
        }

        /// NaN in the lanes where `x` is.
        pub fn or_nan_of(self, x: Self) -> Self {
            Self(from_fn(
                |i| if x.0[i].is_nan() { f32::NAN } else { self.0[i] },
            ))
        }

        /// `other` in the lanes where `x` is at least `limit`.
        pub fn or_where_at_least(self, x: Self, limit: f32, other: Self) -> Self {
            Self(from_fn(|i| {
                if x.0[i] >= limit {
                    other.0[i]
                } else {
                    self.0[i]
                }
            }))
        }

        /// This magnitude with the sign of `sign`.
        pub fn copysign(self, sign: Self) -> Self {
            Self(from_fn(|i| self.0[i].copysign(sign.0[i])))
        }

        /// Times 2 to the power of `n`, which is [`ROUND`] plus an integer; the result must be a normal number.
        pub fn times_power_of_two(self, n: Self) -> Self {
            // The integer stands in the lowest bits of `n`, and goes where the exponent is.
            Self(from_fn(|i| {
                f32::from_bits(self.0[i].to_bits().wrapping_add(n.0[i].to_bits() << 23))
            }))
        }

        pub fn to_array(self) -> [f32; 4] {
            self.0
        }
    }

    /// `a * b + c`, in two roundings.
    pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        a.mul(b).add(c)
    }

    /// Sixteen numbers of [`ROUND`] plus 0 to `ACTIVATION_MAX`, or one beyond, in the words that the dot product takes.
    pub fn to_words(numbers: [F32x4; 4]) -> [i32; 8] {
        let whole = |x: f32| ((x - ROUND) as i32).clamp(0, 255);
        from_fn(|i| {
            let x = &numbers[i / 2].0[i % 2 * 2..];
            whole(x[0]) | whole(x[1]) << 16
        })
    }

    /// Words of as many outputs: weights, one output's in each lane, or activations, the same in all.
    #[derive(Clone, Copy)]
    pub struct Words([i32; 4]);

    impl Words {
        pub fn load(from: &[i32; 4]) -> Self {
            Self(*from)
        }

        pub fn splat(word: i32) -> Self {
            Self([word; 4])
        }
    }

    /// Four outputs' octets of int4 as quads of int8: the low halves of the bytes, then the high ones.
    pub fn unpack_nibbles(octets: &[i32; 4]) -> [[i32; 4]; 2] {
        let quad = |octet: i32, left: u32| {
            let bytes = octet
                .to_le_bytes()
                .map(|byte| (byte << left).cast_signed() >> 4);
            i32::from_le_bytes(bytes.map(i8::cast_unsigned))
        };
        [4, 0].map(|left| octets.map(|octet| quad(octet, left)))
    }

    /// Running integer sums of four outputs.
    #[derive(Clone, Copy)]
    pub struct Sums([i32; 4]);

    impl Sums {
        pub fn zero() -> Self {
            Self([0; 4])
        }

        pub fn to_f32(self) -> F32x4 {
            F32x4(self.0.map(|sum| sum as f32))
        }
    }

    /// Adds the products of two weights and two activations to each output's sum.
    pub fn dot(sums: Sums, weights: Words, activations: Words) -> Sums {
        Sums(from_fn(|i| {
            let (w, a) = (weights.0[i], activations.0[i]);
            let low = i32::from(w as i16) * i32::from(a as i16);
            sums.0[i] + low + (w >> 16) * (a >> 16)
        }))
    }

    /// Four outputs' quads of int8 as words of two 16-bit weights each: their first halves, then their second.
    pub fn unpack(quads: &[i32; 4]) -> [[i32; 4]; 2] {
        let word = |quad: i32, at: usize| {
            let [a, b] = [at, at + 1].map(|i| i32::from(quad.to_le_bytes()[i].cast_signed()));
            a & 0xffff | b << 16
        };
        [0, 2].map(|at| quads.map(|quad| word(quad, at)))
    }

    impl Sums {
        pub fn add(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] + other.0[i]))
        }

        pub fn to_array(self) -> [i32; 4] {
            self.0
        }
    }

    /// Eight integers of 16 bits.
    #[derive(Clone, Copy)]
    pub struct I16x8([i16; 8]);

    impl I16x8 {
        pub fn zero() -> Self {
            Self([0; 8])
        }

        /// Without signs.
        pub fn to_array(self) -> [u16; 8] {
            self.0.map(i16::cast_unsigned)
        }

        pub fn load(from: &[i16; 8]) -> Self {
            Self(*from)
        }

        /// Eight bytes, widened with their signs.
        pub fn widen(from: &[i8; 8]) -> Self {
            Self(from.map(i16::from))
        }

        /// Adds the products of neighbours to a sum of 32 bits each; exact.
        pub fn dot(self, other: Self, sums: Sums) -> Sums {
            let product = |i: usize| i32::from(self.0[i]) * i32::from(other.0[i]);
            Sums(from_fn(|i| sums.0[i] + product(2 * i) + product(2 * i + 1)))
        }
    }

    /// Sixteen bytes without signs.
    #[derive(Clone, Copy)]
    pub struct U8x16([u8; 16]);

    impl U8x16 {
        pub fn splat(byte: u8) -> Self {
            Self([byte; 16])
        }

        pub fn load(from: &[u8; 16]) -> Self {
            Self(*from)
        }

        pub fn and(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] & other.0[i]))
        }

        pub fn or(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] | other.0[i]))
        }

        pub fn xor(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] ^ other.0[i]))
        }

        /// How many bits of each byte are set.
        pub fn count(self) -> Self {
            Self(self.0.map(|byte| byte.count_ones() as u8))
        }

        /// Adds eight times each lane to its total, modulo 65,536.
        pub fn add_eightfold_to(self, [low, high]: [I16x8; 2]) -> [I16x8; 2] {
            let add = |i: usize, total: i16| total.wrapping_add(8 * i16::from(self.0[i]));
            [
                I16x8(from_fn(|i| add(i, low.0[i]))),
                I16x8(from_fn(|i| add(i + 8, high.0[i]))),
            ]
        }

        /// Lane by lane, modulo 256.
        pub fn add(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i].wrapping_add(other.0[i])))
        }

        /// Adds each lane to its total, modulo 65,536.
        pub fn add_to(self, [low, high]: [I16x8; 2]) -> [I16x8; 2] {
            let add = |i: usize, total: i16| total.wrapping_add(i16::from(self.0[i]));
            [
                I16x8(from_fn(|i| add(i, low.0[i]))),
                I16x8(from_fn(|i| add(i + 8, high.0[i]))),
            ]
        }
    }
}

#[cfg(not(all(target_arch = "wasm32", feature = "relaxed-simd")))]
pub(crate) use arch::unpack;
pub(crate) use arch::{F32x4, I16x8, Sums, U8x16, Words, dot, mul_add, to_words, unpack_nibbles};
#[cfg(all(target_arch = "wasm32", feature = "relaxed-simd"))]
pub(crate) use arch::{add_pairs, dot_saturates, pairs, widen};

impl F32x4 {
    /// The largest lane that is a number.
    #[inline]
    pub fn largest(self) -> f32 {
        self.to_array()
            .into_iter()
            .fold(f32::NEG_INFINITY, f32::max)
    }

    /// The smallest lane that is a number.
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

    /// As many lanes as the slice has, zeros behind.
    #[inline]
    pub fn load_partial(from: &[f32]) -> Self {
        if let Ok(whole) = from.try_into() {
            return Self::load(whole);
        }
        let mut four = [0.0; 4];
        four[..from.len()].copy_from_slice(from);
        Self::load(&four)
    }

    /// As many lanes as the slice takes.
    #[inline]
    pub fn store_partial(self, to: &mut [f32]) {
        if let Ok(whole) = to.try_into() {
            return self.store(whole);
        }
        to.copy_from_slice(&self.to_array()[..to.len()]);
    }
}
