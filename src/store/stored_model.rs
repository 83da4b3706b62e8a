//! A complete model in a store. It implements [`Host`], so loading from the store is loading from one more host.

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use blake3::Hasher;
use futures_util::future::join_all;

use super::records::{self, Manifest, Reference, StoredFile, Tokenizer};
use super::{Chunk, ModelKey, Store};
use crate::error::{Error, Result};
use crate::hub::{ByteStream, FileEntry, Host, MAX_FILE, Opened, Snapshot, Verified};

/// A model in a store that can be loaded.
pub struct StoredModel<'a> {
    store: &'a dyn Store,
    key: ModelKey,
    manifest: Manifest,
    outdated: bool,
}

/// Whether a revision is the id of a commit, which always names the same files.
fn is_whole_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl<'a> StoredModel<'a> {
    /// Opens the model that the key's revision points to, or whose commit it is; `None` where the store has no complete one.
    pub async fn open(store: &'a dyn Store, key: &ModelKey) -> Result<Option<Self>> {
        let reference: Option<Reference> = records::get(store, &key.reference()).await?;
        let (commit, outdated) = match &reference {
            Some(Reference { commit, latest, .. }) => (commit, commit != latest),
            None if is_whole_commit(&key.revision) => (&key.revision, false),
            None => return Ok(None),
        };
        let found = Self::at(store, key, commit).await?;
        Ok(found.map(|model| Self { outdated, ..model }))
    }

    /// Opens the model of one commit; `None` where the store has no complete one.
    pub async fn at(store: &'a dyn Store, key: &ModelKey, commit: &str) -> Result<Option<Self>> {
        let manifest: Option<Manifest> = records::get(store, &key.manifest(commit)).await?;
        Ok(manifest.map(|manifest| Self::from_manifest(store, key, manifest)))
    }

    /// The files that a manifest lists, which need not be all files of the model.
    pub(super) fn from_manifest(store: &'a dyn Store, key: &ModelKey, manifest: Manifest) -> Self {
        Self {
            store,
            key: key.clone(),
            manifest,
            outdated: false,
        }
    }

    /// Whether the host named a newer commit when it was last asked.
    pub fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The level at which the model was verified during its download.
    pub fn verified(&self) -> Verified {
        Verified::from_name(&self.manifest.verified).unwrap_or(Verified::Length)
    }

    /// The commit that the model was downloaded from.
    pub fn commit(&self) -> &str {
        &self.manifest.commit
    }

    /// The keys of a file's chunks, and their digests; `None` where the model has no such file.
    pub(super) fn chunks(&self, file: &str) -> Option<Vec<(String, String)>> {
        let digests = self.manifest.files.get(file)?.chunks.iter().enumerate();
        let key = |index| self.key.chunk(&self.manifest.write_id, file, index);
        Some(
            digests
                .map(|(index, digest)| (key(index), digest.clone()))
                .collect(),
        )
    }

    /// Reads the packed form of a tokenizer; `None` where there is none that was made from this model's file `file`.
    pub async fn packed_tokenizer(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(stored) = self.manifest.files.get(file) else {
            return Ok(None);
        };
        let key = self.key.tokenizer(&self.manifest.write_id);
        let row: Option<(Tokenizer, Vec<u8>)> = records::get_with_tail(self.store, &key).await?;
        Ok(row
            .filter(|(row, _)| row.source == stored.chunks)
            .map(|(_, packed)| packed))
    }

    /// Stores the packed form of the tokenizer that was made from `file`; does nothing if the model has no such file.
    pub async fn keep_tokenizer(&self, file: &str, packed: &[u8]) -> Result<()> {
        let Some(stored) = self.manifest.files.get(file) else {
            return Ok(());
        };
        let row = Tokenizer {
            source: stored.chunks.clone(),
        };
        let key = self.key.tokenizer(&self.manifest.write_id);
        records::put(self.store, &key, &row, packed).await
    }

    /// Makes the key's revision point to this model's commit.
    pub async fn refer(&self) -> Result<()> {
        let commit = self.manifest.commit.clone();
        let reference = Reference {
            latest: commit.clone(),
            commit,
        };
        records::put(self.store, &self.key.reference(), &reference, &[]).await
    }

    /// Records which commit the host has now. If that commit has the same files, the stored model becomes that commit's.
    pub async fn refresh(mut self, snapshot: &Snapshot) -> Result<()> {
        let Some(latest) = snapshot.commit.clone() else {
            return Ok(());
        };
        let before = std::mem::replace(&mut self.manifest.commit, latest.clone());
        if before == latest && !self.outdated {
            return Ok(());
        }
        if has_all(snapshot, &self.manifest.sources) {
            let key = self.key.manifest(&latest);
            records::put(self.store, &key, &self.manifest, &[]).await?;
            self.refer().await?;
            if before != latest {
                self.store.delete(&self.key.manifest(&before)).await?;
            }
            // A page that loaded the earlier commit names it when it loads the model again.
            if is_whole_commit(&before) {
                self.key.revision = before;
                self.refer().await?;
            }
            return Ok(());
        }
        let reference = Reference {
            commit: before,
            latest,
        };
        records::put(self.store, &self.key.reference(), &reference, &[]).await
    }

    /// Deletes the manifest, without which the model cannot be read, and then the chunks.
    pub async fn delete(self) -> Result<()> {
        let manifest = self.key.manifest(&self.manifest.commit);
        self.store.delete(&manifest).await?;
        let chunks = self.key.chunks(&self.manifest.write_id);
        for key in self.store.keys(&chunks).await? {
            self.store.delete(&key).await?;
        }
        Ok(())
    }
}

