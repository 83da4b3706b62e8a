//! A packed model in a store: its files in chunks, and a manifest that is written last.
//!
//! Only the manifest makes a model readable, so a download that stops anywhere leaves nothing that could be taken for one.
//! Each writing has chunk keys of its own, so two tabs that fetch the same model do not mix theirs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use blake3::Hasher;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::chunk::ChunkBuilder;
use super::{Chunk, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{ByteStream, FileEntry, Host};
use crate::weights::{Dtype, Sink};

/// Bytes of one chunk: large enough to be quick, small enough to hold one in memory beside the model.
const CHUNK: usize = 4 << 20;

/// Changes with the layout of keys, manifest or packed file; other versions are not looked at.
const VERSION: u32 = 2;

/// What a stored model is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelKey(String);

impl ModelKey {
    /// A model of a host at a revision, in a precision.
    pub fn new(host: &str, model: &str, revision: &str, dtype: Dtype) -> Self {
        Self(format!(
            "pilotlight/{VERSION}/{}/{model}@{revision}/{}",
            host.trim_end_matches('/'),
            dtype.name()
        ))
    }

    fn manifest(&self) -> String {
        format!("{}#manifest", self.0)
    }

    /// Everything but the manifest; `#` ends the key, so no other model's key starts alike.
    fn chunks(&self) -> String {
        format!("{}#chunk/", self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    files: BTreeMap<String, StoredFile>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredFile {
    size: u64,
    chunks: Vec<StoredChunk>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredChunk {
    key: String,
    /// BLAKE3 of the bytes, hexadecimal.
    digest: String,
}

/// A model that is whole in a store. As a [`Host`] it has the files that loading needs.
pub struct StoredModel<'a> {
    store: &'a dyn Store,
    key: ModelKey,
    manifest: Manifest,
}

impl<'a> StoredModel<'a> {
    /// The model, or `None` where the store has none that is whole and of this version.
    pub async fn open(store: &'a dyn Store, key: &ModelKey) -> Result<Option<Self>> {
        let Some(bytes) = store.get(&key.manifest()).await? else {
            return Ok(None);
        };
        match serde_json::from_slice::<Manifest>(&bytes.to_vec()) {
            Ok(manifest) if manifest.version == VERSION => Ok(Some(Self {
                store,
                key: key.clone(),
                manifest,
            })),
            _ => Ok(None),
        }
    }

    /// Removes the model, the manifest first.
    pub async fn delete(self) -> Result<()> {
        self.store.delete(&self.key.manifest()).await?;
        for key in self.store.keys(&self.key.chunks()).await? {
            self.store.delete(&key).await?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Host for StoredModel<'_> {
    async fn list(&self) -> Result<Option<Vec<FileEntry>>> {
        let files = self.manifest.files.iter();
        Ok(Some(
            files
                .map(|(path, file)| FileEntry {
                    path: path.clone(),
                    size: Some(file.size),
                    digest: None,
                })
                .collect(),
        ))
    }

    async fn open(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>> {
        let Some(stored) = self.manifest.files.get(file) else {
            return Ok(None);
        };
        // Read ahead of the stream, because a `ByteStream` borrows nothing; in the browser this is JavaScript's memory.
        // All are asked for at once: a database answers the next while this one is on its way.
        let missing = || {
            Error::new(
                ErrorKind::Integrity,
                format!("{file}: a stored chunk is missing"),
            )
        };
        let gets = stored.chunks.iter().map(|chunk| self.store.get(&chunk.key));
        let chunks: Option<Vec<Chunk>> = try_join_all(gets).await?.into_iter().collect();
        let chunks = chunks.ok_or_else(missing)?;
        let found: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if found != stored.size {
            let message = format!("{file}: the store has {found} bytes of {}", stored.size);
            return Err(Error::new(ErrorKind::Integrity, message));
        }
        let digests = stored.chunks.iter().map(|chunk| chunk.digest.clone());
        let mut chunks: Vec<_> = chunks.into_iter().zip(digests).collect();
        chunks.reverse();
        Ok(Some(Box::new(ChunkStream {
            file: file.into(),
            rest: chunks,
            position: 0,
            hasher: Hasher::new(),
            length: stored.size,
        })))
    }
}

struct ChunkStream {
    file: String,
    /// With their digests, last first, so that a chunk is let go once it is read.
    rest: Vec<(Chunk, String)>,
    /// Read from the chunk under way.
    position: usize,
    hasher: Hasher,
    length: u64,
}

#[async_trait(?Send)]
impl ByteStream for ChunkStream {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        while let Some((chunk, digest)) = self.rest.last() {
            let count = to.len().min(chunk.len() - self.position);
            chunk.copy_to(self.position, &mut to[..count]);
            hash(&mut self.hasher, &to[..count]);
            self.position += count;
            if self.position == chunk.len() {
                let found = std::mem::take(&mut self.hasher).finalize().to_hex();
                if found.as_str() != digest {
                    let message = format!("{}: a stored chunk was altered", self.file);
                    return Err(Error::new(ErrorKind::Integrity, message));
                }
                self.rest.pop();
                self.position = 0;
            }
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// In pieces, which WebAssembly hashes faster than one long call.
fn hash(hasher: &mut Hasher, bytes: &[u8]) {
    for piece in bytes.chunks(64 << 10) {
        hasher.update(piece);
    }
}

/// Writes a model to a store. Until `commit` nothing of it can be read.
pub struct ModelWriter<'a> {
    store: &'a dyn Store,
    key: ModelKey,
    /// Chunk keys of this writing alone.
    prefix: String,
    files: BTreeMap<String, StoredFile>,
    /// The file under way.
    current: Option<(String, StoredFile)>,
    builder: ChunkBuilder,
    /// Of what is in the builder.
    hasher: Hasher,
}

impl<'a> ModelWriter<'a> {
    /// `nonce` tells this writing from all others of the same model.
    pub fn new(store: &'a dyn Store, key: &ModelKey, nonce: u64) -> Self {
        let prefix = format!("{}{nonce:016x}/", key.chunks());
        let builder = ChunkBuilder::new(CHUNK);
        Self {
            store,
            key: key.clone(),
            prefix,
            files: BTreeMap::new(),
            current: None,
            builder,
            hasher: Hasher::new(),
        }
    }

    /// Ends the file before and begins another, which `write` then fills.
    pub async fn begin(&mut self, file: &str) -> Result<()> {
        self.end().await?;
        self.current = Some((
            file.into(),
            StoredFile {
                size: 0,
                chunks: Vec::new(),
            },
        ));
        Ok(())
    }

    /// Makes the model readable, and removes what older writings left.
    pub async fn commit(&mut self) -> Result<()> {
        self.end().await?;
        let manifest = Manifest {
            version: VERSION,
            files: std::mem::take(&mut self.files),
        };
        let bytes = serde_json::to_vec(&manifest)
            .map_err(|error| Error::internal(format!("manifest: {error}")))?;
        self.store
            .put(&self.key.manifest(), bytes.as_slice().into())
            .await?;
        // The model is whole now, so what cannot be tidied up is no failure.
        for key in self
            .store
            .keys(&self.key.chunks())
            .await
            .unwrap_or_default()
        {
            if !key.starts_with(&self.prefix) {
                let _ = self.store.delete(&key).await;
            }
        }
        Ok(())
    }

    /// Removes what this writing stored.
    pub async fn abandon(&self) -> Result<()> {
        for key in self.store.keys(&self.prefix).await? {
            self.store.delete(&key).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        self.flush(true).await?;
        if let Some((name, file)) = self.current.take() {
            self.files.insert(name, file);
        }
        Ok(())
    }

    async fn flush(&mut self, rest: bool) -> Result<()> {
        if let (Some((name, file)), Some(chunk)) = (&mut self.current, self.builder.take(rest)) {
            let key = format!("{}{name}/{}", self.prefix, file.chunks.len());
            file.size += chunk.len() as u64;
            let digest = std::mem::take(&mut self.hasher).finalize();
            self.store.put(&key, chunk).await?;
            file.chunks.push(StoredChunk {
                key,
                digest: digest.to_hex().as_str().into(),
            });
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Sink for ModelWriter<'_> {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let taken = self.builder.push(bytes);
            hash(&mut self.hasher, &bytes[..taken]);
            bytes = &bytes[taken..];
            self.flush(false).await?;
        }
        Ok(())
    }
}
