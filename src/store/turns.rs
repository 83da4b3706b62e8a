//! Whose turn it is to write a model, among the tabs and loads that share a store.

use async_trait::async_trait;

use crate::error::Result;

/// What the one whose turn it is tells the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The file under way.
    pub file: Option<String>,
    /// Bytes so far, over all files.
    pub loaded: u64,
    /// Bytes in all as far as known.
    pub total: u64,
}

/// A turn; it ends when this is dropped.
pub trait Turn {
    /// Tells those who wait how far the work has come.
    fn announce(&self, announcement: &Announcement);
}

/// Gives one turn at a time for each name.
#[async_trait(?Send)]
pub trait Turns {
    /// Waits for the turn. What its holder announces meanwhile is passed on to whoever wants to know.
    ///
    /// *Errors*: `Aborted`.
    async fn take(&self, name: &str) -> Result<Box<dyn Turn>>;

    /// The turn, where nobody has it.
    async fn try_take(&self, name: &str) -> Result<Option<Box<dyn Turn>>>;
}

/// For programs that load one model at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Turn for Alone {
    fn announce(&self, _announcement: &Announcement) {}
}

#[async_trait(?Send)]
impl Turns for Alone {
    async fn take(&self, _name: &str) -> Result<Box<dyn Turn>> {
        Ok(Box::new(Self))
    }

    async fn try_take(&self, _name: &str) -> Result<Option<Box<dyn Turn>>> {
        Ok(Some(Box::new(Self)))
    }
}
