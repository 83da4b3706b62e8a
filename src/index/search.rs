//! Searching: every row is scored, or only candidates that a prefilter on sign bits selects.

use super::blocks::RowBlocks;
use super::row::{Query, RowLayout, out_of_memory, zeros};
use super::tags::REMOVED;
use super::top_k::{Scored, TopK};
use super::{Id, IndexPrecision, VectorIndex};
use crate::error::{Error, Result};
use crate::memory::try_vec;
use pilotlight_kernels::scan::{count, next_above, next_within};

/// Rows that are scored before their scores are compared, so that the scores stay in the first-level cache.
const PIECE: usize = 1024;

/// Default number of candidates of the prefilter: the larger of `CANDIDATES` and `CANDIDATES_PER_K · k`. With it, recall@10 is 0.99 on
/// 18,000 sentences (`make bench`).
const CANDIDATES: usize = 150;
const CANDIDATES_PER_K: usize = 15;

/// A vector that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The id of the vector.
    pub id: Id,
    /// The cosine with the query, from -1 to 1, or the dot product, by the metric of the index.
    pub score: f32,
}

/// Restricts which vectors a search may find.
pub enum Filter<'a> {
    /// Vectors that have all of these tags, or any of them.
    Tags {
        /// The names of the tags.
        tags: &'a [String],
        /// Whether one of the tags is enough.
        any: bool,
    },
    /// Vectors whose id passes this function, which is called at most once for an id. A search by signs calls it for every id, an exact
    /// search only for ids whose score is among the best so far.
    Ids(&'a mut dyn FnMut(&Id) -> bool),
}

/// Options of a search.
#[derive(Default)]
pub struct SearchOptions<'a> {
    /// Restricts the search; all vectors are searched if it is `None`.
    pub filter: Option<Filter<'a>>,
    /// Whether every row is scored even if the index has a prefilter.
    pub exact: bool,
    /// The number of rows that the prefilter selects for scoring.
    pub candidates: Option<usize>,
}

impl VectorIndex {
    /// Finds the `k` vectors with the largest scores, the largest first; vectors with equal scores come in the order in which they
    /// were added.
    ///
    /// *Errors*: `InvalidInput` if `k` or `candidates` is 0, or for a query that `add` would refuse; `ResourceLimit`.
    pub fn search(&self, query: &[f32], k: usize, options: SearchOptions<'_>) -> Result<Vec<Hit>> {
        let layout = self.rows.layout();
        if query.len() != layout.dimensions {
            return Err(Error::invalid_input(format!(
                "query has {} values, expected {}",
                query.len(),
                layout.dimensions
            )));
        }
        for (name, number) in [("k", Some(k)), ("candidates", options.candidates)] {
            if number == Some(0) {
                return Err(Error::invalid_input(format!(
                    "{name} is 0, expected a whole number from 1"
                )));
            }
        }
        let query = Query::new(layout, query)?;
        let mut filter = RowFilter::new(self, options.filter);
        let k = k.min(self.len());
        let default = CANDIDATES.max(k.saturating_mul(CANDIDATES_PER_K));
        let candidates = options.candidates.unwrap_or(default).max(k);
        let found = if k == 0 {
            Vec::new()
        } else if layout.precision == IndexPrecision::Binary {
            nearest_signs(&self.rows, &query, k, &mut filter)?
        } else if layout.prefilter && !options.exact && candidates < self.len() / 2 {
            let near = nearest_signs(&self.rows, &query, candidates, &mut filter)?;
            rescored(&self.rows, &query, k, &near)?
        } else {
            exact(&self.rows, &query, k, &mut filter)?
        };
        let factor = query.factor;
        let hit = |Scored { slot, score }: Scored| {
            let (block, at) = self.rows.place(slot);
            let score = score * factor;
            Hit {
                id: block.ids[at].clone(),
                // Rounding may exceed the range of cosines slightly.
                score: if layout.is_dot() {
                    score
                } else {
                    score.clamp(-1.0, 1.0)
                },
            }
        };
        Ok(found.into_iter().map(hit).collect())
    }
}

/// A [`Filter`] prepared for the rows of an index.
struct RowFilter<'a> {
    /// Whether each set of tags passes.
    sets: Option<Vec<bool>>,
    ids: Option<&'a mut dyn FnMut(&Id) -> bool>,
}

