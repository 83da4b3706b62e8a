//! The rows of a tensor that a file does not have one after the other in the tensor's dtype.

use std::ops::Range;
use std::rc::Rc;

use half::f16;
use pilotlight_kernels::blocks::Format;

/// Rows that are gathered at a time, so that a line of the processor's cache is used whole: 64 bytes of float32.
const TILE: usize = 16;

/// The number of values that have a scale in common in `Q4_0` and `Q4_1`.
const GROUP: usize = 32;

/// The form in which a file has a tensor that is no list of rows in the tensor's dtype.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The place of the tensor among its columns, if the file has columns one after the other instead of rows.
    pub columns: Option<Columns>,
    /// The quantized numbers that stand for the values.
    pub quantized: Option<Quantized>,
    /// The bytes of the tensor, if they are in the header.
    pub held: Option<Held>,
}

/// The place of a matrix among columns of more values, of which other matrices have their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// The first value of each column that is the matrix's.
    pub first: usize,
    /// The number of values in each column.
    pub of: usize,
}

/// Numbers of 8 or 4 bits, with their scales and zero points.
#[derive(Clone, Debug)]
pub(super) struct Quantized {
    pub numbers: Numbers,
    /// The scales in float32: one in all, or one for each row, or for each group of values in a row.
    pub scales: Held,
    /// The zero points, as many as scales, of the type of the numbers; those of 4 bits in pairs, each row from a byte on. Empty for none.
    pub zeros: Held,
}

/// The type of quantized numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Signed bytes.
    I8,
    /// Bytes.
    U8,
    /// 4 bits, two in each byte, the lower half first. `group`: the number of values that have a scale in common.
    U4 { group: usize },
}

/// Bytes that are in memory since the header was read.
#[derive(Clone, Debug)]
pub(super) struct Held {
    bytes: Rc<[u8]>,
    range: Range<usize>,
}

impl Held {
    /// The bytes of `bytes` in a range; `None` where it has no such range.
    pub fn new(bytes: &Rc<[u8]>, range: Range<u64>) -> Option<Self> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        bytes.get(range.clone())?;
        let bytes = bytes.clone();
        Some(Self { bytes, range })
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }

    /// The float32 at `index`; 0 where there is none.
    fn float(&self, index: usize) -> f32 {
        let bytes = self.bytes().get(4 * index..).unwrap_or_default();
        bytes
            .first_chunk()
            .map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }
}

/// A reader of the rows of a tensor, from blocks of the bytes that a file has.
pub(super) struct StoredRows<'e> {
    stored: Option<&'e Stored>,
    /// The number of rows, and of values in each.
    shape: [usize; 2],
    /// Bytes of a row in the file.
    stored_bytes: usize,
    /// Rows that were gathered from columns, and the first of them.
    tile: Vec<u8>,
    first: Option<usize>,
    /// A row in the tensor's format.
    row: Vec<u8>,
}

impl<'e> StoredRows<'e> {
    /// Makes a reader of `[count, length]` values, whose rows have `row_bytes` bytes in the tensor's format.
    pub fn new(stored: Option<&'e Stored>, shape: [usize; 2], row_bytes: usize) -> Self {
        let quantized = stored.and_then(|stored| stored.quantized.as_ref());
        let stored_bytes = match quantized.map(|quantized| quantized.numbers) {
            None => row_bytes,
            Some(Numbers::I8 | Numbers::U8) => shape[1],
            Some(Numbers::U4 { .. }) => shape[1] / 2,
        };
        let is_columns = stored.is_some_and(|stored| stored.columns.is_some());
        Self {
            stored,
            shape,
            stored_bytes,
            tile: match is_columns {
                true => vec![0; TILE.min(shape[0]) * stored_bytes],
                false => Vec::new(),
            },
            first: None,
            row: match quantized {
                Some(_) => vec![0; row_bytes],
                None => Vec::new(),
            },
        }
    }

    /// The bytes of the file that come before row `index`; where it has columns, no row begins after the first byte.
    pub fn bytes_before(&self, index: usize) -> usize {
        match self.columns() {
            // More than the address space is more than can be read.
            Some(columns) if index > 0 => columns.of.saturating_mul(self.stored_bytes),
            _ => index * self.stored_bytes,
        }
    }

