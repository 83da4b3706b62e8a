//! Saving an index to a store and loading it.

use std::collections::HashMap;

use super::VectorIndex;
use super::format::segment;
use super::tags::REMOVED;
use crate::error::Result;
use crate::store::{Chunk, LockGuard, NamedKey, Store};

/// The state of an index at one moment. It shares its blocks with the index, which clones a block before changing it.
#[derive(Clone, Debug)]
pub struct IndexSnapshot(pub(super) VectorIndex);

impl VectorIndex {
    /// Takes a snapshot, so that the index may change while the snapshot is saved.
    pub fn snapshot(&self) -> IndexSnapshot {
        IndexSnapshot(Self {
            rows: self.rows.clone(),
            tags: self.tags.clone(),
            source: self.source.clone(),
            // A save looks up no ids.
            slots: HashMap::new(),
        })
    }
}

/// The place of an index in a store.
#[derive(Clone, Copy)]
pub struct SavedIndex<'a> {
    store: &'a dyn Store,
    key: &'a NamedKey,
}

impl<'a> SavedIndex<'a> {
    /// The place of this key in this store.
    pub fn new(store: &'a dyn Store, key: &'a NamedKey) -> Self {
        Self { store, key }
    }

    /// Saves an index: only the chunks that differ from the saved ones are written. The index that was saved before stays readable until
    /// the last chunk is stored. Progress is announced through `guard`, so that callers waiting for the lock do not time out.
    ///
    /// *Errors*: `QuotaExceeded` with the number of bytes to write, and those of the store.
    pub async fn save(&self, snapshot: &IndexSnapshot, guard: &dyn LockGuard) -> Result<()> {
        let IndexSnapshot(index) = snapshot;
        // One chunk for each block, so that a change rewrites few chunks.
        let blocks: Vec<_> = index
            .rows
            .blocks()
            .iter()
            .filter(|block| !block.is_empty())
            .collect();
        let chunk = |i: usize| {
            let block = blocks[i].as_ref();
            let rows = (0..block.ids.len()).filter(|at| block.sets[*at] != REMOVED);
            let rows: Vec<_> = rows.map(|at| (block, at)).collect();
            let mut chunk = Vec::new();
            segment(index.rows.layout(), &rows, &index.tags, &mut |part| {
                chunk.extend_from_slice(part);
                Ok(())
            })?;
            Ok(chunk)
        };
        let header = index.header()?;
        self.key
            .save(self.store, guard, header, blocks.len(), &chunk)
            .await
    }

    /// Loads the saved index; `None` if there is none.
    ///
    /// *Errors*: `Integrity` if a chunk does not match its digest, and those of the store.
    pub async fn load(&self) -> Result<Option<VectorIndex>> {
        let begin = VectorIndex::from_header;
        let take = |index: &mut VectorIndex, chunk: Chunk| index.take_chunk(&chunk);
        let mut index = self.key.load(self.store, begin, take).await?;
        if let Some(index) = &mut index {
            index.tidy();
        }
        Ok(index)
    }

    /// Deletes the saved index. Returns false if there is none.
    pub async fn delete(&self) -> Result<bool> {
        self.key.delete(self.store).await
    }
}
