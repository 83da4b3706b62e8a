//! Saving, loading and deleting named objects, such as an index or a classifier: each has a manifest, and chunks that are named by their digests.
//!
//! Since a chunk's name is its digest, a save writes only chunks that the store does not have yet, and the previous version stays
//! readable until the new manifest, which is written last, replaces it.
//!
//! A lock lets one save of a name run at a time. Where processes share a folder without locks, saves may overlap: therefore a save
//! deletes no chunk that the current manifest lists, and checks at its end that all its own chunks are still stored.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::key::{Named, NamedEntry};
use super::{Chunk, LockGuard, Locks, NamedKey, Store, WriterProgress, records};
use crate::error::{Error, ErrorKind, Result, StorageQuota};

/// The most attempts of a load. An attempt fails if a save in another tab has deleted chunks of the manifest that it had read.
const MAX_ATTEMPTS: usize = 4;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NamedManifest {
    /// Describes how to read the chunks; its content is up to the caller.
    head: String,
    /// BLAKE3 digests of the chunks in their order, hexadecimal.
    chunks: Vec<String>,
}

impl NamedKey {
    /// Saves `count` chunks, whose bytes `chunk` returns: writes the chunks that are not stored yet, then the manifest,
    /// and then deletes the chunks that the manifest does not list.
    ///
    /// *Errors*: `QuotaExceeded` with the bytes that had to be written; the previous version stays readable.
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
                // After a failed write the remaining chunks are only counted, for the error's `needed`.
                if written.is_ok() {
                    written = self.put(store, guard, &digest, &bytes).await;
                }
            }
            chunks.push(digest);
        }
        let manifest = NamedManifest { head, chunks };
        let finish = async {
            written?;
            // Another save may have deleted chunks that were stored when this one began.
            self.fill(store, guard, &manifest, chunk).await?;
            records::put(store, &self.manifest(), &manifest, &[]).await
        };
        if let Err(error) = finish.await {
            // The new chunks are of no use without their manifest, and the store may be full.
            let _ = self.remove(store, &missing).await;
            return Err(self.full(error, store, needed).await);
        }
        if self.read(store).await.ok().flatten().as_ref() != Some(&manifest) {
            // A later save has replaced the manifest and deleted the chunks that it does not list.
            return Ok(());
        }
        if let Err(error) = self.fill(store, guard, &manifest, chunk).await {
            return Err(self.full(error, store, needed).await);
        }
        let own: HashSet<String> = manifest.chunks.into_iter().collect();
        let stale = before.difference(&own).cloned().collect();
        // It is complete. The next save deletes what could not be deleted now.
        let _ = self.remove(store, &stale).await;
        Ok(())
    }

    /// Writes the chunks of the manifest that are not stored.
    async fn fill(
        &self,
        store: &dyn Store,
        guard: &dyn LockGuard,
        manifest: &NamedManifest,
        chunk: &dyn Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let stored = self.stored(store).await?;
        for (i, digest) in manifest.chunks.iter().enumerate() {
            if !stored.contains(digest) {
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
        // Heartbeat: tabs that wait for the lock restart their timeout.
        guard.announce(&WriterProgress::default());
        Ok(())
    }

    /// The digests of all stored chunks.
    async fn stored(&self, store: &dyn Store) -> Result<HashSet<String>> {
        let keys = store.keys(&self.chunks()).await?;
        let digest = |key: &String| match Self::parse(self.kind, key)?.1 {
            NamedEntry::Chunk(digest) => Some(digest.into()),
            NamedEntry::Manifest => None,
        };
        Ok(keys.iter().filter_map(digest).collect())
    }

    /// Deletes those of the given chunks that the stored manifest does not list.
    async fn remove(&self, store: &dyn Store, digests: &HashSet<String>) -> Result<()> {
        let mut removed = Ok(());
        for digest in digests {
            // The manifest is read anew for each chunk: another save may have replaced it.
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

    /// Loads the object: `begin` makes a value of the manifest's head, and `take` adds each chunk to it in order. Returns `None`
    /// where nothing is saved under this name.
    ///
    /// *Errors*: `Integrity` where the manifest or a chunk is altered or missing, and those of `begin` and `take`. An altered chunk
    /// is deleted, so that the next save writes it again.
    pub async fn load<T>(
        &self,
        store: &dyn Store,
        begin: impl Fn(&str) -> Result<T>,
        take: impl Fn(&mut T, Chunk) -> Result<()>,
    ) -> Result<Option<T>> {
        let mut attempts = 0;
        let mut before = None;
        loop {
            let Some(manifest) = self.read(store).await? else {
                return Ok(None);
            };
            attempts += 1;
            if attempts > MAX_ATTEMPTS || before.as_ref() == Some(&manifest) {
                return Err(self.broken("a chunk", "is missing"));
            }
            let mut loaded = begin(&manifest.head)?;
            if self.chunks_to(store, &manifest, &mut loaded, &take).await? {
                return Ok(Some(loaded));
            }
            before = Some(manifest);
        }
    }

    /// Adds all chunks to `loaded`; false where a chunk is missing.
    async fn chunks_to<T>(
        &self,
        store: &dyn Store,
        manifest: &NamedManifest,
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
                return Err(self.broken("a chunk", "was altered"));
            }
            take(loaded, chunk)?;
        }
        Ok(true)
    }

    async fn read(&self, store: &dyn Store) -> Result<Option<NamedManifest>> {
        let Some(row) = store.get(&self.manifest()).await? else {
            return Ok(None);
        };
        let row = records::unseal(&row.to_vec());
        let altered = || self.broken("the manifest", "was altered");
        row.map(|(manifest, _)| manifest)
            .ok_or_else(altered)
            .map(Some)
    }

    /// Deletes the object. Returns false if nothing is saved under this name.
    pub async fn delete(&self, store: &dyn Store) -> Result<bool> {
        let existed = store.get(&self.manifest()).await?.is_some();
        // The manifest is deleted first: without its chunks it must not be readable.
        store.delete(&self.manifest()).await?;
        self.remove(store, &self.stored(store).await?).await?;
        Ok(existed)
    }

    fn broken(&self, part: &str, what: &str) -> Error {
        Error::integrity(format!("{part} of the stored {} {what}", self.kind.noun()))
    }

    async fn full(&self, error: Error, store: &dyn Store, needed: u64) -> Error {
        if error.kind() != ErrorKind::QuotaExceeded {
            return error;
        }
        let available = store.available().await.filter(|bytes| *bytes < needed);
        let message = format!(
            "the store is full: the {} was not saved; the version that was saved before is unchanged",
            self.kind.noun()
        );
        Error::new(ErrorKind::QuotaExceeded, message)
            .with_source(error)
            .with_quota(StorageQuota { needed, available })
    }
}

/// Deletes the chunks that have no manifest, which an interrupted first save leaves. Locked names are skipped, because they are
/// being saved.
pub(super) async fn sweep(store: &dyn Store, locks: &dyn Locks) -> Result<()> {
    for kind in Named::ALL {
        let (mut names, mut complete) = (HashSet::new(), HashSet::new());
        for key in &store.keys(kind.prefix()).await? {
            match NamedKey::parse(kind, key) {
                Some((name, NamedEntry::Manifest)) => drop(complete.insert(name)),
                Some((name, NamedEntry::Chunk(_))) => drop(names.insert(name)),
                None => {}
            }
        }
        for key in names.difference(&complete) {
            if let Some(_guard) = locks.try_take(key.lock_name()).await? {
                key.remove(store, &key.stored(store).await?).await?;
            }
        }
    }
    Ok(())
}
