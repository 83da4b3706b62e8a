//! The packed form of a tokenizer, which a load keeps in the store and later ones read instead of `tokenizer.json`.

use super::Loading;
use crate::store::ModelWriter;
use crate::tasks::sentence_transformers::TOKENIZER;
use crate::text::{PackedTokenizer, TextTokenizer};

impl Loading<'_, '_> {
    /// Reads the packed tokenizer from the store; `None` if `files` is empty, or if none is stored, or it cannot be read.
    pub(super) async fn read_packed(&self, files: &[&str]) -> Option<PackedTokenizer> {
        let (stored, file) = (self.stored?, files.first()?);
        // Where the store fails, the file itself is read.
        let packed = stored.packed_tokenizer(file).await.ok()?;
        PackedTokenizer::from_bytes(packed?)
    }

    /// Packs a tokenizer that was read from `json`, for the store to keep when the model is complete there.
    pub(super) fn pack(&mut self, tokenizer: &TextTokenizer, json: &[u8]) {
        let holds = |writer: &ModelWriter| writer.holds(TOKENIZER);
        if self.writer.as_ref().is_some_and(holds) || self.stored.is_some() {
            self.to_keep = tokenizer.pack(json);
        }
    }

    /// Stores the packed form of the tokenizer. The model is complete without it, so a failure to store it is ignored.
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
