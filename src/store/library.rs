//! All models of a store: list, export, delete, evict and garbage-collect them.

use std::collections::HashSet;

use super::key::{MODELS, StoreKey, current_models, model_base};
use super::records::{self, Manifest, Partial, Reference};
use super::stored_model::ChunkStream;
use super::{Locks, ModelKey, Store, named};
use crate::error::Result;
use crate::hub::ByteStream;

/// Age in milliseconds (30 days) at which a sweep deletes a partial download that no load has resumed.
const MAX_PARTIAL_AGE: u64 = 30 * 24 * 3600 * 1000;

/// Bytes of one piece that an export passes on.
const EXPORT_PIECE: usize = 1 << 20;

/// Describes one model of a store, complete or partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInfo {
    /// The key of its row in the store; [`Library::delete`] and [`Library::export`] take it.
    pub key: String,
    /// The host that it was downloaded from.
    pub host: String,
    /// The model's name on the host.
    pub model: String,
    /// The revision that the load asked for.
    pub revision: String,
    /// The commit that the revision pointed to.
    pub commit: String,
    /// The dtype of its stored weights.
    pub dtype: String,
    /// The part of the model that this is, such as a tower or the first layers, where its parts are stored separately.
    pub part: Option<String>,
    /// The option `weights` of the load, unless it was the default.
    pub weights: Option<String>,
    /// Bytes of its files in the store, and of the packed form of its tokenizer.
    pub bytes: u64,
    /// The time of the last load, in milliseconds since 1970.
    pub used: Option<u64>,
    /// The level at which its bytes were verified during the download; `None` for a partial download.
    pub verified: Option<String>,
    /// BLAKE3 digest of the names and bytes of all its files, hexadecimal. It is the same for commits with the same files.
    pub digest: Option<String>,
}

/// The row that represents a model in the store.
enum ModelRow {
    Complete(Manifest),
    Partial(Partial),
}

impl ModelRow {
    /// The row with this key; `None` where there is none, or it is damaged, or the key is of another kind.
    async fn get(store: &dyn Store, key: &str) -> Result<Option<Self>> {
        match StoreKey::parse(key) {
            Some(StoreKey::Manifest { .. }) => {
                Ok(records::get(store, key).await?.map(Self::Complete))
            }
            Some(StoreKey::Partial { .. }) => {
                let Some(row) = records::get(store, key).await?.map(Self::Partial) else {
                    return Ok(None);
                };
                // A load that ended between writing the manifest and deleting the partial row leaves both.
                let complete = is_complete(store, &row.key(), row.write_id()).await?;
                Ok((!complete).then_some(row))
            }
            _ => Ok(None),
        }
    }

    fn key(&self) -> ModelKey {
        match self {
            Self::Complete(row) => ModelKey::of(&row.host, &row.model, &row.revision, &row.variant),
            Self::Partial(row) => ModelKey::of(&row.host, &row.model, &row.revision, &row.variant),
        }
    }

    fn write_id(&self) -> &str {
        match self {
            Self::Complete(row) => &row.write_id,
            Self::Partial(row) => &row.write_id,
        }
    }
}

/// All models of a store.
#[derive(Clone, Copy)]
pub struct Library<'a> {
    store: &'a dyn Store,
}

