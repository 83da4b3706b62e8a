//! The cost of loading a model, computed before it is loaded.

use super::checkpoint::is_index;
use super::gguf::Made;
use super::pretrained::{Pretrained, declared};
use super::readable::Readable;
use super::{Loading, Source, is_packed};
use crate::error::{ErrorKind, Result};
use crate::hub::Host;
use crate::store::{StoredModel, fetched_before};
use crate::weights::{self, Dtype, Needs};

/// Memory beside the packed tensors, in bytes: buffers of the first run, one block of the source, burn and the allocator.
/// Measured with MiniLM; 10 MiB are buffers for 128 tokens.
const WORKING_MEMORY: u64 = 12 << 20;

/// Memory of a GPU beside the weights, in bytes: buffers of the self-test and of the first run. Measured with MiniLM, where it is 2 MB, and
/// with ViT-B/32, where it is 6 to 9 MB.
#[cfg(feature = "webgpu")]
const GPU_WORKING_MEMORY: u64 = 8 << 20;

/// Bytes of memory that a tokenizer takes for each byte of its file, measured with MiniLM's 466 KB of JSON.
const TOKENIZER_MEMORY: u64 = 9;

/// A file that loading reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// The path in the repository.
    pub path: String,
    /// Bytes of the file that loading reads, where the host reports its size.
    pub bytes: Option<u64>,
}

/// The cost of loading a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// The commit to which the revision resolves.
    pub commit: Option<String>,
    /// The files that loading reads: config files first, the weights last.
    pub files: Vec<PlannedFile>,
    /// The number of tensors that are needed; 0 where the model is stored.
    pub tensors: usize,
    /// Bytes that would be fetched from the host.
    pub fetch: u64,
    /// Bytes of the host's files that are stored already.
    pub cached: u64,
    /// Bytes that the model takes in a store.
    pub stored: u64,
    /// An estimate of the linear memory that the model takes, in bytes.
    pub memory: u64,
    /// Bytes of the weights that are in memory.
    pub weights: u64,
    /// Bytes by which weights in f16 become larger on the CPU, which computes with them in f32. They are not part of `memory`.
    pub widening: u64,
    /// Whether the weights are read from numbers of 8 bits or fewer; false where the model is stored.
    pub lossy: bool,
    /// Whether the model is complete in the store.
    pub whole: bool,
}

impl LoadPlan {
    /// Sets the bytes by which weights in this format grow on the CPU.
    fn with_widening(self, dtype: Dtype) -> Self {
        let widening = match dtype {
            Dtype::F16 => self.weights,
            Dtype::F32 | Dtype::Q8 | Dtype::Q4 => 0,
        };
        Self { widening, ..self }
    }

    /// Takes the bytes of a stored model's table, which stays in the store, from its memory.
    pub(in crate::tasks) fn with_stored_table(self, table: u64) -> Self {
        let saved = saved(self.stored, table);
        Self {
            memory: self.memory.saturating_sub(saved),
            weights: self.weights.saturating_sub(saved),
            widening: self.widening.saturating_sub(saved),
            ..self
        }
    }

    /// An estimate of the memory of a GPU that the model takes, in bytes.
    #[cfg(feature = "webgpu")]
    pub(crate) fn gpu_memory(&self) -> u64 {
        self.weights + GPU_WORKING_MEMORY
    }

    /// Adds the cost of another part of the same model.
    pub(in crate::tasks) fn and(self, other: Self) -> Self {
        let mut files = self.files;
        for file in other.files {
            match files.iter_mut().find(|own| own.path == file.path) {
                // Each part reads its own tensors of the checkpoint, and the config files again.
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
            // The parts are loaded one after the other, so that working memory counts once.
            memory: (self.memory + other.memory).saturating_sub(WORKING_MEMORY),
            weights: self.weights + other.weights,
            widening: self.widening + other.widening,
            lossy: self.lossy || other.lossy,
            whole: self.whole && other.whole,
        }
    }
}

/// Computes the cost of loading a model: from the store if the model is complete there, else from the host, else from an outdated
/// commit in the store. Fetches the config files except the largest, and the header of the weights.
///
/// *Errors*: as [`load`](super::load).
pub async fn plan<T: Pretrained>(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
    let (plan, _) = plan_and_config::<T>(source, dtype).await?;
    Ok(plan)
}

/// Computes the cost of loading a model, as [`plan`] does. Returns its configuration as well, where that was read: not where the model is
/// stored.
///
/// *Errors*: as [`load`](super::load).
pub async fn plan_and_config<T: Pretrained>(
    source: &Source<'_>,
    dtype: Dtype,
) -> Result<(LoadPlan, Option<T::Config>)> {
    let largest = T::FILES.last().copied().unwrap_or_default();
    if let Some(plan) = plan_stored(source, largest, false).await? {
        return Ok((plan.with_widening(dtype), None));
    }
    let snapshot = match source.snapshot().await {
        // A load would fall back to the outdated stored model as well.
        Err(error) if error.kind() == ErrorKind::FetchFailed => {
            let plan = plan_stored(source, largest, true).await?;
            return plan
                .map(|plan| (plan.with_widening(dtype), None))
                .ok_or(error);
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
        gguf_name: T::gguf_name(&config),
        dtype,
    };
    let mut instead = T::INSTEAD.iter();
    let instead = instead.find(|files| {
        let snapshot = loading.snapshot();
        snapshot.lacks(largest) && files.iter().all(|file| snapshot.lists(file))
    });
    let files: Vec<_> = match instead {
        Some(instead) => [config_files, instead].concat(),
        None => T::FILES.to_vec(),
    };
    let plan = plan_host(&mut loading, source, &files, &weights, &needs).await?;
    Ok((plan.with_widening(dtype), Some(config)))
}

/// Computes the plan for a model that is complete in the store. Returns `None` for an outdated model unless `outdated` is set.
pub(in crate::tasks) async fn plan_stored(
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
        memory: memory(packed, snapshot.entry(tokenizer).size.unwrap_or(0)),
        weights: packed,
        widening: 0,
        lossy: false,
        whole: true,
    }))
}

