//! The number formats of checkpoints: plain floats, and the blocks of GGUF files.
//!
//! *Source*: ggml, `ggml-quants.c`, the functions `dequantize_row_*`, and `ggml-common.h` for the layout of the blocks.

use half::{bf16, f16};

use crate::pack::are_finite;

/// The number format of a checkpoint: plain numbers, or blocks of values with common scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// IEEE 754 single precision, four bytes.
    F32,
    /// IEEE 754 half precision, two bytes.
    F16,
    /// bfloat16, the upper two bytes of an f32.
    Bf16,
    /// IEEE 754 double precision, eight bytes.
    F64,
    /// A signed byte.
    I8,
    /// A signed integer of four bytes.
    I32,
    /// A signed integer of eight bytes.
    I64,
    /// 32 values of 4 bits with a scale.
    Q4_0,
    /// 32 values of 4 bits with a scale and a minimum.
    Q4_1,
    /// 32 values of 5 bits with a scale.
    Q5_0,
    /// 32 values of 5 bits with a scale and a minimum.
    Q5_1,
    /// 32 values of 8 bits with a scale.
    Q8_0,
    /// 256 values of 4 bits; each 32 have a scale and a minimum of 6 bits.
    Q4K,
    /// 256 values of 5 bits; each 32 have a scale and a minimum of 6 bits.
    Q5K,
    /// 256 values of 6 bits; each 16 have a scale of 8 bits.
    Q6K,
}

/// The values and the bytes of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// The number of values.
    pub values: usize,
    /// The number of bytes.
    pub bytes: usize,
}

impl Format {
    /// Finds a format by its name in the header of a safetensors file.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "I8" => Self::I8,
            "I32" => Self::I32,
            "I64" => Self::I64,
            _ => return Self::from_name(name),
        })
    }

    /// Finds a format of model weights by its name; integers are none.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F64" => Self::F64,
            "Q4_0" => Self::Q4_0,
            "Q4_1" => Self::Q4_1,
            "Q5_0" => Self::Q5_0,
            "Q5_1" => Self::Q5_1,
            "Q8_0" => Self::Q8_0,
            "Q4_K" => Self::Q4K,
            "Q5_K" => Self::Q5K,
            "Q6_K" => Self::Q6K,
            _ => return None,
        })
    }

    /// The size of a block; plain numbers are blocks of one value.
    pub fn block(self) -> BlockSize {
        let (values, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::F64 | Self::I64 => (1, 8),
            Self::I32 => (1, 4),
            Self::I8 => (1, 1),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        };
        BlockSize { values, bytes }
    }

    /// The number of bytes that a row of values takes; `None` where the row is not a number of whole blocks.
    pub fn row_bytes(self, values: usize) -> Option<usize> {
        let block = self.block();
        (values.is_multiple_of(block.values)).then_some(values / block.values * block.bytes)
    }
}

/// Converts the little-endian values or blocks of a row to f32. Returns false if one is not finite.
pub fn cast(source: &[u8], format: Format, to: &mut [f32]) -> bool {
    match format {
        Format::F32 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*bytes);
            }
        }
        Format::F16 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<2>().0) {
                *to = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        Format::Bf16 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<2>().0) {
                *to = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        Format::F64 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<8>().0) {
                *to = f64::from_le_bytes(*bytes) as f32;
            }
        }
        Format::I8 => {
            for (to, byte) in to.iter_mut().zip(source) {
                *to = f32::from(byte.cast_signed());
            }
        }
        Format::I32 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<4>().0) {
                *to = i32::from_le_bytes(*bytes) as f32;
            }
        }
        Format::I64 => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<8>().0) {
                *to = i64::from_le_bytes(*bytes) as f32;
            }
        }
        _ => {
            let size = format.block();
            let blocks = source.chunks_exact(size.bytes);
            for (block, to) in blocks.zip(to.chunks_exact_mut(size.values)) {
                match format {
                    Format::Q4K | Format::Q5K => cast_k(block, to),
                    Format::Q6K => cast_q6_k(block, to),
                    _ => cast_32(block, format, to),
                }
            }
        }
    }
    are_finite(to)
}

