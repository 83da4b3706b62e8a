//! A store and locks that are JavaScript objects with asynchronous methods.

use async_trait::async_trait;
use js_sys::{Array, ArrayBuffer, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{Chunk, LockGuard, Locks, Store, WriterProgress};
use crate::error::{Error, ErrorKind, Result};
use crate::interop::message_of;

/// A store that the caller implements: `{ get(key), put(key, bytes), delete(key), keys(prefix) }`.
#[derive(Debug)]
pub struct JsStore {
    object: Object,
}

impl JsStore {
    /// Wraps the caller's object.
    ///
    /// *Errors*: `InvalidInput` naming a method that the object lacks.
    pub fn new(object: Object) -> Result<Self> {
        for name in ["get", "put", "delete", "keys"] {
            method(&object, name).ok_or_else(|| {
                let expected =
                    "store: expected an object with the methods get, put, delete and keys";
                Error::invalid_input(format!("{expected}, but {name} is missing"))
            })?;
        }
        Ok(Self { object })
    }

    async fn call(&self, name: &str, arguments: &[&JsValue]) -> Result<JsValue> {
        call(&self.object, name, arguments).await.map_err(|error| {
            let kind = if error_name(&error).as_deref() == Some("QuotaExceededError") {
                ErrorKind::QuotaExceeded
            } else {
                ErrorKind::Internal
            };
            Error::new(kind, format!("store.{name} failed: {}", message_of(&error)))
        })
    }
}

#[async_trait(?Send)]
impl Store for JsStore {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        let value = self.call("get", &[&key.into()]).await?;
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        let wrong = || {
            let kind = value.js_typeof().as_string().unwrap_or_default();
            let expected = "store.get: expected a Uint8Array or undefined";
            Error::invalid_input(format!("{expected}, got another {kind}"))
        };
        bytes_of(&value)
            .map(|bytes| Some(Chunk(bytes)))
            .ok_or_else(wrong)
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        self.call("put", &[&key.into(), &bytes.0]).await.map(|_| ())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.call("delete", &[&key.into()]).await.map(|_| ())
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let keys = self.call("keys", &[&prefix.into()]).await?;
        let keys = keys.dyn_into::<Array>();
        let keys =
            keys.map_err(|_| Error::invalid_input("store.keys: expected an array of strings"))?;
        Ok(keys.iter().filter_map(|key| key.as_string()).collect())
    }
}

/// Locks of `locks.ts`: `{ take(name), tryTake(name) }`, which resolve to `{ announce(file, loaded, total), end() }`.
#[derive(Debug)]
pub struct JsLocks {
    object: Object,
}

impl JsLocks {
    /// Wraps the object that the package passes in.
    pub fn new(object: Object) -> Self {
        Self { object }
    }

    async fn call(&self, name: &str, lock: &str) -> Result<Option<Box<dyn LockGuard>>> {
        let guard = call(&self.object, name, &[&lock.into()])
            .await
            .map_err(|error| match error_name(&error).as_deref() {
                Some("AbortError" | "TimeoutError") => Error::aborted(),
                _ => Error::internal(format!("locks.{name} failed: {}", message_of(&error))),
            })?;
        Ok(guard
            .dyn_into::<Object>()
            .ok()
            .map(|guard| Box::new(JsLockGuard(guard)) as _))
    }
}

#[async_trait(?Send)]
impl Locks for JsLocks {
    async fn take(&self, name: &str) -> Result<Box<dyn LockGuard>> {
        let guard = self.call("take", name).await?;
        guard.ok_or_else(|| Error::internal("locks.take: expected a lock, got nothing"))
    }

    async fn try_take(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>> {
        self.call("tryTake", name).await
    }
}

struct JsLockGuard(Object);

impl LockGuard for JsLockGuard {
    fn announce(&self, progress: &WriterProgress) {
        let arguments = [
            progress
                .file
                .as_deref()
                .map_or(JsValue::UNDEFINED, JsValue::from),
            JsValue::from(progress.loaded as f64),
            JsValue::from(progress.total as f64),
        ];
        if let Some(announce) = method(&self.0, "announce") {
            // Progress is a courtesy to waiting tabs: a failure to announce it is no failure of the write.
            let _ = announce.apply(&self.0, &arguments.iter().collect());
        }
    }
}

impl Drop for JsLockGuard {
    fn drop(&mut self) {
        if let Some(end) = method(&self.0, "end") {
            let _ = end.call0(&self.0);
        }
    }
}

/// A view of bytes that may come from another realm, such as an iframe; `None` if their buffer was transferred.
fn bytes_of(value: &JsValue) -> Option<Uint8Array> {
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        return Some(bytes.clone());
    }
    if !ArrayBuffer::is_view(value) {
        return None;
    }
    let part = |name: &str| Reflect::get(value, &name.into()).ok();
    let view = Array::of3(&part("buffer")?, &part("byteOffset")?, &part("byteLength")?);
    let class = Reflect::get(&js_sys::global(), &"Uint8Array".into()).ok()?;
    // `Uint8Array::new` would trap on a transferred buffer.
    let bytes = Reflect::construct(class.dyn_ref::<Function>()?, &view).ok()?;
    bytes.dyn_into().ok()
}

fn method(object: &Object, name: &str) -> Option<Function> {
    Reflect::get(object, &name.into()).ok()?.dyn_into().ok()
}

async fn call(object: &Object, name: &str, arguments: &[&JsValue]) -> Result<JsValue, JsValue> {
    let missing = || JsValue::from(format!("the method {name} is missing"));
    let arguments: Array = arguments.iter().copied().collect();
    let result = method(object, name)
        .ok_or_else(missing)?
        .apply(object, &arguments)?;
    JsFuture::from(Promise::resolve(&result)).await
}

fn error_name(error: &JsValue) -> Option<String> {
    Reflect::get(error, &"name".into()).ok()?.as_string()
}
