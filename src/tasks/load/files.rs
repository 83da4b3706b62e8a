//! Finding out which files there are, and the small ones among them.

use std::time::Duration;

use futures_util::future::join;
use futures_util::{StreamExt, stream};

use super::checkpoint::{SHARD_INDEX, UPSTREAM, packed_name};
use super::progress::LoadStatus;
use super::{FRONT, Loading, Small, missing};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{Fetch, FileEntry, Host, RetryPolicy, Snapshot, Verified};
use crate::store::ModelWriter;
use crate::weights::{Dtype, Sink};

/// Requests at a time: small files and the front of the weights come together.
const LANES: usize = 4;

impl<'a, 's> Loading<'a, 's> {
    /// Decides which file has the weights: the packed one where the host lists it, else the checkpoint, or the index of its
    /// shards. Fetches `files`, which are small, and the front of the weights, several at a time, and sums up what is known of
    /// all sizes.
    pub async fn resolve(&mut self, dtype: Dtype, files: &[&str]) -> Result<String> {
        self.source.scheduler.yield_now().await?;
        let packed = packed_name(dtype, self.source.part);
        let mut weights = if self.snapshot.lists(&packed) {
            packed
        } else if self.snapshot.lists(SHARD_INDEX) && !self.snapshot.lists(UPSTREAM) {
            SHARD_INDEX.into()
        } else {
            UPSTREAM.into()
        };
        let all = files.iter().copied().chain([weights.as_str()]);
        self.total = all.filter_map(|file| self.known(file).size).sum();
        self.report(LoadStatus::Plan, None);

        if let Some(commit) = self.snapshot.commit.clone() {
            self.open_writer(&commit).await?;
        }
        // An earlier load may have found out what the host does not list.
        if self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.holds(SHARD_INDEX))
        {
            weights = SHARD_INDEX.into();
        }
        let mut files = files.to_vec();
        files.extend((weights == SHARD_INDEX).then_some(SHARD_INDEX));
        let mut there = Vec::new();
        if let Some(writer) = &self.writer {
            for file in &files {
                // What cannot be read is fetched again.
                if let Ok(Some(bytes)) = writer.stored(file).await {
                    there.push(((*file).to_string(), bytes));
                }
            }
        }
        for (file, bytes) in there {
            self.arrived(&file, Ok(Some(bytes)), true).await?;
        }
        let has_weights = self.writer.as_ref().is_some_and(ModelWriter::has_weights);
        let front = async {
            match self.cached || has_weights || weights == SHARD_INDEX {
                true => Ok(None),
                false => self.open(&weights, FRONT).await,
            }
        };
        let (front, small) = join(front, self.fetch_small(&files)).await;
        // What is wrong with a small file says more than what is wrong with the weights.
        self.weights = front;
        self.commit = match &self.snapshot.commit {
            Some(commit) => commit.clone(),
            None => self.identity(),
        };
        if self.writer.is_none() && self.writing.is_some() {
            let commit = self.commit.clone();
            self.open_writer(&commit).await?;
        }
        for (file, bytes) in small {
            self.arrived(&file, bytes, false).await?;
        }
        let unlisted = self.snapshot.files.is_none() && weights == UPSTREAM && !has_weights;
        if unlisted && matches!(self.weights, Ok(None)) {
            let index = self.optional(SHARD_INDEX).await?;
            if index.is_some() {
                weights = SHARD_INDEX.into();
                self.small.insert(SHARD_INDEX.into(), Ok(index));
            }
        }
        Ok(weights)
    }

    /// Those that are not at hand, several at a time.
    async fn fetch_small(&self, files: &[&str]) -> Vec<(String, Small)> {
        let wanted = files
            .iter()
            .filter(|file| !self.small.contains_key(**file))
            .map(|file| (*file).to_string());
        let fetch = async |file: String| {
            let bytes = fetch_whole(self.host, &self.snapshot, &file, self.retry_policy()).await;
            (file, bytes)
        };
        stream::iter(wanted.map(fetch))
            .buffer_unordered(LANES - 1)
            .collect()
            .await
    }

    /// Takes a small file, and stores it.
    async fn arrived(&mut self, file: &str, bytes: Small, stored: bool) -> Result<()> {
        if let Err(error) = &bytes
            && error.kind() == ErrorKind::Aborted
        {
            return bytes.map(|_| ());
        }
        if let Some(writer) = &mut self.writer
            && !stored
        {
            match &bytes {
                Ok(Some(bytes)) => {
                    writer.begin(file, file, &self.snapshot).await?;
                    writer.write(bytes).await?;
                    writer.end().await?;
                }
                Ok(None) => writer.absent(file, &self.snapshot),
                Err(_) => {}
            }
        }
        if let Ok(Some(bytes)) = &bytes {
            self.loaded += bytes.len() as u64;
            if self.known(file).size.is_none() {
                self.total += bytes.len() as u64;
            }
            if self.known(file).digest.is_none() && !self.cached {
                self.verified = Verified::Length;
            }
            self.report(LoadStatus::Download, Some(file));
        }
        self.small.insert(file.into(), bytes);
        Ok(())
    }

    /// What stands for a commit where the host has none: what it tells of the weights. Where it tells nothing that would change
    /// with them, no two loads are of the same commit, and none goes on with what another left.
    fn identity(&self) -> String {
        let weights = self.weights.as_ref().ok().and_then(Option::as_ref);
        let told = weights.and_then(|weights| Some((weights.validator()?, weights.size())));
        let content = match (told, self.writing) {
            (Some((validator, size)), _) => format!("{validator} {}", size.unwrap_or(0)),
            (None, Some((cache, ..))) => format!("{:016x}", cache.nonce),
            (None, None) => String::new(),
        };
        format!(
            "content-{}",
            &blake3::hash(content.as_bytes()).to_hex()[..16]
        )
    }

    async fn open_writer(&mut self, commit: &str) -> Result<()> {
        if let Some((cache, _, resumed)) = self.writing {
            let writer = ModelWriter::open(cache.clone(), commit, &self.snapshot).await?;
            resumed.set(writer.is_resumed());
            self.writer = Some(writer);
        }
        Ok(())
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy<'s> {
        let retry = self.source.retry_policy();
        match self.cached {
            // A store is not left in the middle of an answer: IndexedDB would call back into what is gone.
            true => RetryPolicy {
                stall: Duration::MAX,
                ..retry
            },
            false => retry,
        }
    }

    pub(super) async fn open(&self, file: &str, front: u64) -> Result<Option<Fetch<'a>>> {
        if self.snapshot.lacks(file) {
            return Ok(None);
        }
        Fetch::open(self.host, &self.snapshot, file, front, self.retry_policy()).await
    }

    /// A config file that must be there.
    pub async fn required(&mut self, file: &str) -> Result<Vec<u8>> {
        self.get(file).await?.ok_or_else(|| missing(file))
    }

    /// A config file, or `None` where there is none.
    pub async fn optional(&mut self, file: &str) -> Result<Option<Vec<u8>>> {
        match self.get(file).await {
            Err(error) if error.is_refused() && self.snapshot.files.is_none() => Ok(None),
            got => got,
        }
    }

    async fn get(&mut self, file: &str) -> Small {
        if !self.small.contains_key(file) {
            for (file, bytes) in self.fetch_small(&[file]).await {
                self.arrived(&file, bytes, false).await?;
            }
        }
        self.small.remove(file).unwrap_or(Ok(None))
    }

    pub(super) fn known(&self, file: &str) -> FileEntry {
        self.snapshot.entry(file)
    }
}

/// A small file, checked to be none of the web pages with which some hosts answer everything.
async fn fetch_whole(
    host: &dyn Host,
    snapshot: &Snapshot,
    file: &str,
    retry: RetryPolicy<'_>,
) -> Result<Option<Vec<u8>>> {
    if snapshot.lacks(file) {
        return Ok(None);
    }
    retry.scheduler.yield_now().await?;
    let Some(fetch) = Fetch::open(host, snapshot, file, u64::MAX, retry).await? else {
        return Ok(None);
    };
    let bytes = fetch.read_to_end().await?;
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(Error::fetch_failed(format!(
            "{file}: the host answered with an HTML page instead of the file"
        )));
    }
    Ok(Some(bytes))
}
