//! Where a model comes from and where it is kept.

use std::time::Duration;

use super::progress::LoadProgress;
use crate::error::Result;
use crate::hub::{Fetch, Host, LOCK_FILE, LockFile, RetryPolicy, Snapshot, retrying};
use crate::scheduler::Scheduler;
use crate::store::{CacheConfig, StoredModel, touch};

/// Without a byte for so long a connection is given up, unless the caller says otherwise.
pub const STALL: Duration = Duration::from_secs(20);

/// Where a model comes from and where it is kept.
pub struct Source<'a> {
    /// The repository.
    pub host: &'a dyn Host,
    /// Where the packed model is kept.
    pub cache: Option<CacheConfig<'a>>,
    /// Called at every step.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// Cancels and waits.
    pub scheduler: &'a dyn Scheduler,
    /// A connection without a byte for so long is given up, and tried again.
    pub stall: Duration,
    /// Which part of the model it is for, where parts are loaded and kept by themselves.
    pub part: Option<&'static str>,
}

impl<'a> Source<'a> {
    /// From a host, kept nowhere.
    pub fn new(host: &'a dyn Host, scheduler: &'a dyn Scheduler) -> Self {
        Self {
            host,
            cache: None,
            progress: &|_| {},
            scheduler,
            stall: STALL,
            part: None,
        }
    }

    /// The same, for a part of the model: it is kept by itself.
    pub fn for_part<'b>(
        &'b self,
        part: &'static str,
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
        }
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy<'a> {
        RetryPolicy {
            scheduler: self.scheduler,
            stall: self.stall,
            seed: self.cache.as_ref().map_or(0, |cache| cache.nonce),
        }
    }

    /// What the host has now, with what its lock file adds.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let retry = self.retry_policy();
        let host = self.host;
        let mut snapshot =
            retrying(retry, "the list of files", async || host.snapshot().await).await?;
        if !snapshot.lacks(LOCK_FILE) {
            let lock = Fetch::open(host, &snapshot, LOCK_FILE, u64::MAX, retry).await;
            // A plain bucket may refuse what it does not have in many ways.
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

    /// Asks the host what a stored model's revision stands for now, for the next load, and notes that the model is in use.
    /// `parts`: which of them, where the model is kept in some.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn refresh(&self, parts: &[&'static str]) -> Result<()> {
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
        // Who is writing it has just asked.
        let Some(_turn) = cache.locks.try_take(cache.key.lock_name()).await? else {
            return Ok(());
        };
        match StoredModel::open(cache.store, &cache.key).await? {
            Some(model) => model.refresh(&self.snapshot().await?).await,
            None => Ok(()),
        }
    }
}
