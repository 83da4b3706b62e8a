//! Whose turn it is to write a model, among the tabs and loads that share a store.

use async_trait::async_trait;

use crate::error::Result;

/// What the one whose turn it is tells the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterProgress {
    /// The file under way.
    pub file: Option<String>,
    /// Bytes so far, over all files.
    pub loaded: u64,
    /// Bytes in all as far as known.
    pub total: u64,
}

/// A turn; it ends when this is dropped.
pub trait LockGuard {
    /// Tells those who wait how far the work has come.
    fn announce(&self, announcement: &WriterProgress);
}

/// Gives one turn at a time for each name.
#[async_trait(?Send)]
pub trait Locks {
    /// Waits for the turn. What its holder announces meanwhile is passed on to whoever wants to know.
    ///
    /// *Errors*: `Aborted`.
    async fn take(&self, name: &str) -> Result<Box<dyn LockGuard>>;

    /// The turn, where nobody has it.
    async fn try_take(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>>;
}

/// For programs that load one model at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLocks;

impl LockGuard for NoLocks {
    fn announce(&self, _announcement: &WriterProgress) {}
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
