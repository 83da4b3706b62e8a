//! The store: a durable key-value map, and the packed models, vector indexes and classifiers in it.

mod chunk;
mod file_parts;
#[cfg(target_arch = "wasm32")]
mod indexed_db;
#[cfg(target_arch = "wasm32")]
mod js_store;
mod key;
mod library;
mod locks;
mod memory;
mod named;
mod records;
mod stored_model;
mod writer;

pub use chunk::Chunk;
pub use file_parts::FileParts;
#[cfg(target_arch = "wasm32")]
pub use indexed_db::IndexedDb;
#[cfg(target_arch = "wasm32")]
pub use js_store::{JsLocks, JsStore};
pub use key::{ModelKey, NamedKey};
pub use library::{Library, StoredInfo, fetched_before, touch};
pub use locks::{LockGuard, Locks, NoLocks, WriterProgress};
pub use memory::MemoryStore;
pub use stored_model::StoredModel;
pub use writer::{CacheConfig, ModelWriter};

use async_trait::async_trait;

use crate::error::Result;

/// A durable map from keys to bytes.
#[async_trait(?Send)]
pub trait Store {
    /// Returns the bytes under a key, or `None` where there is no such key.
    async fn get(&self, key: &str) -> Result<Option<Chunk>>;

    /// Stores bytes under a key, in place of the bytes that were there. Writing is atomic, and durable once this returns.
    ///
    /// *Errors*: `QuotaExceeded` if the store is full.
    async fn put(&self, key: &str, bytes: Chunk) -> Result<()>;

    /// Deletes a key; nothing happens where there is no such key.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Lists all keys that start with `prefix`, in any order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;

    /// Free space in bytes, if the store knows it.
    async fn available(&self) -> Option<u64> {
        None
    }
}