/// The f16 at byte `at` of a block.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Converts a block of 32 values. The low halves of the bytes are the first sixteen values, the high halves the others.
fn cast_32(block: &[u8], format: Format, to: &mut [f32]) {
    let scale = half_at(block, 0);
    if format == Format::Q8_0 {
        for (to, byte) in to.iter_mut().zip(&block[2..]) {
            *to = f32::from(byte.cast_signed()) * scale;
        }
        return;
    }
    let has_minimum = matches!(format, Format::Q4_1 | Format::Q5_1);
    let has_fifth_bit = matches!(format, Format::Q5_0 | Format::Q5_1);
    let minimum = if has_minimum { half_at(block, 2) } else { 0.0 };
    // Without a minimum, the middle of the range is zero.
    let middle = match format {
        Format::Q4_0 => 8,
        Format::Q5_0 => 16,
        _ => 0,
    };
    let rest = &block[if has_minimum { 4 } else { 2 }..];
    let (fifth, nibbles) = match (has_fifth_bit, rest.split_first_chunk::<4>()) {
        (true, Some((bits, nibbles))) => (u32::from_le_bytes(*bits), nibbles),
        _ => (0, rest),
    };
    let value = |nibble: u8, index: usize| {
        let q = i32::from(nibble) + (fifth >> index & 1) as i32 * 16;
        (q - middle) as f32 * scale + minimum
    };
    let (low, high) = to.split_at_mut(16);
    for (index, ((low, high), byte)) in low.iter_mut().zip(high).zip(nibbles).enumerate() {
        *low = value(byte & 15, index);
        *high = value(byte >> 4, index + 16);
    }
}

/// The scale and the minimum of sub-block `index` of a Q4_K or Q5_K block, from its twelve bytes of 6-bit numbers.
fn six_bits(bytes: &[u8], index: usize) -> [u8; 2] {
    if index < 4 {
        return [bytes[index] & 63, bytes[index + 4] & 63];
    }
    let low = bytes[index + 4];
    [
        low & 15 | bytes[index - 4] >> 6 << 4,
        low >> 4 | bytes[index] >> 6 << 4,
    ]
}

/// The scale and the minimum, which is subtracted, of sub-block `index` of a Q4_K or Q5_K block.
fn sub_block(block: &[u8], index: usize) -> [f32; 2] {
    let [scale, minimum] = six_bits(&block[4..16], index);
    [
        half_at(block, 0) * f32::from(scale),
        half_at(block, 2) * f32::from(minimum),
    ]
}

/// Converts a Q4_K or Q5_K block. Of each 32 bytes, the low halves are one sub-block, the high halves the next; Q5_K has the fifth bits
/// of sub-block `j` in bit `j` of 32 bytes before them.
fn cast_k(block: &[u8], to: &mut [f32]) {
    let (fifth, nibbles) = block[16..].split_at(block.len() - 16 - 128);
    for (index, to) in to.chunks_exact_mut(32).enumerate() {
        let [scale, minimum] = sub_block(block, index);
        let nibbles = &nibbles[index / 2 * 32..];
        for (at, (to, byte)) in to.iter_mut().zip(nibbles).enumerate() {
            let fifth = fifth.get(at).map_or(0, |bits| bits >> index & 1);
            let q = byte >> (index % 2 * 4) & 15 | fifth << 4;
            *to = f32::from(q) * scale - minimum;
        }
    }
}

/// Converts a Q6_K block: 128 bytes of low halves, 64 of upper two bits, sixteen scales, and the scale of the scales.
fn cast_q6_k(block: &[u8], to: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let scale = half_at(block, 208);
    for (index, to) in to.iter_mut().enumerate() {
        let (half, quarter, at) = (index / 128, index / 32 % 4, index % 32);
        let nibble = low[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        let upper = high[half * 32 + at] >> (quarter * 2) & 3;
        let q = f32::from((nibble | upper << 4).cast_signed() - 32);
        *to = scale * f32::from(scales[index / 16].cast_signed()) * q;
    }
}

/// The 4-bit numbers of 32 values of a block, with the scale and the offset of `scale · (q - 8) + offset`.
pub(crate) struct Nibbles {
    /// The numbers, from -8 to 7.
    pub values: [i8; 32],
    pub scale: f16,
    pub offset: f16,
}

/// Passes the groups of 32 of a row of Q4_0, Q4_1 or Q4_K to `take`, as they are but for the rounding of scale and offset to f16.
pub(crate) fn groups_of_nibbles(
    source: &[u8],
    format: Format,
    take: &mut dyn FnMut(usize, &Nibbles),
) {
    let size = format.block();
    let groups = size.values / 32;
    for (index, block) in source.chunks_exact(size.bytes).enumerate() {
        for sub in 0..groups {
            let [scale, minimum] = match format {
                Format::Q4_0 => [half_at(block, 0), -8.0 * half_at(block, 0)],
                Format::Q4_1 => [half_at(block, 0), half_at(block, 2)],
                _ => sub_block(block, sub),
            };
            let minimum = if format == Format::Q4K {
                -minimum
            } else {
                minimum
            };
            let mut values = [0; 32];
            for (at, value) in values.iter_mut().enumerate() {
                let nibble = match format {
                    Format::Q4K => block[16 + sub / 2 * 32 + at] >> (sub % 2 * 4) & 15,
                    _ => block[size.bytes - 16 + at % 16] >> (at / 16 * 4) & 15,
                };
                *value = nibble.cast_signed() - 8;
            }
            let nibbles = Nibbles {
                values,
                scale: f16::from_f32(scale),
                offset: f16::from_f32(minimum + 8.0 * scale),
            };
            take(index * groups + sub, &nibbles);
        }
    }
}
