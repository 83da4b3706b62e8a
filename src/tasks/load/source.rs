//! The source of a model: the host it comes from, and the store that caches it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::choice::Weights;
use super::files::fetch_whole;
use super::gguf::ReadHeader;
use super::missing;
use super::onnx_files::WHOLE;
use super::progress::LoadProgress;
use crate::error::Result;
use crate::hub::{Fetch, Host, LOCK_FILE, LockFile, RetryPolicy, Snapshot, retrying};
use crate::scheduler::Scheduler;
use crate::store::{CacheConfig, Store, StoredModel, touch};
use crate::weights::Dtype;

/// The default stall timeout: the longest wait for the next byte of a connection.
pub const STALL: Duration = Duration::from_secs(20);

/// A callback that receives times on both devices as a clause, in which "it" is the GPU, and whether the GPU took less time.
#[cfg(feature = "webgpu")]
pub type OnTimed<'a> = dyn Fn(&str, bool) + 'a;

/// The host a model comes from, the store that caches it, and the options of the load.
pub struct Source<'a> {
    /// The host of the repository.
    pub host: &'a dyn Host,
    /// The store that keeps the packed model, if any.
    pub cache: Option<CacheConfig<'a>>,
    /// The callback that receives progress reports.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// The scheduler, which cancels, yields and sleeps.
    pub scheduler: &'a dyn Scheduler,
    /// The stall timeout: a connection that sends no byte for this long is closed, and the request is repeated.
    pub stall: Duration,
    /// The part of the model to load, for models whose parts are loaded and stored separately.
    pub part: Option<&'a str>,
    /// The prefixes of the names of ONNX models that have the weights of the part, the preferred first.
    pub onnx: &'static [&'static str],
    /// Whether a classifier is to order documents, for which it needs one label.
    pub is_reranker: bool,
    /// The number of layers to load, from the first on, of an encoder or decoder; all where it is `None`.
    pub layers: Option<usize>,
    /// The file that the weights are read from.
    pub weights: Weights,
    /// Whether the loader may choose a file whose weights were rounded to 8 bits.
    pub lossy: bool,
    /// The store of `cache`, where the rows of a decoder's embedding table are to stay there.
    pub embeddings: Option<Rc<dyn Store>>,
    /// The callback for the times of the model on a GPU and on the CPU. Where there is one, a model is loaded on a GPU only if it is faster there.
    #[cfg(feature = "webgpu")]
    pub on_timed: Option<&'a OnTimed<'a>>,
    /// The header of a GGUF file that was read last, which other steps of the same plan or load need too.
    pub header: Rc<RefCell<Option<ReadHeader>>>,
}

impl<'a> Source<'a> {
    /// Makes a source that loads from a host and caches nothing.
    pub fn new(host: &'a dyn Host, scheduler: &'a dyn Scheduler) -> Self {
        Self {
            host,
            cache: None,
            progress: &|_| {},
            scheduler,
            stall: STALL,
            part: None,
            onnx: WHOLE,
            is_reranker: false,
            layers: None,
            weights: Weights::Auto,
            lossy: false,
            embeddings: None,
            #[cfg(feature = "webgpu")]
            on_timed: None,
            header: Rc::default(),
        }
    }

