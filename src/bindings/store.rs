//! Opens the store and the locks that the options name.

use std::cell::Cell;

use js_sys::{Function, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use super::options::StoreOption;
use crate::error::{Error, Result};
use crate::interop::get;
use crate::store::{IndexedDb, JsLocks, JsStore, Locks, MemoryStore, NoLocks, Store};

thread_local! {
    /// The store of `store: 'memory'`. It is shared by all calls and lasts as long as this instance.
    static MEMORY: MemoryStore = MemoryStore::default();
    /// Whether the warning that IndexedDB failed was logged.
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// Opens a store; `None` for the option `store: false`.
///
/// *Errors*: `BackendUnavailable` if IndexedDB was asked for and cannot be opened.
pub(super) async fn open(option: StoreOption) -> Result<Option<Box<dyn Store>>> {
    let memory = || Some(Box::new(MEMORY.with(MemoryStore::clone)) as Box<dyn Store>);
    Ok(match option {
        StoreOption::None => None,
        StoreOption::Memory => memory(),
        StoreOption::IndexedDb => Some(Box::new(IndexedDb::open().await?)),
        // IndexedDB is missing in Node and Workers, and fails in some private windows.
        StoreOption::Default => match IndexedDb::open().await {
            Ok(store) => Some(Box::new(store)),
            Err(error) => {
                warn_once(&error);
                memory()
            }
        },
        StoreOption::Custom(object) => Some(Box::new(JsStore::new(object)?)),
    })
}

/// Whether this runtime has IndexedDB.
pub(super) fn has_indexed_db() -> bool {
    Reflect::has(&js_sys::global(), &"indexedDB".into()).unwrap_or(false)
}

/// Logs once that an existing IndexedDB failed. Runtimes without IndexedDB get no warning: models are expected to stay in memory there.
fn warn_once(error: &Error) {
    if !has_indexed_db() || WARNED.replace(true) {
        return;
    }
    let message =
        format!("pilotlight: {error}, so models are kept in memory until this page closes");
    let warn = get(&js_sys::global(), "console").and_then(|console| get(&console, "warn"));
    if let Some(warn) = warn.and_then(|warn| warn.dyn_into::<Function>().ok()) {
        let _ = warn.call1(&JsValue::NULL, &message.into());
    }
}

/// The locks of the JavaScript object, or none where the runtime has no other instances.
pub(super) fn locks(object: Option<Object>) -> Box<dyn Locks> {
    match object {
        Some(object) => Box::new(JsLocks::new(object)),
        None => Box::new(NoLocks),
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    js_sys::Date::now() as u64
}
