//! Access to objects that are stored under a name: the store and the lock of an index, and the JSON of classifiers, detectors and records.

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::promise;
use super::error::to_js;
use super::options::StoreOptions;
use super::store;
use crate::error::{Error, Result};
use crate::store::{LockGuard, Locks, NamedKey, Store};

/// Bytes of a text in one chunk.
const CHUNK: usize = 1 << 20;

/// Opens the store and the locks of `options`.
pub(super) async fn open(options: &JsValue) -> Result<(Box<dyn Store>, Box<dyn Locks>)> {
    let StoreOptions { store, locks } = StoreOptions::new(options)?;
    let Some(store) = store::open(store).await? else {
        return Err(Error::invalid_input(
            "store is false, expected a store to keep it in",
        ));
    };
    Ok((store, store::locks(locks)))
}

/// Runs `work` while holding the lock of a key, which writers need.
pub(super) async fn with_lock<T>(
    key: &NamedKey,
    options: &JsValue,
    work: impl AsyncFnOnce(&dyn Store, &dyn LockGuard) -> Result<T>,
) -> Result<T> {
    let (store, locks) = open(options).await?;
    let guard = locks.take(key.lock_name()).await?;
    work(store.as_ref(), guard.as_ref()).await
}

/// Saves JSON of a kind, `'classifier'`, `'detector'` or `'record'`, under a name. `options` has `store` and `locks`.
///
/// *Errors*: `INVALID_INPUT`, `QUOTA_EXCEEDED`, and those of the store.
#[wasm_bindgen(js_name = saveText)]
pub fn save_text(kind: String, name: String, text: String, options: JsValue) -> Promise {
    promise(async move {
        let save = async {
            let key = NamedKey::text(&kind, &name)?;
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(CHUNK).collect();
            let chunk = |i: usize| Ok(chunks[i].to_vec());
            with_lock(&key, &options, async |store, guard| {
                key.save(store, guard, String::new(), chunks.len(), &chunk)
                    .await
            })
            .await
        };
        save.await.map(|()| JsValue::UNDEFINED).map_err(to_js)
    })
}

/// Loads the JSON that was saved under a name; `undefined` if there is none.
///
/// *Errors*: `INTEGRITY`, and those of the store.
#[wasm_bindgen(js_name = loadText)]
pub async fn load_text(
    kind: String,
    name: String,
    options: JsValue,
) -> Result<Option<String>, JsValue> {
    let load = async {
        let key = NamedKey::text(&kind, &name)?;
        let (store, _) = open(&options).await?;
        let bytes = key
            .load(
                store.as_ref(),
                |_| Ok(Vec::new()),
                |bytes, chunk| {
                    bytes.extend(chunk.to_vec());
                    Ok(())
                },
            )
            .await?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|error| {
            Error::integrity(format!("the stored {kind} is no text")).with_source(error)
        })
    };
    load.await.map_err(to_js)
}

/// Deletes the JSON that was saved under a name. Returns false if there is none.
#[wasm_bindgen(js_name = deleteText)]
pub async fn delete_text(kind: String, name: String, options: JsValue) -> Result<bool, JsValue> {
    let delete = async {
        let key = NamedKey::text(&kind, &name)?;
        with_lock(&key, &options, async |store, _| key.delete(store).await).await
    };
    delete.await.map_err(to_js)
}

/// Lists the names of all JSON of a kind in a store.
///
/// *Errors*: those of the store.
#[wasm_bindgen(js_name = listTexts)]
pub async fn list_texts(kind: String, options: JsValue) -> Result<Vec<String>, JsValue> {
    let list = async {
        let (store, _) = open(&options).await?;
        NamedKey::names(&kind, store.as_ref()).await
    };
    list.await.map_err(to_js)
}
