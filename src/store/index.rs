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
//! One save of a name has its turn at a time. Where turns cannot be had, as among processes that share a folder, another may come
//! between: so a save removes nothing that the manifest leads to by then, and looks afterwards whether all that is its own is there.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Announcement, Chunk, Store, Turn, Turns, rows};
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

    fn chunk(&self, digest: &str) -> String {
        format!("{}{digest}", self.chunks())
    }

    /// Writes what is not there yet, then the manifest; then removes what it does not lead to. `chunks` gives all of them each time.
    ///
    /// *Errors*: `QuotaExceeded` with the bytes that were to be written; then the former version stays.
    pub async fn save<C: Iterator<Item = Result<Vec<u8>>>>(
        &self,
        store: &dyn Store,
        turn: &dyn Turn,
        head: String,
        chunks: impl Fn() -> C,
    ) -> Result<()> {
        let before = self.stored(store).await?;
        let mut manifest = IndexManifest {
            head,
            chunks: Vec::new(),
        };
        let mut missing = HashSet::new();
        let mut needed = 0;
        let mut written = Ok(());
        for chunk in chunks() {
            let chunk = chunk?;
            let digest = blake3::hash(&chunk).to_hex().to_string();
            if !before.contains(&digest) && missing.insert(digest.clone()) {
                needed += chunk.len() as u64;
                // After one has failed the others are only counted.
                if written.is_ok() {
                    written = self.put(store, turn, &digest, &chunk).await;
                }
            }
            manifest.chunks.push(digest);
        }
        if written.is_ok() {
            written = rows::put(store, &self.manifest(), &manifest, &[]).await;
        }
        if let Err(error) = written {
            // A full store is not kept full.
            self.remove(store, &missing).await;
            return Err(full(error, store, needed).await);
        }
        self.remove(store, &before).await;
        let there = self.stored(store).await?;
        if manifest.chunks.iter().all(|digest| there.contains(digest)) {
            return Ok(());
        }
        for chunk in chunks() {
            let chunk = chunk?;
            let digest = blake3::hash(&chunk).to_hex();
            if !there.contains(digest.as_str()) {
                self.put(store, turn, &digest, &chunk).await?;
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        store: &dyn Store,
        turn: &dyn Turn,
        digest: &str,
        chunk: &[u8],
    ) -> Result<()> {
        store.put(&self.chunk(digest), Chunk::from(chunk)).await?;
        // Who waits learns that this goes on, and waits longer.
        turn.announce(&Announcement::default());
        Ok(())
    }

    /// The digests of all chunks.
    async fn stored(&self, store: &dyn Store) -> Result<HashSet<String>> {
        let chunks = self.chunks();
        let keys = store.keys(&chunks).await?.into_iter();
        Ok(keys.map(|key| key[chunks.len()..].into()).collect())
    }

    /// Removes those of these chunks that the manifest does not lead to. What stays all the same the next save removes.
    async fn remove(&self, store: &dyn Store, digests: &HashSet<String>) {
        for digest in digests {
            // Each time anew: another save may have come between.
            let live = match self.read(store).await {
                Ok(manifest) => manifest.is_some_and(|manifest| manifest.chunks.contains(digest)),
                Err(_) => true,
            };
            if !live {
                let _ = store.delete(&self.chunk(digest)).await;
            }
        }
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

/// Removes what a first save left that was cut off; a name whose turn is taken is left alone.
pub(super) async fn sweep(store: &dyn Store, turns: &dyn Turns) -> Result<()> {
    let keys = store.keys(INDEXES).await?;
    let names = |keys: &mut dyn Iterator<Item = &String>| -> HashSet<String> {
        let base = |key: &String| Some(format!("{}#", key.split_once('#')?.0));
        keys.filter_map(base).collect()
    };
    let whole = names(&mut keys.iter().filter(|key| key.ends_with("#manifest")));
    for base in names(&mut keys.iter()).difference(&whole) {
        let key = IndexKey { base: base.clone() };
        if let Some(_turn) = turns.try_take(key.turn()).await?
            && store.get(&key.manifest()).await?.is_none()
        {
            key.delete(store).await?;
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
        .with_room(Room { needed, available })
}
