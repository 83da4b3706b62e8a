//! Tokenizing text.

mod batch;
mod clip_tokenizer;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tokenizer_config;

pub use batch::{batches, encode};
pub use clip_tokenizer::{CLIP_WORDS, clip_tokenizer};
pub use tokenizer::{LocatedTokens, TextTokenizer, Tokens};
pub use tokenizer_config::{TOKENIZER_CONFIG, TokenizerConfig, VOCABULARY};
