//! The browser's IndexedDB: one object store, keys as they are, values as `Uint8Array`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use async_trait::async_trait;
use gloo_timers::future::TimeoutFuture;
use idb::{Database, Factory, KeyRange, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{Chunk, Store};
use crate::error::{Error, ErrorKind, Result};

const DATABASE: &str = "pilotlight";

/// 1 had models in chunks without digests; an upgrade empties the database, because models can be fetched again.
const VERSION: u32 = 2;

const OBJECTS: &str = "bytes";

/// A browser that does not answer for so long is taken for one that has no IndexedDB: some private windows never answer, and
/// another tab may hold an older version open.
const OPENING_TAKES_AT_MOST: u32 = 5_000;

/// The database. Another tab that wants to upgrade or delete it closes it; it is opened again when it is used next.
pub struct IndexedDb {
    database: RefCell<Rc<Database>>,
}

impl IndexedDb {
    /// *Errors*: `BackendUnavailable` where the browser has none or denies it, as some private windows do.
    pub async fn open() -> Result<Self> {
        Ok(Self {
            database: RefCell::new(open().await?),
        })
    }

    /// Works on the database, once more on a newly opened one where that was closed.
    async fn with<T>(
        &self,
        what: &str,
        work: impl AsyncFn(&Database) -> Result<T, String>,
    ) -> Result<T> {
        let database = self.database.borrow().clone();
        match work(&database).await {
            Err(words) if is_closed(&words) => {
                let database = open().await?;
                self.database.replace(database.clone());
                work(&database).await
            }
            done => done,
        }
        .map_err(|words| failure(what, words))
    }
}

async fn open() -> Result<Rc<Database>> {
    let denied = |words: String| {
        let message = "IndexedDB cannot be opened here";
        Error::new(ErrorKind::BackendUnavailable, message).with_source(words)
    };
    let opening = async {
        let mut request = Factory::new()?.open(DATABASE, Some(VERSION))?;
        request.on_upgrade_needed(|event| {
            // A failure here makes the request itself fail, which is where it is reported.
            if let Ok(database) = idb::event::DatabaseEvent::database(&event) {
                if database.store_names().iter().any(|name| name == OBJECTS) {
                    let _ = database.delete_object_store(OBJECTS);
                }
                let _ = database.create_object_store(OBJECTS, ObjectStoreParams::new());
            }
        });
        request.await
    };
    let mut opening = pin!(opening);
    let mut late = pin!(TimeoutFuture::new(OPENING_TAKES_AT_MOST));
    let opened = poll_fn(|context| match opening.as_mut().poll(context) {
        Poll::Ready(opened) => Poll::Ready(Some(opened)),
        Poll::Pending => late.as_mut().poll(context).map(|()| None),
    });
    let mut database = match opened.await {
        Some(Ok(database)) => database,
        Some(Err(error)) => return Err(denied(error.to_string())),
        None => return Err(denied("it does not answer".into())),
    };
    database.on_version_change(|event| {
        if let Some(database) = event.target() {
            let _ = Reflect::get(&database, &"close".into())
                .and_then(|close| close.unchecked_into::<js_sys::Function>().call0(&database));
        }
    });
    Ok(Rc::new(database))
}

impl Drop for IndexedDb {
    fn drop(&mut self) {
        self.database.borrow().close();
    }
}

fn transaction(
    database: &Database,
    mode: TransactionMode,
) -> Result<(idb::Transaction, idb::ObjectStore), idb::Error> {
    let transaction = database.transaction(&[OBJECTS], mode)?;
    let objects = transaction.object_store(OBJECTS)?;
    Ok((transaction, objects))
}

#[async_trait(?Send)]
impl Store for IndexedDb {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        let read = async |database: &Database| {
            let read = async {
                let (_transaction, objects) = transaction(database, TransactionMode::ReadOnly)?;
                objects.get(JsValue::from(key))?.await
            };
            read.await.map_err(words)
        };
        let value = self.with("read from", read).await?;
        Ok(value
            .and_then(|value| value.dyn_into::<Uint8Array>().ok())
            .map(Chunk))
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        let write = async |database: &Database| {
            let write = async {
                let (transaction, objects) = transaction(database, TransactionMode::ReadWrite)?;
                objects.put(&bytes.0, Some(&key.into()))?.await?;
                Ok((transaction, objects))
            };
            commit(write.await).await
        };
        self.with("write to", write).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let delete = async |database: &Database| {
            let delete = async {
                let (transaction, objects) = transaction(database, TransactionMode::ReadWrite)?;
                objects.delete(JsValue::from(key))?.await?;
                Ok((transaction, objects))
            };
            commit(delete.await).await
        };
        self.with("delete from", delete).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let list = async |database: &Database| {
            let list = async {
                let (_transaction, objects) = transaction(database, TransactionMode::ReadOnly)?;
                // No key has U+FFFF, so this is past everything that starts with the prefix.
                let end = JsValue::from(format!("{prefix}\u{ffff}"));
                let range = KeyRange::bound(&prefix.into(), &end, Some(false), Some(false))?;
                objects
                    .get_all_keys(Some(Query::KeyRange(range)), None)?
                    .await
            };
            list.await.map_err(words)
        };
        let keys = self.with("list", list).await?;
        Ok(keys.iter().filter_map(JsValue::as_string).collect())
    }

    async fn available(&self) -> Option<u64> {
        let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).ok();
        let storage = get(&get(&js_sys::global(), "navigator")?, "storage")?;
        let estimate = get(&storage, "estimate")?.dyn_into::<js_sys::Function>();
        let promise = estimate.ok()?.call0(&storage).ok()?;
        let estimate = JsFuture::from(Promise::resolve(&promise)).await.ok()?;
        let left = get(&estimate, "quota")?.as_f64()? - get(&estimate, "usage")?.as_f64()?;
        Some(left.max(0.0) as u64)
    }
}

/// Waits until a transaction is durable. A full disk may let the request succeed and abort the transaction after it.
async fn commit(
    requested: Result<(idb::Transaction, idb::ObjectStore), idb::Error>,
) -> Result<(), String> {
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

fn words(error: idb::Error) -> String {
    error.to_string()
}

/// A transaction on a closed connection is an InvalidStateError.
fn is_closed(words: &str) -> bool {
    words.contains("InvalidState") || words.contains("closing") || words.contains("closed")
}

fn failure(what: &str, words: String) -> Error {
    if words.contains("Quota") {
        let message = "the browser's storage for this site is full";
        return Error::new(ErrorKind::QuotaExceeded, message).with_source(words);
    }
    Error::internal(format!("cannot {what} IndexedDB: {words}"))
}
