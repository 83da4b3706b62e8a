//! All models of a store: listing, deleting, making room, and sweeping up what nobody will come back for.

use std::collections::HashSet;

use super::key::{EVERYTHING, current};
use super::records::{self, Manifest, Partial, Reference};
use super::stored_model::ChunkStream;
use super::{Locks, ModelKey, Store, index_chunks};
use crate::error::Result;
use crate::hub::ByteStream;

/// A download that nobody went on with for so long is given up: a month, in milliseconds.
const STALE: u64 = 30 * 24 * 3600 * 1000;

/// Bytes that are handed out at a time.
const PIECE: usize = 1 << 20;

const MANIFEST: &str = "#manifest/";
const PARTIAL: &str = "#partial/";
const CHUNK: &str = "#chunk/";

/// A model in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInfo {
    /// To delete it by.
    pub key: String,
    /// Where it came from.
    pub host: String,
    /// Its name there.
    pub model: String,
    /// What was asked for.
    pub revision: String,
    /// What that stood for.
    pub commit: String,
    /// How its weights are kept.
    pub dtype: String,
    /// Which part of the model it is, where parts are kept by themselves.
    pub part: Option<String>,
    /// What it takes.
    pub bytes: u64,
    /// When it was loaded last, in milliseconds since 1970.
    pub used: Option<u64>,
    /// By what it was checked when it was fetched; `None` where it is not whole yet.
    pub verified: Option<String>,
    /// BLAKE3 of all its files, hexadecimal: of another commit the same where that left them alone.
    pub digest: Option<String>,
}

/// A row that stands for a model.
enum Row {
    Whole(Manifest),
    Partial(Partial),
}

impl Row {
    async fn get(store: &dyn Store, key: &str) -> Result<Option<Self>> {
        if !key.contains(PARTIAL) {
            return Ok(records::get(store, key).await?.map(Self::Whole));
        }
        let Some(row) = records::get(store, key).await?.map(Self::Partial) else {
            return Ok(None);
        };
        // What a load left that was over before it could tidy up is no model.
        let whole = is_whole(store, &row.key(), row.writing()).await?;
        Ok((!whole).then_some(row))
    }

    fn key(&self) -> ModelKey {
        match self {
            Self::Whole(row) => ModelKey::of(&row.host, &row.model, &row.revision, &row.variant),
            Self::Partial(row) => ModelKey::of(&row.host, &row.model, &row.revision, &row.variant),
        }
    }

    fn writing(&self) -> &str {
        match self {
            Self::Whole(row) => &row.writing,
            Self::Partial(row) => &row.writing,
        }
    }
}

/// All models of a store.
#[derive(Clone, Copy)]
pub struct Library<'a> {
    store: &'a dyn Store,
}