/// Whether the snapshot lists the same content for all files that a model was made from. False if nothing is known of them.
pub(super) fn has_all(snapshot: &Snapshot, sources: &BTreeMap<String, String>) -> bool {
    let same =
        |(file, source): (&String, &String)| source_of(snapshot, file).as_ref() == Some(source);
    !sources.is_empty() && sources.iter().all(same)
}

/// The identity of a file's content in a snapshot: its digest, or `absent` if there is no such file; `None` if nothing is listed.
pub(super) fn source_of(snapshot: &Snapshot, file: &str) -> Option<String> {
    match &snapshot.files {
        None => None,
        Some(files) => match files.get(file) {
            None => Some("absent".into()),
            Some(entry) => entry.digest.as_ref().map(ToString::to_string),
        },
    }
}

#[async_trait(?Send)]
impl Host for StoredModel<'_> {
    async fn snapshot(&self) -> Result<Snapshot> {
        let entry = |file: &StoredFile| FileEntry {
            size: Some(file.size).filter(|size| *size <= MAX_FILE),
            ..FileEntry::default()
        };
        let files = self.manifest.files.iter();
        Ok(Snapshot {
            commit: Some(self.manifest.commit.clone()),
            files: Some(
                files
                    .map(|(path, file)| (path.clone(), entry(file)))
                    .collect(),
            ),
            ..Snapshot::default()
        })
    }

    async fn open(
        &self,
        _commit: Option<&str>,
        file: &str,
        _range: Range<u64>,
    ) -> Result<Option<Opened>> {
        let Some(stored) = self.manifest.files.get(file) else {
            return Ok(None);
        };
        let stream =
            ChunkStream::open(self.store, &self.key, &self.manifest.write_id, file, stored);
        Ok(Some(Opened {
            stream: Box::new(stream.await?),
            start: 0,
            end: u64::MAX,
            size: Some(stored.size),
            validator: None,
        }))
    }
}

/// Reads a stored file, and verifies each chunk's digest when the chunk's last byte is read.
pub(super) struct ChunkStream {
    file: String,
    /// The unread chunks with their digests, the next one last, so that a chunk is freed once it is read.
    rest: Vec<(Chunk, String)>,
    /// Bytes of the next chunk that have been read.
    position: usize,
    hasher: Hasher,
}

impl ChunkStream {
    /// Reads all chunks of a file from the store into memory, which in the browser is JavaScript's.
    ///
    /// *Errors*: `Integrity` if a chunk is missing or the size differs from the row's.
    pub async fn open(
        store: &dyn Store,
        key: &ModelKey,
        write_id: &str,
        file: &str,
        stored: &StoredFile,
    ) -> Result<Self> {
        // A `ByteStream` borrows nothing, so it cannot read from the store later. The reads run at once, which a database answers
        // faster than one after the other.
        let keys: Vec<_> = (0..stored.chunks.len())
            .map(|index| key.chunk(write_id, file, index))
            .collect();
        // Await every read even if one fails: a dropped IndexedDB request would call back into freed state.
        let chunks = join_all(keys.iter().map(|key| store.get(key))).await;
        let chunks: Result<Option<Vec<Chunk>>> = chunks.into_iter().collect();
        let chunks = chunks?;
        let missing = || Error::integrity(format!("{file}: a stored chunk is missing"));
        let chunks = chunks.ok_or_else(missing)?;
        let found: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if found != stored.size {
            let size = stored.size;
            let message = format!("{file}: expected {size} stored bytes, found {found}");
            return Err(Error::integrity(message));
        }
        let mut rest: Vec<_> = chunks
            .into_iter()
            .zip(stored.chunks.iter().cloned())
            .collect();
        rest.reverse();
        Ok(Self {
            file: file.into(),
            rest,
            position: 0,
            hasher: Hasher::new(),
        })
    }
}

#[async_trait(?Send)]
impl ByteStream for ChunkStream {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        while let Some((chunk, digest)) = self.rest.last() {
            // The chunk is empty now if the caller's store has transferred its buffer.
            let altered = || Error::integrity(format!("{}: a stored chunk was altered", self.file));
            let rest = chunk.len().checked_sub(self.position);
            let count = to.len().min(rest.ok_or_else(altered)?);
            chunk.copy_to(self.position, &mut to[..count]);
            hash(&mut self.hasher, &to[..count]);
            self.position += count;
            if self.position == chunk.len() {
                let found = std::mem::take(&mut self.hasher).finalize().to_hex();
                if found.as_str() != digest {
                    return Err(altered());
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

/// The BLAKE3 digest of bytes, hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new();
    hash(&mut hasher, bytes);
    hasher.finalize().to_hex().to_string()
}

/// Hashes in pieces of 64 KiB, which is faster in WebAssembly than one long call.
pub(super) fn hash(hasher: &mut Hasher, bytes: &[u8]) {
    for piece in bytes.chunks(64 << 10) {
        hasher.update(piece);
    }
}