    /// Makes the source of one part of the model, which is stored under a key of its own.
    pub fn for_part<'b>(
        &'b self,
        part: &'b str,
        progress: &'b dyn Fn(&LoadProgress),
    ) -> Source<'b> {
        Source {
            host: self.host,
            cache: self.cache.as_ref().map(|cache| CacheConfig {
                key: cache.key.part(part),
                ..cache.clone()
            }),
            progress,
            scheduler: self.scheduler,
            stall: self.stall,
            part: Some(part),
            onnx: self.onnx,
            is_reranker: self.is_reranker,
            layers: self.layers,
            weights: self.weights.clone(),
            lossy: self.lossy,
            embeddings: self.embeddings.clone(),
            #[cfg(feature = "webgpu")]
            on_timed: self.on_timed,
            header: self.header.clone(),
        }
    }

    /// Reads a config file from the complete model in the store, or else from the host. `dtype`: decides which of several GGUF files it is
    /// made from.
    ///
    /// *Errors*: `FetchFailed`, also where there is no such file; `Aborted`, and those of the store.
    pub async fn config_file(&self, file: &str, dtype: Dtype) -> Result<Vec<u8>> {
        let stored = match &self.cache {
            Some(cache) => StoredModel::open(cache.store, &cache.key).await?,
            None => None,
        };
        let retry = self.retry_policy();
        let mut found = Ok(None);
        if let Some(model) = &stored {
            found = fetch_whole(model, &Snapshot::default(), file, retry.for_store()).await;
        }
        // A stored file that cannot be read is fetched again. A GGUF file that the source asks for has its config in itself.
        if !matches!(found, Ok(Some(_))) && !self.weights.is_gguf() {
            let snapshot = self.list().await?;
            found = fetch_whole(self.host, &snapshot, file, retry).await;
        }
        let absent = match &found {
            Ok(found) => found.is_none(),
            Err(error) => error.is_refused() || self.weights.is_gguf(),
        };
        // A repository of GGUF files has no config files.
        if absent && let Some(made) = self.made_config_file(file, dtype).await? {
            return Ok(made);
        }
        found?.ok_or_else(|| missing(file))
    }

    /// Whether a file of the whole model is preferred to one of the part, because the latter lacks tensors that the part has in the former.
    pub(super) fn prefers_whole(&self) -> bool {
        self.onnx.len() > 1 && self.onnx.first() == WHOLE.first()
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy<'a> {
        RetryPolicy {
            scheduler: self.scheduler,
            stall: self.stall,
            seed: self.cache.as_ref().map_or(0, |cache| cache.nonce),
        }
    }

    /// Asks the host for its list of files. Those of the first module count as files of the repository.
    async fn list(&self) -> Result<Snapshot> {
        let (host, retry) = (self.host, self.retry_policy());
        let list = retrying(retry, "the list of files", async || host.snapshot().await).await;
        list.map(|mut snapshot| {
            snapshot.lift_first_module();
            snapshot
        })
    }

    /// Asks the host for its list of files, and adds the digests of its lock file.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let (host, retry) = (self.host, self.retry_policy());
        let mut snapshot = self.list().await?;
        if !snapshot.lacks(LOCK_FILE) {
            let lock = Fetch::open(host, &snapshot, LOCK_FILE, u64::MAX, retry).await;
            // Plain buckets answer a missing file with various errors, so none of them is fatal.
            let lock = if snapshot.files.is_some() {
                lock?
            } else {
                lock.unwrap_or(None)
            };
            if let Some(lock) = lock
                && let Some(lock) = LockFile::parse(&lock.read_to_end().await?)
            {
                lock.complete(&mut snapshot);
            }
        }
        Ok(snapshot)
    }

    /// Asks the host for the current commit of a stored model's revision, which the next load reads, and records that the model
    /// was used. `parts` names the parts of a model that is stored in parts.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn refresh(&self, parts: &[&str]) -> Result<()> {
        if parts.is_empty() {
            return self.refresh_one().await;
        }
        for part in parts {
            self.for_part(part, &|_| {}).refresh_one().await?;
        }
        Ok(())
    }

    async fn refresh_one(&self) -> Result<()> {
        let Some(cache) = &self.cache else {
            return Ok(());
        };
        touch(cache.store, &cache.key, cache.now).await?;
        // Another tab holds the write lock, so it has just refreshed the model.
        let Some(_guard) = cache.locks.try_take(cache.key.lock_name()).await? else {
            return Ok(());
        };
        match StoredModel::open(cache.store, &cache.key).await? {
            Some(model) => model.refresh(&self.snapshot().await?).await,
            None => Ok(()),
        }
    }
}