    fn columns(&self) -> Option<Columns> {
        self.stored?.columns
    }

    /// Row `index` in the tensor's format, from a block of the file whose first row is `from`.
    pub fn row<'b>(&'b mut self, block: &'b [u8], from: usize, index: usize) -> &'b [u8] {
        let bytes = self.stored_bytes;
        let stored = match self.columns() {
            Some(columns) => {
                self.gather(block, columns, index);
                let at = index % TILE * bytes;
                &self.tile[at..at + bytes]
            }
            None => &block[(index - from) * bytes..(index - from + 1) * bytes],
        };
        let Some(quantized) = self.stored.and_then(|stored| stored.quantized.as_ref()) else {
            return stored;
        };
        quantized.expand(stored, index, &mut self.row);
        &self.row
    }

    /// Makes the tile have row `index`.
    fn gather(&mut self, block: &[u8], columns: Columns, index: usize) {
        let first = index / TILE * TILE;
        if self.first == Some(first) {
            return;
        }
        self.first = Some(first);
        let [count, length] = self.shape;
        let rows = TILE.min(count - first);
        let width = self.stored_bytes.checked_div(length).unwrap_or(0).max(1);
        let from = (columns.first + first) * width;
        let columns = block.chunks_exact(columns.of * width);
        for (column, values) in columns.enumerate() {
            let values = &values[from..from + rows * width];
            for (row, value) in values.chunks_exact(width).enumerate() {
                let to = row * self.stored_bytes + column * width;
                self.tile[to..to + width].copy_from_slice(value);
            }
        }
    }
}

impl Quantized {
    /// The format of the values that [`expand`](Self::expand) makes.
    pub fn format(&self) -> Format {
        match (self.numbers, self.zeros.bytes()) {
            (Numbers::I8 | Numbers::U8, _) => Format::F32,
            (Numbers::U4 { .. }, []) => Format::Q4_0,
            (Numbers::U4 { .. }, _) => Format::Q4_1,
        }
    }

