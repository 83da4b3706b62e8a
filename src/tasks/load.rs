//! Loading a model: from the store or from the host, with progress, and into the store.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use burn::tensor::Device;
use futures_util::future::join;
use futures_util::{StreamExt, stream};

use super::checkpoint::{INDEX, Shard, UPSTREAM, packed_name, shards};
use super::opening::{Opened, Opening};
use super::progress::{LoadProgress, LoadStatus};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{Fetch, FileEntry, Host, LOCK, Lock, Network, Snapshot, Verified, retrying};
use crate::pace::Pace;
use crate::store::{Announcement, Keep, ModelWriter, StoredModel, Turn, touch};
use crate::weights::{self, Dtype, Needs, Plan, Sink, Weights};

/// Requests at a time: small files and the front of the weights come together.
const LANES: usize = 4;

/// What is asked for first of the weights: most headers are in it, and so is much that is needed.
const FRONT: u64 = 64 << 10;

/// Without a byte for so long a connection is given up, unless the caller says otherwise.
pub const STALL: Duration = Duration::from_secs(20);

/// Progress is reported at most once in so many bytes: a Worker's stream comes in pieces of 4 KiB.
const REPORT_EVERY: u64 = 256 << 10;

pub(super) fn missing(file: &str) -> Error {
    Error::fetch_failed(format!("{file}: the repository has no such file"))
}

/// Where a model comes from and where it is kept.
pub struct Source<'a> {
    /// The repository.
    pub host: &'a dyn Host,
    /// Where the packed model is kept.
    pub keep: Option<Keep<'a>>,
    /// Called at every step.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// Cancels and waits.
    pub pace: &'a dyn Pace,
    /// A connection without a byte for so long is given up, and tried again.
    pub stall: Duration,
    /// Which part of the model it is for, where parts are loaded and kept by themselves.
    pub part: Option<&'static str>,
}

impl<'a> Source<'a> {
    /// From a host, kept nowhere.
    pub fn new(host: &'a dyn Host, pace: &'a dyn Pace) -> Self {
        Self {
            host,
            keep: None,
            progress: &|_| {},
            pace,
            stall: STALL,
            part: None,
        }
    }

    /// The same, for a part of the model: it is kept by itself.
    pub(super) fn for_part<'b>(
        &'b self,
        part: &'static str,
        progress: &'b dyn Fn(&LoadProgress),
    ) -> Source<'b> {
        Source {
            host: self.host,
            keep: self.keep.as_ref().map(|keep| Keep {
                key: keep.key.part(part),
                ..keep.clone()
            }),
            progress,
            pace: self.pace,
            stall: self.stall,
            part: Some(part),
        }
    }

    pub(super) fn network(&self) -> Network<'a> {
        Network {
            pace: self.pace,
            stall: self.stall,
            seed: self.keep.as_ref().map_or(0, |keep| keep.nonce),
        }
    }

    /// What the host has now, with what its lock file adds.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let network = self.network();
        let host = self.host;
        let mut snapshot =
            retrying(network, "the list of files", async || host.snapshot().await).await?;
        if !snapshot.lacks(LOCK) {
            let lock = Fetch::open(host, &snapshot, LOCK, u64::MAX, network).await;
            // A plain bucket may refuse what it does not have in many ways.
            let lock = if snapshot.files.is_some() {
                lock?
            } else {
                lock.unwrap_or(None)
            };
            if let Some(lock) = lock
                && let Some(lock) = Lock::parse(&lock.read_to_end().await?)
            {
                lock.complete(&mut snapshot);
            }
        }
        Ok(snapshot)
    }

    /// Asks the host what a stored model's revision stands for now, for the next load, and notes that the model is in use.
    /// `parts`: which of them, where the model is kept in some.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn refresh(&self, parts: &[&'static str]) -> Result<()> {
        if parts.is_empty() {
            return self.refresh_one().await;
        }
        for part in parts {
            self.for_part(part, &|_| {}).refresh_one().await?;
        }
        Ok(())
    }

    async fn refresh_one(&self) -> Result<()> {
        let Some(keep) = &self.keep else {
            return Ok(());
        };
        touch(keep.store, &keep.key, keep.now).await?;
        // Who is writing it has just asked.
        let Some(_turn) = keep.turns.try_take(keep.key.turn()).await? else {
            return Ok(());
        };
        match StoredModel::open(keep.store, &keep.key).await? {
            Some(model) => model.refresh(&self.snapshot().await?).await,
            None => Ok(()),
        }
    }
}

