//! A store that the host program passes in: four asynchronous methods on a JavaScript object.

use async_trait::async_trait;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{Chunk, Store};
use crate::error::{Error, ErrorKind, Result};

/// `{ get(key), put(key, bytes), delete(key), keys(prefix) }`
#[derive(Debug)]
pub struct HostStore {
    object: Object,
}

impl HostStore {
    /// *Errors*: `InvalidInput` naming the method that is missing.
    pub fn new(object: Object) -> Result<Self> {
        let store = Self { object };
        for method in ["get", "put", "delete", "keys"] {
            store.method(method)?;
        }
        Ok(store)
    }

    fn method(&self, name: &str) -> Result<Function> {
        Reflect::get(&self.object, &name.into())
            .ok()
            .and_then(|value| value.dyn_into().ok())
            .ok_or_else(|| Error::invalid_input(format!("store has no method {name}")))
    }

    async fn call(&self, name: &str, arguments: &[&JsValue]) -> Result<JsValue> {
        let failure = |error: JsValue| {
            let error_name = Reflect::get(&error, &"name".into())
                .ok()
                .and_then(|name| name.as_string());
            let full = error_name.as_deref() == Some("QuotaExceededError");
            let kind = if full {
                ErrorKind::QuotaExceeded
            } else {
                ErrorKind::Internal
            };
            let words = error
                .dyn_ref::<js_sys::Error>()
                .map_or(format!("{error:?}"), |error| error.message().into());
            Error::new(kind, format!("store.{name} failed: {words}"))
        };
        let arguments: Array = arguments.iter().copied().collect();
        let result = self
            .method(name)?
            .apply(&self.object, &arguments)
            .map_err(failure)?;
        JsFuture::from(Promise::resolve(&result))
            .await
            .map_err(failure)
    }
}

#[async_trait(?Send)]
impl Store for HostStore {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        let value = self.call("get", &[&key.into()]).await?;
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        let bytes = value.dyn_into::<Uint8Array>();
        Ok(Some(Chunk(bytes.map_err(|_| {
            Error::invalid_input("store.get returned something else than a Uint8Array")
        })?)))
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
        let keys = keys.map_err(|_| {
            Error::invalid_input("store.keys returned something else than an array")
        })?;
        Ok(keys.iter().filter_map(|key| key.as_string()).collect())
    }
}
