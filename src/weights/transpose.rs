//! The rows of a matrix whose columns come one after the other in the file.

/// Rows that are gathered at a time, so that a line of the processor's cache is used whole: 64 bytes of float32.
const TILE: usize = 16;

/// The rows of a matrix `[n, k]` that is in memory as `[k, n]`.
pub(super) struct TransposedRows {
    /// `n`
    count: usize,
    /// Bytes of a value.
    width: usize,
    tile: Vec<u8>,
    /// The first of the rows in the tile.
    first: Option<usize>,
}

impl TransposedRows {
    /// Makes rows of `length` values in `row_bytes` bytes each.
    pub fn new([count, length]: [usize; 2], row_bytes: usize) -> Self {
        Self {
            count,
            width: row_bytes.checked_div(length).unwrap_or(0).max(1),
            tile: vec![0; TILE.min(count) * row_bytes],
            first: None,
        }
    }

    /// The bytes of a row of the matrix whose columns `block` has.
    pub fn row(&mut self, block: &[u8], index: usize) -> &[u8] {
        let first = index / TILE * TILE;
        let rows = TILE.min(self.count - first);
        let row_bytes = block.len() / self.count;
        if self.first != Some(first) {
            self.first = Some(first);
            let columns = block.chunks_exact(self.count * self.width);
            for (column, values) in columns.enumerate() {
                let values = &values[first * self.width..(first + rows) * self.width];
                for (row, value) in values.chunks_exact(self.width).enumerate() {
                    let to = row * row_bytes + column * self.width;
                    self.tile[to..to + self.width].copy_from_slice(value);
                }
            }
        }
        let from = (index - first) * row_bytes;
        &self.tile[from..from + row_bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_from_columns() {
        for (n, k, width) in [(1, 1, 4), (3, 5, 2), (16, 2, 4), (33, 7, 4), (40, 31, 2)] {
            let value = |row: usize, column: usize| {
                (0..width).map(move |byte| (row * 7 + column * 3 + byte * 11) as u8)
            };
            let mut block = Vec::new();
            for column in 0..k {
                for row in 0..n {
                    block.extend(value(row, column));
                }
            }
            let mut rows = TransposedRows::new([n, k], k * width);
            for row in (0..n).chain([n / 2, 0]) {
                let expected: Vec<u8> = (0..k).flat_map(|column| value(row, column)).collect();
                assert_eq!(rows.row(&block, row), expected, "row {row} of {n}, {k}");
            }
        }
    }
}
