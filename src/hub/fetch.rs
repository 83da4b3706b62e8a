//! One file on its way from a host: what breaks off is asked for again from where it broke, and what arrives is checked.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::verify::{Digest, Hasher, Verified};
use super::{ByteStream, FileEntry, Host, Opened, PlatformHash, Snapshot};
use crate::error::{Error, ErrorKind, FetchReason, Result, Retry};
use crate::scheduler::Scheduler;

/// To the end of a file, wherever that is.
const WHOLE: Range<u64> = 0..u64::MAX;

/// Larger files than this are not read whole; Qwen2.5's `tokenizer.json` has 7 MB.
const MAX_SMALL_FILE: usize = 64 << 20;

/// So many tries where nothing has arrived yet: the host may not be there at all.
const TRIES: u32 = 4;

/// Who has a part waits longer: so many times the time-out without a byte.
const PATIENCE: u32 = 3;

/// Before the second try; it doubles from try to try.
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The most that a host may ask for by `Retry-After`; who asks for more is not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// How a flaky network is dealt with.
#[derive(Clone, Copy)]
pub struct RetryPolicy<'a> {
    /// Waits and cancels.
    pub scheduler: &'a dyn Scheduler,
    /// A connection without a byte for so long is given up; `Duration::MAX` for what is no network and always answers.
    pub stall: Duration,
    /// Spreads the waits of many clients.
    pub seed: u64,
}

/// What was waited for since the last byte.
#[derive(Default)]
struct RetryState {
    failures: u32,
    waited: Duration,
    /// Whether there ever was a byte.
    received: bool,
}

impl RetryPolicy<'_> {
    /// Waits before the next try, or returns the error where there is to be none.
    async fn wait(&self, error: Error, patience: &mut RetryState) -> Result<()> {
        let Some(Retry { after, stalled }) = error.retry() else {
            return Err(error);
        };
        patience.failures += 1;
        patience.waited += stalled;
        let out = match patience.received {
            true => patience.waited >= self.stall * PATIENCE,
            false => patience.failures >= TRIES,
        };
        if out || after > LONGEST_RETRY_AFTER {
            return Err(error);
        }
        let longest = FIRST_WAIT
            .saturating_mul(1 << (patience.failures - 1).min(8))
            .min(LONGEST_WAIT);
        // Half of it and a part of the other half that differs from client to client.
        let random =
            (self.seed ^ u64::from(patience.failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let jitter = longest.mul_f64(random as f64 / f64::from(u32::MAX) / 2.0);
        let wait = after.max(longest / 2 + jitter);
        patience.waited += wait;
        self.scheduler.sleep(wait).await
    }

    /// *Errors*: a transient `FetchFailed` where `work` has to wait for too long.
    async fn timely<T>(&self, file: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.stall == Duration::MAX {
            return work.await;
        }
        let mut work = pin!(work);
        // Most reads are answered at once, and a timer costs more than they.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await
        {
            return done;
        }
        let mut stall = pin!(self.scheduler.sleep(self.stall));
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            stall.as_mut().poll(context).map(|slept| {
                slept?;
                let seconds = self.stall.as_secs_f64();
                let message = format!("{file}: the host sent nothing for {seconds} s");
                Err(Error::fetch_failed(message)
                    .stalled(self.stall)
                    .with_reason(FetchReason::Stalled))
            })
        })
        .await
    }
}

/// Tries again what fails for a passing reason.
///
/// *Errors*: those of `work`.
pub async fn retrying<T>(
    retry: RetryPolicy<'_>,
    what: &str,
    work: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let mut patience = RetryState::default();
    loop {
        match retry.timely(what, work()).await {
            Err(error) => retry.wait(error, &mut patience).await?,
            done => return done,
        }
    }
}

/// How far a file has come, to go on from at the next visit.
#[derive(Clone, Debug, Default)]
pub struct FetchState {
    /// Bytes that were read.
    pub position: u64,
    /// Of the whole file, where known.
    pub size: Option<u64>,
    /// As in [`Opened`].
    pub validator: Option<String>,
    /// Of the bytes that were read, where they are hashed.
    pub hash: Option<Vec<u8>>,
}

struct Connection {
    stream: Box<dyn ByteStream>,
    end: u64,
}

/// A file that is read from its front to its back, with gaps where nobody wants it.
pub struct Fetch<'a> {
    host: &'a dyn Host,
    commit: Option<String>,
    file: String,
    retry: RetryPolicy<'a>,
    entry: FileEntry,
    /// What will be read, in order; connections are for one of them each.
    ranges: Vec<Range<u64>>,
    /// Where the first connection ends.
    front: u64,
    connection: Option<Connection>,
    state: FetchState,
    hasher: Option<Hasher>,
    /// Whether the platform hashes, in place of `hasher`.
    platform: bool,
    verified: Option<Verified>,
    patience: RetryState,
    on_read: Option<Box<dyn Fn(u64, u64) + 'a>>,
}

