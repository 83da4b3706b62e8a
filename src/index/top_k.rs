//! The best of many scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::row::out_of_memory;
use crate::error::Result;

/// A row and its score. The worse one is the larger, so that a heap has the worst on top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub slot: usize,
    pub score: f32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        // Of equal scores the one that was added first is better.
        by_score.then(self.slot.cmp(&other.slot))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// The `k` best so far.
pub(super) struct Best {
    heap: BinaryHeap<Scored>,
    k: usize,
}

impl Best {
    pub fn new(k: usize) -> Result<Self> {
        let mut heap = BinaryHeap::new();
        heap.try_reserve_exact(k).map_err(out_of_memory)?;
        Ok(Self { heap, k })
    }

    /// What a row that comes later must be above.
    pub fn limit(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Takes a row whose score is above the limit.
    pub fn push(&mut self, scored: Scored) {
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push(scored);
    }

    /// The best first.
    pub fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec()
    }
}