/// Computes the plan for a model that is fetched from the host, from its config files and the header of its weights.
async fn plan_host(
    loading: &mut Loading<'_, '_>,
    source: &Source<'_>,
    config_files: &[&str],
    weights: &str,
    needs: &Needs<'_>,
) -> Result<LoadPlan> {
    let readable = match is_index(weights) {
        true => Readable::unread(weights.into(), None),
        false => {
            let front = loading.front(weights)?;
            loading.readable(weights.into(), Some(front), needs).await?
        }
    };
    let weights = readable.file.clone();
    let plans = match is_index(&weights) {
        true => loading.plan_shards(&weights, needs).await?,
        false => loading.plan_readable(readable, needs).await?,
    };
    let (snapshot, made) = (loading.snapshot(), loading.made());
    let tokenizer = config_files.last().copied().unwrap_or_default();
    let index = is_index(&weights).then_some(weights.as_str());
    let mut files: Vec<_> = config_files
        .iter()
        .copied()
        .chain(index)
        .filter(|file| made.is_none() && !snapshot.lacks(file))
        .map(|file| PlannedFile {
            path: file.into(),
            bytes: snapshot.entry(file).size,
        })
        .collect();
    // Other files were found by the content of these, such as those of modules.
    for (path, bytes) in &loading.arrived {
        if files.iter().all(|file| file.path != *path) {
            files.push(PlannedFile {
                path: path.clone(),
                bytes: Some(*bytes),
            });
        }
    }
    let config_bytes: u64 = files.iter().filter_map(|file| file.bytes).sum();
    let sum = |of: fn(&weights::Plan) -> u64| plans.iter().map(|(_, plan)| of(plan)).sum::<u64>();
    let (fetch, packed) = (sum(|plan| plan.fetch), sum(|plan| plan.packed));
    let in_store = sum(|plan| plan.in_store);
    let in_memory = packed - saved(packed, in_store);
    let tensors = plans.iter().map(|(_, plan)| plan.tensors).sum();
    let lossy = plans.iter().any(|(_, plan)| plan.lossy);
    files.extend(plans.into_iter().map(|(path, plan)| PlannedFile {
        path,
        bytes: Some(plan.fetch),
    }));
    let cached = match (&source.cache, &snapshot.commit) {
        (Some(cache), Some(commit)) => {
            fetched_before(cache.store, &cache.key, commit, made.is_some()).await?
        }
        _ => 0,
    };
    Ok(LoadPlan {
        commit: snapshot.commit.clone(),
        files,
        tensors,
        fetch: (config_bytes + fetch).saturating_sub(cached),
        cached,
        stored: config_bytes + made.map_or(0, Made::bytes) + packed,
        memory: memory(
            in_memory,
            match made {
                Some(made) => made.size(tokenizer),
                None => snapshot.entry(tokenizer).size.unwrap_or(0),
            },
        ),
        weights: in_memory,
        widening: 0,
        lossy,
        whole: false,
    })
}

/// Bytes of memory that a model does not take because a table of `table` bytes stays in the store. The table is in memory while it is read.
fn saved(packed: u64, table: u64) -> u64 {
    table.min(packed.saturating_sub(table))
}

/// Estimates the linear memory of a model, in bytes, from those of its packed tensors and of its tokenizer file.
fn memory(packed: u64, tokenizer: u64) -> u64 {
    packed + tokenizer * TOKENIZER_MEMORY + WORKING_MEMORY
}
