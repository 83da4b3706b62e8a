//! Resolving which files a load reads, and fetching the config files among them.

use futures_util::future::join;
use futures_util::{StreamExt, stream};

use super::checkpoint::is_index;
use super::choice::is_gguf;
use super::onnx_files::is_tower;
use super::progress::LoadStatus;
use super::{FRONT, FileResult, Loading, missing};
use crate::error::{Error, ErrorKind, FetchReason, Result};
use crate::hub::{Fetch, FileEntry, Host, RetryPolicy, Snapshot, Verified};
use crate::store::ModelWriter;
use crate::tasks::sentence_transformers::TOKENIZER;
use crate::text::older_tokenizer;
use crate::weights::{Dtype, Sink};

/// The number of concurrent requests, for config files and the first bytes of the weights.
const LANES: usize = 4;

impl<'a, 's> Loading<'a, 's> {
    /// Determines which file has the weights: unless the source asks for another, the packed one if the host lists it, else the
    /// checkpoint, or the index of its shards, else a GGUF file. Concurrently fetches the config files `files` and the first bytes of the
    /// weights, and adds up all known sizes.
    pub async fn resolve(&mut self, dtype: Dtype, files: &[&str]) -> Result<String> {
        self.source.scheduler.yield_now().await?;
        self.others = self.choose(dtype)?.into();
        let mut weights = self.others.pop_front().unwrap_or_default();
        if is_gguf(&weights) {
            self.resolve_gguf(&weights).await?;
            return Ok(weights);
        }
        if let Some(commit) = self.snapshot.commit.clone() {
            self.open_writer(&commit).await?;
        }
        // An earlier load may have found that the preferred file cannot be read.
        let is_enough = |file: &str| !self.source.prefers_whole() || !is_tower(file);
        if let Some(writer) = &self.writer
            && let Some(index) = self
                .others
                .iter()
                .position(|file| writer.reads(file) && is_enough(file))
        {
            self.others.drain(..index);
            weights = self.others.pop_front().unwrap_or_default();
        }
        let all = files.iter().copied().chain([weights.as_str()]);
        self.bytes.total = all.filter_map(|file| self.known(file).size).sum();
        self.report(LoadStatus::Plan, None);

        // If the host lists no files, an earlier load may have found which one it has.
        let checkpoints = match self.snapshot.files {
            Some(_) => &[],
            None => self.source.weights.checkpoints(),
        };
        if let Some(writer) = &self.writer
            && let Some(file) = checkpoints.iter().find(|file| writer.reads(file))
        {
            weights = (*file).into();
        }
        let mut files = files.to_vec();
        files.extend(is_index(&weights).then_some(weights.as_str()));
        for file in &files {
            self.read_stored(file).await?;
        }
        let writer = self.writer.as_ref();
        let is_resumed = writer.is_some_and(|writer| writer.resumes(&weights));
        let front = async {
            match self.cached || is_resumed || is_index(&weights) {
                true => Ok(None),
                false => self.open(&weights, FRONT).await,
            }
        };
        // Where the store has the packed form of the tokenizer, its file is not read.
        let (tokenizer, others): (Vec<&str>, Vec<&str>) = files
            .iter()
            .copied()
            .partition(|file| self.cached && *file == TOKENIZER);
        let tokenizer = async {
            match self.read_packed(&tokenizer).await {
                Some(packed) => (Vec::new(), Some(packed)),
                None => (self.fetch_all(&tokenizer).await, None),
            }
        };
        let configs = join(self.fetch_all(&others), tokenizer);
        // Stored weights are requested right after the config files, so that they arrive while these are parsed.
        let mut opening = match self.cached && !is_index(&weights) {
            true => Some(self.opening(weights.clone())),
            false => None,
        };
        let early = async {
            if let Some(opening) = &mut opening {
                opening.start().await;
            }
        };
        let ((front, (mut fetched, tokenizer)), ()) = join(join(front, configs), early).await;
        self.opening = opening;
        let (tokenizer, packed) = tokenizer;
        fetched.extend(tokenizer);
        if packed.is_some() {
            let size = self.known(TOKENIZER).size.unwrap_or(0);
            self.arrived.push((TOKENIZER.into(), size));
            self.bytes.loaded += size;
            self.report(LoadStatus::Download, Some(TOKENIZER));
        }
        self.packed = packed;
        // An error of the weights is reported later: that of a config file, which is reported first, is more specific.
        self.front = front;
        let is_absent = match &self.front {
            Ok(front) => front.is_none(),
            Err(error) => error.is_refused(),
        };
        if !is_resumed && !is_index(&weights) && is_absent {
            let others = checkpoints.iter().filter(|file| **file != weights);
            if let Some((file, index)) = self.other_checkpoint(others).await? {
                weights = file.into();
                fetched.extend(index.map(|index| (weights.clone(), Ok(Some(index)))));
            }
        }
        self.commit = match &self.snapshot.commit {
            Some(commit) => commit.clone(),
            None => self.identity(),
        };
        if self.writer.is_none() && self.writing.is_some() {
            let commit = self.commit.clone();
            self.open_writer(&commit).await?;
        }
        for (file, bytes) in fetched {
            self.arrived(&file, bytes, false).await?;
        }
        Ok(weights)
    }

    /// Reads a config file that an earlier load, which was interrupted, has stored. One that cannot be read is fetched again.
    async fn read_stored(&mut self, file: &str) -> Result<()> {
        let stored = match &self.writer {
            Some(writer) => writer.stored(file).await,
            None => Ok(None),
        };
        match stored {
            Ok(Some(bytes)) => self.arrived(file, Ok(Some(bytes)), true).await,
            _ => Ok(()),
        }
    }

