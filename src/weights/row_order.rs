//! The order in which rows are packed.

use super::header::Entry;

/// The order in which the rows of a matrix, or the values of a vector, are packed.
#[derive(Clone, Copy)]
pub(super) struct RowOrder {
    /// The rows of each head that is interleaved; 0 for rows that stay in their order.
    head: usize,
}

impl RowOrder {
    /// The orders of a tensor's rows, and of the values in its only row.
    pub fn of(entry: &Entry) -> (Self, Self) {
        let rows = entry.shape.first().copied().unwrap_or_default();
        let head = entry.interleaved_heads.map_or(0, |heads| rows / heads);
        let (order, same) = (Self { head }, Self { head: 0 });
        match entry.shape.len() {
            1 => (same, order),
            _ => (order, same),
        }
    }

    /// The number of rows that are packed before or after all others.
    pub fn unit(self) -> usize {
        self.head.max(1)
    }

    /// The row of the trained tensor that a row of the file is. Rows `2 i` and `2 i + 1` of a head are rows `i` and `i + half` of it.
    pub fn row(self, index: usize) -> usize {
        if self.head == 0 {
            return index;
        }
        let (head, row) = (index / self.head, index % self.head);
        head * self.head + row % 2 * (self.head / 2) + row / 2
    }
}

/// The smallest common multiple of two numbers.
pub(super) fn lcm(a: usize, b: usize) -> usize {
    let mut multiple = a.max(1);
    while !multiple.is_multiple_of(b.max(1)) {
        multiple += a.max(1);
    }
    multiple
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_interleaved_heads_go_back_to_where_they_were() {
        let entry = |shape: &[usize], heads| Entry {
            name: "blk.0.attn_q.weight".into(),
            dtype: "F32".into(),
            shape: shape.to_vec(),
            range: 0..192,
            interleaved_heads: heads,
            stored: None,
            member: None,
        };
        let order = |order: RowOrder| -> Vec<usize> { (0..12).map(|row| order.row(row)).collect() };
        let same: Vec<_> = (0..12).collect();
        // As numpy's `arange(12).reshape(2, 3, 2).swapaxes(1, 2)`: the file has row 6 h + 3 j + i of the model at 6 h + 2 i + j.
        let there = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
        let (rows, values) = RowOrder::of(&entry(&[12, 4], Some(2)));
        assert_eq!((order(rows), rows.unit()), (there.to_vec(), 6));
        assert_eq!((order(values), values.unit()), (same.clone(), 1));
        let (rows, values) = RowOrder::of(&entry(&[12], Some(2)));
        assert_eq!((order(rows), order(values)), (same.clone(), there.to_vec()));
        let (rows, values) = RowOrder::of(&entry(&[12, 4], None));
        assert_eq!((order(rows), order(values)), (same.clone(), same));
        assert_eq!((lcm(8, 6), lcm(8, 1), lcm(8, 64)), (24, 8, 64));
    }
}
