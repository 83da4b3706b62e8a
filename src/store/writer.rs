//! Writing a model to a store, so that a load that stops anywhere can go on from there, and nothing unfinished can be read.
//!
//! The partial row is there before the first chunk, says after every few MB how far the load has come, and goes when the
//! manifest, written last, says that the model is whole.

use std::collections::BTreeMap;

use async_trait::async_trait;
use blake3::Hasher;

use super::chunk::ChunkBuilder;
use super::library::{evict, is_whole, touch};
use super::records::{self, Manifest, Partial, PartialWeights, StoredFile};
use super::stored_model::{ChunkStream, StoredModel, has_all, hash, source_of};
use super::{Chunk, Locks, ModelKey, NoLocks, Store};
use crate::error::{Error, ErrorKind, Result, StorageQuota};
use crate::hub::{ByteStream, FetchState, MAX_FILE, Snapshot, Verified};
use crate::weights::{Resume, ResumePoint, Sink};

/// Bytes of one chunk: large enough to be quick, small enough to hold one in memory beside the model and to fetch it twice.
pub const CHUNK: usize = 4 << 20;

/// The source file's header, kept for going on.
const HEAD: &str = "head";

/// Where a model is kept, and how.
#[derive(Clone)]
pub struct CacheConfig<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Which model.
    pub key: ModelKey,
    /// Tells this load from all others.
    pub nonce: u64,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Bytes of the source after which what was read is durable, and the most bytes in a chunk.
    pub chunk: usize,
    /// Keeps others from writing the same.
    pub locks: &'a dyn Locks,
    /// Whether other models, the least recently used first, may be deleted where the store is full.
    pub evict: bool,
}

impl<'a> CacheConfig<'a> {
    /// With what suits most: chunks of 4 MiB, nobody else writing, nothing evicted.
    pub fn new(store: &'a dyn Store, key: ModelKey, nonce: u64, now: u64) -> Self {
        Self {
            store,
            key,
            nonce,
            now,
            chunk: CHUNK,
            locks: &NoLocks,
            evict: false,
        }
    }
}

/// Writes one model.
pub struct ModelWriter<'a> {
    cache: CacheConfig<'a>,
    partial: Partial,
    /// What came behind the partial row's JSON when it was taken up.
    tail: Vec<u8>,
    /// The file under way.
    current: Option<(String, StoredFile)>,
    builder: ChunkBuilder,
    /// Of what is in the builder.
    hasher: Hasher,
    /// Bytes that the model will take, as far as known.
    needed: u64,
    resumed: bool,
}

impl<'a> ModelWriter<'a> {
    /// Goes on with what an earlier load left of the same commit, or of one that had the same in it, or begins anew.
    pub async fn open(cache: CacheConfig<'a>, commit: &str, snapshot: &Snapshot) -> Result<Self> {
        let row = cache.key.partial();
        let mut before: Option<(Partial, Vec<u8>)> =
            records::get_with_tail(cache.store, &row).await?;
        // A load that was over before it could tidy up: its chunks are a model's.
        if let Some((partial, _)) = &before
            && is_whole(cache.store, &cache.key, &partial.writing).await?
        {
            before = None;
        }
        let owner = format!("{:016x}", cache.nonce);
        let (partial, tail) = match before {
            Some((mut partial, tail))
                if partial.commit == commit || has_all(snapshot, &partial.sources) =>
            {
                partial.commit = commit.into();
                (partial, tail)
            }
            before => {
                if let Some((partial, _)) = before {
                    remove(cache.store, &cache.key, &partial.writing).await?;
                }
                let ModelKey {
                    host,
                    model,
                    revision,
                    variant,
                    ..
                } = cache.key.clone();
                let partial = Partial {
                    host,
                    model,
                    revision,
                    variant,
                    commit: commit.into(),
                    writing: cache.key.writing(&owner, commit),
                    owner: String::new(),
                    updated: 0,
                    files: BTreeMap::new(),
                    sources: BTreeMap::new(),
                    weights: None,
                };
                (partial, Vec::new())
            }
        };
        let resumed = !partial.owner.is_empty();
        let mut writer = Self {
            resumed,
            partial: Partial { owner, ..partial },
            tail,
            current: None,
            builder: ChunkBuilder::new(cache.chunk),
            hasher: Hasher::new(),
            needed: 0,
            cache,
        };
        let tail = writer.tail.clone();
        writer.put_partial(&tail).await?;
        Ok(writer)
    }

    /// Whether there is anything of an earlier load.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether there is nothing yet that is worth to be gone on with.
    pub fn is_empty(&self) -> bool {
        self.partial.files.is_empty() && self.partial.weights.is_none()
    }

    /// Whether an earlier load had begun with the weights.
    pub fn has_weights(&self) -> bool {
        self.partial.weights.is_some()
    }

