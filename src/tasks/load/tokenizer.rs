//! The packed form of a tokenizer, which a load keeps in the store and later ones read instead of `tokenizer.json`.

use std::rc::Rc;

use super::{LastFile, Loading};
use crate::error::Result;
use crate::tasks::sentence_transformers::TOKENIZER;
use crate::text::{PackedTokenizer, TextTokenizer};

impl Loading<'_, '_> {
    /// Reads the packed form of a file that is asked for, if the store has one that can be read.
    pub(super) async fn read_packed(&self, files: &[&str]) -> Result<Option<PackedTokenizer>> {
        let (Some(stored), Some(file)) = (self.stored, files.first()) else {
            return Ok(None);
        };
        let packed = stored.packed_tokenizer(file).await?;
        Ok(packed.and_then(PackedTokenizer::from_bytes))
    }

    /// The packed form of the tokenizer that was read.
    pub(in crate::tasks) fn take_packed(&mut self) -> Option<LastFile> {
        let packed = self.packed.take()?;
        Some(LastFile::Packed(Rc::new(packed)))
    }

    /// Packs a tokenizer that was read from `json`, for the store to keep when the model is complete there.
    pub(super) fn pack(&mut self, tokenizer: &TextTokenizer, json: &[u8]) {
        if self.writer.is_some() || self.stored.is_some() {
            self.to_keep = tokenizer.pack(json);
        }
    }

    /// Stores the packed form of the tokenizer. The model is complete without it, so a failure is none of the load.
    pub(super) async fn keep_tokenizer(&mut self) {
        let (Some(packed), Some(cache)) = (self.to_keep.take(), &self.source.cache) else {
            return;
        };
        if let Some(writer) = &self.writer {
            let _ = writer.keep_tokenizer(TOKENIZER, &packed).await;
        } else if let Some(stored) = self.stored
            && let Ok(Some(_guard)) = cache.locks.try_take(cache.key.lock_name()).await
        {
            let _ = stored.keep_tokenizer(TOKENIZER, &packed).await;
        }
    }
}
