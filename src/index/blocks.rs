//! The encoded vectors of an index, in blocks of rows. The *slot* of a row is its position among all rows; rows keep their order.

use std::rc::Rc;

use super::Id;
use super::IndexPrecision;
use super::row::{EncodedRow, Query, RowLayout, out_of_memory, probe, zeros};
use super::tags::REMOVED;
use crate::error::Result;
use pilotlight_kernels::scan::{GROUP, dots_f32, dots_q8, hamming};

/// Consecutive rows. A running save shares the block, and a change then clones it.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub ids: Vec<Id>,
    /// The set of tags of each row, or [`REMOVED`].
    pub sets: Vec<u32>,
    /// `[rows, stride]`
    floats: Vec<f32>,
    /// `[rows, stride]`
    bytes: Vec<i8>,
    factors: Vec<f32>,
    /// `[⌈rows / 16⌉, sign bytes, 16]`
    signs: Vec<u8>,
}

impl Block {
    /// Reserves memory for `rows` more rows.
    fn reserve(&mut self, layout: RowLayout, rows: usize) -> Result<()> {
        self.ids.try_reserve_exact(rows).map_err(out_of_memory)?;
        self.sets.try_reserve_exact(rows).map_err(out_of_memory)?;
        let stride = layout.stride();
        match layout.precision {
            IndexPrecision::Float32 => self.floats.try_reserve_exact(rows * stride),
            IndexPrecision::Int8 => self.bytes.try_reserve_exact(rows * stride),
            IndexPrecision::Binary => Ok(()),
        }
        .map_err(out_of_memory)?;
        if layout.precision == IndexPrecision::Int8 {
            self.factors
                .try_reserve_exact(rows)
                .map_err(out_of_memory)?;
        }
        if layout.has_signs() {
            let all = (self.ids.len() + rows).next_multiple_of(GROUP) * layout.sign_bytes();
            let more = all - self.signs.len();
            self.signs.try_reserve_exact(more).map_err(out_of_memory)?;
        }
        Ok(())
    }

    fn push(&mut self, id: Id, set: u32, row: &EncodedRow) {
        let at = self.ids.len();
        self.ids.push(id);
        self.sets.push(set);
        self.floats.extend_from_slice(&row.floats);
        self.bytes.extend_from_slice(&row.bytes);
        if !row.bytes.is_empty() {
            self.factors.push(row.factor);
        }
        if at.is_multiple_of(GROUP) {
            let more = row.signs.len() * GROUP;
            self.signs.resize(self.signs.len() + more, 0);
        }
        self.set_signs(at, row);
    }

    fn set(&mut self, at: usize, row: &EncodedRow) {
        let values = at * row.floats.len()..(at + 1) * row.floats.len();
        self.floats[values].copy_from_slice(&row.floats);
        let values = at * row.bytes.len()..(at + 1) * row.bytes.len();
        self.bytes[values].copy_from_slice(&row.bytes);
        if let Some(factor) = self.factors.get_mut(at) {
            *factor = row.factor;
        }
        self.set_signs(at, row);
    }

    fn set_signs(&mut self, at: usize, row: &EncodedRow) {
        let group = at / GROUP * GROUP * row.signs.len();
        let lane = self.signs.iter_mut().skip(group + at % GROUP);
        for (to, byte) in lane.step_by(GROUP).zip(&row.signs) {
            *to = *byte;
        }
    }

    /// Whether all rows of the block were removed.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| *set == REMOVED)
    }

    /// Copies a row to `row`, which must have the same layout.
    pub fn get(&self, at: usize, row: &mut EncodedRow) {
        let values = at * row.floats.len()..(at + 1) * row.floats.len();
        row.floats.copy_from_slice(&self.floats[values]);
        let values = at * row.bytes.len()..(at + 1) * row.bytes.len();
        row.bytes.copy_from_slice(&self.bytes[values]);
        row.factor = self.factors.get(at).copied().unwrap_or(1.0);
        let group = at / GROUP * GROUP * row.signs.len();
        let lane = self.signs.iter().skip(group + at % GROUP);
        for (byte, from) in row.signs.iter_mut().zip(lane.step_by(GROUP)) {
            *byte = *from;
        }
    }

    fn truncate(&mut self, rows: usize, layout: RowLayout) {
        self.ids.truncate(rows);
        self.sets.truncate(rows);
        self.floats.truncate(rows * layout.stride());
        self.bytes.truncate(rows * layout.stride());
        self.factors.truncate(rows);
        let groups = rows.next_multiple_of(GROUP);
        self.signs.truncate(groups * layout.sign_bytes());
    }

    /// The cosines or dot products of a range of rows with the query, not yet multiplied by the query's factor.
    pub fn dots(&self, rows: std::ops::Range<usize>, query: &Query, dots: &mut [f32]) {
        if query.words.is_empty() {
            let stride = query.floats.len();
            let values = &self.floats[rows.start * stride..rows.end * stride];
            dots_f32(values, &query.floats, dots);
        } else {
            let stride = query.words.len();
            let values = &self.bytes[rows.start * stride..rows.end * stride];
            dots_q8(values, &query.words, &self.factors[rows], dots);
        }
    }

    /// Counts for each row how many of its signs differ from the query's.
    pub fn distances(&self, query: &Query, distances: &mut [u16]) {
        hamming(&self.signs, &query.signs, distances);
    }

    /// The memory of the block in bytes.
    fn memory(&self) -> usize {
        let texts: usize = self.ids.iter().map(Id::text_bytes).sum();
        texts
            + self.ids.capacity() * size_of::<Id>()
            + (self.sets.capacity() + self.floats.capacity() + self.factors.capacity()) * 4
            + self.bytes.capacity()
            + self.signs.capacity()
    }
}

