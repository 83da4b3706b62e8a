//! The browser's IndexedDB: one object store, keys as they are, values as `Uint8Array`.

use async_trait::async_trait;
use idb::{Database, Factory, KeyRange, ObjectStoreParams, Query, TransactionMode};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

use super::{Chunk, Store};
use crate::error::{Error, ErrorKind, Result};

const DATABASE: &str = "pilotlight";
const VERSION: u32 = 1;
const OBJECTS: &str = "bytes";

/// An open database.
pub struct IndexedDb {
    database: Database,
}

impl IndexedDb {
    /// *Errors*: `BackendUnavailable` where the browser has none or denies it, as some private windows do.
    pub async fn open() -> Result<Self> {
        let denied = |error: idb::Error| {
            Error::new(
                ErrorKind::BackendUnavailable,
                "IndexedDB cannot be opened here",
            )
            .with_source(error.to_string())
        };
        let mut request = Factory::new()
            .map_err(denied)?
            .open(DATABASE, Some(VERSION))
            .map_err(denied)?;
        request.on_upgrade_needed(|event| {
            // A failure here makes the request itself fail, which is where it is reported.
            if let Ok(database) = idb::event::DatabaseEvent::database(&event) {
                let _ = database.create_object_store(OBJECTS, ObjectStoreParams::new());
            }
        });
        Ok(Self {
            database: request.await.map_err(denied)?,
        })
    }

    fn transaction(
        &self,
        mode: TransactionMode,
    ) -> Result<(idb::Transaction, idb::ObjectStore), idb::Error> {
        let transaction = self.database.transaction(&[OBJECTS], mode)?;
        let objects = transaction.object_store(OBJECTS)?;
        Ok((transaction, objects))
    }
}

impl Drop for IndexedDb {
    fn drop(&mut self) {
        self.database.close();
    }
}

#[async_trait(?Send)]
impl Store for IndexedDb {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        let read = async {
            let (_transaction, objects) = self.transaction(TransactionMode::ReadOnly)?;
            objects.get(JsValue::from(key))?.await
        };
        let value = read
            .await
            .map_err(|error| failure("read from", error.to_string()))?;
        Ok(value
            .and_then(|value| value.dyn_into::<Uint8Array>().ok())
            .map(Chunk))
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        let write = async {
            let (transaction, objects) = self.transaction(TransactionMode::ReadWrite)?;
            objects.put(&bytes.0, Some(&key.into()))?.await?;
            Ok((transaction, objects))
        };
        commit(write.await)
            .await
            .map_err(|words| failure("write to", words))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let delete = async {
            let (transaction, objects) = self.transaction(TransactionMode::ReadWrite)?;
            objects.delete(JsValue::from(key))?.await?;
            Ok((transaction, objects))
        };
        commit(delete.await)
            .await
            .map_err(|words| failure("delete from", words))
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let read = async {
            let (_transaction, objects) = self.transaction(TransactionMode::ReadOnly)?;
            // No key has U+FFFF, so this is past everything that starts with the prefix.
            let end = JsValue::from(format!("{prefix}\u{ffff}"));
            let range = KeyRange::bound(&prefix.into(), &end, Some(false), Some(false))?;
            objects
                .get_all_keys(Some(Query::KeyRange(range)), None)?
                .await
        };
        let keys = read
            .await
            .map_err(|error| failure("list", error.to_string()))?;
        Ok(keys.iter().filter_map(JsValue::as_string).collect())
    }
}

/// Waits until a transaction is durable. A full disk may let the request succeed and abort the transaction after it.
async fn commit(
    requested: Result<(idb::Transaction, idb::ObjectStore), idb::Error>,
) -> Result<(), String> {
    let words = |error: idb::Error| error.to_string();
    let (transaction, objects) = requested.map_err(words)?;
    let state = objects.transaction();
    let done = transaction.commit().map_err(words)?.await.map_err(words)?;
    if done.is_committed() {
        return Ok(());
    }
    Err(state.error().map_or_else(
        || "the transaction was aborted".into(),
        |error| format!("{}: {}", error.name(), error.message()),
    ))
}

fn failure(what: &str, words: String) -> Error {
    if words.contains("Quota") {
        let message = "the browser's storage for this site is full: delete something, or load with store: false";
        return Error::new(ErrorKind::QuotaExceeded, message).with_source(words);
    }
    Error::internal(format!("cannot {what} IndexedDB: {words}"))
}
