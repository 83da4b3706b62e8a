//! Parts of a stored file, which a model reads after it was loaded.

use std::ops::Range;
use std::rc::Rc;

use futures_util::future::join_all;

use super::stored_model::digest;
use super::{Chunk, ModelKey, Store, StoredModel};
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;

/// Chunks that are read from the store at once.
const AT_ONCE: usize = 4;

/// One file of a stored model, up to a byte.
pub struct FileParts {
    store: Rc<dyn Store>,
    name: String,
    chunks: Vec<ChunkPart>,
}

struct ChunkPart {
    key: String,
    digest: String,
    /// The bytes of the file that the chunk has.
    range: Range<u64>,
}

impl FileParts {
    /// Opens a file of the complete model of a commit. The chunks up to the byte `end` are read once, because their lengths are not recorded.
    ///
    /// *Errors*: `Integrity` where the store has no such file or lacks a chunk.
    pub async fn open(
        store: Rc<dyn Store>,
        key: &ModelKey,
        commit: &str,
        name: &str,
        end: u64,
    ) -> Result<Self> {
        let model = StoredModel::at(store.as_ref(), key, commit).await?;
        let listed = model.and_then(|model| model.chunks(name));
        let listed = listed.ok_or_else(|| gone(name))?;
        let mut groups = listed.chunks(AT_ONCE);
        let (mut chunks, mut start) = (Vec::new(), 0);
        while start < end {
            let group = groups.next().ok_or_else(|| gone(name))?;
            let found = get(store.as_ref(), group.iter().map(|(key, _)| key)).await?;
            for ((key, digest), chunk) in group.iter().cloned().zip(found) {
                let range = start..start + chunk.ok_or_else(|| gone(name))?.len() as u64;
                start = range.end;
                chunks.push(ChunkPart { key, digest, range });
            }
        }
        Ok(Self {
            store,
            name: name.into(),
            chunks,
        })
    }

    /// Reads the bytes of some ranges, one after the other. The ranges are sorted and disjoint, and lie before the byte up to which the
    /// file was opened. Each chunk that has some of them is read once and verified.
    ///
    /// *Errors*: `Integrity` where the store lacks a chunk or has another one, `Aborted`.
    pub async fn read(&self, ranges: &[Range<u64>], scheduler: &dyn Scheduler) -> Result<Vec<u8>> {
        let in_chunk = |chunk: &ChunkPart| {
            let first = ranges.partition_point(|range| range.end <= chunk.range.start);
            let last = ranges.partition_point(|range| range.start < chunk.range.end);
            &ranges[first..last]
        };
        let chunks = self.chunks.iter();
        let needed: Vec<_> = chunks.filter(|chunk| !in_chunk(chunk).is_empty()).collect();
        let mut bytes = Vec::new();
        for group in needed.chunks(AT_ONCE) {
            scheduler.yield_now().await?;
            let found = get(self.store.as_ref(), group.iter().map(|chunk| &chunk.key)).await?;
            for (chunk, found) in group.iter().zip(found) {
                let found = found.ok_or_else(|| gone(&self.name))?.to_vec();
                let Range { start, end } = chunk.range;
                if found.len() as u64 != end - start || digest(&found) != chunk.digest {
                    return Err(gone(&self.name));
                }
                for range in in_chunk(chunk) {
                    let (from, to) = (range.start.max(start), range.end.min(end));
                    bytes.extend_from_slice(&found[(from - start) as usize..(to - start) as usize]);
                }
            }
        }
        Ok(bytes)
    }
}

/// Reads chunks at once, which a database answers faster than one after the other.
async fn get(store: &dyn Store, keys: impl Iterator<Item = &String>) -> Result<Vec<Option<Chunk>>> {
    // Every read is awaited even if one fails: a dropped IndexedDB request would call back into freed state.
    let found = join_all(keys.map(|key| store.get(key))).await;
    found.into_iter().collect()
}

fn gone(file: &str) -> Error {
    Error::integrity(format!(
        "{file}: the store has lost the model or a part of it, so it must be loaded again"
    ))
    .with_file(file)
}
