//! Writes a model to a store, such that an interrupted load can be resumed and an incomplete model cannot be read.
//!
//! The partial row is written before the first chunk, and again with a new resume point after every 4 MiB of the source. The
//! manifest is written last and makes the model readable; then the partial row is deleted. `docs/store-layout.md` says what a crash
//! at each step leaves.

use std::collections::BTreeMap;

use async_trait::async_trait;
use blake3::Hasher;

use super::chunk::ChunkBuilder;
use super::library::{evict, is_complete, touch};
use super::records::{self, Manifest, Partial, PartialWeights, StoredFile};
use super::stored_model::{ChunkStream, StoredModel, has_all, hash, source_of};
use super::{Chunk, Locks, ModelKey, NoLocks, Store};
use crate::error::{Error, ErrorKind, Result, StorageQuota};
use crate::hub::{ByteStream, FetchState, MAX_FILE, Snapshot, Verified};
use crate::weights::{Resume, ResumePoint, Sink};

/// Bytes of one chunk: few enough to hold one in memory beside the model and to download it twice, many enough for speed.
pub const CHUNK: usize = 4 << 20;

/// The configuration of a load that stores its model.
#[derive(Clone)]
pub struct CacheConfig<'a> {
    /// The store to write to and to read from.
    pub store: &'a dyn Store,
    /// Identifies the model in the store.
    pub key: ModelKey,
    /// A random number that identifies this load.
    pub nonce: u64,
    /// The current time, in milliseconds since 1970.
    pub now: u64,
    /// The largest size of a chunk, and the number of bytes of the source between two resume points.
    pub chunk: usize,
    /// Locks that keep other loads from writing the same model.
    pub locks: &'a dyn Locks,
    /// Whether other models may be deleted, the least recently used first, if the store is full.
    pub evict: bool,
}

impl<'a> CacheConfig<'a> {
    /// The default configuration: chunks of 4 MiB, no locks, no eviction.
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

/// Writes one model to a store.
pub struct ModelWriter<'a> {
    cache: CacheConfig<'a>,
    partial: Partial,
    /// The bytes after the JSON of the partial row that this load resumes.
    tail: Vec<u8>,
    /// The file that is being written, with the chunks of it that are stored.
    current: Option<(String, StoredFile)>,
    builder: ChunkBuilder,
    /// Hash of the bytes in `builder`.
    hasher: Hasher,
    /// Bytes of the whole model in the store, as far as known.
    needed: u64,
    resumed: bool,
}

impl<'a> ModelWriter<'a> {
    /// Resumes a partial download of this commit, or of one with identical files; else starts a new one.
    pub async fn open(cache: CacheConfig<'a>, commit: &str, snapshot: &Snapshot) -> Result<Self> {
        let row = cache.key.partial();
        let mut before: Option<(Partial, Vec<u8>)> =
            records::get_with_tail(cache.store, &row).await?;
        // A load that ended between writing its manifest and deleting its partial row: the chunks belong to a complete model.
        if let Some((partial, _)) = &before
            && is_complete(cache.store, &cache.key, &partial.write_id).await?
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
                    remove(cache.store, &cache.key, &partial.write_id).await?;
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
                    write_id: cache.key.write_id(&owner, commit),
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

    /// Whether this load resumes a partial download.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// True if nothing resumable is stored yet.
    pub fn is_empty(&self) -> bool {
        self.partial.files.is_empty() && self.partial.weights.is_none()
    }

    /// Whether the load that this one resumes was in the middle of the host's file `file`.
    pub fn resumes(&self, file: &str) -> bool {
        let weights = self.partial.weights.as_ref();
        weights.is_some_and(|weights| weights.source == file)
    }

    /// The files that are stored completely.
    pub fn complete(&self) -> impl Iterator<Item = &str> {
        self.partial.files.keys().map(String::as_str)
    }

    /// Whether a file is stored completely.
    pub fn holds(&self, file: &str) -> bool {
        self.partial.files.contains_key(file)
    }

    /// Whether the load that this one resumes read the host's file `file`: it is stored, or is what the weights are made from.
    pub fn reads(&self, file: &str) -> bool {
        self.holds(file) || self.resumes(file)
    }

    /// A host of the files that are stored completely; `None` if `file` is not one of them.
    pub fn stored_files(&self, file: &str) -> Option<StoredModel<'a>> {
        let CacheConfig { store, key, .. } = &self.cache;
        self.holds(file)
            .then(|| StoredModel::from_manifest(*store, key, self.manifest(Verified::Length)))
    }

    /// Reads a small file that an earlier load has stored; `None` if it has not.
    pub async fn stored(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(stored) = self.partial.files.get(file) else {
            return Ok(None);
        };
        // Opening the stream has compared the row's size with the chunks', so a damaged row cannot allocate too much.
        let mut stream = self.stream(file, stored).await?;
        let mut bytes = vec![0; stored.size as usize];
        stream.read_exact(&mut bytes).await?;
        Ok(Some(bytes))
    }

