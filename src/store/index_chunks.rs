//! An index under its name: a manifest, and chunks named by their own digests.
//!
//! ```text
//! pilotlight-index/1/{name}#manifest          what it is, and which chunks in which order; written last
//!                          #chunk/{digest}    bytes
//! ```
//!
//! The keys begin otherwise than those of models, which therefore do not list them. Since a chunk's name is its digest, a save writes
//! only those that are not there, and what the former manifest leads to stays whole until the new one is written.
//!
//! One save of a name has its turn at a time. Where locks cannot be had, as among processes that share a folder, another may come
//! between: so a save removes nothing that the manifest leads to by then, and looks afterwards whether all that is its own is there.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Chunk, LockGuard, Locks, Store, WriterProgress, records};
use crate::error::{Error, ErrorKind, Result, StorageQuota};

/// Changes with the layout of keys, of the manifest and of chunks.
const INDEXES: &str = "pilotlight-index/1/";

/// A save by another tab may take the chunks away that a manifest led to; then there is another one.
const TRIES: usize = 4;

/// Where an index lies in a store.
#[derive(Clone, Debug)]
pub struct IndexKey {
    base: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct IndexManifest {
    /// Says how to read the chunks.
    head: String,
    /// BLAKE3 of each, hexadecimal.
    chunks: Vec<String>,
}

impl IndexKey {
    /// *Errors*: `InvalidInput` for an empty name.
    pub fn new(name: &str) -> Result<Self> {
        if name.is_empty() {
            return Err(Error::invalid_input("name is empty"));
        }
        let name = super::key::escape(name);
        Ok(Self {
            base: format!("{INDEXES}{name}#"),
        })
    }

    /// What only one tab at a time may write.
    pub fn lock_name(&self) -> &str {
        &self.base
    }

    fn manifest(&self) -> String {
        format!("{}manifest", self.base)
    }

    fn chunks(&self) -> String {
        format!("{}chunk/", self.base)
    }

    fn chunk(&self, digest: &str) -> String {
        format!("{}{digest}", self.chunks())
    }

    /// Writes those of `count` chunks that are not there yet, then the manifest; then removes what it does not lead to.
    ///
    /// *Errors*: `QuotaExceeded` with the bytes that were to be written; then the former version stays.
    pub async fn save(
        &self,
        store: &dyn Store,
        guard: &dyn LockGuard,
        head: String,
        count: usize,
        chunk: &dyn Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let before = self.stored(store).await?;
        let mut chunks = Vec::new();
        let mut missing = HashSet::new();
        let mut needed = 0;
        let mut written = Ok(());
        for i in 0..count {
            let bytes = chunk(i)?;
            let digest = blake3::hash(&bytes).to_hex().to_string();
            if !before.contains(&digest) && missing.insert(digest.clone()) {
                needed += bytes.len() as u64;
                // After one has failed the others are only counted.
                if written.is_ok() {
                    written = self.put(store, guard, &digest, &bytes).await;
                }
            }
            chunks.push(digest);
        }
        let manifest = IndexManifest { head, chunks };
        let finish = async {
            written?;
            // What was there at first, another save may have removed meanwhile.
            self.fill(store, guard, &manifest, chunk).await?;
            records::put(store, &self.manifest(), &manifest, &[]).await
        };
        if let Err(error) = finish.await {
            // A full store is not kept full.
            let _ = self.remove(store, &missing).await;
            return Err(full(error, store, needed).await);
        }
        if self.read(store).await.ok().flatten().as_ref() != Some(&manifest) {
            // Another save came after this one, and has removed what it does not need.
            return Ok(());
        }
        if let Err(error) = self.fill(store, guard, &manifest, chunk).await {
            return Err(full(error, store, needed).await);
        }
        let own: HashSet<String> = manifest.chunks.into_iter().collect();
        let stale = before.difference(&own).cloned().collect();
        // The index is whole; what cannot be removed now the next save removes.
        let _ = self.remove(store, &stale).await;
        Ok(())
    }

