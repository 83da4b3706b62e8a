//! The options for the store of models and indexes.

use js_sys::Object;
use wasm_bindgen::{JsCast, JsValue};

use super::{Options, kind};
use crate::error::{Error, Result};

/// The options of calls on a store.
pub(in crate::bindings) struct StoreOptions {
    pub store: StoreOption,
    pub locks: Option<Object>,
}

impl StoreOptions {
    /// Reads the options.
    ///
    /// *Errors*: `InvalidInput` naming the option.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        Ok(Self {
            store: StoreOption::new(&options)?,
            locks: options.typed("locks", "an object")?,
        })
    }
}

/// The store that the option `store` names.
pub(in crate::bindings) enum StoreOption {
    /// IndexedDB if it can be opened, else memory.
    Default,
    IndexedDb,
    Memory,
    None,
    /// A `Store` of the TypeScript types.
    Custom(Object),
}

impl StoreOption {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let Some(value) = options.get("store") else {
            return Ok(Self::Default);
        };
        match (value.as_string().as_deref(), value.as_bool()) {
            (Some("indexeddb"), _) => Ok(Self::IndexedDb),
            (Some("memory"), _) => Ok(Self::Memory),
            (_, Some(false)) => Ok(Self::None),
            _ if value.is_object() => Ok(Self::Custom(value.unchecked_into())),
            _ => {
                let found = value
                    .as_string()
                    .map_or_else(|| kind(&value), |text| format!("'{text}'"));
                Err(Error::invalid_input(format!(
                    "store is {found}, expected 'indexeddb', 'memory', false or a Store"
                )))
            }
        }
    }
}
