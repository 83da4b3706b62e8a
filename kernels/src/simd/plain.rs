//! Vectors as plain arrays, so that native tests run the same loops as browsers.

use std::array::from_fn;

use super::{HALF, ROUND};

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

    /// The smaller of each pair of lanes; either one if one is NaN.
    pub fn min(self, other: Self) -> Self {
        Self(from_fn(|i| {
            if other.0[i] < self.0[i] {
                other.0[i]
            } else {
                self.0[i]
            }
        }))
    }

    /// The larger of each pair of lanes; either one if one is NaN.
    pub fn max(self, other: Self) -> Self {
        Self(from_fn(|i| {
            if self.0[i] < other.0[i] {
                other.0[i]
            } else {
                self.0[i]
            }
        }))
    }

    /// Replaces the lanes in which `x` is NaN by NaN.
    pub fn or_nan_of(self, x: Self) -> Self {
        Self(from_fn(
            |i| if x.0[i].is_nan() { f32::NAN } else { self.0[i] },
        ))
    }

    /// Replaces the lanes in which `x` is at least `limit` by those of `other`.
    pub fn or_where_at_least(self, x: Self, limit: f32, other: Self) -> Self {
        Self(from_fn(|i| {
            if x.0[i] >= limit {
                other.0[i]
            } else {
                self.0[i]
            }
        }))
    }

    /// Combines the magnitude of `self` with the sign of `sign`.
    pub fn copysign(self, sign: Self) -> Self {
        Self(from_fn(|i| self.0[i].copysign(sign.0[i])))
    }

    /// Multiplies by 2 to the power of `n`, which is [`ROUND`] plus an integer; the result must be a normal number.
    pub fn times_power_of_two(self, n: Self) -> Self {
        // The integer is in the lowest bits of `n` and is shifted to the exponent.
        Self(from_fn(|i| {
            f32::from_bits(self.0[i].to_bits().wrapping_add(n.0[i].to_bits() << 23))
        }))
    }

    pub fn to_array(self) -> [f32; 4] {
        self.0
    }
}

/// Computes `a * b + c` with two roundings.
pub fn mul_add(a: F32x4, b: F32x4, c: F32x4) -> F32x4 {
    a.mul(b).add(c)
}

/// Packs sixteen numbers, each [`ROUND`] plus 0 to `most`, or one beyond, in words of the dot product.
pub fn to_words(numbers: [F32x4; 4], most: f32) -> [i32; 8] {
    let whole = |x: f32| ((x - ROUND) as i32).clamp(0, most as i32);
    from_fn(|i| {
        let x = &numbers[i / 2].0[i % 2 * 2..];
        whole(x[0]) | whole(x[1]) << 16
    })
}

/// Words of the dot product for four outputs. Lanes have the weights of different outputs, or the same activations.
#[derive(Clone, Copy)]
pub struct Words([i32; 4]);

impl Words {
    pub fn load(from: &[i32; 4]) -> Self {
        Self(*from)
    }

    pub fn store(self, to: &mut [i32; 4]) {
        *to = self.0;
    }

    pub fn splat(word: i32) -> Self {
        Self([word; 4])
    }

    /// Adds byte by byte. The sums must fit 8 bits.
    pub fn add_bytes(self, other: Self) -> Self {
        let add = |i: usize| {
            let [a, b] = [self.0[i].to_le_bytes(), other.0[i].to_le_bytes()];
            i32::from_le_bytes(from_fn(|byte| a[byte].wrapping_add(b[byte])))
        };
        Self(from_fn(add))
    }

    /// Adds the four signed bytes of each output.
    pub fn byte_sums(self) -> Sums {
        let bytes = |word: i32| word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
        Sums(self.0.map(|word| bytes(word).into_iter().sum()))
    }

    /// The word of one row in all lanes.
    pub fn spread<const M: usize>(words: &[i32; M], row: usize) -> Self {
        Self::splat(words[row])
    }
}