impl<'a> RowFilter<'a> {
    fn new(index: &VectorIndex, filter: Option<Filter<'a>>) -> Self {
        let (sets, ids) = match filter {
            None => (None, None),
            Some(Filter::Tags { tags, any }) => (Some(index.tags.having(tags, any)), None),
            Some(Filter::Ids(ids)) => (None, Some(ids)),
        };
        Self { sets, ids }
    }

    fn passes_all(&self, rows: &RowBlocks) -> bool {
        self.sets.is_none() && self.ids.is_none() && !rows.has_removed()
    }

    fn passes(&mut self, set: u32, id: &Id) -> bool {
        if set == REMOVED {
            return false;
        }
        let tagged = self.sets.as_ref().is_none_or(|sets| {
            let passes = sets.get(set as usize);
            passes.copied().unwrap_or(false)
        });
        tagged && self.ids.as_mut().is_none_or(|ids| ids(id))
    }
}

/// Scores every row and returns the best `k`.
fn exact(
    rows: &RowBlocks,
    query: &Query,
    k: usize,
    filter: &mut RowFilter<'_>,
) -> Result<Vec<Scored>> {
    let mut best = TopK::new(k)?;
    let mut dots = zeros(PIECE.min(rows.slots()))?;
    let mut slot = 0;
    for block in rows.blocks() {
        let count = block.ids.len();
        for first in (0..count).step_by(PIECE) {
            let part = first..(first + PIECE).min(count);
            let dots = &mut dots[..part.len()];
            block.dots(part, query, dots);
            let mut from = 0;
            while let Some(i) = next_above(dots, from, best.limit()) {
                let at = first + i;
                if filter.passes(block.sets[at], &block.ids[at]) {
                    best.push(Scored {
                        slot: slot + at,
                        score: dots[i],
                    });
                }
                from = i + 1;
            }
        }
        slot += count;
    }
    Ok(best.into_sorted())
}

/// The `wanted` rows whose signs differ least from the query's, with the cosines of the signs as scores. They come in the order of rows,
/// or, if the index has only signs, sorted by score.
fn nearest_signs(
    rows: &RowBlocks,
    query: &Query,
    wanted: usize,
    filter: &mut RowFilter<'_>,
) -> Result<Vec<Scored>> {
    let RowLayout {
        dimensions,
        precision,
        ..
    } = rows.layout();
    let mut distances: Vec<u16> = rows.per_slot()?;
    let mut slot = 0;
    for block in rows.blocks() {
        let count = block.ids.len();
        let distances = &mut distances[slot..slot + count];
        block.distances(query, distances);
        if !filter.passes_all(rows) {
            for ((distance, set), id) in distances.iter_mut().zip(&block.sets).zip(&block.ids) {
                if !filter.passes(*set, id) {
                    *distance = u16::MAX;
                }
            }
        }
        slot += count;
    }
    let mut counts = vec![0; dimensions + 1];
    count(&distances, &mut counts);
    // The largest distance among the wanted rows, and how many rows of exactly that distance are wanted.
    let (mut limit, mut last, mut nearer) = (dimensions, usize::MAX, 0);
    for (distance, count) in counts.iter().enumerate() {
        let within = nearer + *count as usize;
        if within >= wanted {
            (limit, last) = (distance, wanted - nearer);
            break;
        }
        nearer = within;
    }
    let mut near = try_vec(wanted.min(rows.len())).map_err(out_of_memory)?;
    let mut from = 0;
    while let Some(slot) = next_within(&distances, from, limit as u16) {
        from = slot + 1;
        let distance = usize::from(distances[slot]);
        if distance == limit {
            if last == 0 {
                continue;
            }
            last -= 1;
        }
        let score = 1.0 - 2.0 * distance as f32 / dimensions as f32;
        near.push(Scored { slot, score });
    }
    if precision == IndexPrecision::Binary {
        near.sort_unstable();
    }
    Ok(near)
}

/// Scores the candidates, which come in the order of rows, and returns the best `k`.
fn rescored(rows: &RowBlocks, query: &Query, k: usize, near: &[Scored]) -> Result<Vec<Scored>> {
    let mut best = TopK::new(k)?;
    for Scored { slot, .. } in near {
        let (block, at) = rows.place(*slot);
        let mut dot = [0.0];
        block.dots(at..at + 1, query, &mut dot);
        let [score] = dot;
        if score > best.limit() {
            best.push(Scored { slot: *slot, score });
        }
    }
    Ok(best.into_sorted())
}