/// Builds a model from the store where it is whole there, else from the host, and then keeps it.
///
/// *Errors*: those of `build`, `FetchFailed`, `Integrity`, `QuotaExceeded`, `Aborted`. What is in the store then can be gone on
/// with, or is removed where it is of no use; none of it can be read as a model.
pub async fn load<T>(
    source: &Source<'_>,
    build: impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    let Some(keep) = &source.keep else {
        let snapshot = source.snapshot().await?;
        return Loading::fetching(source, snapshot, None).run(&build).await;
    };
    if let Some(model) = stored(source, keep, false, &build).await? {
        return Ok(model);
    }
    let turn = keep.turns.take(keep.key.turn()).await?;
    // Another tab may have stored it meanwhile.
    if let Some(model) = stored(source, keep, false, &build).await? {
        return Ok(model);
    }
    let fetched = fetched(source, keep, turn.as_ref(), &build).await;
    match fetched {
        // A host that cannot be reached is no reason to go without the model of last week.
        Err(error) if error.kind() == ErrorKind::FetchFailed => {
            let before = stored(source, keep, true, &build).await?;
            before.ok_or(error)
        }
        done => done,
    }
}

/// Builds a model of what the host has now: from the store only where that is known to be the same.
///
/// *Errors*: as [`load`], and `FetchFailed` where the host cannot be asked.
pub(super) async fn load_newest<T>(
    source: &Source<'_>,
    build: impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    let Some(keep) = &source.keep else {
        return load(source, build).await;
    };
    let turn = keep.turns.take(keep.key.turn()).await?;
    let snapshot = source.snapshot().await?;
    if snapshot.commit.is_some() {
        if let Some(model) = StoredModel::open(keep.store, &keep.key).await? {
            model.refresh(&snapshot).await?;
        }
        if let Some(model) = stored(source, keep, false, &build).await? {
            return Ok(model);
        }
    }
    fetched(source, keep, turn.as_ref(), &build).await
}

