//! Locks for writing a model or an index, among the tabs and loads that share a store.

use async_trait::async_trait;

use crate::error::Result;

/// Progress of the load that holds a lock, for those that wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterProgress {
    /// The file that is being downloaded, if the holder loads a model.
    pub file: Option<String>,
    /// Bytes downloaded so far, over all files.
    pub loaded: u64,
    /// Bytes to download in total, as far as known.
    pub total: u64,
}

/// A held lock, which is released when the guard is dropped.
pub trait LockGuard {
    /// Tells the waiters for the lock that the holder makes progress.
    fn announce(&self, progress: &WriterProgress);
}

/// Locks by name, each of which one holder at a time can have.
#[async_trait(?Send)]
pub trait Locks {
    /// Waits until the lock is free and takes it. Meanwhile the implementation may report what the holder announces.
    ///
    /// *Errors*: `Aborted` if the caller cancels while waiting.
    async fn take(&self, name: &str) -> Result<Box<dyn LockGuard>>;

    /// Takes the lock if it is free; `None` if it is held.
    async fn try_take(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>>;
}

/// No locking, for programs that write one model at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLocks;

impl LockGuard for NoLocks {
    fn announce(&self, _progress: &WriterProgress) {}
}

#[async_trait(?Send)]
impl Locks for NoLocks {
    async fn take(&self, _name: &str) -> Result<Box<dyn LockGuard>> {
        Ok(Box::new(Self))
    }

    async fn try_take(&self, _name: &str) -> Result<Option<Box<dyn LockGuard>>> {
        Ok(Some(Box::new(Self)))
    }
}
