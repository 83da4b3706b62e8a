//! Loads a model from the store, or else from the host into the store, and reports progress.

mod checkpoint;
mod choice;
mod files;
mod gguf;
mod onnx_files;
mod opening;
pub(super) mod plan;
mod pretrained;
mod progress;
mod readable;
mod source;
mod tokenizer;
mod weights;

pub use checkpoint::is_packed;
pub use choice::Weights;
pub use plan::{LoadPlan, PlannedFile, plan, plan_and_config};
pub(super) use pretrained::required;
pub use pretrained::{LastFile, Loaded, Pretrained, load, load_newest};
pub use progress::{LoadProgress, LoadStatus, PartsProgress};
#[cfg(feature = "webgpu")]
pub use source::OnTimed;
#[cfg(target_arch = "wasm32")]
pub use source::STALL;
pub use source::Source;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use gguf::Made;
use opening::{OpenResult, Opening};
use progress::ByteCount;

use crate::error::{Error, ErrorKind, Result};
use crate::hub::{Host, Snapshot, Verified};
use crate::store::{CacheConfig, LockGuard, ModelKey, ModelWriter, StoredModel};
use crate::text::PackedTokenizer;

/// The result of fetching a config file: its bytes, or `None` where the host has no such file.
type FileResult = Result<Option<Vec<u8>>>;

/// Bytes of the weights that the first request asks for: most headers fit, and the rest is needed anyway.
///
/// It is less than 64 KiB: Node 24 stops reading a body of that size that nobody reads yet, and ends the process with an assertion if the
/// server closes the connection then.
const FRONT: u64 = 60 << 10;

pub(super) fn missing(file: &str) -> Error {
    Error::fetch_failed(format!("{file}: the repository has no such file"))
        .with_status(404)
        .with_file(file)
}

/// Builds a model from the files of one load, and keeps it. It is a trait object, so that loading is compiled once for all models.
#[async_trait(?Send)]
trait Build {
    async fn build(&self, loading: &mut Loading<'_, '_>) -> Result<()>;
}

/// Builds a model from the store where it is complete there, else from the host, and stores it.
///
/// *Errors*: those of `build`, `FetchFailed`, `Integrity`, `QuotaExceeded`, `Aborted`. The
/// store then holds a partial download that can be resumed, or nothing; never a readable model.
async fn load_with(source: &Source<'_>, build: &dyn Build) -> Result<()> {
    let Some(cache) = &source.cache else {
        let snapshot = source.snapshot().await?;
        return Loading::fetching(source, snapshot, None).run(build).await;
    };
    if stored(source, cache, false, build).await? {
        return Ok(());
    }
    let guard = cache.locks.take(cache.key.lock_name()).await?;
    // Another tab may have stored it meanwhile.
    if stored(source, cache, false, build).await? {
        return Ok(());
    }
    let fetched = fetched(source, cache, guard.as_ref(), build).await;
    match fetched {
        // If the host is unreachable, fall back to the outdated stored model.
        Err(error) if error.kind() == ErrorKind::FetchFailed => {
            match stored(source, cache, true, build).await? {
                true => Ok(()),
                false => Err(error),
            }
        }
        result => result,
    }
}

/// Builds the model that the host has now. The store serves only where it is known to hold the same commit.
///
/// *Errors*: as [`load_with`], and `FetchFailed` where the host cannot be asked.
async fn load_newest_with(source: &Source<'_>, build: &dyn Build) -> Result<()> {
    let Some(cache) = &source.cache else {
        return load_with(source, build).await;
    };
    let guard = cache.locks.take(cache.key.lock_name()).await?;
    let snapshot = source.snapshot().await?;
    if snapshot.commit.is_some() {
        if let Some(model) = StoredModel::open(cache.store, &cache.key).await? {
            model.refresh(&snapshot).await?;
        }
        if stored(source, cache, false, build).await? {
            return Ok(());
        }
    }
    fetched(source, cache, guard.as_ref(), build).await
}

/// Builds the model from the store. Returns false where it is not complete there, or where it is outdated and `outdated` is false.
async fn stored(
    source: &Source<'_>,
    cache: &CacheConfig<'_>,
    outdated: bool,
    build: &dyn Build,
) -> Result<bool> {
    match StoredModel::open(cache.store, &cache.key).await? {
        Some(model) if outdated || !model.is_outdated() => from_stored(source, model, build).await,
        _ => Ok(false),
    }
}