/// The unpacking of octets of int4.
#[derive(Clone, Copy)]
pub struct OctetUnpacker;

impl OctetUnpacker {
    pub fn new() -> Self {
        Self
    }

    /// Unpacks octets of four outputs to quads of int8: the low halves of the bytes, then the high halves.
    pub fn unpack(self, octets: &[i32; 4]) -> [Words; 2] {
        let quad = |octet: i32, left: u32| {
            let bytes = octet
                .to_le_bytes()
                .map(|byte| (byte << left).cast_signed() >> 4);
            i32::from_le_bytes(bytes.map(i8::cast_unsigned))
        };
        [4, 0].map(|left| Words(octets.map(|octet| quad(octet, left))))
    }
}

/// Converts eight finite f16, two in each i32. The bits of an f16, moved to those of an f32, make a number that is too small by 2¹¹², also
/// if it is subnormal.
pub fn unpack_halves(halves: &[i32; 4]) -> [F32x4; 2] {
    let float = |half: i32| {
        let half = half.cast_unsigned();
        f32::from_bits((half & 0x7fff) << 13 | (half & 0x8000) << 16) * HALF
    };
    [0, 2].map(|at| {
        let [a, b] = [halves[at], halves[at + 1]];
        F32x4([a, a >> 16, b, b >> 16].map(float))
    })
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

/// Running integer sums of one row and four outputs.
#[derive(Clone, Copy)]
pub struct RowSums(Sums);

impl RowSums {
    pub fn zero() -> Self {
        Self(Sums::zero())
    }

    pub fn total(self) -> Sums {
        self.0
    }

    pub fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0))
    }
}

/// Adds the products of two quads of bytes of four outputs and one row's activations to its sums.
pub fn row_dot<const SIGNED: bool, const PAIRS: bool>(
    sums: RowSums,
    quads: [Words; 2],
    values: &[i32; 4],
) -> RowSums {
    let words = quads.map(widen_quads);
    let words = words.as_flattened().iter().zip(values);
    RowSums(words.fold(sums.0, |sums, (weights, value)| {
        dot(sums, *weights, Words::splat(*value))
    }))
}

/// Adds the products of two weights and two activations to each output's sum.
pub fn dot(sums: Sums, weights: Words, activations: Words) -> Sums {
    Sums(from_fn(|i| {
        let (w, a) = (weights.0[i], activations.0[i]);
        let low = i32::from(w as i16) * i32::from(a as i16);
        sums.0[i] + low + (w >> 16) * (a >> 16)
    }))
}

/// Widens quads of int8 of four outputs to words of two 16-bit weights: the first halves of the quads, then the second halves.
pub fn widen_quads(quads: Words) -> [Words; 2] {
    let word = |quad: i32, at: usize| {
        let [a, b] = [at, at + 1].map(|i| i32::from(quad.to_le_bytes()[i].cast_signed()));
        a & 0xffff | b << 16
    };
    [0, 2].map(|at| Words(quads.0.map(|quad| word(quad, at))))
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

    /// Returns the lanes as unsigned numbers.
    pub fn to_array(self) -> [u16; 8] {
        self.0.map(i16::cast_unsigned)
    }

    pub fn load(from: &[i16; 8]) -> Self {
        Self(*from)
    }

    /// Loads eight signed bytes and widens them.
    pub fn widen(from: &[i8; 8]) -> Self {
        Self(from.map(i16::from))
    }

    /// Adds the products of neighbouring lanes to a sum of 32 bits, exactly.
    pub fn dot(self, other: Self, sums: Sums) -> Sums {
        let product = |i: usize| i32::from(self.0[i]) * i32::from(other.0[i]);
        Sums(from_fn(|i| sums.0[i] + product(2 * i) + product(2 * i + 1)))
    }
}

/// Sixteen unsigned bytes.
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

    /// Counts the set bits of each byte.
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

    /// Adds lane by lane, modulo 256.
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