    /// The resume point of the packed file `target`, made from the host's file `source`; `None` if there is none.
    ///
    /// *Errors*: `Integrity` if chunks or the source's header are missing from the store.
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
            units_done: weights.units_done,
            side_tensors: side_tensors.to_vec(),
            tensor_hash: some(tensor_hash),
        };
        self.current = Some((target.into(), weights.stored));
        Ok(Some((state, resume)))
    }

    /// Ends the current file and begins another, to which `write` then adds bytes.
    pub async fn begin(&mut self, file: &str, source: &str, snapshot: &Snapshot) -> Result<()> {
        self.end().await?;
        if let Some(digest) = source_of(snapshot, source) {
            self.partial.sources.insert(source.into(), digest);
        }
        self.current = Some((file.into(), StoredFile::default()));
        Ok(())
    }

    /// Records that the host lists no such file, so that a commit which adds it counts as a change.
    pub fn absent(&mut self, file: &str, snapshot: &Snapshot) {
        if let Some(digest) = source_of(snapshot, file) {
            self.partial.sources.insert(file.into(), digest);
        }
    }

    /// Records another file that the current one is made from.
    pub fn depends(&mut self, source: &str, snapshot: &Snapshot) {
        self.absent(source, snapshot);
    }

    /// Ends the current file and makes it durable.
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

    /// Makes the model readable, and deletes the model of the commit that this revision pointed to before.
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
        // The model is complete, so a failure to delete leftovers is no failure of the load; a sweep deletes them.
        let _ = store.delete(&key.partial()).await;
        let _ = store.delete(&self.head_key()).await;
        if let Some(before) = before
            && before.commit() != partial.commit
        {
            let _ = before.delete().await;
        }
        Ok(())
    }

    /// Keeps the packed form of the tokenizer of the model that was committed; see [`StoredModel::keep_tokenizer`].
    pub async fn keep_tokenizer(&self, file: &str, packed: &[u8]) -> Result<()> {
        let CacheConfig { store, key, .. } = &self.cache;
        let model = StoredModel::from_manifest(*store, key, self.manifest(Verified::Length));
        model.keep_tokenizer(file, packed).await
    }

    /// Deletes the partial download.
    pub async fn abandon(&self) -> Result<()> {
        let CacheConfig { store, key, .. } = &self.cache;
        store.delete(&key.partial()).await?;
        remove(*store, key, &self.partial.write_id).await
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
            write_id: partial.write_id.clone(),
            files: partial.files.clone(),
            sources: partial.sources.clone(),
        }
    }

    fn head_key(&self) -> String {
        self.cache.key.head(&self.partial.write_id)
    }

    async fn stream(&self, file: &str, stored: &StoredFile) -> Result<ChunkStream> {
        let CacheConfig { store, key, .. } = &self.cache;
        ChunkStream::open(*store, key, &self.partial.write_id, file, stored).await
    }

    async fn put_partial(&mut self, tail: &[u8]) -> Result<()> {
        self.partial.updated = self.cache.now;
        let key = self.cache.key.partial();
        self.put_with(async || records::put(self.cache.store, &key, &self.partial, tail).await)
            .await
    }

    /// Writes; if the store is full and eviction is allowed, evicts models and tries again.
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
                        // Some browsers report a made-up quota, against fingerprinting: enough free space cannot be true here.
                        available: store.available().await.filter(|bytes| *bytes < self.needed),
                    };
                    return Err(full(error, &key.model, quota));
                }
                done => return done,
            }
        }
    }

    /// Stores the chunk in the builder if it is full, or `rest` is true.
    async fn flush(&mut self, rest: bool) -> Result<()> {
        let Some(chunk) = self.builder.take(rest) else {
            return Ok(());
        };
        let Some((name, file)) = &self.current else {
            return Err(Error::internal(
                "bytes were written before a file was started",
            ));
        };
        let key = self
            .cache
            .key
            .chunk(&self.partial.write_id, name, file.chunks.len());
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

/// Deletes all chunks that were written under an id.
async fn remove(store: &dyn Store, key: &ModelKey, write_id: &str) -> Result<()> {
    for chunk in store.keys(&key.chunks(write_id)).await? {
        store.delete(&chunk).await?;
    }
    Ok(())
}

fn full(error: Error, model: &str, quota: StorageQuota) -> Error {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let available = match quota.available {
        Some(bytes) => format!("{} MB are free", mb(bytes)),
        None => "the free space is unknown".into(),
    };
    let needed = match quota.needed {
        0 => "more space than is free".into(),
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
        // Reported in the error if the store is full.
        self.needed = bytes.saturating_add(records::sum(&self.partial.files));
    }

    fn interval(&self) -> usize {
        self.cache.chunk
    }

    async fn checkpoint(&mut self, source: &str, at: ResumePoint) -> Result<()> {
        self.flush(true).await?;
        let Some((target, stored)) = self.current.clone() else {
            return Err(Error::internal(
                "bytes were written before a file was started",
            ));
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
            units_done: at.units_done,
            tail: [hash.len(), tensor_hash.len(), at.side_tensors.len()],
        });
        self.put_partial(&[hash, tensor_hash, at.side_tensors].concat())
            .await
    }
}
