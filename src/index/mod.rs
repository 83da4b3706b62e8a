//! Nearest vectors: a list of rows in memory, searched from end to end.
//!
//! No graph, no clusters: 100,000 vectors are read through in a few milliseconds, the result is exact, and adding, removing and saving stay
//! simple. What makes it fast is how little is read: int8 rows, or one bit of each value first and then the rows that are near by it.

mod blocks;
mod format;
mod id;
mod row;
mod saved;
mod search;
mod tags;
#[cfg(test)]
mod tests;
mod top_k;

use std::collections::HashMap;
use std::rc::Rc;

pub use id::Id;
pub use saved::{IndexSnapshot, SavedIndex};
pub use search::{Filter, Hit, SearchOptions};

use self::blocks::Rows;
use self::row::{Row, Shape, out_of_memory, probe};
use self::tags::{NONE, TagSets};
use crate::error::{Error, Result};

/// The most values that a vector may have: their differing bits are counted in 16 bits.
const MOST_DIMENSIONS: usize = 1 << 15;

/// Bytes of vectors that are copied at a time.
const PIECE: usize = 256 << 10;

/// How an index keeps each value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexPrecision {
    /// As it is, with the vector's length made 1.
    Float32,
    /// A byte, by a scale for each vector: a quarter of the memory, and scores that differ in the third digit.
    #[default]
    Int8,
    /// Its sign: a thirty-second of the memory. Scores are cosines of signs.
    Binary,
}

impl IndexPrecision {
    /// As the types of the npm package call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        }
    }

    /// *Errors*: `InvalidInput` with the names there are.
    pub fn from_name(name: &str) -> Result<Self> {
        let all = [Self::Float32, Self::Int8, Self::Binary];
        let found = all.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| {
            Error::invalid_input(format!(
                "precision is '{name}', expected 'float32', 'int8' or 'binary'"
            ))
        })
    }
}

/// What an index is made for.
#[derive(Clone, Debug, Default)]
pub struct IndexOptions {
    /// Values of a vector.
    pub dimensions: usize,
    /// How they are kept.
    pub precision: IndexPrecision,
    /// Whether one bit of each value is kept beside them, by which large sets are searched first.
    pub prefilter: bool,
    /// What made the vectors: model, dtype and build. Vectors of different ones cannot be compared.
    pub source: Option<String>,
}

/// Vectors one after the other, wherever they are.
pub trait Vectors {
    /// Values of all of them.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from this value on; both ends are inside.
    fn copy_to(&self, from: usize, to: &mut [f32]);
}

impl Vectors for [f32] {
    fn len(&self) -> usize {
        self.len()
    }

    fn copy_to(&self, from: usize, to: &mut [f32]) {
        to.copy_from_slice(&self[from..from + to.len()]);
    }
}

