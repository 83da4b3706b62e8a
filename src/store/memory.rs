//! A store in memory, which lasts as long as the program.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use async_trait::async_trait;

use super::{Chunk, Store};
use crate::error::Result;

/// A store in memory. Clones share their entries.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    entries: Rc<RefCell<BTreeMap<String, Chunk>>>,
}

#[async_trait(?Send)]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        self.entries.borrow_mut().insert(key.into(), bytes);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.entries.borrow_mut().remove(key);
        Ok(())
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self
            .entries
            .borrow()
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect())
    }
}
