//! An index under its name: a manifest, and chunks named by their own digests.
//!
//! ```text
//! pilotlight-index/1/{name}#manifest          what it is, and which chunks in which order; written last
//!                          #chunk/{digest}    bytes
//! ```
//!
//! The keys begin otherwise than those of models, which therefore neither list nor sweep them. Since a chunk's name is its digest, a
//! save writes only those that are not there, and what the former manifest leads to stays whole until the new one is written.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Chunk, Store, rows};
use crate::error::{Error, ErrorKind, Result, Room};

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
    pub fn turn(&self) -> &str {
        &self.base
    }

    fn manifest(&self) -> String {
        format!("{}manifest", self.base)
    }

    fn chunks(&self) -> String {
        format!("{}chunk/", self.base)
    }

    /// Writes what is not there yet, then the manifest; then removes what it does not lead to.
    ///
    /// *Errors*: `QuotaExceeded` with the bytes that were to be written; then the former version stays.
    pub async fn save(
        &self,
        store: &dyn Store,
        head: String,
        chunks: impl Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<()> {
        let there: HashSet<String> = store.keys(&self.chunks()).await?.into_iter().collect();
        let mut manifest = IndexManifest {
            head,
            chunks: Vec::new(),
        };
        let mut written = HashSet::new();
        let mut needed = 0;
        for chunk in chunks {
            let chunk = chunk?;
            let digest = blake3::hash(&chunk).to_hex();
            let key = format!("{}{}", self.chunks(), digest.as_str());
            if !there.contains(&key) && written.insert(key.clone()) {
                needed += chunk.len() as u64;
                let put = store.put(&key, Chunk::from(chunk.as_slice())).await;
                if let Err(error) = put {
                    remove(store, &written).await;
                    return Err(full(error, store, needed).await);
                }
            }
            manifest.chunks.push(digest.as_str().into());
        }
        if let Err(error) = rows::put(store, &self.manifest(), &manifest, &[]).await {
            remove(store, &written).await;
            return Err(full(error, store, needed).await);
        }
        for digest in &manifest.chunks {
            written.insert(format!("{}{digest}", self.chunks()));
        }
        for key in there.difference(&written) {
            // The index is whole; what cannot be removed now the next save removes.
            let _ = store.delete(key).await;
        }
        Ok(())
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
            let key = format!("{}{digest}", self.chunks());
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
        let row = rows::unseal(&row.to_vec());
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
        for key in store.keys(&self.chunks()).await? {
            store.delete(&key).await?;
        }
        Ok(there)
    }
}

/// Of a save that failed: a full store is not kept full. What stays all the same the next save removes.
async fn remove(store: &dyn Store, written: &HashSet<String>) {
    for key in written {
        let _ = store.delete(key).await;
    }
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
        .with_room(Room { needed, available })
}