    /// Writes the chunks that are not there.
    async fn fill(
        &self,
        store: &dyn Store,
        guard: &dyn LockGuard,
        manifest: &IndexManifest,
        chunk: &dyn Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let there = self.stored(store).await?;
        for (i, digest) in manifest.chunks.iter().enumerate() {
            if !there.contains(digest) {
                self.put(store, guard, digest, &chunk(i)?).await?;
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        store: &dyn Store,
        guard: &dyn LockGuard,
        digest: &str,
        bytes: &[u8],
    ) -> Result<()> {
        store.put(&self.chunk(digest), Chunk::from(bytes)).await?;
        // Who waits learns that this goes on, and waits longer.
        guard.announce(&WriterProgress::default());
        Ok(())
    }

    /// The digests of all chunks.
    async fn stored(&self, store: &dyn Store) -> Result<HashSet<String>> {
        let chunks = self.chunks();
        let keys = store.keys(&chunks).await?.into_iter();
        Ok(keys.map(|key| key[chunks.len()..].into()).collect())
    }

    /// Removes those of these chunks that the manifest does not lead to.
    async fn remove(&self, store: &dyn Store, digests: &HashSet<String>) -> Result<()> {
        let mut removed = Ok(());
        for digest in digests {
            // Each time anew: another save may have come between.
            let live = match self.read(store).await {
                Ok(manifest) => manifest.is_some_and(|manifest| manifest.chunks.contains(digest)),
                Err(_) => true,
            };
            if !live && let Err(error) = store.delete(&self.chunk(digest)).await {
                removed = Err(error);
            }
        }
        removed
    }

    /// Hands out the head and then all chunks, to what `begin` made of the head; `None` where nothing was saved.
    ///
    /// *Errors*: `Integrity` where the manifest or a chunk was altered or is missing; an altered chunk is removed, so that the
    /// next save writes it anew. And those of `begin` and `take`.
    pub async fn load<T>(
        &self,
        store: &dyn Store,
        begin: impl Fn(&str) -> Result<T>,
        take: impl Fn(&mut T, Chunk) -> Result<()>,
    ) -> Result<Option<T>> {
        let mut tries = 0;
        let mut before = None;
        loop {
            let Some(manifest) = self.read(store).await? else {
                return Ok(None);
            };
            tries += 1;
            if tries > TRIES || before.as_ref() == Some(&manifest) {
                return Err(Error::integrity("a chunk of the stored index is missing"));
            }
            let mut loaded = begin(&manifest.head)?;
            if self.chunks_to(store, &manifest, &mut loaded, &take).await? {
                return Ok(Some(loaded));
            }
            before = Some(manifest);
        }
    }

    /// False where a chunk is missing.
    async fn chunks_to<T>(
        &self,
        store: &dyn Store,
        manifest: &IndexManifest,
        loaded: &mut T,
        take: &impl Fn(&mut T, Chunk) -> Result<()>,
    ) -> Result<bool> {
        for digest in &manifest.chunks {
            let key = self.chunk(digest);
            let Some(chunk) = store.get(&key).await? else {
                return Ok(false);
            };
            if blake3::hash(&chunk.to_vec()).to_hex().as_str() != digest {
                let _ = store.delete(&key).await;
                return Err(Error::integrity("a chunk of the stored index was altered"));
            }
            take(loaded, chunk)?;
        }
        Ok(true)
    }

    async fn read(&self, store: &dyn Store) -> Result<Option<IndexManifest>> {
        let Some(row) = store.get(&self.manifest()).await? else {
            return Ok(None);
        };
        let row = records::unseal(&row.to_vec());
        let altered = || Error::integrity("the manifest of the stored index was altered");
        row.map(|(manifest, _)| manifest)
            .ok_or_else(altered)
            .map(Some)
    }

    /// Removes it; false where there is none.
    pub async fn delete(&self, store: &dyn Store) -> Result<bool> {
        let there = store.get(&self.manifest()).await?.is_some();
        // First: what is not whole any more must not be readable.
        store.delete(&self.manifest()).await?;
        self.remove(store, &self.stored(store).await?).await?;
        Ok(there)
    }
}

/// Removes what a first save left that was cut off; a name whose turn is taken is left alone.
pub(super) async fn sweep(store: &dyn Store, locks: &dyn Locks) -> Result<()> {
    let keys = store.keys(INDEXES).await?;
    let names = |keys: &mut dyn Iterator<Item = &String>| -> HashSet<String> {
        let base = |key: &String| Some(format!("{}#", key.split_once('#')?.0));
        keys.filter_map(base).collect()
    };
    let whole = names(&mut keys.iter().filter(|key| key.ends_with("#manifest")));
    for base in names(&mut keys.iter()).difference(&whole) {
        let key = IndexKey { base: base.clone() };
        if let Some(_turn) = locks.try_take(key.lock_name()).await? {
            key.remove(store, &key.stored(store).await?).await?;
        }
    }
    Ok(())
}

async fn full(error: Error, store: &dyn Store, needed: u64) -> Error {
    if error.kind() != ErrorKind::QuotaExceeded {
        return error;
    }
    let available = store.available().await.filter(|bytes| *bytes < needed);
    let message =
        "the store is full: the index was not saved, and what was saved before is there still";
    Error::new(ErrorKind::QuotaExceeded, message)
        .with_source(error)
        .with_quota(StorageQuota { needed, available })
}
