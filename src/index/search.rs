//! Searching: all rows, or those first that are near by their signs.

use super::blocks::Rows;
use super::row::{Query, Shape, out_of_memory, zeros};
use super::tags::GONE;
use super::top_k::{Best, Scored};
use super::{Id, IndexPrecision, VectorIndex};
use crate::error::{Error, Result};
use crate::memory::try_vec;
use pilotlight_kernels::scan::{count, next_above, next_within};

/// Rows whose scores are computed before they are looked at: they stay in the first-level cache.
const PIECE: usize = 1024;

/// Candidates of the prefilter: so many, or so many times `k`. Of the ten nearest among 18,000 sentences they have 99 % (`make bench`).
const CANDIDATES: usize = 150;
const CANDIDATES_PER_K: usize = 15;

/// A row and its cosine with the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Whose vector it is.
    pub id: Id,
    /// -1 to 1.
    pub score: f32,
}

/// Which vectors a search may find.
pub enum Filter<'a> {
    /// Those with all of these tags, or any of them.
    Tags {
        /// Their names.
        tags: &'a [String],
        /// Whether one is enough.
        any: bool,
    },
    /// Those whose id passes: asked at most once of an id: of all by signs, else only of those among the best so far.
    Ids(&'a mut dyn FnMut(&Id) -> bool),
}

/// How to search.
#[derive(Default)]
pub struct SearchOptions<'a> {
    /// Which vectors; all of them where it is none.
    pub filter: Option<Filter<'a>>,
    /// Whether every row is scored, though there is a prefilter.
    pub exact: bool,
    /// How many rows the prefilter lets through.
    pub candidates: Option<usize>,
}

impl VectorIndex {
    /// The `k` vectors with the largest cosines, the largest first; of equal ones what was added first.
    ///
    /// *Errors*: `InvalidInput` for `k` or `candidates` 0 and for a query that `add` would refuse; `ResourceLimit`.
    pub fn search(&self, query: &[f32], k: usize, options: SearchOptions<'_>) -> Result<Vec<Hit>> {
        let shape = self.rows.shape();
        if query.len() != shape.dimensions {
            return Err(Error::invalid_input(format!(
                "query has {} values, expected {}",
                query.len(),
                shape.dimensions
            )));
        }
        for (name, number) in [("k", Some(k)), ("candidates", options.candidates)] {
            if number == Some(0) {
                return Err(Error::invalid_input(format!(
                    "{name} is 0, expected a whole number from 1"
                )));
            }
        }
        let query = Query::new(shape, query)?;
        let mut gate = Gate::new(self, options.filter);
        let k = k.min(self.len());
        let usual = CANDIDATES.max(k.saturating_mul(CANDIDATES_PER_K));
        let candidates = options.candidates.unwrap_or(usual).max(k);
        let found = if k == 0 {
            Vec::new()
        } else if shape.precision == IndexPrecision::Binary {
            nearest_signs(&self.rows, &query, k, &mut gate)?
        } else if shape.prefilter && !options.exact && candidates < self.len() / 2 {
            let near = nearest_signs(&self.rows, &query, candidates, &mut gate)?;
            rescored(&self.rows, &query, k, &near)?
        } else {
            all(&self.rows, &query, k, &mut gate)?
        };
        let factor = query.factor;
        let hit = |Scored { slot, score }: Scored| {
            let (block, at) = self.rows.place(slot);
            Hit {
                id: block.ids[at].clone(),
                // Rounding may lead a little beyond.
                score: (score * factor).clamp(-1.0, 1.0),
            }
        };
        Ok(found.into_iter().map(hit).collect())
    }
}

/// Who may be found.
struct Gate<'a> {
    /// Of each set of tags whether it passes.
    sets: Option<Vec<bool>>,
    ids: Option<&'a mut dyn FnMut(&Id) -> bool>,
}

impl<'a> Gate<'a> {
    fn new(index: &VectorIndex, filter: Option<Filter<'a>>) -> Self {
        let mut gate = Self {
            sets: None,
            ids: None,
        };
        match filter {
            None => {}
            Some(Filter::Tags { tags, any }) => gate.sets = Some(index.tags.having(tags, any)),
            Some(Filter::Ids(ids)) => gate.ids = Some(ids),
        }
        gate
    }

    fn is_open(&self, rows: &Rows) -> bool {
        self.sets.is_none() && self.ids.is_none() && !rows.has_gaps()
    }

    fn passes(&mut self, set: u32, id: &Id) -> bool {
        if set == GONE {
            return false;
        }
        let tagged = self.sets.as_ref().is_none_or(|sets| {
            let passes = sets.get(set as usize);
            passes.copied().unwrap_or(false)
        });
        tagged && self.ids.as_mut().is_none_or(|ids| ids(id))
    }
}

/// The best of all rows.
fn all(rows: &Rows, query: &Query, k: usize, gate: &mut Gate<'_>) -> Result<Vec<Scored>> {
    let mut best = Best::new(k)?;
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
                if gate.passes(block.sets[at], &block.ids[at]) {
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

/// The rows whose signs are nearest, in the order of rows; with the cosines of the signs, sorted by them where that is all there is.
fn nearest_signs(
    rows: &Rows,
    query: &Query,
    wanted: usize,
    gate: &mut Gate<'_>,
) -> Result<Vec<Scored>> {
    let Shape {
        dimensions,
        precision,
        ..
    } = rows.shape();
    let mut distances: Vec<u16> = rows.per_slot()?;
    let mut slot = 0;
    for block in rows.blocks() {
        let count = block.ids.len();
        let distances = &mut distances[slot..slot + count];
        block.distances(query, distances);
        if !gate.is_open(rows) {
            for ((distance, set), id) in distances.iter_mut().zip(&block.sets).zip(&block.ids) {
                if !gate.passes(*set, id) {
                    *distance = u16::MAX;
                }
            }
        }
        slot += count;
    }
    let mut counts = vec![0; dimensions + 1];
    count(&distances, &mut counts);
    // The largest distance that is wanted, and how many rows of just that distance.
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

/// The best of some rows, which come in the order of rows.
fn rescored(rows: &Rows, query: &Query, k: usize, near: &[Scored]) -> Result<Vec<Scored>> {
    let mut best = Best::new(k)?;
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