/// From the store, or `None` where it is not whole there, or not the newest as far as known.
async fn stored<T>(
    source: &Source<'_>,
    keep: &Keep<'_>,
    outdated: bool,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<Option<T>> {
    match StoredModel::open(keep.store, &keep.key).await? {
        Some(model) if outdated || !model.is_outdated() => from_stored(source, model, build).await,
        _ => Ok(None),
    }
}

/// From what is stored, or `None` where that cannot be used: then it goes.
async fn from_stored<T>(
    source: &Source<'_>,
    stored: StoredModel<'_>,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<Option<T>> {
    let snapshot = stored.snapshot().await?;
    let loading = Loading::new(&stored, source, snapshot, Some(stored.verified()));
    match loading.run(build).await {
        Ok(model) => Ok(Some(model)),
        Err(error) if is_useless(&error) => {
            stored.delete().await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether what was stored or fetched is no good, however often it is read.
fn is_useless(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Integrity | ErrorKind::InvalidWeights | ErrorKind::UnsupportedModel
    )
}

/// From the host, going on with what an earlier load left.
async fn fetched<T>(
    source: &Source<'_>,
    keep: &Keep<'_>,
    turn: &dyn Turn,
    build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
) -> Result<T> {
    loop {
        let snapshot = source.snapshot().await?;
        if let Some(commit) = &snapshot.commit
            && let Some(model) = StoredModel::at(keep.store, &keep.key, commit).await?
        {
            // Another name for a commit that is there, or what was refreshed meanwhile.
            model.refer().await?;
            if let Some(model) = from_stored(source, model, build).await? {
                return Ok(model);
            }
        }
        let resumed = Cell::new(false);
        let loading = Loading::fetching(source, snapshot, Some((keep, turn, &resumed)));
        match loading.run(build).await {
            // What an earlier load left did not fit. It is gone now.
            Err(error) if is_useless(&error) && resumed.get() => {}
            done => return done,
        }
    }
}

/// A small file, or `None` where there is none.
type Small = Result<Option<Vec<u8>>>;

/// Where a load that fetches writes, whose turn it is, and whether it went on with what was there.
type Writing<'a, 's> = (&'a Keep<'s>, &'a dyn Turn, &'a Cell<bool>);

/// One way through the files of a repository, from the host or from the store.
pub struct Loading<'a, 's> {
    host: &'a dyn Host,
    source: &'a Source<'s>,
    snapshot: Snapshot,
    cached: bool,
    writing: Option<Writing<'a, 's>>,
    writer: Option<ModelWriter<'s>>,
    /// Small files that are at hand, or why not.
    small: HashMap<String, Small>,
    /// Of which the front was asked for, or why it is not there.
    weights: Opened<'a>,
    /// What tells these files from those of another time.
    commit: String,
    verified: Verified,
    loaded: u64,
    total: u64,
}

impl<'a, 's> Loading<'a, 's> {
    fn new(
        host: &'a dyn Host,
        source: &'a Source<'s>,
        snapshot: Snapshot,
        verified: Option<Verified>,
    ) -> Self {
        Self {
            host,
            source,
            snapshot,
            cached: verified.is_some(),
            writing: None,
            writer: None,
            small: HashMap::new(),
            weights: Ok(None),
            commit: String::new(),
            verified: verified.unwrap_or(Verified::Sha256),
            loaded: 0,
            total: 0,
        }
    }

    /// From the source's host.
    pub(super) fn fetching(
        source: &'a Source<'s>,
        snapshot: Snapshot,
        writing: Option<Writing<'a, 's>>,
    ) -> Self {
        Self {
            writing,
            ..Self::new(source.host, source, snapshot, None)
        }
    }

    /// Builds the model and makes it readable in the store.
    async fn run<T>(
        mut self,
        build: &impl AsyncFn(&mut Loading<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let mut done = build(&mut self).await;
        if let Some(writer) = &mut self.writer {
            if done.is_ok() {
                done = writer.commit(self.verified).await.and(done);
            }
            // A full store is not kept full, and what is no good is not gone on with.
            if let Err(error) = &done
                && (is_useless(error)
                    || error.kind() == ErrorKind::QuotaExceeded
                    || writer.is_empty())
            {
                // The first failure is the one to report; what a failing clean-up leaves cannot be read anyway.
                let _ = writer.abandon().await;
            }
        }
        if done.is_ok() {
            self.report_as(LoadStatus::Ready, None, Some(self.verified));
        }
        done
    }

    /// Decides which file has the weights: the packed one where the host lists it, else the checkpoint, or the index of its
    /// shards. Fetches `files`, which are small, and the front of the weights, several at a time, and sums up what is known of
    /// all sizes.
    pub async fn plan(&mut self, dtype: Dtype, files: &[&str]) -> Result<String> {
        self.source.pace.breathe().await?;
        let packed = packed_name(dtype, self.source.part);
        let mut weights = if self.snapshot.lists(&packed) {
            packed
        } else if self.snapshot.lists(INDEX) && !self.snapshot.lists(UPSTREAM) {
            INDEX.into()
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
            .is_some_and(|writer| writer.holds(INDEX))
        {
            weights = INDEX.into();
        }
        let mut files = files.to_vec();
        files.extend((weights == INDEX).then_some(INDEX));
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
            match self.cached || has_weights || weights == INDEX {
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
            let index = self.small(INDEX).await?;
            if index.is_some() {
                weights = INDEX.into();
                self.small.insert(INDEX.into(), Ok(index));
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
            let bytes = fetch_whole(self.host, &self.snapshot, &file, self.network()).await;
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
            (None, Some((keep, ..))) => format!("{:016x}", keep.nonce),
            (None, None) => String::new(),
        };
        format!(
            "content-{}",
            &blake3::hash(content.as_bytes()).to_hex()[..16]
        )
    }

    async fn open_writer(&mut self, commit: &str) -> Result<()> {
        if let Some((keep, _, resumed)) = self.writing {
            let writer = ModelWriter::open(keep.clone(), commit, &self.snapshot).await?;
            resumed.set(writer.is_resumed());
            self.writer = Some(writer);
        }
        Ok(())
    }

    fn network(&self) -> Network<'s> {
        let network = self.source.network();
        match self.cached {
            // A store is not left in the middle of an answer: IndexedDB would call back into what is gone.
            true => Network {
                stall: Duration::MAX,
                ..network
            },
            false => network,
        }
    }

    async fn open(&self, file: &str, front: u64) -> Result<Option<Fetch<'a>>> {
        if self.snapshot.lacks(file) {
            return Ok(None);
        }
        Fetch::open(self.host, &self.snapshot, file, front, self.network()).await
    }

    /// Whether the files come from the store.
    pub(super) fn is_cached(&self) -> bool {
        self.cached
    }

    /// What tells the files that [`plan`](Self::plan) found from those of another time.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// What is known of the repository.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The weights, of which [`plan`](Self::plan) has asked for the front.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    pub(super) fn front(&mut self, file: &str) -> Result<Fetch<'a>> {
        self.take_front()?.ok_or_else(|| missing(file))
    }

    fn take_front(&mut self) -> Opened<'a> {
        std::mem::replace(&mut self.weights, Ok(None))
    }

    /// Begins to fetch the weights where they are stored: they come while something else is made.
    pub async fn open_weights(&mut self, file: String) -> Opening<'a> {
        if !self.cached {
            let there = self.take_front();
            return Opening::new(file, async move { there }, false).await;
        }
        let (host, snapshot, name) = (self.host, self.snapshot.clone(), file.clone());
        let network = self.network();
        let opening = async move { Fetch::open(host, &snapshot, &name, u64::MAX, network).await };
        Opening::new(file, opening, true).await
    }

    /// Reads the weights, and hands them to the store in their packed form.
    pub async fn weights(
        &mut self,
        opening: Opening<'a>,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Weights> {
        let file = opening.file.clone();
        if file == INDEX {
            return self.sharded(needs, device).await;
        }
        let there = opening.fetch().await?;
        let target = packed_name(needs.dtype, self.source.part);
        self.file(file, there, target, needs, device).await
    }

    /// Reads the shards one after the other. The store keeps one packed file of each.
    async fn sharded(&mut self, needs: &Needs<'_>, device: &Device) -> Result<Weights> {
        let shards = self.shards(needs).await?;
        let names = shards.iter().map(|shard| shard.file.as_str());
        let sizes = names.filter_map(|file| self.known(file).size);
        self.total += sizes.sum::<u64>();
        let mut weights = Weights::none(device);
        for shard in shards {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            weights.join(self.shard(&shard, &needs, device).await?);
        }
        Ok(weights)
    }

    /// What reading each shard would take.
    pub(super) async fn plan_shards(&mut self, needs: &Needs<'_>) -> Result<Vec<(String, Plan)>> {
        let mut plans = Vec::new();
        for shard in self.shards(needs).await? {
            let needs = Needs {
                parameters: &shard.parameters,
                ..*needs
            };
            let fetch = self.open(&shard.file, FRONT).await?;
            let mut fetch = fetch.ok_or_else(|| missing(&shard.file))?;
            let plan = weights::plan(&shard.file, &mut fetch, &needs).await?;
            plans.push((shard.file, plan));
        }
        Ok(plans)
    }

    async fn shards(&mut self, needs: &Needs<'_>) -> Result<Vec<Shard>> {
        let index = self.required(INDEX).await?;
        let mut shards = shards(&index, needs, self.source.part)?;
        for shard in &mut shards {
            if self.snapshot.lists(&shard.packed) {
                shard.file.clone_from(&shard.packed);
            }
        }
        Ok(shards)
    }

    async fn shard(
        &mut self,
        shard: &Shard,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Weights> {
        let packed = &shard.packed;
        let begun = self.writer.as_ref().and_then(|writer| writer.begun(packed));
        let Some(begun) = begun else {
            let there = self.open(&shard.file, FRONT).await?;
            return self
                .file(shard.file.clone(), there, packed.clone(), needs, device)
                .await;
        };
        // An earlier load has stored it.
        let (snapshot, network) = (begun.snapshot().await?, self.network());
        let fetch = Fetch::open(&begun, &snapshot, packed, u64::MAX, network).await?;
        let mut fetch = fetch.ok_or_else(|| missing(packed))?;
        let pace = self.source.pace;
        let weights = weights::load(packed, &mut fetch, needs, device, None, None, pace).await?;
        self.loaded += self.known(&shard.file).size.unwrap_or(0);
        // By what it was checked then is not known any more.
        self.verified = self.verified.min(Verified::Length);
        Ok(weights)
    }

    /// Reads one file, from where an earlier load left it.
    async fn file(
        &mut self,
        file: String,
        there: Option<Fetch<'a>>,
        target: String,
        needs: &Needs<'_>,
        device: &Device,
    ) -> Result<Weights> {
        let (mut resume, mut went_on) = (None, false);
        let mut fetch = there;
        let network = self.network();
        if let Some(writer) = self.writer.as_mut() {
            if let Some((state, left)) = writer.resume(&target, &file).await? {
                let resumed = Fetch::resume(self.host, &self.snapshot, &file, state, network);
                (fetch, resume) = (Some(resumed), Some(left));
                went_on = true;
            } else {
                if fetch.is_none() {
                    fetch = Fetch::open(self.host, &self.snapshot, &file, FRONT, network).await?;
                }
                writer.begin(&target, &file, &self.snapshot).await?;
            }
        }
        let mut fetch = fetch.ok_or_else(|| missing(&file))?;
        // From here on the file itself tells how much of it is needed.
        self.total -= self.known(&file).size.unwrap_or(0);
        let report = self.reporter(&file);
        if went_on {
            report(fetch.position(), fetch.size().unwrap_or(fetch.position()));
        }
        fetch.on_read(report);
        let sink = self.writer.as_mut().map(|writer| writer as &mut dyn Sink);
        let pace = self.source.pace;
        let weights = weights::load(&file, &mut fetch, needs, device, sink, resume, pace).await?;
        self.loaded += fetch.wanted();
        self.total += fetch.wanted();
        if !self.cached {
            self.verified = self.verified.min(fetch.verified());
        }
        self.prepare(&file);
        Ok(weights)
    }

    /// Says that something is made of a file now.
    pub fn prepare(&self, file: &str) {
        self.report(LoadStatus::Prepare, Some(file));
    }

    /// A config file that must be there.
    pub async fn required(&mut self, file: &str) -> Result<Vec<u8>> {
        self.get(file).await?.ok_or_else(|| missing(file))
    }

    /// A config file, or `None` where there is none.
    pub async fn small(&mut self, file: &str) -> Result<Option<Vec<u8>>> {
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

    fn known(&self, file: &str) -> FileEntry {
        self.snapshot.entry(file)
    }

    fn report(&self, status: LoadStatus, file: Option<&str>) {
        self.report_as(status, file, None);
    }

    fn report_as(&self, status: LoadStatus, file: Option<&str>, verified: Option<Verified>) {
        (self.source.progress)(&LoadProgress {
            status,
            file,
            loaded: self.loaded,
            total: self.total.max(self.loaded),
            cached: self.cached,
            verified,
        });
    }

    /// Reports bytes of the weights, to the caller and to the other tabs.
    fn reporter(&self, file: &str) -> impl Fn(u64, u64) + 'a {
        let (progress, cached) = (self.source.progress, self.cached);
        let turn = self.writing.map(|(_, turn, _)| turn);
        let (before, total, file) = (self.loaded, self.total, file.to_string());
        let reported = Cell::new(u64::MAX);
        move |read, wanted| {
            let step = read / REPORT_EVERY;
            if reported.replace(step) == step && read != wanted {
                return;
            }
            let loaded = before + read;
            let total = (total + wanted).max(loaded);
            progress(&LoadProgress {
                status: LoadStatus::Download,
                file: Some(&file),
                loaded,
                total,
                cached,
                verified: None,
            });
            if let Some(turn) = turn {
                turn.announce(&Announcement {
                    file: Some(file.clone()),
                    loaded,
                    total,
                });
            }
        }
    }
}

/// A small file, checked to be none of the web pages with which some hosts answer everything.
async fn fetch_whole(
    host: &dyn Host,
    snapshot: &Snapshot,
    file: &str,
    network: Network<'_>,
) -> Result<Option<Vec<u8>>> {
    if snapshot.lacks(file) {
        return Ok(None);
    }
    network.pace.breathe().await?;
    let Some(fetch) = Fetch::open(host, snapshot, file, u64::MAX, network).await? else {
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