/// Tags of vectors that come together.
#[derive(Clone, Copy, Debug)]
pub enum Tags<'a> {
    /// The same for all.
    Same(&'a [String]),
    /// A list for each.
    Each(&'a [Vec<String>]),
}

/// Vectors by id, searched by cosine.
///
/// Everything is in memory. Calls compute on the calling thread until they are done.
#[derive(Clone, Debug)]
pub struct VectorIndex {
    rows: Rows,
    /// A save that is under way shares them.
    tags: Rc<TagSets>,
    source: Option<Rc<str>>,
    slots: HashMap<Id, u32>,
}

impl VectorIndex {
    /// *Errors*: `InvalidInput`.
    pub fn new(options: IndexOptions) -> Result<Self> {
        let IndexOptions {
            dimensions,
            precision,
            prefilter,
            source,
        } = options;
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return Err(Error::invalid_input(format!(
                "dimensions is {dimensions}, expected 1 to {MOST_DIMENSIONS}"
            )));
        }
        if prefilter && precision == IndexPrecision::Binary {
            return Err(Error::invalid_input(
                "prefilter is true, but precision 'binary' has nothing to filter for: its rows are the signs",
            ));
        }
        let shape = Shape {
            dimensions,
            precision,
            prefilter,
        };
        Ok(Self {
            rows: Rows::new(shape),
            tags: Rc::default(),
            source: source.map(Rc::from),
            slots: HashMap::new(),
        })
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of a vector.
    pub fn dimensions(&self) -> usize {
        self.rows.shape().dimensions
    }

    /// How they are kept.
    pub fn precision(&self) -> IndexPrecision {
        self.rows.shape().precision
    }

    /// Whether signs are kept beside them.
    pub fn has_prefilter(&self) -> bool {
        self.rows.shape().prefilter
    }

    /// What made the vectors, as it was said when the index was made.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// About how many bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let slots = self.slots.capacity() * (size_of::<(Id, u32)>() + 1);
        self.rows.memory() + self.tags.memory() + slots
    }

    /// Whether there is a vector of this id.
    pub fn has(&self, id: &Id) -> bool {
        self.slots.contains_key(id)
    }

    /// All ids in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        let blocks = self.rows.blocks().iter();
        blocks.flat_map(|block| {
            let rows = block.ids.iter().zip(&block.sets);
            rows.filter(|(_, set)| **set != tags::GONE)
                .map(|(id, _)| id)
        })
    }

    /// Adds vectors behind those there are: all of them, or none where one is wrong.
    ///
    /// *Errors*: `InvalidInput` naming the row: an id that is there already or comes twice, a vector of another length, with a
    /// value that is not finite, or of zeros alone. `ResourceLimit`.
    pub fn add(
        &mut self,
        ids: &[Id],
        vectors: &(impl Vectors + ?Sized),
        tags: Option<Tags<'_>>,
    ) -> Result<()> {
        self.check(ids, vectors, tags)?;
        let before = self.rows.slots();
        if before + ids.len() > tags::GONE as usize {
            return Err(Error::invalid_input(
                "more vectors than an index can number",
            ));
        }
        self.slots.try_reserve(ids.len()).map_err(out_of_memory)?;
        for (i, id) in ids.iter().enumerate() {
            if let Some(slot) = self.slots.get(id) {
                let error = match (*slot as usize).checked_sub(before) {
                    Some(twin) => twice(i, twin),
                    None => Error::invalid_input(format!(
                        "ids[{i}] is there already; update replaces its vector"
                    )),
                };
                self.forget(&ids[..i]);
                return Err(error);
            }
            self.slots.insert(id.clone(), (before + i) as u32);
        }
        let added = self.push(ids, vectors, tags);
        if added.is_err() {
            self.rows.truncate(before);
            self.forget(ids);
        }
        added
    }

    fn forget(&mut self, ids: &[Id]) {
        for id in ids {
            self.slots.remove(id);
        }
    }

    fn push(
        &mut self,
        ids: &[Id],
        vectors: &(impl Vectors + ?Sized),
        tags: Option<Tags<'_>>,
    ) -> Result<()> {
        let sets = Rc::make_mut(&mut self.tags);
        let same = match tags {
            Some(Tags::Same(tags)) => sets.set_of(tags)?,
            _ => NONE,
        };
        let rows = &mut self.rows;
        each(rows.shape(), vectors, |i, row| {
            let set = match tags {
                Some(Tags::Each(tags)) => sets.set_of(&tags[i])?,
                _ => same,
            };
            rows.push(ids[i].clone(), set, row, ids.len() - i)
        })
    }

    /// Puts other vectors in place of those of these ids, and other tags where there are any: all of them, or none where one is
    /// wrong.
    ///
    /// *Errors*: as [`add`](Self::add), and `InvalidInput` for an id that is not there.
    pub fn update(
        &mut self,
        ids: &[Id],
        vectors: &(impl Vectors + ?Sized),
        tags: Option<Tags<'_>>,
    ) -> Result<()> {
        self.check(ids, vectors, tags)?;
        let mut places = HashMap::new();
        places.try_reserve(ids.len()).map_err(out_of_memory)?;
        for (i, id) in ids.iter().enumerate() {
            let Some(slot) = self.slots.get(id) else {
                return Err(Error::invalid_input(format!(
                    "ids[{i}] is not there; add takes new ids"
                )));
            };
            if let Some(twin) = places.insert(*slot, i) {
                return Err(twice(i, twin));
            }
        }
        // First aside: the last vector may be the one that is wrong.
        let mut staged = Rows::new(self.rows.shape());
        let sets = Rc::make_mut(&mut self.tags);
        let same = match tags {
            Some(Tags::Same(tags)) => sets.set_of(tags)?,
            _ => NONE,
        };
        each(self.rows.shape(), vectors, |i, row| {
            let set = match tags {
                Some(Tags::Each(tags)) => sets.set_of(&tags[i])?,
                _ => same,
            };
            staged.push(ids[i].clone(), set, row, ids.len() - i)
        })?;
        for slot in places.keys() {
            self.rows.own(*slot as usize)?;
        }
        let mut row = Row::new(self.rows.shape())?;
        for (slot, i) in places {
            let (block, at) = staged.place(i);
            block.get(at, &mut row);
            self.rows.set(slot as usize, &row)?;
            if tags.is_some() {
                self.rows.set_tags(slot as usize, block.sets[at])?;
            }
        }
        self.tidy();
        Ok(())
    }

    /// Removes vectors and returns how many there were; ids that are not there are no error.
    ///
    /// *Errors*: `ResourceLimit` while a save is under way, and then nothing is removed.
    pub fn remove(&mut self, ids: &[Id]) -> Result<usize> {
        for id in ids {
            if let Some(slot) = self.slots.get(id) {
                self.rows.own(*slot as usize)?;
            }
        }
        let mut count = 0;
        for id in ids {
            if let Some(slot) = self.slots.remove(id) {
                self.rows.remove(slot as usize)?;
                count += 1;
            }
        }
        self.tidy();
        Ok(count)
    }

    /// Gives back room that is not used any more. Where there is no memory for that, it waits for the next time.
    fn tidy(&mut self) {
        if self.rows.is_sparse() {
            let slots = &mut self.slots;
            let _ = self.rows.compact(|id, slot| {
                if let Some(known) = slots.get_mut(id) {
                    *known = slot as u32;
                }
            });
        }
        if self.tags.len() > 2 * self.len() + 64 {
            let _ = self.renumber_tags();
        }
    }

    /// Leaves out the sets of tags that no row has any more.
    fn renumber_tags(&mut self) -> Result<()> {
        let mut fresh = TagSets::default();
        let mut numbers = vec![tags::GONE; self.tags.len()];
        for slot in 0..self.rows.slots() {
            self.rows.own(slot)?;
            let (block, at) = self.rows.place(slot);
            if let Some(number) = numbers.get_mut(block.sets[at] as usize)
                && *number == tags::GONE
            {
                let names: Vec<_> = self.tags.names(block.sets[at]).collect();
                *number = fresh.set_of(&names)?;
            }
        }
        for slot in 0..self.rows.slots() {
            let (block, at) = self.rows.place(slot);
            if let Some(number) = numbers.get(block.sets[at] as usize) {
                let number = *number;
                self.rows.set_tags(slot, number)?;
            }
        }
        self.tags = Rc::new(fresh);
        Ok(())
    }

    fn check(
        &self,
        ids: &[Id],
        vectors: &(impl Vectors + ?Sized),
        tags: Option<Tags<'_>>,
    ) -> Result<()> {
        let (rows, dimensions) = (ids.len(), self.dimensions());
        if Some(vectors.len()) != rows.checked_mul(dimensions) {
            return Err(Error::invalid_input(format!(
                "vectors has {} values, expected {rows} x {dimensions} for {rows} ids",
                vectors.len()
            )));
        }
        if let Some(Tags::Each(tags)) = tags
            && tags.len() != rows
        {
            return Err(Error::invalid_input(format!(
                "tags has {} lists, expected one for each of {rows} ids",
                tags.len()
            )));
        }
        for (i, id) in ids.iter().enumerate() {
            id.check(|| format!("ids[{i}]"))?;
        }
        // The lists of ids and tags allocate in a way that cannot fail, and are small beside the vectors.
        let texts: usize = ids.iter().map(Id::text_bytes).sum();
        probe(texts)
    }
}

fn twice(i: usize, twin: usize) -> Error {
    Error::invalid_input(format!("ids[{i}] is the same as ids[{twin}]"))
}

/// Makes a row of each vector.
fn each(
    shape: Shape,
    vectors: &(impl Vectors + ?Sized),
    mut take: impl FnMut(usize, &Row) -> Result<()>,
) -> Result<()> {
    let mut row = Row::new(shape)?;
    let d = shape.dimensions;
    let count = vectors.len() / d;
    let rows = (PIECE / 4 / d).clamp(1, count.max(1));
    let mut piece = row::zeros(rows * d)?;
    for first in (0..count).step_by(rows) {
        let values = &mut piece[..rows.min(count - first) * d];
        vectors.copy_to(first * d, values);
        for (i, vector) in values.chunks_exact(d).enumerate() {
            row.set(vector, || format!("vectors[{}]", first + i))?;
            take(first + i, &row)?;
        }
    }
    Ok(())
}
