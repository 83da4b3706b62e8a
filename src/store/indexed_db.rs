//! A store in the browser's IndexedDB: one object store of `Uint8Array` values.

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

/// Version of the database. An upgrade empties it, because models can be downloaded again; version 1 had chunks without digests.
const VERSION: u32 = 2;

/// The name of the object store.
const OBJECTS: &str = "bytes";

/// Time limit for opening the database, in milliseconds. Some private windows never answer, and another tab may hold an older
/// version open.
const OPEN_TIMEOUT: u32 = 5_000;

/// An IndexedDB database. It closes when another tab wants to upgrade or delete it, and opens again at the next use.
pub struct IndexedDb {
    database: RefCell<Rc<Database>>,
}

impl IndexedDb {
    /// Opens the database, and creates it if there is none.
    ///
    /// *Errors*: `BackendUnavailable` if the browser has no IndexedDB or denies it, as some private windows do.
    pub async fn open() -> Result<Self> {
        Ok(Self {
            database: RefCell::new(open().await?),
        })
    }

    /// Runs `work` on the database, and once more on a newly opened one if the database was closed.
    async fn with<T>(
        &self,
        what: &str,
        work: impl AsyncFn(&Database) -> Result<T, Failure>,
    ) -> Result<T> {
        let database = self.database.borrow().clone();
        match work(&database).await {
            Err(failure) if failure.is_closed() => {
                let database = open().await?;
                self.database.replace(database.clone());
                work(&database).await
            }
            done => done,
        }
        .map_err(|failure| failure.into_error(what))
    }
}

async fn open() -> Result<Rc<Database>> {
    let denied = |cause: String| {
        let message = "the browser did not open IndexedDB";
        Error::new(ErrorKind::BackendUnavailable, message).with_source(cause)
    };
    let opening = async {
        let mut request = Factory::new()?.open(DATABASE, Some(VERSION))?;
        request.on_upgrade_needed(|event| {
            // A failure here fails the request too, which reports it.
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
    let mut timeout = pin!(TimeoutFuture::new(OPEN_TIMEOUT));
    let opened = poll_fn(|context| match opening.as_mut().poll(context) {
        Poll::Ready(opened) => Poll::Ready(Some(opened)),
        Poll::Pending => timeout.as_mut().poll(context).map(|()| None),
    });
    let mut database = match opened.await {
        Some(Ok(database)) => database,
        Some(Err(error)) => return Err(denied(error.to_string())),
        None => return Err(denied(format!("no answer within {OPEN_TIMEOUT} ms"))),
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
            read.await.map_err(Failure::from)
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
                // No key contains U+FFFF, so this sorts after all keys with the prefix.
                let end = JsValue::from(format!("{prefix}\u{ffff}"));
                let range = KeyRange::bound(&prefix.into(), &end, Some(false), Some(false))?;
                objects
                    .get_all_keys(Some(Query::KeyRange(range)), None)?
                    .await
            };
            list.await.map_err(Failure::from)
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

/// Waits until a transaction is durable. On a full disk the request may succeed and its transaction abort afterwards.
async fn commit(
    requested: Result<(idb::Transaction, idb::ObjectStore), idb::Error>,
) -> Result<(), Failure> {
    let (transaction, objects) = requested?;
    let state = objects.transaction();
    let done = transaction.commit()?.await?;
    if done.is_committed() {
        return Ok(());
    }
    Err(Failure(state.error().map_or_else(
        || "the transaction was aborted".into(),
        |error| format!("{}: {}", error.name(), error.message()),
    )))
}

/// The message of a failed request or transaction. The `idb` crate's error has the name of a `DOMException` only there.
struct Failure(String);

impl From<idb::Error> for Failure {
    fn from(error: idb::Error) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    /// Whether the connection was closed: a transaction on it is an `InvalidStateError`.
    fn is_closed(&self) -> bool {
        ["InvalidState", "closing", "closed"]
            .iter()
            .any(|part| self.0.contains(part))
    }

    fn into_error(self, what: &str) -> Error {
        if self.0.contains("Quota") {
            let message = "the browser's storage for this site is full";
            return Error::new(ErrorKind::QuotaExceeded, message).with_source(self.0);
        }
        Error::internal(format!("cannot {what} IndexedDB: {}", self.0))
    }
}
