//! Opening the store that an option names.

use std::cell::Cell;

use js_sys::{Function, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use super::options::StoreOption;
use crate::error::{Error, Result};
use crate::interop::get;
use crate::store::{IndexedDb, JsLocks, JsStore, Locks, MemoryStore, NoLocks, Store};

thread_local! {
    /// `store: 'memory'`: lasts as long as this instance and is shared by its loads.
    static MEMORY: MemoryStore = MemoryStore::default();
    /// Whether it was said that IndexedDB is denied.
    static SAID: Cell<bool> = const { Cell::new(false) };
}

/// The store, or `None` where nothing is to be kept.
pub(super) async fn open(option: StoreOption) -> Result<Option<Box<dyn Store>>> {
    let memory = || Some(Box::new(MEMORY.with(MemoryStore::clone)) as Box<dyn Store>);
    Ok(match option {
        StoreOption::None => None,
        StoreOption::Memory => memory(),
        StoreOption::IndexedDb => Some(Box::new(IndexedDb::open().await?)),
        // Private windows and runtimes without IndexedDB go on from memory.
        StoreOption::Default => match IndexedDb::open().await {
            Ok(store) => Some(Box::new(store)),
            Err(error) => {
                say_once(&error);
                memory()
            }
        },
        StoreOption::Host(object) => Some(Box::new(JsStore::new(object)?)),
    })
}

/// Whether this runtime has what browsers have.
pub(super) fn is_browser() -> bool {
    Reflect::has(&js_sys::global(), &"indexedDB".into()).unwrap_or(false)
}

/// Where there is an IndexedDB that does not work; Node and Workers have none, and nobody expects one there.
fn say_once(error: &Error) {
    if !is_browser() || SAID.replace(true) {
        return;
    }
    let words = format!("pilotlight: {error}, so models are kept in memory until this page closes");
    let warn = get(&js_sys::global(), "console").and_then(|console| get(&console, "warn"));
    if let Some(warn) = warn.and_then(|warn| warn.dyn_into::<Function>().ok()) {
        let _ = warn.call1(&JsValue::NULL, &words.into());
    }
}

/// Whose turn it is.
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