impl<'a> Library<'a> {
    /// The models of the given store.
    pub fn new(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// Lists all models, complete and partial ones, the largest first.
    pub async fn list(&self) -> Result<Vec<StoredInfo>> {
        let store = self.store;
        let mut found = Vec::new();
        for key in store.keys(&current_models()).await? {
            let Some(row) = ModelRow::get(store, &key).await? else {
                continue;
            };
            let model = row.key();
            let used: Option<u64> = records::get(store, &model.used()).await?;
            let (commit, bytes, used, complete) = match row {
                ModelRow::Complete(row) => {
                    let packed = store.get(&model.tokenizer(&row.write_id)).await?;
                    let packed = packed.map_or(0, |packed| packed.len() as u64);
                    let bytes = row.bytes().saturating_add(packed);
                    (row.commit.clone(), bytes, used, Some(row))
                }
                ModelRow::Partial(row) => {
                    (row.commit.clone(), row.bytes(), Some(row.updated), None)
                }
            };
            let (dtype, part) = model.dtype_and_part();
            found.push(StoredInfo {
                dtype: dtype.into(),
                part: part.map(Into::into),
                weights: model.weights_option(),
                key,
                commit,
                bytes,
                used,
                digest: complete.as_ref().map(Manifest::digest),
                verified: complete.map(|row| row.verified),
                host: model.host,
                model: model.model,
                revision: model.revision,
            });
        }
        found.sort_by_key(|info| std::cmp::Reverse(info.bytes));
        Ok(found)
    }

    /// Passes all files of a complete model to `take`, in order and in pieces of up to 1 MiB. Returns false where the store has no
    /// such model.
    ///
    /// *Errors*: `Integrity` where a chunk is missing or altered, and those of `take`.
    pub async fn export(
        &self,
        key: &str,
        take: impl AsyncFn(&str, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let (store, mut piece) = (self.store, vec![0; EXPORT_PIECE]);
        let Some(ModelRow::Complete(manifest)) = ModelRow::get(store, key).await? else {
            return Ok(false);
        };
        let model = ModelRow::Complete(manifest.clone()).key();
        for (file, stored) in &manifest.files {
            let mut stream =
                ChunkStream::open(store, &model, &manifest.write_id, file, stored).await?;
            loop {
                match stream.read(&mut piece).await? {
                    0 => break,
                    count => take(file, &piece[..count]).await?,
                }
            }
        }
        Ok(true)
    }

    /// Deletes the model whose key [`list`](Self::list) returned. Returns false where the store has no such model.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        let store = self.store;
        let Some(row) = ModelRow::get(store, key).await? else {
            return Ok(false);
        };
        let model = row.key();
        // The row is deleted first: without its chunks the model must not be readable.
        store.delete(key).await?;
        for chunk in store.keys(&model.chunks(row.write_id())).await? {
            store.delete(&chunk).await?;
        }
        if let ModelRow::Complete(manifest) = row {
            for reference in store.keys(&model.references()).await? {
                let to: Option<Reference> = records::get(store, &reference).await?;
                if to.is_none_or(|to| to.commit == manifest.commit) {
                    store.delete(&reference).await?;
                }
            }
            if store.keys(&model.manifests()).await?.is_empty() {
                store.delete(&model.used()).await?;
            }
        }
        Ok(true)
    }

    /// Deletes entries of models in other versions, chunks that belong to no row, and partial downloads that are 30 days old.
    ///
    /// A model, index or classifier whose lock is held is skipped, because it is being written.
    pub async fn sweep(&self, locks: &dyn Locks, now: u64) -> Result<()> {
        let store = self.store;
        let mut models = HashSet::new();
        for key in store.keys(MODELS).await? {
            match model_base(&key) {
                Some(model) => drop(models.insert(model.to_string())),
                None => store.delete(&key).await?,
            }
        }
        for model in models {
            if let Some(_guard) = locks.try_take(&model).await? {
                sweep_model(store, &model, now).await?;
            }
        }
        named::sweep(store, locks).await
    }
}

/// Whether the chunks with this id belong to a complete model.
pub(super) async fn is_complete(store: &dyn Store, key: &ModelKey, write_id: &str) -> Result<bool> {
    for key in store.keys(&key.manifests()).await? {
        let manifest: Option<Manifest> = records::get(store, &key).await?;
        if manifest.is_some_and(|manifest| manifest.write_id == write_id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes of the host's files that a load of this commit need not download again, because an interrupted load has stored them.
/// `made`: whether the config files were made from the header of the weights, and not downloaded.
pub async fn fetched_before(
    store: &dyn Store,
    key: &ModelKey,
    commit: &str,
    made: bool,
) -> Result<u64> {
    let partial: Option<Partial> = records::get(store, &key.partial()).await?;
    Ok(partial
        .filter(|partial| partial.commit == commit)
        .map_or(0, |partial| {
            let weights = partial.weights.map_or(0, |weights| weights.position);
            let files = match made {
                true => 0,
                false => records::sum(&partial.files),
            };
            files.saturating_add(weights)
        }))
}

/// Records `now`, in milliseconds since 1970, as the time of the model's last load.
pub async fn touch(store: &dyn Store, key: &ModelKey, now: u64) -> Result<()> {
    records::put(store, &key.used(), &now, &[]).await
}

/// Deletes the least recently used model whose lock is free, but never `except`. Returns false where there is none to delete.
pub(super) async fn evict(store: &dyn Store, except: &ModelKey, locks: &dyn Locks) -> Result<bool> {
    let library = Library::new(store);
    let mut models = library.list().await?;
    models.sort_by_key(|info| info.used);
    for info in models {
        let key = ModelKey::of(&info.host, &info.model, "", "");
        if key.lock_name() == except.lock_name() {
            continue;
        }
        let Some(_guard) = locks.try_take(key.lock_name()).await? else {
            continue;
        };
        if library.delete(&info.key).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn sweep_model(store: &dyn Store, model: &str, now: u64) -> Result<()> {
    let keys = store.keys(model).await?;
    let mut live = HashSet::new();
    for key in &keys {
        let Some(StoreKey::Manifest { .. } | StoreKey::Partial { .. }) = StoreKey::parse(key)
        else {
            continue;
        };
        match ModelRow::get(store, key).await? {
            // The difference is absolute, so that a date in the future, from a wrong clock, does not keep a row for ever.
            Some(ModelRow::Partial(row)) if now.abs_diff(row.updated) > MAX_PARTIAL_AGE => {
                store.delete(key).await?;
            }
            Some(row) => drop(live.insert(row.write_id().to_string())),
            // The row is damaged, or it is a partial row whose model is complete.
            None => store.delete(key).await?,
        }
    }
    for key in &keys {
        if let Some(
            StoreKey::Chunk { write_id, .. }
            | StoreKey::Head { write_id }
            | StoreKey::Tokenizer { write_id },
        ) = StoreKey::parse(key)
            && !live.contains(&*write_id)
        {
            store.delete(key).await?;
        }
    }
    Ok(())
}
