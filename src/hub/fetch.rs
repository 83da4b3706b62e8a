//! The download of one file: it resumes where a connection breaks, skips ranges that are not needed, and verifies digests.

mod places;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;

use super::retry::{RetryPolicy, RetryState};
use super::verify::{Digest, Hasher, Verified};
use super::{ByteStream, FileEntry, Host, Opened, PlatformHash, Snapshot};
use crate::error::{Error, ErrorKind, Result};

/// The range of a whole file, also where its size is unknown.
const WHOLE: Range<u64> = 0..u64::MAX;

/// Limit of a file that is read into memory whole, in bytes. Qwen2.5's `tokenizer.json` has 7 MB.
const MAX_SMALL_FILE: usize = 64 << 20;

/// Bytes that may be downloaded in vain to get the digest of the whole file verified; a fiftieth of the needed bytes if that is
/// more.
const MAX_WASTE: u64 = 256 << 10;

/// Gaps up to this many bytes are downloaded and discarded, because a new request takes longer.
const SMALL_GAP: u64 = 64 << 10;

/// Size of the buffer into which bytes are read to be discarded.
const SCRATCH: usize = 64 << 10;

/// The state of a file's download: all that a later load needs to resume it.
#[derive(Clone, Debug, Default)]
pub struct FetchState {
    /// Bytes from the start of the file that were read or skipped.
    pub position: u64,
    /// Size of the whole file in bytes, if known.
    pub size: Option<u64>,
    /// The host's identifier of this state of the file; see [`Opened::validator`].
    pub validator: Option<String>,
    /// State of the hash over the bytes so far, as [`Hasher::save`] returned it, if they are hashed.
    pub hash: Option<Vec<u8>>,
}

/// One response of the host.
struct Connection {
    stream: Box<dyn ByteStream>,
    /// The position in the file at which the response ends.
    end: u64,
}

/// The download of one file, from its start to its end, without the ranges that are not needed.
pub struct Fetch<'a> {
    host: &'a dyn Host,
    commit: Option<String>,
    file: String,
    retry: RetryPolicy<'a>,
    entry: FileEntry,
    /// The ranges that will be downloaded, sorted and disjoint. A connection covers no more than one of them.
    ranges: Vec<Range<u64>>,
    /// The position at which the first connection ends.
    front: u64,
    connection: Option<Connection>,
    state: FetchState,
    hasher: Option<Hasher>,
    /// Whether the platform computes the SHA-256 instead of `hasher`.
    platform_hash: bool,
    verified: Option<Verified>,
    retry_state: RetryState,
    on_read: Option<Box<dyn Fn(u64, u64) + 'a>>,
    /// Bytes that were downloaded beside the ranges, or twice, and those that will be.
    extra: u64,
    extra_wanted: u64,
}

impl<'a> Fetch<'a> {
    /// Starts the download of a file by requesting its first `front` bytes (`u64::MAX`: all of it). Returns `None` where the host
    /// has no such file.
    ///
    /// *Errors*: those of [`Host::open`], after the attempts of the policy.
    pub async fn open(
        host: &'a dyn Host,
        snapshot: &Snapshot,
        file: &str,
        front: u64,
        retry: RetryPolicy<'a>,
    ) -> Result<Option<Self>> {
        let state = FetchState {
            size: snapshot.entry(file).size,
            ..FetchState::default()
        };
        let mut fetch = Self::resume(host, snapshot, file, state, retry);
        fetch.front = front;
        loop {
            match fetch.connect().await {
                Ok(exists) => return Ok(exists.then_some(fetch)),
                Err(error) => fetch.wait_to_retry(error).await?,
            }
        }
    }

    /// Resumes the download that an earlier load has interrupted. The first read sends the request.
    pub fn resume(
        host: &'a dyn Host,
        snapshot: &Snapshot,
        file: &str,
        state: FetchState,
        retry: RetryPolicy<'a>,
    ) -> Self {
        let entry = snapshot.entry(file);
        let hasher = match (&entry.digest, entry.size, &state.hash) {
            (Some(digest), Some(size), None) if state.position == 0 => {
                Some(Hasher::of(digest, size))
            }
            (Some(_), Some(_), Some(hash)) => Hasher::restore(hash),
            _ => None,
        };
        Self {
            host,
            commit: snapshot.pin().map(String::from),
            file: file.into(),
            retry,
            entry,
            ranges: vec![WHOLE],
            front: u64::MAX,
            connection: None,
            hasher,
            platform_hash: false,
            verified: None,
            retry_state: RetryState::fresh(state.position > 0),
            state,
            on_read: None,
            extra: 0,
            extra_wanted: 0,
        }
    }

