//! Where bytes stay between visits: a key-value store, and the packed models and indexes kept in it.

mod chunk;
mod index_chunks;
#[cfg(target_arch = "wasm32")]
mod indexed_db;
#[cfg(target_arch = "wasm32")]
mod js_store;
mod key;
mod library;
mod locks;
mod memory;
mod records;
mod stored_model;
mod writer;

pub use chunk::Chunk;
#[cfg(target_arch = "wasm32")]
pub use indexed_db::IndexedDb;
#[cfg(target_arch = "wasm32")]
pub use js_store::{JsLocks, JsStore};
pub use key::{IndexKey, ModelKey};
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
    /// The bytes, or `None` where there are none.
    async fn get(&self, key: &str) -> Result<Option<Chunk>>;

    /// Durable and atomic: after it returned the bytes are there, and before it they are not there in part.
    ///
    /// *Errors*: `QuotaExceeded` where the store is full.
    async fn put(&self, key: &str, bytes: Chunk) -> Result<()>;

    /// Nothing happens where there is no such key.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Every key that starts with `prefix`, in any order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;

    /// Bytes that there is room for, where the store can tell.
    async fn available(&self) -> Option<u64> {
        None
    }
}
