//! Tokenizing text.

mod batch;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tokenizer_config;

pub use batch::{batches, encode};
pub use tokenizer::{LocatedTokens, TextTokenizer, Tokens};
pub use tokenizer_config::{TOKENIZER_CONFIG, TokenizerConfig, VOCABULARY};
