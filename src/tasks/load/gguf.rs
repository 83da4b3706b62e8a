//! Loading from a GGUF file, whose metadata has what other repositories have in config files.

use super::progress::LoadStatus;
use super::{Loading, Source, missing};
use crate::error::Result;
use crate::hub::Fetch;
use crate::tasks::gguf::made_files;
use crate::weights::{Dtype, Sink, read_header};

/// Bytes that the first request asks for: most headers fit with their vocabularies, and the rest is needed anyway.
const FRONT: u64 = 8 << 20;

/// The config files that were made from the metadata of a GGUF file.
#[derive(Default)]
pub(super) struct Made {
    /// The header's bytes, until the weights are read.
    pub header: Option<Vec<u8>>,
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
        if self.restore().await {
            self.commit = self.snapshot.commit.clone().unwrap_or_default();
            return Ok(());
        }
        let fetch = self.open(weights, FRONT).await?;
        let mut fetch = fetch.ok_or_else(|| missing(weights))?;
        let header = read_header(weights, &mut fetch).await?;
        self.front = Ok(Some(fetch));
        self.commit = match &self.snapshot.commit {
            Some(commit) => commit.clone(),
            None => self.identity(),
        };
        if self.writer.is_none() && self.writing.is_some() {
            let commit = self.commit.clone();
            self.open_writer(&commit).await?;
        }
        for (file, bytes) in made_files(weights, &header)? {
            self.keep(file, weights, bytes).await?;
        }
        if let Some(made) = &mut self.made {
            made.header = Some(header);
        }
        Ok(())
    }

    /// Takes the config files from the store, where a load is resumed that had begun to read the tensors. Returns whether all are there.
    async fn restore(&mut self) -> bool {
        let Some(writer) = self.writer.as_ref().filter(|writer| writer.has_weights()) else {
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

impl Source<'_> {
    /// Makes a config file from the header of the GGUF file that a load would read. Returns `None` where it would read another file.
    pub(super) async fn made_config_file(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let snapshot = self.snapshot().await?;
        // The files of one repository differ only in how their tensors are stored.
        let Some(weights) = self.weights.gguf_file(&snapshot, Dtype::Q8)? else {
            return Ok(None);
        };
        let retry = self.retry_policy();
        let fetch = Fetch::open(self.host, &snapshot, &weights, FRONT, retry).await?;
        let mut fetch = fetch.ok_or_else(|| missing(&weights))?;
        let header = read_header(&weights, &mut fetch).await?;
        let made = made_files(&weights, &header)?;
        let found = made.into_iter().find(|(name, _)| *name == file);
        Ok(found.map(|(_, bytes)| bytes))
    }
}