    /// Calls `listener` after every read with the bytes downloaded so far and the bytes to download in total, as far as known.
    pub fn on_read(&mut self, listener: impl Fn(u64, u64) + 'a) {
        self.on_read = Some(Box::new(listener));
    }

    /// Extends the front of the file that is requested before [`want`](Self::want) sets ranges: to `end` at least, and to twice as much each time.
    pub fn extend_front(&mut self, end: u64) {
        if self.front < end {
            self.front = end.max(self.front.saturating_mul(2));
        }
    }

    /// Size of the whole file in bytes, if known.
    pub fn size(&self) -> Option<u64> {
        self.state.size
    }

    /// The host's identifier of this state of the file; see [`Opened::validator`].
    pub fn validator(&self) -> Option<&str> {
        self.state.validator.as_deref()
    }

    /// The offset in the file of the next byte that a read returns.
    pub fn position(&self) -> u64 {
        self.state.position
    }

    /// The digest of a tensor's bytes, if the repository's lock file lists one.
    pub fn tensor_digest(&self, name: &str) -> Option<&Digest> {
        self.entry.tensors.get(name)
    }

    /// Whether the digest of the whole file has been verified, or will be when the last byte is read.
    pub fn is_hashed(&self) -> bool {
        self.hasher.is_some() || self.platform_hash || self.verified == Some(Verified::Sha256)
    }

    /// The state that a later load needs to resume this download.
    pub fn state(&self) -> FetchState {
        FetchState {
            hash: self.hasher.as_ref().and_then(Hasher::save),
            ..self.state.clone()
        }
    }

    /// The level at which the file was verified; final once [`finish`](Self::finish) has returned.
    pub fn verified(&self) -> Verified {
        self.verified.unwrap_or(Verified::Length)
    }

    /// Sets the byte ranges to read, sorted by where they begin. Gaps up to 64 KiB are downloaded and discarded. If nearly all of the file
    /// is needed, it is downloaded whole, so that its digest can be verified. Where ranges overlap, the caller goes back.
    pub fn want(&mut self, ranges: Vec<Range<u64>>) {
        let (mut needed, mut end) = (0, 0);
        for range in &ranges {
            let fresh = range.end.saturating_sub(range.start.max(end));
            needed += fresh;
            self.extra_wanted += range.end - range.start - fresh;
            end = range.end.max(end);
        }
        let waste = (needed / 50).max(MAX_WASTE);
        let whole = self.state.size.is_none_or(|size| size <= needed + waste);
        if whole || self.entry.once {
            self.ranges = vec![WHOLE];
            return;
        }
        let mut gaps = 0;
        self.hasher = None;
        self.ranges.clear();
        for range in ranges {
            match self.ranges.last_mut() {
                Some(last)
                    if range.start.saturating_sub(last.end) <= SMALL_GAP
                        && gaps + range.start.saturating_sub(last.end) <= waste =>
                {
                    gaps += range.start.saturating_sub(last.end);
                    last.end = range.end.max(last.end);
                }
                _ => self.ranges.push(range),
            }
        }
    }

    /// Bytes that will be downloaded in total, as far as known.
    pub fn wanted(&self) -> u64 {
        self.wanted_before(self.state.size.unwrap_or(self.state.position)) + self.extra_wanted
    }

    /// Bytes to download that lie before `end`.
    fn wanted_before(&self, end: u64) -> u64 {
        let ranges = self.ranges.iter();
        ranges
            .map(|range| range.end.min(end).saturating_sub(range.start))
            .sum()
    }

    /// Whether the whole file will be downloaded.
    pub fn is_whole(&self) -> bool {
        self.ranges.iter().any(|range| range.end == u64::MAX)
    }

