//! Hosts of model repositories: a server with the layout of the Hugging Face hub, files of the caller, or memory.

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

/// The size and the digests that a host lists for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Size in bytes, if the host lists it.
    pub size: Option<u64>,
    /// Digest of the content, if the host lists one.
    pub digest: Option<Digest>,
    /// Digests of single tensors by name, if a lock file lists them.
    pub tensors: BTreeMap<String, Digest>,
    /// Whether the file is a stream, which can be opened only once and only from its start.
    pub once: bool,
    /// The path at which the host has the file, if it is not the name by which it is listed.
    pub path: Option<String>,
}

/// Largest size of a file in bytes. A larger listed size is ignored, so that sums of sizes cannot overflow.
pub const MAX_FILE: u64 = 1 << 50;

/// The files of a repository at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit, if the host has commits.
    pub commit: Option<String>,
    /// Whether the host serves files by commit, so that they cannot change during the download.
    pub pinned: bool,
    /// The files by their paths in the repository; `None` if the host cannot list them.
    pub files: Option<BTreeMap<String, FileEntry>>,
}

impl Snapshot {
    /// The entry of a file; an empty one if the host does not list the file, or cannot list any.
    pub fn entry(&self, file: &str) -> FileEntry {
        let files = self.files.as_ref();
        files
            .and_then(|files| files.get(file).cloned())
            .unwrap_or_default()
    }

    /// Whether the host lists this file.
    pub fn lists(&self, file: &str) -> bool {
        self.files
            .as_ref()
            .is_some_and(|files| files.contains_key(file))
    }

    /// Whether the host lists its files and this one is not among them.
    pub fn lacks(&self, file: &str) -> bool {
        self.files
            .as_ref()
            .is_some_and(|files| !files.contains_key(file))
    }

    /// Lists the files of the folder `0_…` as files of the repository, where that has no weights itself: sentence-transformers keeps each
    /// module in a folder by its number, and the first one, with the encoder, in the repository itself only since 2021.
    pub(crate) fn lift_first_module(&mut self) {
        let Some(files) = &mut self.files else { return };
        let is_weights = |name: &str| {
            name.starts_with("pytorch_model")
                || [".safetensors", ".gguf"]
                    .iter()
                    .any(|end| name.ends_with(end))
        };
        if files
            .keys()
            .any(|name| !name.contains('/') && is_weights(name))
        {
            return;
        }
        let folder = files.keys().find_map(|name| {
            let (folder, name) = name.split_once('/')?;
            (folder.starts_with("0_") && is_weights(name)).then(|| format!("{folder}/"))
        });
        let Some(folder) = folder else { return };
        let lifted: Vec<_> = files
            .iter()
            .filter_map(|(path, entry)| {
                let name = path.strip_prefix(&folder)?;
                let path = Some(path.clone());
                Some((
                    name.to_string(),
                    FileEntry {
                        path,
                        ..entry.clone()
                    },
                ))
            })
            .collect();
        files.extend(lifted);
    }

    /// The commit by which to request files, if the host serves them by commit.
    pub fn pin(&self) -> Option<&str> {
        self.commit.as_deref().filter(|_| self.pinned)
    }
}

/// A source of the files of one model repository.
#[async_trait(?Send)]
pub trait Host {
    /// Asks for the current commit and the list of files.
    ///
    /// *Errors*: `FetchFailed` if the host cannot be reached, `Aborted`.
    async fn snapshot(&self) -> Result<Snapshot>;

    /// Requests the bytes of a file in `range`, whose end is `u64::MAX` for the end of the file. Returns `None` if there is no such
    /// file. The host may send bytes after the range, and one that does not support ranges sends the file from its start.
    ///
    /// *Errors*: `FetchFailed` naming the file and the host's answer, `Aborted`.
    async fn open(
        &self,
        commit: Option<&str>,
        file: &str,
        range: Range<u64>,
    ) -> Result<Option<Opened>>;
}

/// The answer of a host to the request for a file.
pub struct Opened {
    /// The bytes of the file from `start` on.
    pub stream: Box<dyn ByteStream>,
    /// The offset in the file of the stream's first byte.
    pub start: u64,
    /// The offset in the file at which the stream ends; `u64::MAX` for the end of the file.
    pub end: u64,
    /// Exact size of the whole file in bytes, if known.
    pub size: Option<u64>,
    /// Identifies this state of the file: its ETag, or else the date of its last change.
    pub validator: Option<String>,
}

/// Whether the platform computes the SHA-256 of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformHash {
    /// The platform does not compute it.
    None,
    /// The platform has computed it already.
    Known([u8; 32]),
    /// The platform hashes the bytes as they are read, and [`ByteStream::sha256`] returns the hash at the end.
    AtEnd,
}

/// A sequence of bytes that are copied straight to the caller's destination.
#[async_trait(?Send)]
pub trait ByteStream {
    /// Reads up to `to.len()` bytes into the start of `to` and returns their number, which is 0 only at the end or if `to` is empty.
    async fn read(&mut self, to: &mut [u8]) -> Result<usize>;

    /// Asks the platform to compute the SHA-256 of all bytes; must be called before the first read.
    async fn hash(&mut self) -> Result<PlatformHash> {
        Ok(PlatformHash::None)
    }

    /// The SHA-256 of all bytes read, if [`hash`](Self::hash) has returned [`PlatformHash::AtEnd`].
    async fn sha256(&mut self) -> Result<[u8; 32]> {
        Err(Error::internal("the platform does not hash this stream"))
    }

    /// Reads exactly `to.len()` bytes.
    ///
    /// *Errors*: `InvalidWeights` if the file ends before.
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
