//! A vector index in memory, which searches by scanning all rows.
//!
//! There is no graph and no clustering: a scan of 100,000 vectors takes a few milliseconds, and its result is exact. It is fast because it
//! reads few bytes: int8 rows, or first one bit of each value and then the rows that are nearest by these bits.

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

use self::blocks::RowBlocks;
use self::row::{EncodedRow, RowLayout, out_of_memory, probe};
use self::tags::{NONE, TagSets};
use crate::error::{Error, Result};

/// The largest number of values in a vector. The scan counts differing sign bits in 16 bits.
const MAX_DIMENSIONS: usize = 1 << 15;

/// Bytes of vectors that are copied from the caller at a time.
const PIECE: usize = 256 << 10;

/// The precision in which an index keeps vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexPrecision {
    /// f32, normalized to length 1 for [`IndexMetric::Cosine`].
    Float32,
    /// int8 with one scale for each vector. It takes a quarter of the memory of `Float32`, and scores differ in the third digit.
    #[default]
    Int8,
    /// The sign bit. It takes a thirty-second of the memory of `Float32`, and scores are the cosines of the signs.
    Binary,
}

impl IndexPrecision {
    /// The name in the API of the npm package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        }
    }

    /// The precision of this name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
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

/// The measure by which an index compares a query with its vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexMetric {
    /// The cosine of the angle between them; their lengths do not matter.
    #[default]
    Cosine,
    /// The dot product of the vectors, for models that were trained for it and give vectors of different lengths.
    Dot,
}

impl IndexMetric {
    /// The name in the API of the npm package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
        }
    }

    /// The metric of this name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        let all = [Self::Cosine, Self::Dot];
        let found = all.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| {
            Error::invalid_input(format!(
                "metric is '{name}', expected 'cosine' or 'dot'; between vectors of length 1, the order by either is that by \
                 Euclidean distance"
            ))
        })
    }
}

/// Options of a new index.
#[derive(Clone, Debug, Default)]
pub struct IndexOptions {
    /// The number of values in a vector.
    pub dimensions: usize,
    /// The precision in which vectors are kept.
    pub precision: IndexPrecision,
    /// The measure by which vectors are compared.
    pub metric: IndexMetric,
    /// Whether the sign bit of each value is kept too, by which a search of many vectors first selects candidates.
    pub prefilter: bool,
    /// The source of the vectors: model, dtype and build. Vectors of different sources are not comparable.
    pub source: Option<String>,
}

/// Vectors that lie one after the other, in this memory or another.
pub trait Vectors {
    /// The number of values of all vectors together.
    fn len(&self) -> usize;

    /// Whether there are no values.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `to` with the values from index `from` on. The caller ensures that they exist.
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

/// Tags for the vectors of one call.
#[derive(Clone, Copy, Debug)]
pub enum Tags<'a> {
    /// The same tags for all vectors.
    Same(&'a [String]),
    /// A list of tags for each vector.
    Each(&'a [Vec<String>]),
}

/// Vectors with ids, searched by cosine or by dot product.
///
/// The index is in memory. Calls block the calling thread until they are done.
#[derive(Clone, Debug)]
pub struct VectorIndex {
    rows: RowBlocks,
    /// Shared with a running save.
    tags: Rc<TagSets>,
    source: Option<Rc<str>>,
    slots: HashMap<Id, u32>,
}

impl VectorIndex {
    /// Makes an empty index.
    ///
    /// *Errors*: `InvalidInput` for a number of dimensions out of range, for a prefilter of `Binary`, or where signs are all that `Dot` would have:
    /// they do not depend on lengths.
    pub fn new(options: IndexOptions) -> Result<Self> {
        let IndexOptions {
            dimensions,
            precision,
            metric,
            prefilter,
            source,
        } = options;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(Error::invalid_input(format!(
                "dimensions is {dimensions}, expected 1 to {MAX_DIMENSIONS}"
            )));
        }
        if prefilter && precision == IndexPrecision::Binary {
            return Err(Error::invalid_input(
                "prefilter is true, but precision 'binary' has nothing to filter for: its rows are the signs",
            ));
        }
        if metric == IndexMetric::Dot && (prefilter || precision == IndexPrecision::Binary) {
            let option = if prefilter {
                "prefilter is true"
            } else {
                "precision is 'binary'"
            };
            return Err(Error::invalid_input(format!(
                "{option}, but metric 'dot' needs the lengths of vectors, of which their signs tell nothing"
            )));
        }
        let layout = RowLayout {
            dimensions,
            precision,
            metric,
            prefilter,
        };
        Ok(Self {
            rows: RowBlocks::new(layout),
            tags: Rc::default(),
            source: source.map(Rc::from),
            slots: HashMap::new(),
        })
    }

    /// The number of vectors.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the index has no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of values in a vector.
    pub fn dimensions(&self) -> usize {
        self.rows.layout().dimensions
    }

    /// The precision in which vectors are kept.
    pub fn precision(&self) -> IndexPrecision {
        self.rows.layout().precision
    }

    /// The measure by which vectors are compared.
    pub fn metric(&self) -> IndexMetric {
        self.rows.layout().metric
    }

    /// Whether sign bits are kept for a prefilter.
    pub fn has_prefilter(&self) -> bool {
        self.rows.layout().prefilter
    }

    /// The source that the options of the index named.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The approximate memory of the index in bytes.
    pub fn memory_bytes(&self) -> usize {
        let slots = self.slots.capacity() * (size_of::<(Id, u32)>() + 1);
        self.rows.memory() + self.tags.memory() + slots
    }

    /// Whether the index has a vector with this id.
    pub fn has(&self, id: &Id) -> bool {
        self.slots.contains_key(id)
    }

    /// All ids in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        let blocks = self.rows.blocks().iter();
        blocks.flat_map(|block| {
            let rows = block.ids.iter().zip(&block.sets);
            rows.filter(|(_, set)| **set != tags::REMOVED)
                .map(|(id, _)| id)
        })
    }

