//! All vectors of an index, in blocks. A row's *slot* is its place among them; rows keep their order.

use std::rc::Rc;

use super::Id;
use super::IndexPrecision;
use super::row::{Query, Row, Shape, out_of_memory, probe, zeros};
use super::tags::GONE;
use crate::error::Result;
use pilotlight_kernels::scan::{GROUP, dots_f32, dots_q8, hamming};

/// Rows that lie together. A save that is under way shares it, so a change makes a copy of its own then.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub ids: Vec<Id>,
    /// Which tags, or [`GONE`].
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
    /// Makes room for more rows; some of what it reserves may stay unused.
    fn reserve(&mut self, shape: Shape, rows: usize) -> Result<()> {
        self.ids.try_reserve_exact(rows).map_err(out_of_memory)?;
        self.sets.try_reserve_exact(rows).map_err(out_of_memory)?;
        let stride = shape.stride();
        match shape.precision {
            IndexPrecision::Float32 => self.floats.try_reserve_exact(rows * stride),
            IndexPrecision::Int8 => self.bytes.try_reserve_exact(rows * stride),
            IndexPrecision::Binary => Ok(()),
        }
        .map_err(out_of_memory)?;
        if shape.precision == IndexPrecision::Int8 {
            self.factors
                .try_reserve_exact(rows)
                .map_err(out_of_memory)?;
        }
        if shape.has_signs() {
            let all = (self.ids.len() + rows).next_multiple_of(GROUP) * shape.sign_bytes();
            let more = all - self.signs.len();
            self.signs.try_reserve_exact(more).map_err(out_of_memory)?;
        }
        Ok(())
    }

    fn push(&mut self, id: Id, set: u32, row: &Row) {
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

    fn set(&mut self, at: usize, row: &Row) {
        let values = at * row.floats.len()..(at + 1) * row.floats.len();
        self.floats[values].copy_from_slice(&row.floats);
        let values = at * row.bytes.len()..(at + 1) * row.bytes.len();
        self.bytes[values].copy_from_slice(&row.bytes);
        if let Some(factor) = self.factors.get_mut(at) {
            *factor = row.factor;
        }
        self.set_signs(at, row);
    }

    fn set_signs(&mut self, at: usize, row: &Row) {
        let group = at / GROUP * GROUP * row.signs.len();
        let lane = self.signs.iter_mut().skip(group + at % GROUP);
        for (to, byte) in lane.step_by(GROUP).zip(&row.signs) {
            *to = *byte;
        }
    }

    /// Whether all rows were removed.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| *set == GONE)
    }

    /// A row's values; `row` must be of the same shape.
    pub fn get(&self, at: usize, row: &mut Row) {
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

    fn truncate(&mut self, rows: usize, shape: Shape) {
        self.ids.truncate(rows);
        self.sets.truncate(rows);
        self.floats.truncate(rows * shape.stride());
        self.bytes.truncate(rows * shape.stride());
        self.factors.truncate(rows);
        let groups = rows.next_multiple_of(GROUP);
        self.signs.truncate(groups * shape.sign_bytes());
    }

    /// The cosines of some rows with the query, without the query's own factor.
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

    /// How many signs of each row differ from the query's.
    pub fn distances(&self, query: &Query, distances: &mut [u16]) {
        hamming(&self.signs, &query.signs, distances);
    }

    /// Bytes of its lists.
    fn memory(&self) -> usize {
        let texts: usize = self.ids.iter().map(Id::text_bytes).sum();
        texts
            + self.ids.capacity() * size_of::<Id>()
            + (self.sets.capacity() + self.floats.capacity() + self.factors.capacity()) * 4
            + self.bytes.capacity()
            + self.signs.capacity()
    }
}

/// All rows.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    shape: Shape,
    blocks: Vec<Rc<Block>>,
    /// Slots whose rows were removed.
    gone: usize,
}

impl Rows {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            blocks: Vec::new(),
            gone: 0,
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn blocks(&self) -> &[Rc<Block>] {
        &self.blocks
    }

    /// Those of removed rows too.
    pub fn slots(&self) -> usize {
        let before = self.blocks.len().saturating_sub(1) * self.shape.block_rows();
        before + self.blocks.last().map_or(0, |block| block.ids.len())
    }

