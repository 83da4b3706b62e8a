//! Loading from a GGUF file, whose metadata has what other repositories have in config files.

use super::progress::LoadStatus;
use super::{Loading, Source, missing};
use crate::error::Result;
use crate::hub::{Fetch, FetchState, FileEntry, Hasher, Snapshot};
use crate::tasks::gguf::made_files;
use crate::weights::{Dtype, Sink, read_header};

/// Bytes that the first request asks for: enough for the header of SmolLM2, with its vocabulary. A longer one takes more requests.
const FRONT: u64 = 2 << 20;

/// The header of a GGUF file, as it was read.
pub struct ReadHeader {
    /// The name of the file.
    file: String,
    /// The commit of the file, where the host has commits.
    commit: Option<String>,
    bytes: Vec<u8>,
    /// The state of the download behind the header.
    state: FetchState,
}

/// The config files that were made from the metadata of a GGUF file.
#[derive(Default)]
pub(super) struct Made {
    /// The size of each config file.
    pub sizes: Vec<(String, u64)>,
}

impl Made {
    /// The size of a config file; 0 where none was made.
    pub fn size(&self, file: &str) -> u64 {
        let found = self.sizes.iter().find(|(name, _)| name == file);
        found.map_or(0, |(_, size)| *size)
    }

    /// The size of all config files.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(_, size)| size).sum()
    }
}

impl Loading<'_, '_> {
    /// Resolves a load from the GGUF file `weights`: reads its header, and makes the config files from it. An earlier load that was
    /// interrupted has stored them.
    pub(super) async fn resolve_gguf(&mut self, weights: &str) -> Result<()> {
        self.bytes.total = self.known(weights).size.unwrap_or(0);
        self.report(LoadStatus::Plan, None);
        if let Some(commit) = self.snapshot.commit.clone() {
            self.open_writer(&commit).await?;
        }
        self.made = Some(Made::default());
        if self.restore(weights).await {
            self.commit = self.snapshot.commit.clone().unwrap_or_default();
            return Ok(());
        }
        let fetch = self.source.read_header(&self.snapshot, weights).await?;
        self.front = Ok(Some(fetch));
        self.commit = match &self.snapshot.commit {
            Some(commit) => commit.clone(),
            None => self.identity(),
        };
        if self.writer.is_none() && self.writing.is_some() {
            let commit = self.commit.clone();
            self.open_writer(&commit).await?;
        }
        for (file, bytes) in self.source.made_files(weights)? {
            self.keep(file, weights, bytes).await?;
        }
        Ok(())
    }

    /// Takes the config files from the store, where a load is resumed that had begun to read the tensors of `weights`. Returns whether all are there.
    async fn restore(&mut self, weights: &str) -> bool {
        let writer = self.writer.as_ref();
        let Some(writer) = writer.filter(|writer| writer.resumes(weights)) else {
            return false;
        };
        let mut stored = Vec::new();
        for file in writer.complete() {
            match writer.stored(file).await {
                Ok(Some(bytes)) => stored.push((file.to_string(), bytes)),
                // A stored file that cannot be read is made again.
                _ => return false,
            }
        }
        self.config_files.extend(
            stored
                .into_iter()
                .map(|(file, bytes)| (file, Ok(Some(bytes)))),
        );
        true
    }

    /// Takes a config file that was made from the GGUF file `source`, and writes it to the store.
    async fn keep(&mut self, file: &str, source: &str, bytes: Vec<u8>) -> Result<()> {
        if let Some(writer) = &mut self.writer
            && !matches!(writer.stored(file).await, Ok(Some(stored)) if stored == bytes)
        {
            writer.begin(file, source, &self.snapshot).await?;
            writer.write(&bytes).await?;
            writer.end().await?;
        }
        if let Some(made) = &mut self.made {
            made.sizes.push((file.into(), bytes.len() as u64));
        }
        self.config_files.insert(file.into(), Ok(Some(bytes)));
        Ok(())
    }
}

impl<'a> Source<'a> {
    /// Reads the header of a GGUF file, unless it was read before. Returns the download of what follows it.
    async fn read_header(&self, snapshot: &Snapshot, file: &str) -> Result<Fetch<'a>> {
        let (host, retry) = (self.host, self.retry_policy());
        if let Some(read) = self.header.borrow().as_ref()
            && (read.file == file && read.commit == snapshot.commit)
        {
            let FileEntry { digest, size, .. } = snapshot.entry(file);
            // If the platform computes the hash of a download, the state of that hash is not available.
            let hash = digest.zip(size).and_then(|(digest, size)| {
                let mut hasher = Hasher::of(&digest, size);
                hasher.update(&read.bytes);
                hasher.save()
            });
            let state = FetchState {
                hash,
                ..read.state.clone()
            };
            return Ok(Fetch::resume(host, snapshot, file, state, retry));
        }
        let fetch = match snapshot.lacks(file) {
            true => None,
            false => Fetch::open(host, snapshot, file, FRONT, retry).await?,
        };
        let mut fetch = fetch.ok_or_else(|| missing(file))?;
        let bytes = read_header(file, &mut fetch).await?;
        self.header.replace(Some(ReadHeader {
            file: file.into(),
            commit: snapshot.commit.clone(),
            bytes,
            state: fetch.state(),
        }));
        Ok(fetch)
    }

    /// Makes the config files from the header of a GGUF file that was read.
    fn made_files(&self, file: &str) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let read = self.header.borrow();
        let bytes = read.as_ref().map_or(&[] as &[u8], |read| &read.bytes);
        made_files(file, bytes)
    }

    /// Takes the header of a GGUF file, if it was read.
    pub(super) fn take_header(&self, file: &str) -> Option<Vec<u8>> {
        let read = self.header.take()?;
        (read.file == file).then_some(read.bytes)
    }

    /// A copy of the header of a GGUF file, if it was read.
    pub(super) fn copy_header(&self, file: &str) -> Option<Vec<u8>> {
        let read = self.header.borrow();
        let read = read.as_ref().filter(|read| read.file == file)?;
        Some(read.bytes.clone())
    }

    /// Makes a config file from the header of the GGUF file that a load would read. Returns `None` where it would read another file.
    pub(super) async fn made_config_file(
        &self,
        file: &str,
        dtype: Dtype,
    ) -> Result<Option<Vec<u8>>> {
        let snapshot = self.snapshot().await?;
        let Some(weights) = self.weights.gguf_file(&snapshot, dtype)? else {
            return Ok(None);
        };
        self.read_header(&snapshot, &weights).await?;
        let made = self.made_files(&weights)?;
        let found = made.into_iter().find(|(name, _)| *name == file);
        Ok(found.map(|(_, bytes)| bytes))
    }
}
