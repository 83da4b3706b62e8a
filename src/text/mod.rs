//! Text to token ids.

mod batch;
mod tokenizer;

pub use batch::{batches, encode};
pub use tokenizer::{TextTokenizer, Tokens};
