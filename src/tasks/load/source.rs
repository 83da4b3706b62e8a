//! Where a model comes from and where it is kept.

use std::time::Duration;

use super::progress::LoadProgress;
use crate::error::Result;
use crate::hub::{Fetch, Host, LOCK, Lock, Network, Snapshot, retrying};
use crate::pace::Pace;
use crate::store::{Keep, StoredModel, touch};

/// Without a byte for so long a connection is given up, unless the caller says otherwise.
pub const STALL: Duration = Duration::from_secs(20);

/// Where a model comes from and where it is kept.
pub struct Source<'a> {
    /// The repository.
    pub host: &'a dyn Host,
    /// Where the packed model is kept.
    pub keep: Option<Keep<'a>>,
    /// Called at every step.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// Cancels and waits.
    pub pace: &'a dyn Pace,
    /// A connection without a byte for so long is given up, and tried again.
    pub stall: Duration,
    /// Which part of the model it is for, where parts are loaded and kept by themselves.
    pub part: Option<&'static str>,
}

impl<'a> Source<'a> {
    /// From a host, kept nowhere.
    pub fn new(host: &'a dyn Host, pace: &'a dyn Pace) -> Self {
        Self {
            host,
            keep: None,
            progress: &|_| {},
            pace,
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
            keep: self.keep.as_ref().map(|keep| Keep {
                key: keep.key.part(part),
                ..keep.clone()
            }),
            progress,
            pace: self.pace,
            stall: self.stall,
            part: Some(part),
        }
    }

    pub(super) fn network(&self) -> Network<'a> {
        Network {
            pace: self.pace,
            stall: self.stall,
            seed: self.keep.as_ref().map_or(0, |keep| keep.nonce),
        }
    }

    /// What the host has now, with what its lock file adds.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let network = self.network();
        let host = self.host;
        let mut snapshot =
            retrying(network, "the list of files", async || host.snapshot().await).await?;
        if !snapshot.lacks(LOCK) {
            let lock = Fetch::open(host, &snapshot, LOCK, u64::MAX, network).await;
            // A plain bucket may refuse what it does not have in many ways.
            let lock = if snapshot.files.is_some() {
                lock?
            } else {
                lock.unwrap_or(None)
            };
            if let Some(lock) = lock
                && let Some(lock) = Lock::parse(&lock.read_to_end().await?)
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
        let Some(keep) = &self.keep else {
            return Ok(());
        };
        touch(keep.store, &keep.key, keep.now).await?;
        // Who is writing it has just asked.
        let Some(_turn) = keep.turns.try_take(keep.key.turn()).await? else {
            return Ok(());
        };
        match StoredModel::open(keep.store, &keep.key).await? {
            Some(model) => model.refresh(&self.snapshot().await?).await,
            None => Ok(()),
        }
    }
}
