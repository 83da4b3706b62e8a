//! The rows of an embedding table that stays in the store.

use std::cell::RefCell;
use std::collections::HashMap;

use super::load::{Loaded, Source};
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;
use crate::store::FileParts;
use crate::weights::StoredTable;

/// The most bytes of rows that are kept from one call to the next.
const KEPT: usize = 8 << 20;

/// Reads rows of a table from the store, and keeps some of them.
pub(super) struct TableRows {
    file: FileParts,
    kept: RefCell<HashMap<u32, Vec<f32>>>,
}

impl TableRows {
    /// Opens the packed file of a loaded model.
    ///
    /// *Errors*: `Integrity` where another tab has deleted the model meanwhile.
    pub async fn open<T>(
        source: &Source<'_>,
        loaded: &Loaded<T>,
        table: &StoredTable,
    ) -> Result<Self> {
        let (Some(store), Some(key)) = (&source.embeddings, &loaded.key) else {
            return Err(Error::internal(
                "a table stays in a store, and there is none",
            ));
        };
        let (commit, file) = (&loaded.commit, table.file());
        Ok(Self {
            file: FileParts::open(store.clone(), key, commit, file, table.end()).await?,
            kept: RefCell::default(),
        })
    }

    /// The rows of the tokens of some sequences, one after the other. Each id is below the number of rows.
    ///
    /// *Shapes*: result `[t, d]`. *Errors*: `Integrity` where the store has lost them, `Aborted`.
    pub async fn read(
        &self,
        table: &StoredTable,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let ids = sequences.concat();
        let d = table.width();
        loop {
            let absent = self.absent(&ids);
            if absent.is_empty() {
                break;
            }
            let bytes = self.file.read(&table.ranges(&absent), scheduler).await?;
            let rows = table.rows(&absent, &bytes);
            let rows = rows.chunks_exact(d).map(Into::into);
            self.kept.borrow_mut().extend(absent.into_iter().zip(rows));
            // Another call may have dropped some of the others meanwhile, so they are looked for again.
        }
        let mut kept = self.kept.borrow_mut();
        let mut rows = Vec::with_capacity(ids.len() * d);
        for row in ids.iter().filter_map(|id| kept.get(id)) {
            rows.extend_from_slice(row);
        }
        if kept.len() * d * size_of::<f32>() > KEPT {
            kept.clear();
        }
        Ok(rows)
    }

    /// The ids whose rows are not kept, sorted.
    fn absent(&self, ids: &[u32]) -> Vec<u32> {
        let kept = self.kept.borrow();
        let absent = ids.iter().filter(|id| !kept.contains_key(id));
        let mut absent: Vec<u32> = absent.copied().collect();
        absent.sort_unstable();
        absent.dedup();
        absent
    }
}