impl<'a> Library<'a> {
    /// Of this store.
    pub fn new(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// Everything there is, the largest first.
    pub async fn list(&self) -> Result<Vec<StoredInfo>> {
        let store = self.store;
        let mut found = Vec::new();
        for key in store.keys(&format!("{}/", current())).await? {
            if !key.contains(MANIFEST) && !key.contains(PARTIAL) {
                continue;
            }
            let Some(row) = Row::get(store, &key).await? else {
                continue;
            };
            let model = row.key();
            let used: Option<u64> = records::get(store, &model.used()).await?;
            let (commit, bytes, used, whole) = match row {
                Row::Whole(row) => (row.commit.clone(), row.bytes(), used, Some(row)),
                Row::Partial(row) => (row.commit.clone(), row.bytes(), Some(row.updated), None),
            };
            let (dtype, part) = model.dtype_and_part();
            found.push(StoredInfo {
                dtype: dtype.into(),
                part: part.map(Into::into),
                key,
                commit,
                bytes,
                used,
                digest: whole.as_ref().map(Manifest::digest),
                verified: whole.map(|row| row.verified),
                host: model.host,
                model: model.model,
                revision: model.revision,
            });
        }
        found.sort_by_key(|info| std::cmp::Reverse(info.bytes));
        Ok(found)
    }

    /// Hands out all files of a model that is whole, in pieces and in order; false where there is no such model.
    ///
    /// *Errors*: `Integrity` where a chunk was altered, and those of `take`.
    pub async fn export(
        &self,
        key: &str,
        take: impl AsyncFn(&str, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let (store, mut piece) = (self.store, vec![0; PIECE]);
        let Some(Row::Whole(manifest)) = Row::get(store, key).await? else {
            return Ok(false);
        };
        let model = Row::Whole(manifest.clone()).key();
        for (file, stored) in &manifest.files {
            let mut stream =
                ChunkStream::open(store, &model, &manifest.writing, file, stored).await?;
            loop {
                match stream.read(&mut piece).await? {
                    0 => break,
                    count => take(file, &piece[..count]).await?,
                }
            }
        }
        Ok(true)
    }

    /// Deletes what [`list`](Self::list) gave a key for; false where there is no such thing.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        let store = self.store;
        if !key.starts_with(&current()) || !(key.contains(MANIFEST) || key.contains(PARTIAL)) {
            return Ok(false);
        }
        let Some(row) = Row::get(store, key).await? else {
            return Ok(false);
        };
        let model = row.key();
        // The row first: what is not whole any more must not be readable.
        store.delete(key).await?;
        for chunk in store.keys(&model.chunks(row.writing())).await? {
            store.delete(&chunk).await?;
        }
        if let Row::Whole(manifest) = row {
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

    /// Removes what nothing leads to, what is older than this version, and downloads that were given up.
    ///
    /// Only what nobody is writing is touched: a model whose turn is taken is left alone.
    pub async fn sweep(&self, locks: &dyn Locks, now: u64) -> Result<()> {
        let store = self.store;
        let own = format!("{}/", current());
        let mut models = HashSet::new();
        for key in store.keys(EVERYTHING).await? {
            match (key.starts_with(&own), key.split_once('#')) {
                (true, Some((model, _))) => drop(models.insert(format!("{model}#"))),
                _ => store.delete(&key).await?,
            }
        }
        for model in models {
            if let Some(_turn) = locks.try_take(&model).await? {
                sweep_model(store, &model, now).await?;
            }
        }
        index_chunks::sweep(store, locks).await
    }
}

/// Whether what was written so has become a model that is whole.
pub(super) async fn is_whole(store: &dyn Store, key: &ModelKey, writing: &str) -> Result<bool> {
    for key in store.keys(&key.manifests()).await? {
        let manifest: Option<Manifest> = records::get(store, &key).await?;
        if manifest.is_some_and(|manifest| manifest.writing == writing) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes of the host's files that an earlier load of this commit made durable without coming to its end.
pub async fn fetched_before(store: &dyn Store, key: &ModelKey, commit: &str) -> Result<u64> {
    let partial: Option<Partial> = records::get(store, &key.partial()).await?;
    Ok(partial
        .filter(|partial| partial.commit == commit)
        .map_or(0, |partial| {
            let weights = partial.weights.map_or(0, |weights| weights.position);
            records::sum(&partial.files).saturating_add(weights)
        }))
}

/// Notes that a model is in use.
pub async fn touch(store: &dyn Store, key: &ModelKey, now: u64) -> Result<()> {
    records::put(store, &key.used(), &now, &[]).await
}

/// Deletes the least recently used model that nobody writes, other than `except`; false where there is none.
pub(super) async fn evict(store: &dyn Store, except: &ModelKey, locks: &dyn Locks) -> Result<bool> {
    let library = Library::new(store);
    let mut models = library.list().await?;
    models.sort_by_key(|info| info.used);
    for info in models {
        let key = ModelKey::of(&info.host, &info.model, "", "");
        if key.lock_name() == except.lock_name() {
            continue;
        }
        let Some(_turn) = locks.try_take(key.lock_name()).await? else {
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
    for key in keys
        .iter()
        .filter(|key| key.contains(MANIFEST) || key.contains(PARTIAL))
    {
        match Row::get(store, key).await? {
            // A clock that was wrong is no reason to keep something for ever.
            Some(Row::Partial(row)) if now.abs_diff(row.updated) > STALE => {
                store.delete(key).await?;
            }
            Some(row) => drop(live.insert(row.writing().to_string())),
            // It was altered, so nobody can read it.
            None => store.delete(key).await?,
        }
    }
    for key in &keys {
        if let Some((_, chunk)) = key.split_once(CHUNK)
            && let Some((writing, _)) = chunk.split_once('/')
            && !live.contains(writing)
        {
            store.delete(key).await?;
        }
    }
    Ok(())
}
