//! Tokenizing text.

mod batch;
#[cfg(test)]
mod decoder_tests;
mod tokenizer;

pub use batch::{batches, encode};
pub use tokenizer::{LocatedTokens, TextTokenizer, Tokens};