    pub fn len(&self) -> usize {
        self.slots() - self.gone
    }

    /// In which block a slot is, and where there.
    pub fn place(&self, slot: usize) -> (&Block, usize) {
        let size = self.shape.block_rows();
        (&self.blocks[slot / size], slot % size)
    }

    fn place_mut(&mut self, slot: usize) -> Result<(&mut Block, usize)> {
        let size = self.shape.block_rows();
        let block = &mut self.blocks[slot / size];
        if Rc::get_mut(block).is_none() {
            probe(block.memory())?;
        }
        Ok((Rc::make_mut(block), slot % size))
    }

    /// Adds a row behind the others. `upcoming`: how many come now, this one included.
    pub fn push(&mut self, id: Id, set: u32, row: &Row, upcoming: usize) -> Result<()> {
        let (shape, size) = (self.shape, self.shape.block_rows());
        let slot = self.slots();
        if slot == self.blocks.len() * size {
            self.blocks.try_reserve(1).map_err(out_of_memory)?;
            self.blocks.push(Rc::default());
        }
        let (block, at) = self.place_mut(slot)?;
        if block.ids.len() == block.ids.capacity() {
            // What comes one by one doubles what there is, so that a small index takes little.
            block.reserve(shape, upcoming.max(at).clamp(1, size - at))?;
        }
        block.push(id, set, row);
        Ok(())
    }

    /// Fills the last block with gaps, so that the next row begins a block.
    pub fn end_block(&mut self) -> Result<()> {
        let (shape, size) = (self.shape, self.shape.block_rows());
        let missing = self.slots().next_multiple_of(size) - self.slots();
        if missing == 0 {
            return Ok(());
        }
        let row = Row::new(shape)?;
        let (block, _) = self.place_mut(self.slots() - 1)?;
        block.reserve(shape, missing)?;
        for _ in 0..missing {
            block.push(Id::Integer(0), GONE, &row);
        }
        self.gone += missing;
        Ok(())
    }

    /// Makes sure that a slot's block is nobody else's, so that a change of it cannot fail.
    pub fn own(&mut self, slot: usize) -> Result<()> {
        self.place_mut(slot).map(|_| ())
    }

    pub fn set(&mut self, slot: usize, row: &Row) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.set(at, row);
        Ok(())
    }

    pub fn set_tags(&mut self, slot: usize, set: u32) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.sets[at] = set;
        Ok(())
    }

    /// Drops the slots from here on.
    pub fn truncate(&mut self, slots: usize) {
        let (shape, size) = (self.shape, self.shape.block_rows());
        self.blocks.truncate(slots.div_ceil(size));
        if let Some(block) = self.blocks.last_mut() {
            let before = slots.div_ceil(size).saturating_sub(1) * size;
            if slots - before < block.ids.len() {
                Rc::make_mut(block).truncate(slots - before, shape);
            }
        }
    }

    /// Marks a row as removed.
    pub fn remove(&mut self, slot: usize) -> Result<()> {
        let (block, at) = self.place_mut(slot)?;
        block.sets[at] = GONE;
        self.gone += 1;
        Ok(())
    }

    /// Whether removed rows take so much room that it is time to close up.
    pub fn is_sparse(&self) -> bool {
        self.gone > self.len() / 2 + GROUP
    }

    /// Whether a search has to look out for removed rows.
    pub fn has_gaps(&self) -> bool {
        self.gone > 0
    }

    /// Closes up the gaps and says of each row that moved where it is now.
    pub fn compact(&mut self, mut moved: impl FnMut(&Id, usize)) -> Result<()> {
        let mut row = Row::new(self.shape)?;
        for first in (0..self.slots()).step_by(self.shape.block_rows()) {
            self.own(first)?;
        }
        let mut to = 0;
        for from in 0..self.slots() {
            let (block, at) = self.place(from);
            let set = block.sets[at];
            if set == GONE {
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
        self.gone = 0;
        Ok(())
    }

    /// Bytes of all blocks.
    pub fn memory(&self) -> usize {
        self.blocks.iter().map(|block| block.memory()).sum()
    }

    /// One number for each slot.
    pub fn per_slot<T: Clone + Default>(&self) -> Result<Vec<T>> {
        zeros(self.slots())
    }
}
