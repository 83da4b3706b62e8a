//! An index in a store.

use std::collections::HashMap;

use super::VectorIndex;
use super::format::segment;
use super::tags::GONE;
use crate::error::Result;
use crate::store::{Chunk, IndexKey, LockGuard, Store};

/// An index as it was at one moment. It shares the rows with the index until that changes them.
#[derive(Clone, Debug)]
pub struct IndexSnapshot(pub(super) VectorIndex);

impl VectorIndex {
    /// For a save during which the index may change.
    pub fn snapshot(&self) -> IndexSnapshot {
        IndexSnapshot(Self {
            rows: self.rows.clone(),
            tags: self.tags.clone(),
            source: self.source.clone(),
            // Nobody looks an id up in it.
            slots: HashMap::new(),
        })
    }
}

/// An index under a name in a store.
#[derive(Clone, Copy)]
pub struct SavedIndex<'a> {
    store: &'a dyn Store,
    key: &'a IndexKey,
}

impl<'a> SavedIndex<'a> {
    /// Of this store.
    pub fn new(store: &'a dyn Store, key: &'a IndexKey) -> Self {
        Self { store, key }
    }

    /// Writes what of an index changed since it was saved under this name; until all is there, what was saved before stays
    /// readable. Those who wait for the `turn` hear that it goes on.
    ///
    /// *Errors*: `QuotaExceeded` with the bytes that were to be written, and those of the store.
    pub async fn save(&self, snapshot: &IndexSnapshot, turn: &dyn LockGuard) -> Result<()> {
        let IndexSnapshot(index) = snapshot;
        // Block by block, so that a change is one of few chunks.
        let blocks: Vec<_> = index
            .rows
            .blocks()
            .iter()
            .filter(|block| !block.is_empty())
            .collect();
        let chunk = |i: usize| {
            let block = blocks[i].as_ref();
            let rows = (0..block.ids.len()).filter(|at| block.sets[*at] != GONE);
            let rows: Vec<_> = rows.map(|at| (block, at)).collect();
            let mut chunk = Vec::new();
            segment(index.rows.shape(), &rows, &index.tags, &mut |part| {
                chunk.extend_from_slice(part);
                Ok(())
            })?;
            Ok(chunk)
        };
        let head = index.head()?;
        self.key
            .save(self.store, turn, head, blocks.len(), &chunk)
            .await
    }

    /// The index that was saved, or `None` where there is none.
    ///
    /// *Errors*: `Integrity` where it was altered.
    pub async fn load(&self) -> Result<Option<VectorIndex>> {
        let begin = VectorIndex::with_head;
        let take = |index: &mut VectorIndex, chunk: Chunk| index.take_chunk(&chunk);
        let mut index = self.key.load(self.store, begin, take).await?;
        if let Some(index) = &mut index {
            index.tidy();
        }
        Ok(index)
    }

    /// Removes it; false where there is none.
    pub async fn delete(&self) -> Result<bool> {
        self.key.delete(self.store).await
    }
}
