//! What loading a model would take, before it is loaded.

use super::pretrained::{Pretrained, declared};
use super::{Loading, SHARD_INDEX, Source, is_packed};
use crate::error::{ErrorKind, Result};
use crate::hub::{Host, Snapshot};
use crate::store::{StoredModel, fetched_before};
use crate::weights::{self, Dtype, Needs};

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

impl LoadPlan {
    /// With what another part of the same model takes.
    pub(in crate::tasks) fn and(self, other: Self) -> Self {
        let mut files = self.files;
        for file in other.files {
            match files.iter_mut().find(|own| own.path == file.path) {
                // Parts of a checkpoint, or a small file that each part reads.
                Some(own) => own.bytes = own.bytes.zip(file.bytes).map(|(a, b)| a + b),
                None => files.push(file),
            }
        }
        Self {
            commit: self.commit.or(other.commit),
            files,
            tensors: self.tensors + other.tensors,
            fetch: self.fetch + other.fetch,
            cached: self.cached + other.cached,
            stored: self.stored + other.stored,
            // What both take beside their tensors they take one after the other.
            memory: (self.memory + other.memory).saturating_sub(WORKING_MEMORY),
            whole: self.whole && other.whole,
        }
    }
}

/// What loading a model would take: of what is whole in the store, else by asking the host, else of an older commit in the store.
/// Asks the host for the small files but the largest, and for the header of the weights.
///
/// *Errors*: as [`load`](super::load).
pub async fn plan<T: Pretrained>(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
    let largest = T::FILES.last().copied().unwrap_or_default();
    if let Some(plan) = of_stored(source, largest, false).await? {
        return Ok(plan);
    }
    let snapshot = match source.snapshot().await {
        // As a load would use what is stored.
        Err(error) if error.kind() == ErrorKind::FetchFailed => {
            let plan = of_stored(source, largest, true).await?;
            return plan.ok_or(error);
        }
        snapshot => snapshot?,
    };
    let mut loading = Loading::fetching(source, snapshot, None);
    let config_files = T::FILES.split_last().map_or(T::FILES, |(_, others)| others);
    let weights = loading.resolve(dtype, config_files).await?;
    let config = T::config(&mut loading).await?;
    let needs = Needs {
        parameters: &declared::<T>(&config)?,
        prefixes: T::prefixes(&config),
        dtype,
    };
    of_host(&mut loading, source, T::FILES, largest, &weights, &needs).await
}

/// The plan for a model that is whole in the store, and not `outdated` unless that will do.
pub(in crate::tasks) async fn of_stored(
    source: &Source<'_>,
    tokenizer: &str,
    outdated: bool,
) -> Result<Option<LoadPlan>> {
    let Some(cache) = &source.cache else {
        return Ok(None);
    };
    let Some(stored) = StoredModel::open(cache.store, &cache.key).await? else {
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
async fn of_host(
    loading: &mut Loading<'_, '_>,
    source: &Source<'_>,
    small: &[&str],
    tokenizer: &str,
    weights: &str,
    needs: &Needs<'_>,
) -> Result<LoadPlan> {
    let plans = match weights {
        SHARD_INDEX => loading.plan_shards(needs).await?,
        _ => {
            let mut front = loading.front(weights)?;
            let plan = weights::plan(weights, &mut front, needs).await?;
            vec![(weights.to_string(), plan)]
        }
    };
    let snapshot = loading.snapshot();
    let index = (weights == SHARD_INDEX).then_some(&SHARD_INDEX);
    let mut files: Vec<_> = small
        .iter()
        .chain(index)
        .filter(|file| !snapshot.lacks(file))
        .map(|file| PlannedFile {
            path: (*file).into(),
            bytes: snapshot.entry(file).size,
        })
        .collect();
    let beside: u64 = files.iter().filter_map(|file| file.bytes).sum();
    let sum = |of: fn(&weights::Plan) -> u64| plans.iter().map(|(_, plan)| of(plan)).sum::<u64>();
    let (fetch, packed) = (sum(|plan| plan.fetch), sum(|plan| plan.packed));
    let tensors = plans.iter().map(|(_, plan)| plan.tensors).sum();
    files.extend(plans.into_iter().map(|(path, plan)| PlannedFile {
        path,
        bytes: Some(plan.fetch),
    }));
    let cached = match (&source.cache, &snapshot.commit) {
        (Some(cache), Some(commit)) => fetched_before(cache.store, &cache.key, commit).await?,
        _ => 0,
    };
    Ok(LoadPlan {
        commit: snapshot.commit.clone(),
        files,
        tensors,
        fetch: (beside + fetch).saturating_sub(cached),
        cached,
        stored: beside + packed,
        memory: memory(packed, snapshot, tokenizer),
        whole: false,
    })
}

fn memory(packed: u64, snapshot: &Snapshot, tokenizer: &str) -> u64 {
    let tokenizer = snapshot.entry(tokenizer).size.unwrap_or(0);
    packed + tokenizer * TOKENIZER_MEMORY + WORKING_MEMORY
}
