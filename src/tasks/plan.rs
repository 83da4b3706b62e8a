//! What loading a model would take, before it is loaded.

use super::load::{Loading, Source, is_packed};
use crate::error::Result;
use crate::hub::{Host, Snapshot};
use crate::store::{StoredModel, fetched_before};
use crate::weights::{self, Needs};

/// Memory beside the packed tensors: buffers of the first run, one block of the source, burn and the allocator's own.
/// Measured with MiniLM, 10 MiB of it on 128 tokens.
const WORKING_MEMORY: u64 = 12 << 20;

/// Of a tokenizer, for each byte of its file: measured with MiniLM's, 466 KB of JSON.
const TOKENIZER_MEMORY: u64 = 9;

/// A file that loading reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Path in the repository.
    pub path: String,
    /// Bytes that loading reads of it, where the host tells.
    pub bytes: Option<u64>,
}

/// What loading would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// What the revision stands for.
    pub commit: Option<String>,
    /// Small files first, the weights last.
    pub files: Vec<PlannedFile>,
    /// Tensors that are needed, where they are not stored yet.
    pub tensors: usize,
    /// Bytes that would come from the host.
    pub fetch: u64,
    /// Bytes of the host's files that need not come again.
    pub cached: u64,
    /// Bytes that the model takes in a store.
    pub stored: u64,
    /// Linear memory that it takes, about.
    pub memory: u64,
    /// Whether it is whole in the store.
    pub whole: bool,
}

/// The plan for a model that is whole in the store, and not `outdated` unless that will do.
pub(super) async fn of_stored(
    source: &Source<'_>,
    tokenizer: &str,
    outdated: bool,
) -> Result<Option<LoadPlan>> {
    let Some(keep) = &source.keep else {
        return Ok(None);
    };
    let Some(stored) = StoredModel::open(keep.store, &keep.key).await? else {
        return Ok(None);
    };
    if stored.is_outdated() && !outdated {
        return Ok(None);
    }
    let snapshot = stored.snapshot().await?;
    let files: Vec<_> = snapshot
        .files
        .iter()
        .flatten()
        .map(|(path, entry)| PlannedFile {
            path: path.clone(),
            bytes: entry.size,
        })
        .collect();
    let bytes = files.iter().filter_map(|file| file.bytes).sum();
    let weights = files.iter().filter(|file| is_packed(&file.path));
    let packed = weights.filter_map(|file| file.bytes).sum();
    Ok(Some(LoadPlan {
        commit: snapshot.commit.clone(),
        files,
        tensors: 0,
        fetch: 0,
        cached: bytes,
        stored: bytes,
        memory: memory(packed, &snapshot, tokenizer),
        whole: true,
    }))
}

/// The plan for a model that comes from the host, from what its small files and the header of its weights say.
pub(super) async fn of_host(
    loading: &mut Loading<'_, '_>,
    source: &Source<'_>,
    small: &[&str],
    tokenizer: &str,
    weights: &str,
    needs: &Needs<'_>,
) -> Result<LoadPlan> {
    let mut front = loading.front(weights)?;
    let plan = weights::plan(weights, &mut front, needs).await?;
    let snapshot = loading.snapshot();
    let mut files: Vec<_> = small
        .iter()
        .filter(|file| !snapshot.lacks(file))
        .map(|file| PlannedFile {
            path: (*file).into(),
            bytes: snapshot.entry(file).size,
        })
        .collect();
    let beside: u64 = files.iter().filter_map(|file| file.bytes).sum();
    files.push(PlannedFile {
        path: weights.into(),
        bytes: Some(plan.fetch),
    });
    let cached = match (&source.keep, &snapshot.commit) {
        (Some(keep), Some(commit)) => fetched_before(keep.store, &keep.key, commit).await?,
        _ => 0,
    };
    Ok(LoadPlan {
        commit: snapshot.commit.clone(),
        files,
        tensors: plan.tensors,
        fetch: (beside + plan.fetch).saturating_sub(cached),
        cached,
        stored: beside + plan.packed,
        memory: memory(plan.packed, snapshot, tokenizer),
        whole: false,
    })
}

fn memory(packed: u64, snapshot: &Snapshot, tokenizer: &str) -> u64 {
    let tokenizer = snapshot.entry(tokenizer).size.unwrap_or(0);
    packed + tokenizer * TOKENIZER_MEMORY + WORKING_MEMORY
}