impl<'a> Fetch<'a> {
    /// Asks for the front of a file, or for all of it; `None` where there is no such file.
    ///
    /// *Errors*: as [`Host::open`].
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
                Ok(there) => return Ok(there.then_some(fetch)),
                Err(error) => fetch.failed(error.with_file(file)).await?,
            }
        }
    }

    /// Goes on from where an earlier visit came to.
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
            platform: false,
            verified: None,
            patience: RetryState {
                received: state.position > 0,
                ..RetryState::default()
            },
            state,
            on_read: None,
        }
    }

    /// Calls `listener` after every read with the bytes that were read and those that will be in all, as far as known.
    pub fn on_read(&mut self, listener: impl Fn(u64, u64) + 'a) {
        self.on_read = Some(Box::new(listener));
    }

    /// Of the whole file, where known.
    pub fn size(&self) -> Option<u64> {
        self.state.size
    }

    /// As in [`Opened`].
    pub fn validator(&self) -> Option<&str> {
        self.state.validator.as_deref()
    }

    /// Bytes from the front of the file.
    pub fn position(&self) -> u64 {
        self.state.position
    }

    /// What the host lists of a tensor.
    pub fn tensor_digest(&self, name: &str) -> Option<&Digest> {
        self.entry.tensors.get(name)
    }

    /// Whether all bytes so far are in a digest that is checked at the end, or was checked.
    pub fn is_hashed(&self) -> bool {
        self.hasher.is_some() || self.platform || self.verified == Some(Verified::Sha256)
    }

    /// To go on from at another visit.
    pub fn state(&self) -> FetchState {
        FetchState {
            hash: self.hasher.as_ref().and_then(Hasher::save),
            ..self.state.clone()
        }
    }

    /// By what the file was checked once [`finish`](Self::finish) returned.
    pub fn verified(&self) -> Verified {
        self.verified.unwrap_or(Verified::Length)
    }

    /// Says what will be read, in order and apart from each other. Little gaps are read over, large ones are not fetched, and
    /// where little more than needed is in the file it is fetched whole, which lets its digest be checked.
    pub fn want(&mut self, ranges: Vec<Range<u64>>) {
        let needed: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let spare = (needed / 50).max(SPARE);
        let whole = self.state.size.is_none_or(|size| size <= needed + spare);
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
                    if range.start - last.end <= SMALL_GAP
                        && gaps + range.start - last.end <= spare =>
                {
                    gaps += range.start - last.end;
                    last.end = range.end;
                }
                _ => self.ranges.push(range),
            }
        }
    }

    /// Bytes of all that will be read, as far as known.
    pub fn wanted(&self) -> u64 {
        self.within(self.state.size.unwrap_or(self.state.position))
    }

    /// Of what will be read, what is before `end`.
    fn within(&self, end: u64) -> u64 {
        let ranges = self.ranges.iter();
        ranges
            .map(|range| range.end.min(end).saturating_sub(range.start))
            .sum()
    }

    /// Whether all of the file will be read.
    pub fn is_whole(&self) -> bool {
        self.ranges.iter().any(|range| range.end == u64::MAX)
    }

    /// Goes forward to a position, by reading or by asking for what is there.
    pub async fn skip_to(&mut self, position: u64) -> Result<()> {
        let together =
            |range: &Range<u64>| range.contains(&self.state.position) && position <= range.end;
        if position <= self.state.position {
            return Ok(());
        }
        if self.ranges.iter().any(together) {
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

    /// Ends reading: checks that a file that was read whole has the right length and digest.
    ///
    /// *Errors*: `Integrity`, `InvalidWeights` where there is more than the size that was told.
    pub async fn finish(&mut self, verified: Verified) -> Result<()> {
        self.verified = self.verified.or(Some(verified));
        if self.is_whole() && self.read(&mut [0]).await? != 0 {
            return Err(Error::invalid_weights(format!(
                "{}: there are bytes behind the last tensor",
                self.file
            )));
        }
        Ok(())
    }

    /// Reads a small file whole.
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
                        "{}: is larger than the limit of {MAX_SMALL_FILE} bytes",
                        self.file
                    );
                    return Err(Error::new(ErrorKind::ResourceLimit, message).with_file(&self.file));
                }
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Opens a connection for what comes next; false where there is no such file.
    async fn connect(&mut self) -> Result<bool> {
        let position = self.state.position;
        let range = self.ranges.iter().find(|range| range.contains(&position));
        let end = range.map_or(u64::MAX, |range| range.end);
        let wanted = position..if position < self.front {
            end.min(self.front)
        } else {
            end
        };
        let opening = self.host.open(self.commit.as_deref(), &self.file, wanted);
        let Some(opened) = self.retry.timely(&self.file, opening).await? else {
            return Ok(false);
        };
        let Opened {
            mut stream,
            start,
            end,
            size,
            validator,
        } = opened;
        self.same_file(size, validator)?;
        if start > position {
            return Err(Error::fetch_failed(format!(
                "{}: the host sent bytes from {start} instead of {position}",
                self.file
            ))
            .transient(Duration::ZERO));
        }
        // A host that knows no ranges begins at the front.
        let mut behind = position - start;
        let mut scratch = vec![0; SCRATCH.min(behind as usize)];
        while behind > 0 {
            let count = SCRATCH.min(behind as usize);
            let read = stream.read(&mut scratch[..count]);
            match self.retry.timely(&self.file, read).await? {
                0 => return Err(self.broke(position - behind)),
                count => behind -= count as u64,
            }
        }
        if position == 0 && start == 0 {
            self.hash(stream.as_mut()).await?;
        }
        self.connection = Some(Connection { stream, end });
        Ok(true)
    }

    /// Leaves hashing to the platform where it can do that, and there is nothing to go on with at another visit.
    async fn hash(&mut self, stream: &mut dyn ByteStream) -> Result<()> {
        let (Some(Hasher::Sha256(_)), Some(digest)) = (&self.hasher, &self.entry.digest) else {
            return Ok(());
        };
        match stream.hash().await? {
            PlatformHash::None => return Ok(()),
            PlatformHash::AtEnd => self.platform = true,
            PlatformHash::Known(found) => {
                digest.check(&self.file, &Digest::Sha256(found))?;
                self.verified = Some(Verified::Sha256);
            }
        }
        self.hasher = None;
        Ok(())
    }

    /// *Errors*: `Integrity` where this is not the file of the connection before.
    fn same_file(&mut self, size: Option<u64>, validator: Option<String>) -> Result<()> {
        let changed = |what: String| {
            Err(Error::integrity(format!(
                "{}: the host changed it while it was fetched ({what}); load again",
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

    async fn try_read(&mut self, to: &mut [u8]) -> Result<usize> {
        loop {
            let position = self.state.position;
            if self.connection.is_none() {
                if self.state.size == Some(position) {
                    return Ok(0);
                }
                if !self.connect().await? {
                    let message = format!("{}: is not there any more", self.file);
                    return Err(Error::fetch_failed(message).with_status(404));
                }
            }
            let Some(connection) = &mut self.connection else {
                return Ok(0);
            };
            let read = connection.stream.read(to);
            let count = self.retry.timely(&self.file, read).await?;
            if count > 0 {
                return Ok(count);
            }
            let end = connection.end;
            self.connection = None;
            match self.state.size {
                Some(size) if position < size.min(end) => return Err(self.broke(position)),
                None if end == u64::MAX || position < end => self.state.size = Some(position),
                _ => {}
            }
        }
    }

    fn broke(&self, position: u64) -> Error {
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

    /// Waits before another try, or returns the error.
    async fn failed(&mut self, error: Error) -> Result<()> {
        self.connection = None;
        if self.entry.once {
            return Err(error);
        }
        self.retry.wait(error, &mut self.patience).await
    }

    /// *Errors*: `Integrity` where all bytes are there and are not those that the host lists.
    async fn check(&mut self) -> Result<()> {
        let (Some(digest), Some(size)) = (&self.entry.digest, self.entry.size) else {
            return Ok(());
        };
        if size != self.state.position {
            return Ok(());
        }
        let found = match (self.hasher.take(), &mut self.connection) {
            (Some(hasher), _) => hasher.finish(),
            (None, Some(connection)) if self.platform => {
                Digest::Sha256(connection.stream.sha256().await?)
            }
            _ => return Ok(()),
        };
        self.platform = false;
        digest.check(&self.file, &found)?;
        self.verified = Some(Verified::Sha256);
        Ok(())
    }
}

/// So much more than needed is fetched for the digest of the whole file, or a fiftieth where that is more.
const SPARE: u64 = 256 << 10;

/// Gaps up to this are read over: a request takes longer.
const SMALL_GAP: u64 = 64 << 10;

const SCRATCH: usize = 64 << 10;

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
                        self.patience = RetryState {
                            received: true,
                            ..RetryState::default()
                        };
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&to[..count]);
                    }
                    let size = self.state.size.unwrap_or(u64::MAX);
                    if self.state.position > size {
                        return Err(Error::invalid_weights(format!(
                            "{}: the host sent more than the {size} bytes that it told of",
                            self.file
                        )));
                    }
                    self.check()
                        .await
                        .map_err(|error| error.with_file(&self.file))?;
                    if let Some(listener) = &self.on_read {
                        listener(self.within(self.state.position), self.wanted());
                    }
                    return Ok(count);
                }
                Err(error) => self.failed(error.with_file(&self.file)).await?,
            }
        }
    }
}