    /// Whether a file is whole there.
    pub fn holds(&self, file: &str) -> bool {
        self.partial.files.contains_key(file)
    }

    /// What is whole so far, to read from, where a file is among it.
    pub fn begun(&self, file: &str) -> Option<StoredModel<'a>> {
        let CacheConfig { store, key, .. } = &self.cache;
        self.holds(file)
            .then(|| StoredModel::begun(*store, key, self.manifest(Verified::Length)))
    }

    /// A small file that an earlier load stored.
    pub async fn stored(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(stored) = self.partial.files.get(file) else {
            return Ok(None);
        };
        // Its size is that of its chunks then, whatever the row says.
        let mut stream = self.stream(file, stored).await?;
        let mut bytes = vec![0; stored.size as usize];
        stream.read_exact(&mut bytes).await?;
        Ok(Some(bytes))
    }

    /// How far an earlier load came with the weights.
    ///
    /// *Errors*: `Integrity` where the store does not have what it should.
    pub async fn resume(
        &mut self,
        target: &str,
        source: &str,
    ) -> Result<Option<(FetchState, Resume)>> {
        let Some(weights) = self.partial.weights.clone() else {
            return Ok(None);
        };
        let tail = std::mem::take(&mut self.tail);
        if weights.target != target
            || weights.source != source
            || tail.len() != weights.tail.into_iter().fold(0, usize::saturating_add)
            || weights.position > MAX_FILE
        {
            return Ok(None);
        }
        let (hash, rest) = tail.split_at(weights.tail[0]);
        let (tensor_hash, side_tensors) = rest.split_at(weights.tail[1]);
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        let head = self.cache.store.get(&self.head_key()).await?;
        let missing = || Error::integrity(format!("{source}: its stored header is missing"));
        let state = FetchState {
            position: weights.position,
            size: weights.size,
            validator: weights.validator,
            hash: some(hash),
        };
        let resume = Resume {
            header: head.ok_or_else(missing)?.to_vec(),
            stored: Box::new(self.stream(target, &weights.stored).await?),
            tensor: weights.tensor,
            units_done: weights.done,
            side_tensors: side_tensors.to_vec(),
            tensor_hash: some(tensor_hash),
        };
        self.current = Some((target.into(), weights.stored));
        Ok(Some((state, resume)))
    }

    /// Ends the file before and begins another, which `write` then fills.
    pub async fn begin(&mut self, file: &str, source: &str, snapshot: &Snapshot) -> Result<()> {
        self.end().await?;
        if let Some(digest) = source_of(snapshot, source) {
            self.partial.sources.insert(source.into(), digest);
        }
        self.current = Some((file.into(), StoredFile::default()));
        Ok(())
    }

    /// Notes that the host has no such file, which a later commit may change.
    pub fn absent(&mut self, file: &str, snapshot: &Snapshot) {
        if let Some(digest) = source_of(snapshot, file) {
            self.partial.sources.insert(file.into(), digest);
        }
    }

    /// Ends the file under way and makes it durable.
    pub async fn end(&mut self) -> Result<()> {
        self.flush(true).await?;
        if let Some((name, file)) = self.current.take() {
            if self
                .partial
                .weights
                .as_ref()
                .is_some_and(|weights| weights.target == name)
            {
                self.partial.weights = None;
            }
            self.partial.files.insert(name, file);
            self.put_partial(&[]).await?;
        }
        Ok(())
    }

    /// Makes the model readable, and removes the versions of it that this revision stood for before.
    pub async fn commit(&mut self, verified: Verified) -> Result<()> {
        self.end().await?;
        let CacheConfig { store, key, .. } = &self.cache;
        let partial = &self.partial;
        let manifest = self.manifest(verified);
        let row = key.manifest(&partial.commit);
        self.put_with(async || records::put(*store, &row, &manifest, &[]).await)
            .await?;
        let before = StoredModel::open(*store, key).await?;
        if let Some(model) = StoredModel::at(*store, key, &partial.commit).await? {
            model.refer().await?;
        }
        let _ = touch(*store, key, self.cache.now).await;
        // The model is whole now, so what cannot be tidied up is no failure; the sweep will find it.
        let _ = store.delete(&key.partial()).await;
        let _ = store.delete(&self.head_key()).await;
        if let Some(before) = before
            && before.commit() != partial.commit
        {
            let _ = before.delete().await;
        }
        Ok(())
    }

    /// Removes what was stored so far: none of it is of use.
    pub async fn abandon(&self) -> Result<()> {
        let CacheConfig { store, key, .. } = &self.cache;
        store.delete(&key.partial()).await?;
        remove(*store, key, &self.partial.writing).await
    }

    fn manifest(&self, verified: Verified) -> Manifest {
        let (key, partial) = (&self.cache.key, &self.partial);
        Manifest {
            host: key.host.clone(),
            model: key.model.clone(),
            revision: key.revision.clone(),
            variant: key.variant.clone(),
            commit: partial.commit.clone(),
            verified: verified.name().into(),
            writing: partial.writing.clone(),
            files: partial.files.clone(),
            sources: partial.sources.clone(),
        }
    }

    fn head_key(&self) -> String {
        format!("{}{HEAD}", self.cache.key.chunks(&self.partial.writing))
    }

    async fn stream(&self, file: &str, stored: &StoredFile) -> Result<ChunkStream> {
        let CacheConfig { store, key, .. } = &self.cache;
        ChunkStream::open(*store, key, &self.partial.writing, file, stored).await
    }

    async fn put_partial(&mut self, tail: &[u8]) -> Result<()> {
        self.partial.updated = self.cache.now;
        let key = self.cache.key.partial();
        self.put_with(async || records::put(self.cache.store, &key, &self.partial, tail).await)
            .await
    }

    /// Puts, and where the store is full makes room if that is allowed.
    async fn put_with(&self, put: impl AsyncFn() -> Result<()>) -> Result<()> {
        let CacheConfig {
            store,
            key,
            locks,
            evict: allowed,
            ..
        } = &self.cache;
        loop {
            match put().await {
                Err(error) if error.kind() == ErrorKind::QuotaExceeded => {
                    if *allowed && evict(*store, key, *locks).await? {
                        continue;
                    }
                    let quota = StorageQuota {
                        needed: self.needed,
                        // Some browsers do not tell the truth, lest a page know them by it.
                        available: store.available().await.filter(|bytes| *bytes < self.needed),
                    };
                    return Err(full(error, &key.model, quota));
                }
                done => return done,
            }
        }
    }

    async fn flush(&mut self, rest: bool) -> Result<()> {
        let Some(chunk) = self.builder.take(rest) else {
            return Ok(());
        };
        let Some((name, file)) = &self.current else {
            return Err(Error::internal("bytes came before their file"));
        };
        let key = self
            .cache
            .key
            .chunk(&self.partial.writing, name, file.chunks.len());
        let digest = std::mem::take(&mut self.hasher).finalize();
        let size = chunk.len() as u64;
        self.put_with(async || self.cache.store.put(&key, chunk.clone()).await)
            .await?;
        if let Some((_, file)) = &mut self.current {
            file.size += size;
            file.chunks.push(digest.to_hex().as_str().into());
        }
        Ok(())
    }
}