/// Builds the model from a stored one. Returns false where that is invalid, and deletes it.
async fn from_stored(
    source: &Source<'_>,
    stored: StoredModel<'_>,
    build: &dyn Build,
) -> Result<bool> {
    let snapshot = stored.snapshot().await?;
    let loading = Loading {
        stored: Some(&stored),
        ..Loading::new(&stored, source, snapshot, Some(stored.verified()))
    };
    match loading.run(build).await {
        Ok(()) => Ok(true),
        Err(error) if is_corrupt(&error) => {
            stored.delete().await?;
            Ok(false)
        }
        // It may be the model of another class: only what the host has replaces it.
        Err(error) if error.kind() == ErrorKind::UnsupportedModel => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error means that the data are invalid, so that reading them again would fail again.
fn is_corrupt(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Integrity | ErrorKind::InvalidWeights
    )
}

/// Builds the model from the host, and resumes a partial download of it.
async fn fetched(
    source: &Source<'_>,
    cache: &CacheConfig<'_>,
    guard: &dyn LockGuard,
    build: &dyn Build,
) -> Result<()> {
    loop {
        let snapshot = source.snapshot().await?;
        if let Some(commit) = &snapshot.commit
            && let Some(model) = StoredModel::at(cache.store, &cache.key, commit).await?
        {
            // The revision is another name of a stored commit, or another tab has refreshed the model meanwhile.
            model.refer().await?;
            if from_stored(source, model, build).await? {
                return Ok(());
            }
        }
        let resumed = Cell::new(false);
        let loading = Loading::fetching(source, snapshot, Some((cache, guard, &resumed)));
        match loading.run(build).await {
            // The partial download was invalid and has been deleted: start again.
            Err(error) if is_corrupt(&error) && resumed.get() => {}
            result => return result,
        }
    }
}

/// The cache that a load from the host writes to, the write lock, and a flag that is set where a partial download is resumed.
type Writing<'a, 's> = (&'a CacheConfig<'s>, &'a dyn LockGuard, &'a Cell<bool>);

/// One load: a pass over the files of a repository, from the host or from the store.
pub struct Loading<'a, 's> {
    host: &'a dyn Host,
    source: &'a Source<'s>,
    snapshot: Snapshot,
    cached: bool,
    writing: Option<Writing<'a, 's>>,
    writer: Option<ModelWriter<'s>>,
    /// The stored model that is read.
    stored: Option<&'a StoredModel<'a>>,
    /// The packed form of the stored model's tokenizer, until it is taken.
    packed: Option<PackedTokenizer>,
    /// The packed form of the tokenizer that is still to be stored.
    to_keep: Option<Vec<u8>>,
    /// Config files that were fetched and not read yet, or the errors of their requests.
    config_files: HashMap<String, FileResult>,
    /// The names and bytes of the config files that have arrived.
    arrived: Vec<(String, u64)>,
    /// The config files that were made, where the weights are a GGUF file.
    made: Option<Made>,
    /// The stored weights that are being read.
    opening: Option<Opening<'a>>,
    /// The weights' download, opened with a request for the first bytes, or that request's error.
    front: OpenResult<'a>,
    /// The files that may have the weights where those of the chosen one cannot be read, the preferred first.
    others: VecDeque<String>,
    /// The commit id, or its stand-in from `identity`.
    commit: String,
    verified: Verified,
    bytes: ByteCount,
}

impl<'a, 's> Loading<'a, 's> {
    fn new(
        host: &'a dyn Host,
        source: &'a Source<'s>,
        snapshot: Snapshot,
        verified: Option<Verified>,
    ) -> Self {
        Self {
            host,
            source,
            snapshot,
            cached: verified.is_some(),
            writing: None,
            writer: None,
            stored: None,
            packed: None,
            to_keep: None,
            config_files: HashMap::new(),
            arrived: Vec::new(),
            made: None,
            opening: None,
            front: Ok(None),
            others: VecDeque::new(),
            commit: String::new(),
            verified: verified.unwrap_or(Verified::Sha256),
            bytes: ByteCount::default(),
        }
    }

    /// Makes a load from the source's host.
    pub(super) fn fetching(
        source: &'a Source<'s>,
        snapshot: Snapshot,
        writing: Option<Writing<'a, 's>>,
    ) -> Self {
        Self {
            writing,
            ..Self::new(source.host, source, snapshot, None)
        }
    }

    /// Builds the model, and commits it to the store.
    async fn run(mut self, build: &dyn Build) -> Result<()> {
        let mut result = build.build(&mut self).await;
        if let Some(opening) = self.opening.take() {
            // A database request must finish before its future is dropped.
            let _ = opening.fetch().await;
        }
        if let Some(writer) = &mut self.writer {
            if result.is_ok() {
                result = writer.commit(self.verified).await.and(result);
            }
            // Delete the partial download if the store is full, or the data or options are invalid; else keep it for resuming. One that was
            // resumed may be that of another class of model, which supports what this one does not.
            let is_resumed = self.writing.is_some_and(|(_, _, resumed)| resumed.get());
            if let Err(error) = &result
                && (is_corrupt(error)
                    || (error.kind() == ErrorKind::UnsupportedModel && !is_resumed)
                    || matches!(
                        error.kind(),
                        ErrorKind::QuotaExceeded | ErrorKind::InvalidInput
                    )
                    || writer.is_empty())
            {
                // The first error is the one to report, and rows that a failing clean-up leaves behind cannot be read as a model.
                let _ = writer.abandon().await;
            }
        }
        if result.is_ok() {
            self.keep_tokenizer().await;
            self.report_as(LoadStatus::Ready, None, Some(self.verified));
        }
        result
    }

    /// The number of layers to load, where that is a part of the model.
    pub(super) fn layers(&self) -> Option<usize> {
        self.source.part.and(self.source.layers)
    }

    /// Whether the model is to order documents.
    pub(super) fn is_reranker(&self) -> bool {
        self.source.is_reranker
    }

    /// Whether the rows of an embedding table stay in the store.
    pub(super) fn is_table_in_store(&self) -> bool {
        self.source.embeddings.is_some()
    }

    /// Whether the files come from the store.
    pub(super) fn is_cached(&self) -> bool {
        self.cached
    }

    /// The key of the model in the store, where there is one.
    pub(super) fn key(&self) -> Option<&ModelKey> {
        self.source.cache.as_ref().map(|cache| &cache.key)
    }

    /// The commit id of the files, or the stand-in that [`resolve`](Self::resolve) made.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// The config files that were made, where the weights are a GGUF file.
    fn made(&self) -> Option<&Made> {
        self.made.as_ref()
    }

    /// The host's list of files.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