    /// Moves forward to a position: reads and discards bytes of the current range, else requests another range.
    pub async fn skip_to(&mut self, position: u64) -> Result<()> {
        let covers_both =
            |range: &Range<u64>| range.contains(&self.state.position) && position <= range.end;
        if position <= self.state.position {
            return Ok(());
        }
        if self.ranges.iter().any(covers_both) {
            let mut scratch = vec![0; SCRATCH.min((position - self.state.position) as usize)];
            while self.state.position < position {
                let count = SCRATCH.min((position - self.state.position) as usize);
                self.read_exact(&mut scratch[..count]).await?;
            }
        } else {
            self.connection = None;
            self.hasher = None;
            self.state.position = position;
        }
        Ok(())
    }

    /// Ends the download; `verified` says how the bytes were verified where the digest of the whole file was not. A file that is
    /// downloaded whole must end here.
    ///
    /// *Errors*: `Integrity` for a wrong digest, `InvalidWeights` for bytes after the last tensor.
    pub async fn finish(&mut self, verified: Verified) -> Result<()> {
        self.verified = self.verified.or(Some(verified));
        if self.is_whole() && self.read(&mut [0]).await? != 0 {
            return Err(Error::invalid_weights(format!(
                "{}: expected the end of the file after the last tensor, found more bytes",
                self.file
            )));
        }
        Ok(())
    }

