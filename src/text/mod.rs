//! Tokenizing text.

mod batch;
mod tokenizer;

pub use batch::{batches, encode};
pub use tokenizer::{LocatedTokens, TextTokenizer, Tokens};
