//! Loading a model: from the store or from the host, with progress, and into the store.

mod checkpoint;
mod files;
mod opening;
pub(super) mod plan;
mod pretrained;
mod progress;
mod source;
mod weights;

use checkpoint::SHARD_INDEX;
pub use checkpoint::is_packed;
pub use plan::{LoadPlan, PlannedFile, plan};
pub use pretrained::{Loaded, Pretrained, load, load_newest};
pub use progress::{LoadProgress, LoadStatus, PartsProgress};
#[cfg(target_arch = "wasm32")]
pub use source::STALL;
pub use source::Source;

use std::cell::Cell;
use std::collections::HashMap;

use opening::Opened;

use crate::error::{Error, ErrorKind, Result};
use crate::hub::{Host, Snapshot, Verified};
use crate::store::{CacheConfig, LockGuard, ModelWriter, StoredModel};

/// A small file, or `None` where there is none.
type Small = Result<Option<Vec<u8>>>;

/// What is asked for first of the weights: most headers are in it, and so is much that is needed.
const FRONT: u64 = 64 << 10;

pub(super) fn missing(file: &str) -> Error {
    Error::fetch_failed(format!("{file}: the repository has no such file"))
}

/// Builds a model from the store where it is whole there, else from the host, and then keeps it.
///
/// *Errors*: those of `build`, `FetchFailed`, `Integrity`, `QuotaExceeded`, `Aborted`. What is in the store then can be gone on
/// with, or is removed where it is of no use; none of it can be read as a model.
async fn load_with<T>(
    source: &Source<'_>,
    build: impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    let Some(cache) = &source.cache else {
        let snapshot = source.snapshot().await?;
        return Loading::fetching(source, snapshot, None).run(&build).await;
    };
    if let Some(model) = stored(source, cache, false, &build).await? {
        return Ok(model);
    }
    let guard = cache.locks.take(cache.key.lock_name()).await?;
    // Another tab may have stored it meanwhile.
    if let Some(model) = stored(source, cache, false, &build).await? {
        return Ok(model);
    }
    let fetched = fetched(source, cache, guard.as_ref(), &build).await;
    match fetched {
        // A host that cannot be reached is no reason to go without the model of last week.
        Err(error) if error.kind() == ErrorKind::FetchFailed => {
            let before = stored(source, cache, true, &build).await?;
            before.ok_or(error)
        }
        done => done,
    }
}

/// Builds a model of what the host has now: from the store only where that is known to be the same.
///
/// *Errors*: as [`load_with`], and `FetchFailed` where the host cannot be asked.
async fn load_newest_with<T>(
    source: &Source<'_>,
    build: impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    let Some(cache) = &source.cache else {
        return load_with(source, build).await;
    };
    let guard = cache.locks.take(cache.key.lock_name()).await?;
    let snapshot = source.snapshot().await?;
    if snapshot.commit.is_some() {
        if let Some(model) = StoredModel::open(cache.store, &cache.key).await? {
            model.refresh(&snapshot).await?;
        }
        if let Some(model) = stored(source, cache, false, &build).await? {
            return Ok(model);
        }
    }
    fetched(source, cache, guard.as_ref(), &build).await
}

/// From the store, or `None` where it is not whole there, or not the newest as far as known.
async fn stored<T>(
    source: &Source<'_>,
    cache: &CacheConfig<'_>,
    outdated: bool,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<Option<T>> {
    match StoredModel::open(cache.store, &cache.key).await? {
        Some(model) if outdated || !model.is_outdated() => from_stored(source, model, build).await,
        _ => Ok(None),
    }
}

/// From what is stored, or `None` where that cannot be used: then it goes.
async fn from_stored<T>(
    source: &Source<'_>,
    stored: StoredModel<'_>,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<Option<T>> {
    let snapshot = stored.snapshot().await?;
    let loading = Loading::new(&stored, source, snapshot, Some(stored.verified()));
    match loading.run(build).await {
        Ok(model) => Ok(Some(model)),
        Err(error) if is_useless(&error) => {
            stored.delete().await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether what was stored or fetched is no good, however often it is read.
fn is_useless(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Integrity | ErrorKind::InvalidWeights | ErrorKind::UnsupportedModel
    )
}

/// From the host, going on with what an earlier load left.
async fn fetched<T>(
    source: &Source<'_>,
    cache: &CacheConfig<'_>,
    guard: &dyn LockGuard,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    loop {
        let snapshot = source.snapshot().await?;
        if let Some(commit) = &snapshot.commit
            && let Some(model) = StoredModel::at(cache.store, &cache.key, commit).await?
        {
            // Another name for a commit that is there, or what was refreshed meanwhile.
            model.refer().await?;
            if let Some(model) = from_stored(source, model, build).await? {
                return Ok(model);
            }
        }
        let resumed = Cell::new(false);
        let loading = Loading::fetching(source, snapshot, Some((cache, guard, &resumed)));
        match loading.run(build).await {
            // What an earlier load left did not fit. It is gone now.
            Err(error) if is_useless(&error) && resumed.get() => {}
            done => return done,
        }
    }
}

/// Where a load that fetches writes, whose turn it is, and whether it went on with what was there.
type Writing<'a, 's> = (&'a CacheConfig<'s>, &'a dyn LockGuard, &'a Cell<bool>);

/// One way through the files of a repository, from the host or from the store.
pub struct Loading<'a, 's> {
    host: &'a dyn Host,
    source: &'a Source<'s>,
    snapshot: Snapshot,
    cached: bool,
    writing: Option<Writing<'a, 's>>,
    writer: Option<ModelWriter<'s>>,
    /// Small files that are at hand, or why not.
    small: HashMap<String, Small>,
    /// Of which the front was asked for, or why it is not there.
    weights: Opened<'a>,
    /// What tells these files from those of another time.
    commit: String,
    verified: Verified,
    loaded: u64,
    total: u64,
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
            small: HashMap::new(),
            weights: Ok(None),
            commit: String::new(),
            verified: verified.unwrap_or(Verified::Sha256),
            loaded: 0,
            total: 0,
        }
    }

    /// From the source's host.
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

    /// Builds the model and makes it readable in the store.
    async fn run<T>(
        mut self,
        build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let mut done = build(&mut self).await;
        if let Some(writer) = &mut self.writer {
            if done.is_ok() {
                done = writer.commit(self.verified).await.and(done);
            }
            // A full store is not kept full, and what is no good is not gone on with.
            if let Err(error) = &done
                && (is_useless(error)
                    || error.kind() == ErrorKind::QuotaExceeded
                    || writer.is_empty())
            {
                // The first failure is the one to report; what a failing clean-up leaves cannot be read anyway.
                let _ = writer.abandon().await;
            }
        }
        if done.is_ok() {
            self.report_as(LoadStatus::Ready, None, Some(self.verified));
        }
        done
    }

    /// Whether the files come from the store.
    pub(super) fn is_cached(&self) -> bool {
        self.cached
    }

    /// What tells the files that [`resolve`](Self::resolve) found from those of another time.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// What is known of the repository.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