    /// Reads a small file into memory.
    ///
    /// *Errors*: those of reading, and `ResourceLimit` above 64 MiB.
    pub async fn read_to_end(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match self.read(&mut piece).await? {
                0 => return Ok(bytes),
                count if bytes.len() + count > MAX_SMALL_FILE => {
                    let message = format!(
                        "{}: the file is larger than the limit of {MAX_SMALL_FILE} bytes",
                        self.file
                    );
                    return Err(Error::new(ErrorKind::ResourceLimit, message).with_file(&self.file));
                }
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Opens a connection for the range at the current position; false where the host has no such file.
    async fn connect(&mut self) -> Result<bool> {
        let position = self.state.position;
        let range = self.ranges.iter().find(|range| range.contains(&position));
        let end = range.map_or(u64::MAX, |range| range.end);
        let wanted = position..if position < self.front {
            end.min(self.front)
        } else {
            end
        };
        let path = self.entry.path.as_deref().unwrap_or(&self.file);
        let opening = self.host.open(self.commit.as_deref(), path, wanted);
        let Some(opened) = self.retry.with_timeout(&self.file, opening).await? else {
            return Ok(false);
        };
        let Opened {
            mut stream,
            start,
            end,
            size,
            validator,
        } = opened;
        self.check_unchanged(size, validator)?;
        if start > position {
            return Err(Error::fetch_failed(format!(
                "{}: the host sent bytes from {start} instead of {position}",
                self.file
            ))
            .transient(Duration::ZERO));
        }
        // A host that does not support ranges sends the file from its start.
        let mut to_skip = position - start;
        let mut scratch = vec![0; SCRATCH.min(to_skip as usize)];
        while to_skip > 0 {
            let count = SCRATCH.min(to_skip as usize);
            let read = stream.read(&mut scratch[..count]);
            match self.retry.with_timeout(&self.file, read).await? {
                0 => return Err(self.ended_early(position - to_skip)),
                count => to_skip -= count as u64,
            }
        }
        if position == 0 && start == 0 {
            self.hash_by_platform(stream.as_mut()).await?;
        }
        self.connection = Some(Connection { stream, end });
        Ok(true)
    }

    /// Lets the platform compute the SHA-256 if it offers to, which is faster. Such a hash has no state that a later load can resume.
    async fn hash_by_platform(&mut self, stream: &mut dyn ByteStream) -> Result<()> {
        let (Some(Hasher::Sha256(_)), Some(digest)) = (&self.hasher, &self.entry.digest) else {
            return Ok(());
        };
        match stream.hash().await? {
            PlatformHash::None => return Ok(()),
            PlatformHash::AtEnd => self.platform_hash = true,
            PlatformHash::Known(found) => {
                digest.check(&self.file, &Digest::Sha256(found))?;
                self.verified = Some(Verified::Sha256);
            }
        }
        self.hasher = None;
        Ok(())
    }

    /// Checks that a new connection sends the same state of the file as the connections before it.
    ///
    /// *Errors*: `Integrity` if the size or the validator differs.
    fn check_unchanged(&mut self, size: Option<u64>, validator: Option<String>) -> Result<()> {
        let changed = |what: String| {
            Err(Error::integrity(format!(
                "{}: the file changed on the host during the download ({what}); load again",
                self.file
            )))
        };
        match (&self.state.validator, &validator) {
            (Some(before), Some(now)) if before != now => {
                return changed(format!("from {before} to {now}"));
            }
            _ => {}
        }
        match (self.state.size, size) {
            (Some(before), Some(now)) if before != now => {
                return changed(format!("from {before} to {now} bytes"));
            }
            _ => {}
        }
        self.state.size = self.state.size.or(size);
        self.state.validator = validator.or(self.state.validator.take());
        Ok(())
    }

    /// Reads once, without retrying; 0 at the end of the file.
    async fn try_read(&mut self, to: &mut [u8]) -> Result<usize> {
        loop {
            let position = self.state.position;
            if self.connection.is_none() {
                if self.state.size == Some(position) {
                    return Ok(0);
                }
                if !self.connect().await? {
                    let message = format!("{}: the file no longer exists on the host", self.file);
                    return Err(Error::fetch_failed(message).with_status(404));
                }
            }
            let Some(connection) = &mut self.connection else {
                return Ok(0);
            };
            let read = connection.stream.read(to);
            let count = self.retry.with_timeout(&self.file, read).await?;
            if count > 0 {
                return Ok(count);
            }
            let end = connection.end;
            self.connection = None;
            match self.state.size {
                Some(size) if position < size.min(end) => return Err(self.ended_early(position)),
                None if end == u64::MAX || position < end => self.state.size = Some(position),
                _ => {}
            }
        }
    }

    /// The transient error for a connection that ended before its range did.
    fn ended_early(&self, position: u64) -> Error {
        let size = self
            .state
            .size
            .map_or(String::new(), |size| format!(" of {size}"));
        Error::fetch_failed(format!(
            "{}: the connection ended after {position} bytes{size}",
            self.file
        ))
        .transient(Duration::ZERO)
    }

    /// Waits before another attempt, or returns the error where there is to be none.
    async fn wait_to_retry(&mut self, error: Error) -> Result<()> {
        let error = error.with_file(&self.file);
        self.connection = None;
        if self.entry.once {
            return Err(error);
        }
        self.retry.wait(error, &mut self.retry_state).await
    }

    /// Verifies the digest of the file if the last byte has been read.
    ///
    /// *Errors*: `Integrity` if the digest differs from the one that the host lists.
    async fn verify_at_end(&mut self) -> Result<()> {
        let (Some(digest), Some(size)) = (&self.entry.digest, self.entry.size) else {
            return Ok(());
        };
        if size != self.state.position {
            return Ok(());
        }
        let found = match (self.hasher.take(), &mut self.connection) {
            (Some(hasher), _) => hasher.finish(),
            (None, Some(connection)) if self.platform_hash => {
                Digest::Sha256(connection.stream.sha256().await?)
            }
            _ => return Ok(()),
        };
        self.platform_hash = false;
        digest.check(&self.file, &found)?;
        self.verified = Some(Verified::Sha256);
        Ok(())
    }
}

#[async_trait(?Send)]
impl ByteStream for Fetch<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            match self.try_read(to).await {
                Ok(count) => {
                    self.state.position += count as u64;
                    if count > 0 {
                        self.retry_state = RetryState::fresh(true);
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&to[..count]);
                    }
                    let size = self.state.size.unwrap_or(u64::MAX);
                    if self.state.position > size {
                        return Err(Error::invalid_weights(format!(
                            "{}: expected {size} bytes, but the host sent more",
                            self.file
                        )));
                    }
                    self.verify_at_end()
                        .await
                        .map_err(|error| error.with_file(&self.file))?;
                    if let Some(listener) = &self.on_read {
                        listener(self.fetched(), self.wanted());
                    }
                    return Ok(count);
                }
                Err(error) => self.wait_to_retry(error).await?,
            }
        }
    }
}
