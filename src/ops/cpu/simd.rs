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
pub(super) use kernel;

pub(super) const LANES: usize = 4;

/// How many bits the int8 dot product takes from activations, 0 to `ACTIVATION_MAX`.
pub(in crate::ops) const ACTIVATION_MAX: f32 = if cfg!(feature = "relaxed-simd") {
    127.0
} else {
    255.0
};

#[cfg(target_arch = "wasm32")]
mod arch {
    use core::arch::wasm32::*;

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

        /// NaN where either is.
        #[inline(always)]
        pub fn min(self, other: Self) -> Self {
            Self(f32x4_min(self.0, other.0))
        }

        /// NaN where either is.
        #[inline(always)]
        pub fn max(self, other: Self) -> Self {
            Self(f32x4_max(self.0, other.0))
        }

        /// To the nearest integer, ties to even.
        #[inline(always)]
        pub fn round(self) -> Self {
            Self(f32x4_nearest(self.0))
        }

        /// This magnitude with the sign of `sign`.
        #[inline(always)]
        pub fn copysign(self, sign: Self) -> Self {
            let mask = f32x4_splat(-0.0);
            Self(v128_bitselect(sign.0, self.0, mask))
        }

        /// 2 to the power of these integers, each -126 to 127.
        #[inline(always)]
        pub fn exp2_integer(self) -> Self {
            let exponent = i32x4_add(i32x4_trunc_sat_f32x4(self.0), i32x4_splat(127));
            Self(i32x4_shl(exponent, 23))
        }

        /// Whole numbers from 0 to `ACTIVATION_MAX`, as the dot product takes them.
        #[cfg(feature = "relaxed-simd")]
        #[inline(always)]
        pub fn to_activations(self) -> [Activation8; 4] {
            let words = i32x4_trunc_sat_f32x4(self.0);
            let halves = i16x8_narrow_i32x4(words, words);
            i32x4_extract_lane::<0>(u8x16_narrow_i16x8(halves, halves)).to_le_bytes()
        }

        /// Whole numbers from 0 to `ACTIVATION_MAX`, as the dot product takes them.
        #[cfg(not(feature = "relaxed-simd"))]
        #[inline(always)]
        pub fn to_activations(self) -> [Activation8; 4] {
            let words = i32x4_trunc_sat_f32x4(self.0);
            bytemuck::cast(i64x2_extract_lane::<0>(i16x8_narrow_i32x4(words, words)))
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

    /// One quantized activation. The relaxed dot product takes it as a byte, the other as 16 bits.
    #[cfg(feature = "relaxed-simd")]
    pub type Activation8 = u8;
    /// One quantized activation. The relaxed dot product takes it as a byte, the other as 16 bits.
    #[cfg(not(feature = "relaxed-simd"))]
    pub type Activation8 = i16;

    /// Four neighbouring activations of one row, repeated for every output of the register.
    #[derive(Clone, Copy)]
    pub struct Quad(v128);

    impl Quad {
        #[cfg(feature = "relaxed-simd")]
        #[inline(always)]
        pub fn load(from: &[Activation8; 4]) -> Self {
            Self(i32x4_splat(i32::from_le_bytes(*from)))
        }

        #[cfg(not(feature = "relaxed-simd"))]
        #[inline(always)]
        pub fn load(from: &[Activation8; 4]) -> Self {
            // SAFETY: the reference covers the 8 bytes that are read; wasm loads need no alignment.
            Self(unsafe { v128_load64_splat(from.as_ptr().cast()) })
        }
    }

    /// Four int8 weights of each of four outputs.
    #[derive(Clone, Copy)]
    pub struct Weights(v128);

    impl Weights {
        #[inline(always)]
        pub fn load(from: &[i32; 4]) -> Self {
            // SAFETY: the reference covers the 16 bytes that are read; wasm loads need no alignment.
            Self(unsafe { v128_load(from.as_ptr().cast()) })
        }
    }

    /// Running int8 dot products of four outputs.
    #[cfg(feature = "relaxed-simd")]
    #[derive(Clone, Copy)]
    pub struct Dots(v128);

    /// Running int8 dot products of four outputs, each in two halves.
    #[cfg(not(feature = "relaxed-simd"))]
    #[derive(Clone, Copy)]
    pub struct Dots(v128, v128);

    #[cfg(feature = "relaxed-simd")]
    impl Dots {
        #[inline(always)]
        pub fn zero() -> Self {
            Self(i32x4_splat(0))
        }

        #[inline(always)]
        pub fn to_f32(self) -> F32x4 {
            F32x4(f32x4_convert_i32x4(self.0))
        }
    }

    #[cfg(not(feature = "relaxed-simd"))]
    impl Dots {
        #[inline(always)]
        pub fn zero() -> Self {
            Self(i32x4_splat(0), i32x4_splat(0))
        }

        #[inline(always)]
        pub fn to_f32(self) -> F32x4 {
            let even = i32x4_shuffle::<0, 2, 4, 6>(self.0, self.1);
            let odd = i32x4_shuffle::<1, 3, 5, 7>(self.0, self.1);
            F32x4(f32x4_convert_i32x4(i32x4_add(even, odd)))
        }
    }

    kernel! {
        /// Adds the products of four weights and four activations to each output's sum.
        #[cfg(feature = "relaxed-simd")]
        pub fn dot(sums: Dots, weights: Weights, quad: Quad) -> Dots {
            Dots(i32x4_relaxed_dot_i8x16_i7x16_add(weights.0, quad.0, sums.0))
        }

        /// Adds the products of four weights and four activations to each output's sum.
        #[cfg(not(feature = "relaxed-simd"))]
        pub fn dot(sums: Dots, weights: Weights, quad: Quad) -> Dots {
            let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(weights.0), quad.0);
            let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(weights.0), quad.0);
            Dots(i32x4_add(sums.0, low), i32x4_add(sums.1, high))
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod arch {
    use std::array::from_fn;

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

        /// NaN where either is.
        pub fn min(self, other: Self) -> Self {
            Self(from_fn(|i| {
                if self.0[i] < other.0[i] || self.0[i].is_nan() {
                    self.0[i]
                } else {
                    other.0[i]
                }
            }))
        }

        /// NaN where either is.
        pub fn max(self, other: Self) -> Self {
            Self(from_fn(|i| {
                if self.0[i] > other.0[i] || self.0[i].is_nan() {
                    self.0[i]
                } else {
                    other.0[i]
                }
            }))
        }

        /// To the nearest integer, ties to even.
        pub fn round(self) -> Self {
            Self(self.0.map(f32::round_ties_even))
        }

        /// This magnitude with the sign of `sign`.
        pub fn copysign(self, sign: Self) -> Self {
            Self(from_fn(|i| self.0[i].copysign(sign.0[i])))
        }

        /// 2 to the power of these integers, each -126 to 127.
        pub fn exp2_integer(self) -> Self {
            Self(
                self.0
                    .map(|x| f32::from_bits((x as i32).wrapping_add(127).cast_unsigned() << 23)),
            )
        }

        /// Whole numbers from 0 to `ACTIVATION_MAX`, as the dot product takes them.
        pub fn to_activations(self) -> [Activation8; 4] {
            self.0.map(|x| x as Activation8)
        }

        pub fn to_array(self) -> [f32; 4] {
            self.0
        }
    }

    /// `a * b + c`, in two roundings.
    pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
        a.mul(b).add(c)
    }