    /// Converts the numbers of row `index`.
    fn expand(&self, numbers: &[u8], index: usize, to: &mut [u8]) {
        let zeros = self.zeros.bytes();
        let (scales, is_signed) = (self.scales.bytes().len() / 4, self.numbers == Numbers::I8);
        let value = |byte: u8| match is_signed {
            true => i32::from(byte.cast_signed()),
            false => i32::from(byte),
        };
        match self.numbers {
            Numbers::I8 | Numbers::U8 => {
                let index = if scales == 1 { 0 } else { index };
                let scale = self.scales.float(index);
                let zero = zeros.get(index).map_or(0, |zero| value(*zero));
                for (to, byte) in to.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
                    *to = ((value(*byte) - zero) as f32 * scale).to_le_bytes();
                }
            }
            Numbers::U4 { group } => {
                let groups = (2 * numbers.len()).div_ceil(group);
                let zeros_from = index * groups.div_ceil(2);
                let size = self.format().block().bytes;
                let blocks = to
                    .chunks_exact_mut(size)
                    .zip(numbers.chunks_exact(GROUP / 2));
                for (at, (block, numbers)) in blocks.enumerate() {
                    let own = at * GROUP / group;
                    let scale = self.scales.float(index * groups + own);
                    let half = f16::from_f32(scale);
                    block[..2].copy_from_slice(&half.to_le_bytes());
                    if let Some(pair) = zeros.get(zeros_from + own / 2) {
                        let zero = pair >> (own % 2 * 4) & 15;
                        let minimum = f16::from_f32(-f32::from(zero) * scale);
                        block[2..4].copy_from_slice(&minimum.to_le_bytes());
                    }
                    // The file has neighbours in one byte; a block has value `i` and value `i + 16`.
                    let number = |at: usize| numbers[at / 2] >> (at % 2 * 4) & 15;
                    for (at, to) in block[size - GROUP / 2..].iter_mut().enumerate() {
                        *to = number(at) | number(at + GROUP / 2) << 4;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pilotlight_kernels::blocks::cast;

    use super::*;

    fn held(bytes: &[u8]) -> Held {
        Held::new(&bytes.into(), 0..bytes.len() as u64).unwrap()
    }

    fn floats(values: &[f32]) -> Held {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        held(&bytes)
    }

    #[test]
    fn rows_are_gathered_from_columns() {
        for (n, k, width) in [(1, 1, 4), (3, 5, 2), (16, 2, 4), (33, 7, 4), (40, 31, 2)] {
            for (first, of) in [(0, n), (n, 3 * n), (2 * n + 1, 3 * n + 1)] {
                let value = |row: usize, column: usize| {
                    (0..width).map(move |byte| (row * 7 + column * 3 + byte * 11) as u8)
                };
                let mut block = Vec::new();
                for column in 0..k {
                    for row in 0..of {
                        block.extend(value(row, column));
                    }
                }
                let stored = Stored {
                    columns: Some(Columns { first, of }),
                    ..Stored::default()
                };
                let mut rows = StoredRows::new(Some(&stored), [n, k], k * width);
                assert_eq!(rows.bytes_before(n), block.len());
                for row in (0..n).chain([n / 2, 0]) {
                    let expected: Vec<u8> = (0..k)
                        .flat_map(|column| value(first + row, column))
                        .collect();
                    assert_eq!(rows.row(&block, 0, row), expected, "row {row} of {n}, {k}");
                }
            }
        }
    }

    /// The rows of a block as floats.
    fn rows(quantized: Quantized, shape: [usize; 2], block: &[u8]) -> Vec<f32> {
        let format = quantized.format();
        let stored = Stored {
            quantized: Some(quantized),
            ..Stored::default()
        };
        let row_bytes = format.row_bytes(shape[1]).unwrap();
        let mut rows = StoredRows::new(Some(&stored), shape, row_bytes);
        let mut all = Vec::new();
        for index in 0..shape[0] {
            let mut row = vec![0.0; shape[1]];
            assert!(cast(rows.row(block, 0, index), format, &mut row));
            all.extend(row);
        }
        all
    }

    #[test]
    fn bytes_are_scaled_from_their_zero_points() {
        for (numbers, scales, zeros, expected) in [
            (
                Numbers::U8,
                &[0.5][..],
                &[128][..],
                [-64.0, 63.5, 0.5, -0.5],
            ),
            (
                Numbers::U8,
                &[0.5, 2.0],
                &[128, 1],
                [-64.0, 63.5, 256.0, 252.0],
            ),
            (Numbers::I8, &[0.5], &[], [0.0, -0.5, -63.5, 63.5]),
            (
                Numbers::I8,
                &[0.5, 2.0],
                &[0xff, 1],
                [0.5, 0.0, -256.0, 252.0],
            ),
        ] {
            let quantized = Quantized {
                numbers,
                scales: floats(scales),
                zeros: held(zeros),
            };
            assert_eq!(rows(quantized, [2, 2], &[0, 255, 129, 127]), expected);
        }
    }

    #[test]
    fn nibbles_are_scaled_by_groups() {
        let numbers: Vec<u8> = (0..64).map(|byte| (byte * 37 % 256) as u8).collect();
        let nibble = |at: usize| f32::from(numbers[at / 2] >> (at % 2 * 4) & 15);
        for (group, zeros) in [
            (32, &[][..]),
            (32, &[0x31, 0x8f]),
            (64, &[0x0a, 0x05]),
            (64, &[]),
        ] {
            let groups = 64 / group;
            let scales: Vec<f32> = (1..=2 * groups).map(|scale| scale as f32 / 4.0).collect();
            let quantized = Quantized {
                numbers: Numbers::U4 { group },
                scales: floats(&scales),
                zeros: held(zeros),
            };
            let found = rows(quantized, [2, 64], &numbers);
            for (at, found) in found.into_iter().enumerate() {
                let (row, own) = (at / 64, at % 64 / group);
                let zero = zeros.get(row).map_or(8, |pair| pair >> (own % 2 * 4) & 15);
                let expected = (nibble(at) - f32::from(zero)) * scales[row * groups + own];
                assert_eq!(found, expected, "{at} of {group}");
            }
        }
    }
}