    /// Finds the checkpoint on a host that does not list its files, by asking for one file after the other. Returns its name, and the bytes
    /// of an index; the download of another file is then open.
    async fn other_checkpoint(
        &mut self,
        files: impl Iterator<Item = &&'static str>,
    ) -> Result<Option<(&'static str, Option<Vec<u8>>)>> {
        for file in files.copied() {
            let found = match is_index(file) {
                true => {
                    let retry = self.retry_policy();
                    fetch_whole(self.host, &self.snapshot, file, retry).await
                }
                false => {
                    let front = self.open(file, FRONT).await;
                    front.map(|front| {
                        let found = front.is_some();
                        self.front = Ok(front);
                        found.then(Vec::new)
                    })
                }
            };
            match found {
                Ok(Some(bytes)) => return Ok(Some((file, is_index(file).then_some(bytes)))),
                Ok(None) => {}
                // Some hosts deny what they do not have.
                Err(error) if error.is_refused() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Concurrently fetches those of the files that have not arrived yet.
    async fn fetch_all(&self, files: &[&str]) -> Vec<(String, FileResult)> {
        let wanted = files
            .iter()
            .filter(|file| !self.config_files.contains_key(**file))
            .map(|file| (*file).to_string());
        let fetch = async |file: String| {
            let bytes = fetch_whole(self.host, &self.snapshot, &file, self.retry_policy()).await;
            (file, bytes)
        };
        // A store answers all requests at once, so that lanes do not limit it.
        let lanes = match self.cached {
            true => files.len().max(1),
            false => LANES - 1,
        };
        stream::iter(wanted.map(fetch))
            .buffer_unordered(lanes)
            .collect()
            .await
    }

    /// Records a config file that has arrived, and writes it to the store unless it is `stored` there.
    async fn arrived(&mut self, file: &str, bytes: FileResult, stored: bool) -> Result<()> {
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
            self.arrived.push((file.into(), bytes.len() as u64));
            self.bytes.loaded += bytes.len() as u64;
            if self.known(file).size.is_none() {
                self.bytes.total += bytes.len() as u64;
            }
            if self.known(file).digest.is_none() && !self.cached {
                self.verified = Verified::Length;
            }
            self.report(LoadStatus::Download, Some(file));
        }
        self.config_files.insert(file.into(), bytes);
        Ok(())
    }

    /// Makes the stand-in commit id for hosts without commits: a hash of the weights' ETag and size, or else of this load's
    /// nonce, so that no other load resumes its partial download.
    pub(super) fn identity(&self) -> String {
        let front = self.front.as_ref().ok().and_then(Option::as_ref);
        let version = front.and_then(|front| Some((front.validator()?, front.size())));
        let content = match (version, self.writing) {
            (Some((validator, size)), _) => format!("{validator} {}", size.unwrap_or(0)),
            (None, Some((cache, ..))) => format!("{:016x}", cache.nonce),
            (None, None) => String::new(),
        };
        format!("content-{:.16}", blake3::hash(content.as_bytes()).to_hex())
    }

    pub(super) async fn open_writer(&mut self, commit: &str) -> Result<()> {
        if let Some((cache, _, resumed)) = self.writing {
            let writer = ModelWriter::open(cache.clone(), commit, &self.snapshot).await?;
            resumed.set(writer.is_resumed());
            self.writer = Some(writer);
        }
        Ok(())
    }

    pub(in crate::tasks) fn retry_policy(&self) -> RetryPolicy<'s> {
        let retry = self.source.retry_policy();
        match self.cached {
            true => retry.for_store(),
            false => retry,
        }
    }

    pub(super) async fn open(&self, file: &str, front: u64) -> Result<Option<Fetch<'a>>> {
        if self.snapshot.lacks(file) {
            return Ok(None);
        }
        Fetch::open(self.host, &self.snapshot, file, front, self.retry_policy()).await
    }

    /// Reads a config file.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    pub async fn required(&mut self, file: &str) -> Result<Vec<u8>> {
        self.get(file).await?.ok_or_else(|| self.missing(file))
    }

    /// The error of a file that the repository lacks. For a tokenizer, it names the files of an older one that are listed instead.
    pub fn missing(&self, file: &str) -> Error {
        let older = match file == TOKENIZER {
            true => older_tokenizer(|file| self.snapshot.lists(file)),
            false => None,
        };
        older.map_or_else(|| missing(file), |error| error.with_file(file))
    }

    /// Reads a config file, or returns `None` where there is no such file.
    pub async fn optional(&mut self, file: &str) -> Result<Option<Vec<u8>>> {
        match self.get(file).await {
            Err(error) if error.is_refused() && self.snapshot.files.is_none() => Ok(None),
            result => result,
        }
    }

    async fn get(&mut self, file: &str) -> FileResult {
        if self.made.is_none() && !self.config_files.contains_key(file) {
            self.read_stored(file).await?;
            for (file, bytes) in self.fetch_all(&[file]).await {
                self.arrived(&file, bytes, false).await?;
            }
        }
        self.config_files.remove(file).unwrap_or(Ok(None))
    }

    pub(super) fn known(&self, file: &str) -> FileEntry {
        self.snapshot.entry(file)
    }
}

/// Fetches a config file.
///
/// *Errors*: `FetchFailed` where the host sent a web page, as some hosts do for missing files.
pub(super) async fn fetch_whole(
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
        ))
        .with_reason(FetchReason::Html)
        .with_file(file));
    }
    Ok(Some(bytes))
}
