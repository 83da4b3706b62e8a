//! The tags of rows. Rows with the same tags share a *set*, so that a search checks each set once and then compares numbers of sets.

use std::collections::HashMap;

use super::row::probe;
use crate::error::Result;

/// Stands in place of a set for a row that was removed.
pub(super) const REMOVED: u32 = u32::MAX;

/// The number of the set without tags.
pub(super) const NONE: u32 = 0;

/// All tags and sets of tags of an index.
#[derive(Clone, Debug)]
pub(super) struct TagSets {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    sets: Vec<Vec<u32>>,
    known: HashMap<Vec<u32>, u32>,
}

impl Default for TagSets {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            numbers: HashMap::new(),
            sets: vec![Vec::new()],
            known: HashMap::from([(Vec::new(), NONE)]),
        }
    }
}

impl TagSets {
    /// The number of the set with these tags, in any order; a new set is added.
    ///
    /// *Errors*: `ResourceLimit`.
    pub fn set_of<T: AsRef<str>>(&mut self, tags: &[T]) -> Result<u32> {
        if tags.is_empty() {
            return Ok(NONE);
        }
        // Each name is kept twice, with about 64 bytes for the entries in maps.
        let bytes: usize = tags.iter().map(|tag| tag.as_ref().len() + 64).sum();
        probe(bytes.saturating_mul(4))?;
        let mut set: Vec<u32> = tags.iter().map(|tag| self.number(tag.as_ref())).collect();
        set.sort_unstable();
        set.dedup();
        if let Some(known) = self.known.get(&set) {
            return Ok(*known);
        }
        let number = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.known.insert(set, number);
        Ok(number)
    }

    fn number(&mut self, tag: &str) -> u32 {
        if let Some(number) = self.numbers.get(tag) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(tag.into());
        self.numbers.insert(tag.into(), number);
        number
    }

    /// The number of sets.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// The names of the tags in a set.
    pub fn names(&self, set: u32) -> impl Iterator<Item = &str> {
        let set = self.sets.get(set as usize).map_or(&[][..], Vec::as_slice);
        set.iter()
            .filter_map(|tag| self.names.get(*tag as usize))
            .map(String::as_str)
    }

    /// Whether each set has all of these tags, or any of them.
    pub fn having(&self, tags: &[String], any: bool) -> Vec<bool> {
        let wanted: Vec<Option<u32>> = tags
            .iter()
            .map(|tag| self.numbers.get(tag.as_str()).copied())
            .collect();
        let has =
            |set: &[u32], tag: &Option<u32>| tag.is_some_and(|tag| set.binary_search(&tag).is_ok());
        let passes = |set: &Vec<u32>| match any {
            true => wanted.iter().any(|tag| has(set, tag)),
            false => wanted.iter().all(|tag| has(set, tag)),
        };
        self.sets.iter().map(passes).collect()
    }

    /// The approximate memory in bytes.
    pub fn memory(&self) -> usize {
        let names: usize = self.names.iter().map(|name| 2 * (name.len() + 32)).sum();
        let sets: usize = self.sets.iter().map(|set| 2 * (4 * set.len() + 32)).sum();
        names + sets
    }
}