    /// One quantized activation.
    pub type Activation8 = i16;

    /// Four neighbouring activations of one row, twice.
    #[derive(Clone, Copy)]
    pub struct Quad([i16; 8]);

    impl Quad {
        pub fn load(from: &[Activation8; 4]) -> Self {
            Self(from_fn(|i| from[i % 4]))
        }
    }

    /// Four int8 weights of each of four outputs.
    #[derive(Clone, Copy)]
    pub struct Weights([i16; 16]);

    impl Weights {
        pub fn load(from: &[i32; 4]) -> Self {
            let bytes: &[i8; 16] = bytemuck::cast_ref(from);
            Self(bytes.map(i16::from))
        }
    }

    /// Running int8 dot products of four outputs, each in two halves: what compilers make a multiply-add of pairs from.
    #[derive(Clone, Copy)]
    pub struct Dots([i32; 8]);

    impl Dots {
        pub fn zero() -> Self {
            Self([0; 8])
        }

        pub fn to_f32(self) -> F32x4 {
            F32x4(from_fn(|output| {
                (self.0[output * 2] + self.0[output * 2 + 1]) as f32
            }))
        }
    }

    /// Adds the products of four weights and four activations to each output's sum.
    pub fn dot(sums: Dots, weights: Weights, quad: Quad) -> Dots {
        let product = |i: usize| i32::from(weights.0[i]) * i32::from(quad.0[i % 8]);
        Dots(from_fn(|half| {
            sums.0[half] + (product(half * 2) + product(half * 2 + 1))
        }))
    }
}

pub(super) use arch::{Activation8, Dots, F32x4, Quad, Weights, dot, mul_add};

impl F32x4 {
    /// The largest lane; NaN where one is.
    #[inline]
    pub fn largest(self) -> f32 {
        let greater = |x: f32, y: f32| if x > y || x.is_nan() { x } else { y };
        let [a, b, c, d] = self.to_array();
        greater(greater(a, b), greater(c, d))
    }

    /// The smallest lane; NaN where one is.
    #[inline]
    pub fn smallest(self) -> f32 {
        let less = |x: f32, y: f32| if x < y || x.is_nan() { x } else { y };
        let [a, b, c, d] = self.to_array();
        less(less(a, b), less(c, d))
    }

    /// The sum of the lanes.
    #[inline]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + b) + (c + d)
    }

    /// The lanes of a slice of four or fewer, zeros behind.
    #[inline]
    pub fn load_partial(from: &[f32]) -> Self {
        if let Ok(whole) = from.try_into() {
            return Self::load(whole);
        }
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        Self::load(&lanes)
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
