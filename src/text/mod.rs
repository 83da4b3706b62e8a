//! Tokenizing text.

mod batch;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use batch::{batches, encode};
pub use tokenizer::{LocatedTokens, TextTokenizer, Tokens};
