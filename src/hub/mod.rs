//! Where bytes come from: a host in the hub's layout, files that the caller holds, or memory.

#[cfg(target_arch = "wasm32")]
mod body;
mod fetch;
#[cfg(target_arch = "wasm32")]
mod files;
#[cfg(target_arch = "wasm32")]
mod http;
mod lock_file;
mod memory;
mod retry;
mod verify;

#[cfg(target_arch = "wasm32")]
pub(crate) use body::text;
pub use fetch::{Fetch, FetchState};
#[cfg(target_arch = "wasm32")]
pub use files::FilesHost;
#[cfg(target_arch = "wasm32")]
pub use http::HubHost;
pub use lock_file::{LOCK_FILE, LockFile};
pub use memory::{MemoryHost, MemoryStream};
pub use retry::{RetryPolicy, retrying};
pub use verify::{Digest, Hasher, Verified};

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;

use crate::error::{Error, Result};

/// What a host tells of a file without sending it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Bytes, where the host tells.
    pub size: Option<u64>,
    /// Of the content, where the host tells.
    pub digest: Option<Digest>,
    /// Of single tensors, by their names, where a lock file has them.
    pub tensors: BTreeMap<String, Digest>,
    /// Whether it can be opened once only, at its front: a stream.
    pub once: bool,
}

/// No file is larger: what is said to be is not believed, so that sums of sizes cannot overflow.
pub const MAX_FILE: u64 = 1 << 50;

/// What a repository has at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What tells this state from all others: a commit, as far as the host has one.
    pub commit: Option<String>,
    /// Whether files can be asked for by the commit, so that they cannot change while they are fetched.
    pub pinned: bool,
    /// By their paths in the repository; `None` where the host cannot list.
    pub files: Option<BTreeMap<String, FileEntry>>,
}

impl Snapshot {
    /// What is known of a file; nothing where the host cannot list.
    pub fn entry(&self, file: &str) -> FileEntry {
        let files = self.files.as_ref();
        files
            .and_then(|files| files.get(file).cloned())
            .unwrap_or_default()
    }

    /// Whether the host says that there is such a file.
    pub fn lists(&self, file: &str) -> bool {
        self.files
            .as_ref()
            .is_some_and(|files| files.contains_key(file))
    }

    /// Whether the host says that there is no such file.
    pub fn lacks(&self, file: &str) -> bool {
        self.files
            .as_ref()
            .is_some_and(|files| !files.contains_key(file))
    }

    /// The commit to ask for, where the host takes one.
    pub fn pin(&self) -> Option<&str> {
        self.commit.as_deref().filter(|_| self.pinned)
    }
}

/// A place that has the files of one model repository.
#[async_trait(?Send)]
pub trait Host {
    /// What there is now.
    ///
    /// *Errors*: `FetchFailed` where the host cannot be reached, `Aborted`.
    async fn snapshot(&self) -> Result<Snapshot>;

    /// A file's bytes from `range.start` on, or `None` where there is no such file. What is behind `range.end` may come too;
    /// `u64::MAX` stands for the end of the file. A host that knows no ranges begins at 0.
    ///
    /// *Errors*: `FetchFailed` naming the file and what the host answered, `Aborted`.
    async fn open(
        &self,
        commit: Option<&str>,
        file: &str,
        range: Range<u64>,
    ) -> Result<Option<Opened>>;
}

/// A file that a host has begun to send.
pub struct Opened {
    /// The bytes.
    pub stream: Box<dyn ByteStream>,
    /// Where in the file they begin.
    pub start: u64,
    /// Where they end; `u64::MAX` for the end of the file.
    pub end: u64,
    /// Of the whole file, where known and exact.
    pub size: Option<u64>,
    /// Tells this state of the file from others: an ETag, or when it was changed.
    pub validator: Option<String>,
}

/// What the platform does about the SHA-256 of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformHash {
    /// Nothing.
    None,
    /// It knows it already.
    Known([u8; 32]),
    /// It hashes what is read, and [`ByteStream::sha256`] tells it at the end.
    AtEnd,
}

/// A file's bytes in order, copied straight to where the caller wants them.
#[async_trait(?Send)]
pub trait ByteStream {
    /// Fills the front of `to` and returns how much; 0 at the end only (or where `to` is empty).
    async fn read(&mut self, to: &mut [u8]) -> Result<usize>;

    /// Has the platform hash all bytes, where it is there for that; to be called before the first read.
    async fn hash(&mut self) -> Result<PlatformHash> {
        Ok(PlatformHash::None)
    }

    /// The SHA-256 of all that was read, once [`hash`](Self::hash) said [`PlatformHash::AtEnd`].
    async fn sha256(&mut self) -> Result<[u8; 32]> {
        Err(Error::internal("this stream is not hashed"))
    }

    /// Fills all of `to`.
    ///
    /// *Errors*: `InvalidWeights` where the file ends before.
    async fn read_exact(&mut self, to: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < to.len() {
            match self.read(&mut to[filled..]).await? {
                0 => {
                    return Err(Error::invalid_weights(
                        "the file is truncated: it ends before its tensors do",
                    ));
                }
                count => filled += count,
            }
        }
        Ok(())
    }
}