/// All rows of an index.
#[derive(Clone, Debug)]
pub(super) struct RowBlocks {
    layout: RowLayout,
    blocks: Vec<Rc<Block>>,
    /// The number of slots whose rows were removed.
    removed: usize,
}

impl RowBlocks {
    pub fn new(layout: RowLayout) -> Self {
        Self {
            layout,
            blocks: Vec::new(),
            removed: 0,
        }
    }

    pub fn layout(&self) -> RowLayout {
        self.layout
    }

    pub fn blocks(&self) -> &[Rc<Block>] {
        &self.blocks
    }

    /// The number of slots, including those of removed rows.
    pub fn slots(&self) -> usize {
        let before = self.blocks.len().saturating_sub(1) * self.layout.block_rows();
        before + self.blocks.last().map_or(0, |block| block.ids.len())
    }

    pub fn len(&self) -> usize {
        self.slots() - self.removed
    }

    /// The block of a slot, and the index of its row in the block.
    pub fn place(&self, slot: usize) -> (&Block, usize) {
        let size = self.layout.block_rows();
        (&self.blocks[slot / size], slot % size)
    }

    fn place_mut(&mut self, slot: usize) -> Result<(&mut Block, usize)> {
        let size = self.layout.block_rows();
        let block = &mut self.blocks[slot / size];
        if Rc::get_mut(block).is_none() {
            probe(block.memory())?;
        }
        Ok((Rc::make_mut(block), slot % size))
    }

    /// Appends a row. `upcoming` is the number of rows that the caller is about to append, including this one.
    pub fn push(&mut self, id: Id, set: u32, row: &EncodedRow, upcoming: usize) -> Result<()> {
        let (layout, size) = (self.layout, self.layout.block_rows());
        let slot = self.slots();
        if slot == self.blocks.len() * size {
            self.blocks.try_reserve(1).map_err(out_of_memory)?;
            self.blocks.push(Rc::default());
        }
        let (block, at) = self.place_mut(slot)?;
        if block.ids.len() == block.ids.capacity() {
            // Rows that come one at a time double the block, so that a small index takes little memory.
            block.reserve(layout, upcoming.max(at).clamp(1, size - at))?;
        }
        block.push(id, set, row);
        Ok(())
    }

    /// Fills the last block with removed rows, so that the next row begins a block.
    pub fn end_block(&mut self) -> Result<()> {
        let (layout, size) = (self.layout, self.layout.block_rows());
        let missing = self.slots().next_multiple_of(size) - self.slots();
        if missing == 0 {
            return Ok(());
        }
        let row = EncodedRow::new(layout)?;
        let (block, _) = self.place_mut(self.slots() - 1)?;
        block.reserve(layout, missing)?;
        for _ in 0..missing {
            block.push(Id::Integer(0), REMOVED, &row);
        }
        self.removed += missing;
        Ok(())
    }

    /// Clones the slot's block if a snapshot shares it, so that a later write cannot fail.
    pub fn unshare(&mut self, slot: usize) -> Result<()> {
        self.place_mut(slot).map(|_| ())
    }

    pub fn set(&mut self, slot: usize, row: &EncodedRow) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.set(at, row);
        Ok(())
    }

    pub fn set_tags(&mut self, slot: usize, set: u32) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.sets[at] = set;
        Ok(())
    }

    /// Drops all slots from `slots` on.
    pub fn truncate(&mut self, slots: usize) {
        let (layout, size) = (self.layout, self.layout.block_rows());
        self.blocks.truncate(slots.div_ceil(size));
        if let Some(block) = self.blocks.last_mut() {
            let before = slots.div_ceil(size).saturating_sub(1) * size;
            if slots - before < block.ids.len() {
                Rc::make_mut(block).truncate(slots - before, layout);
            }
        }
    }

    /// Marks a row as removed.
    pub fn remove(&mut self, slot: usize) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.sets[at] = REMOVED;
        self.removed += 1;
        Ok(())
    }

    /// Whether removed rows take so much memory that [`compact`](Self::compact) is due.
    pub fn is_sparse(&self) -> bool {
        self.removed > self.len() / 2 + GROUP
    }

    /// Whether there are removed rows, which a search must skip.
    pub fn has_removed(&self) -> bool {
        self.removed > 0
    }

    /// Moves rows into the slots of removed ones, and calls `moved` with the id and the new slot of each.
    pub fn compact(&mut self, mut moved: impl FnMut(&Id, usize)) -> Result<()> {
        let mut row = EncodedRow::new(self.layout)?;
        for first in (0..self.slots()).step_by(self.layout.block_rows()) {
            self.unshare(first)?;
        }
        let mut to = 0;
        for from in 0..self.slots() {
            let (block, at) = self.place(from);
            let set = block.sets[at];
            if set == REMOVED {
                continue;
            }
            if to < from {
                let id = block.ids[at].clone();
                block.get(at, &mut row);
                moved(&id, to);
                let (block, at) = self.place_mut(to)?;
                block.set(at, &row);
                block.ids[at] = id;
                block.sets[at] = set;
            }
            to += 1;
        }
        self.truncate(to);
        self.removed = 0;
        Ok(())
    }

    /// The memory of all blocks in bytes.
    pub fn memory(&self) -> usize {
        self.blocks.iter().map(|block| block.memory()).sum()
    }

    /// A vector with a default value for each slot.
    pub fn per_slot<T: Clone + Default>(&self) -> Result<Vec<T>> {
        zeros(self.slots())
    }
}