    /// Appends vectors: all of them, or none if one is invalid.
    ///
    /// *Errors*: `InvalidInput` naming the entry for an id that exists or comes twice, a vector of another length, or with a value that is
    /// not finite; for `Cosine` one of zeros alone, for `Dot` one with a magnitude above 1e15. `ResourceLimit`.
    pub fn add(
        &mut self,
        ids: &[Id],
        vectors: &(impl Vectors + ?Sized),
        tags: Option<Tags<'_>>,
    ) -> Result<()> {
        self.check(ids, vectors, tags)?;
        let before = self.rows.slots();
        if before + ids.len() > tags::REMOVED as usize {
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
        each(rows.layout(), vectors, |i, row| {
            let set = match tags {
                Some(Tags::Each(tags)) => sets.set_of(&tags[i])?,
                _ => same,
            };
            rows.push(ids[i].clone(), set, row, ids.len() - i)
        })
    }

    /// Replaces the vectors of these ids, and their tags if `tags` is given: all of them, or none if one is invalid.
    ///
    /// *Errors*: as [`add`](Self::add), and `InvalidInput` for an id that does not exist.
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
        // Encode into separate blocks first: any vector up to the last may be invalid.
        let mut staged = RowBlocks::new(self.rows.layout());
        let sets = Rc::make_mut(&mut self.tags);
        let same = match tags {
            Some(Tags::Same(tags)) => sets.set_of(tags)?,
            _ => NONE,
        };
        each(self.rows.layout(), vectors, |i, row| {
            let set = match tags {
                Some(Tags::Each(tags)) => sets.set_of(&tags[i])?,
                _ => same,
            };
            staged.push(ids[i].clone(), set, row, ids.len() - i)
        })?;
        for slot in places.keys() {
            self.rows.unshare(*slot as usize)?;
        }
        let mut row = EncodedRow::new(self.rows.layout())?;
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

    /// Removes vectors and returns how many were removed. Ids that do not exist are ignored.
    ///
    /// *Errors*: `ResourceLimit` if a running save shares blocks and there is no memory to clone them; then nothing is removed.
    pub fn remove(&mut self, ids: &[Id]) -> Result<usize> {
        for id in ids {
            if let Some(slot) = self.slots.get(id) {
                self.rows.unshare(*slot as usize)?;
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

    /// Frees the memory of removed rows and unused tags. It needs some memory to do so, and without it leaves them for the next call.
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

    /// Drops the sets of tags that no row uses.
    fn renumber_tags(&mut self) -> Result<()> {
        let mut fresh = TagSets::default();
        let mut numbers = vec![tags::REMOVED; self.tags.len()];
        for slot in 0..self.rows.slots() {
            self.rows.unshare(slot)?;
            let (block, at) = self.rows.place(slot);
            if let Some(number) = numbers.get_mut(block.sets[at] as usize)
                && *number == tags::REMOVED
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
        // Cloning ids and tags cannot report an allocation failure, so their size is probed; it is small compared to the vectors.
        let texts: usize = ids.iter().map(Id::text_bytes).sum();
        probe(texts)
    }
}

fn twice(i: usize, twin: usize) -> Error {
    Error::invalid_input(format!("ids[{i}] is the same as ids[{twin}]"))
}

/// Encodes each vector and passes it to `take` with its index.
fn each(
    layout: RowLayout,
    vectors: &(impl Vectors + ?Sized),
    mut take: impl FnMut(usize, &EncodedRow) -> Result<()>,
) -> Result<()> {
    let mut row = EncodedRow::new(layout)?;
    let d = layout.dimensions;
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
