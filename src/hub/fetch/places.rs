//! Reading a file from several places, for formats that describe their content at the end.

use std::ops::Range;

use super::{ByteStream, Fetch, FetchState, Snapshot};
use crate::error::{Error, Result};

impl Fetch<'_> {
    /// Reads a range of the file by a request of its own; the position stays where it is.
    ///
    /// *Errors*: `InvalidInput` for a stream, which can be opened only once.
    pub async fn read_aside(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        self.check_repeatable()?;
        let length = range.end.saturating_sub(range.start);
        let state = FetchState {
            position: range.start,
            hash: None,
            ..self.state.clone()
        };
        // A part of a file has no digest to compare with, so the entry of the list is left out.
        let empty = Snapshot::default();
        let mut aside = Self {
            commit: self.commit.clone(),
            ranges: vec![range],
            ..Self::resume(self.host, &empty, &self.file, state, self.retry)
        };
        aside.entry.path.clone_from(&self.entry.path);
        let mut bytes = vec![0; length as usize];
        aside.read_exact(&mut bytes).await?;
        self.extra += length;
        self.extra_wanted += length;
        Ok(bytes)
    }

    /// Bytes that were downloaded so far of the ranges that are wanted, and beside them.
    pub fn fetched(&self) -> u64 {
        self.wanted_before(self.state.position) + self.extra
    }

    /// Goes back to an earlier position, from which bytes are downloaded again. The digest of the whole file can then not be verified.
    ///
    /// *Errors*: `InvalidInput` for a stream, which can be opened only once.
    pub fn go_back(&mut self, position: u64) -> Result<()> {
        self.check_repeatable()?;
        self.extra += self.wanted_before(self.state.position) - self.wanted_before(position);
        self.connection = None;
        self.hasher = None;
        self.platform_hash = false;
        self.state.position = position;
        Ok(())
    }

    /// Checks that the file can be opened more than once.
    ///
    /// *Errors*: `InvalidInput` for a stream.
    pub fn check_repeatable(&self) -> Result<()> {
        match self.entry.once {
            false => Ok(()),
            true => Err(Error::invalid_input(format!(
                "{}: is a stream, which is read once from its start, but this format is read from several places: expected a Blob or bytes",
                self.file
            ))
            .with_file(&self.file)),
        }
    }
}