async fn remove(store: &dyn Store, key: &ModelKey, writing: &str) -> Result<()> {
    for chunk in store.keys(&key.chunks(writing)).await? {
        store.delete(&chunk).await?;
    }
    Ok(())
}

fn full(error: Error, model: &str, quota: StorageQuota) -> Error {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let available = match quota.available {
        Some(bytes) => format!("{} MB are left", mb(bytes)),
        None => "nobody knows how much is left".into(),
    };
    let needed = match quota.needed {
        0 => "more than there is".into(),
        bytes => format!("{} MB", mb(bytes)),
    };
    let message = format!(
        "the store is full: {model} takes {needed}, and {available}; delete a model, or load with evict: true or store: false"
    );
    Error::new(ErrorKind::QuotaExceeded, message)
        .with_source(error)
        .with_quota(quota)
}

#[async_trait(?Send)]
impl Sink for ModelWriter<'_> {
    async fn keep_header(&mut self, bytes: &[u8]) -> Result<()> {
        let (key, chunk) = (self.head_key(), Chunk::from(bytes));
        self.put_with(async || self.cache.store.put(&key, chunk.clone()).await)
            .await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let taken = self.builder.push(bytes);
            hash(&mut self.hasher, &bytes[..taken]);
            bytes = &bytes[taken..];
            self.flush(false).await?;
        }
        Ok(())
    }

    fn expected_size(&mut self, bytes: u64) {
        // For the error where there is no room.
        self.needed = bytes.saturating_add(records::sum(&self.partial.files));
    }

    fn interval(&self) -> usize {
        self.cache.chunk
    }

    async fn checkpoint(&mut self, source: &str, at: ResumePoint) -> Result<()> {
        self.flush(true).await?;
        let Some((target, stored)) = self.current.clone() else {
            return Err(Error::internal("bytes came before their file"));
        };
        let hash = at.state.hash.unwrap_or_default();
        let tensor_hash = at.tensor_hash.unwrap_or_default();
        self.partial.weights = Some(PartialWeights {
            target,
            stored,
            source: source.into(),
            position: at.state.position,
            size: at.state.size,
            validator: at.state.validator,
            tensor: at.tensor,
            done: at.units_done,
            tail: [hash.len(), tensor_hash.len(), at.side_tensors.len()],
        });
        self.put_partial(&[hash, tensor_hash, at.side_tensors].concat())
            .await
    }
}
