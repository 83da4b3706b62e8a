//! Where bytes come from: a host in the hub's layout, files that the caller holds, or memory.

#[cfg(target_arch = "wasm32")]
mod body;
#[cfg(target_arch = "wasm32")]
mod files;
#[cfg(target_arch = "wasm32")]
mod http;
mod memory;
mod verify;

#[cfg(target_arch = "wasm32")]
pub use files::FilesHost;
#[cfg(target_arch = "wasm32")]
pub use http::HubHost;
pub use memory::{MemoryHost, MemoryStream};
pub use verify::{Digest, VerifiedStream};

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};

/// Largest config or tokenizer file that is read whole; Qwen2.5's `tokenizer.json` has 7 MB.
const MAX_SMALL_FILE: usize = 64 << 20;

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path inside the repository.
    pub path: String,
    /// Bytes, where the host tells.
    pub size: Option<u64>,
    /// Of the content, where the host tells.
    pub digest: Option<Digest>,
}

/// A place that has the files of one model repository.
#[async_trait(?Send)]
pub trait Host {
    /// What there is, or `None` where the host cannot list.
    ///
    /// *Errors*: `FetchFailed` where the host cannot be reached, `Aborted`.
    async fn list(&self) -> Result<Option<Vec<FileEntry>>>;

    /// A file's bytes, or `None` where there is no such file.
    ///
    /// *Errors*: `FetchFailed` naming the file and what the host answered, `Aborted`.
    async fn open(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>>;
}

/// A file's bytes in order, copied straight to where the caller wants them.
#[async_trait(?Send)]
pub trait ByteStream {
    /// Bytes in all from the beginning, where known and exact.
    fn length(&self) -> Option<u64>;

    /// Fills the front of `to` and returns how much; 0 at the end only (or where `to` is empty).
    async fn read(&mut self, to: &mut [u8]) -> Result<usize>;

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

/// A file of a host, verified where `entry` has its digest; `None` where there is no such file.
///
/// *Errors*: as [`Host::open`]; reading to the end may give `Integrity`.
pub async fn open(
    host: &dyn Host,
    file: &str,
    entry: Option<FileEntry>,
) -> Result<Option<Box<dyn ByteStream>>> {
    let Some(stream) = host.open(file).await? else {
        return Ok(None);
    };
    Ok(Some(match entry {
        Some(FileEntry {
            size: Some(size),
            digest: Some(digest),
            ..
        }) => Box::new(VerifiedStream::new(file, stream, digest, size)),
        _ => stream,
    }))
}

/// Reads a small file whole.
///
/// *Errors*: the stream's own, and `ResourceLimit` above 64 MiB.
pub async fn read_small(file: &str, mut stream: Box<dyn ByteStream>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(bytes),
            count if bytes.len() + count > MAX_SMALL_FILE => {
                let message = format!("{file}: is larger than the limit of {MAX_SMALL_FILE} bytes");
                return Err(Error::new(ErrorKind::ResourceLimit, message));
            }
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}
