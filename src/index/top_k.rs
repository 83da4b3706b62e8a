//! Selecting the best of many scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::row::out_of_memory;
use crate::error::Result;

/// The slot of a row and its score. The order is from best to worst, so that a heap has the worst on top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub slot: usize,
    pub score: f32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        // If scores are equal, the row that was added first is the better one.
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

/// Keeps the best `k` of the rows that were pushed.
pub(super) struct TopK {
    heap: BinaryHeap<Scored>,
    k: usize,
}

impl TopK {
    pub fn new(k: usize) -> Result<Self> {
        let mut heap = BinaryHeap::new();
        heap.try_reserve_exact(k).map_err(out_of_memory)?;
        Ok(Self { heap, k })
    }

    /// The score that a further row must exceed to be among the best.
    pub fn limit(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Adds a row whose score is above the limit.
    pub fn push(&mut self, scored: Scored) {
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push(scored);
    }

    /// The rows, the best first.
    pub fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec()
    }
}
