//! An embedding table whose rows stay in the store.

use std::ops::Range;

use bytemuck::pod_collect_to_vec;
use pilotlight_kernels::{embedding_q8, panel_rows_f32, panel_rows_q8};

use super::layout::{PackedTensor, PackedValues, widened_rows};
use crate::ops::PANEL;

/// The place and the layout of an embedding table in a packed file, and its parts in memory: scales and smoothing factors.
#[derive(Debug, Default)]
pub struct StoredTable {
    /// The name of the packed file.
    file: String,
    /// The byte of the file at which the table begins.
    start: u64,
    /// The number of rows, and of values in each.
    shape: [usize; 2],
    /// Whether it has the layout of a vocabulary head, in which the rows of a panel lie together.
    is_head: bool,
    /// Bytes of the rows that lie together.
    bytes: usize,
    format: Format,
    /// The scale of each row of an int8 table.
    scale: Vec<f32>,
    /// The factors by which the weights of an int8 head were divided.
    smooth: Vec<f32>,
}

/// The format of a table's values.
#[derive(Clone, Copy, Debug, Default)]
enum Format {
    #[default]
    F32,
    F16,
    Q8,
}

impl StoredTable {
    pub(super) fn new(packed: PackedTensor, shape: [usize; 2], is_head: bool) -> Self {
        let (format, width) = match packed.values {
            PackedValues::F32(_) => (Format::F32, 4),
            PackedValues::F16(_) => (Format::F16, 2),
            PackedValues::Q8(_) | PackedValues::Q4(_) => (Format::Q8, 1),
        };
        Self {
            file: packed.file,
            start: packed.start,
            shape,
            is_head,
            bytes: packed.shape.iter().skip(1).product::<usize>() * width,
            format,
            scale: packed.scale,
            smooth: packed.smooth,
        }
    }

    /// The name of the packed file that has the table.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The byte of the file at which the table ends.
    pub fn end(&self) -> u64 {
        self.start + (self.shape[0].div_ceil(self.together()) * self.bytes) as u64
    }

    /// The number of values in a row.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// The bytes of the file that have the rows of some ids, which are sorted and below the number of rows.
    pub fn ranges(&self, ids: &[u32]) -> Vec<Range<u64>> {
        let start = |index: usize| self.start + (index * self.bytes) as u64;
        let indices = self.indices(ids).into_iter();
        indices
            .map(|index| start(index)..start(index + 1))
            .collect()
    }

    /// The rows of some ids, from the `bytes` that the file has at their [`ranges`](Self::ranges). They are those that
    /// [`Embedding`](crate::ops::Embedding) would look up, to the bit.
    ///
    /// *Shapes*: `ids: [t]`, result `[t, d]`.
    pub fn rows(&self, ids: &[u32], bytes: &[u8]) -> Vec<f32> {
        let together = self.together();
        let indices = self.indices(ids);
        let local = ids.iter().map(|id| {
            let id = *id as usize;
            let index = indices.partition_point(|index| *index < id / together);
            (index * together + id % together) as i32
        });
        let local: Vec<i32> = local.collect();
        match self.format {
            Format::F32 => self.rows_of_floats(pod_collect_to_vec(bytes), &local),
            Format::F16 => {
                let columns = if self.is_head { PANEL } else { self.width() };
                let values = widened_rows(&pod_collect_to_vec(bytes), columns);
                self.rows_of_floats(values, &local)
            }
            Format::Q8 => self.rows_of_bytes(&pod_collect_to_vec(bytes), &indices, &local),
        }
    }

    /// The rows at the places `local` of those that were read.
    fn rows_of_floats(&self, values: Vec<f32>, local: &[i32]) -> Vec<f32> {
        if !self.is_head {
            return values;
        }
        let mut rows = vec![0.0; local.len() * self.width()];
        panel_rows_f32(&values, local, self.width(), &mut rows);
        rows
    }

    /// The rows at the places `local` of those that were read, in int8. `indices`: the panels, or single rows, that were read.
    fn rows_of_bytes(&self, values: &[i32], indices: &[usize], local: &[i32]) -> Vec<f32> {
        let ([count, d], together) = (self.shape, self.together());
        let of_index = |index: &usize| {
            let first = index * together;
            (first..first + together).map(|row| self.scale[row.min(count - 1)])
        };
        let scale: Vec<f32> = indices.iter().flat_map(of_index).collect();
        let mut rows = vec![0.0; local.len() * d];
        match self.is_head {
            false => embedding_q8(values, &scale, local, self.bytes / 4, &mut rows, d),
            true => panel_rows_q8(values, &scale, &self.smooth, local, &mut rows),
        }
        rows
    }

    /// The number of rows that lie together.
    fn together(&self) -> usize {
        if self.is_head { PANEL } else { 1 }
    }

    /// The panels, or single rows, that have the rows of some ids, sorted.
    fn indices(&self, ids: &[u32]) -> Vec<usize> {
        let indices = ids.iter().map(|id| *id as usize / self.together());
        let mut indices: Vec<usize> = indices.collect();
        indices.dedup();
        indices
    }
}
