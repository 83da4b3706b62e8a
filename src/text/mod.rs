//! Tokenizing text.

mod batch;
mod clip_tokenizer;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tokenizer_config;
#[cfg(test)]
mod transformers_ids;

pub use batch::{batches, encode};
pub use clip_tokenizer::{CLIP_WORDS, clip_tokenizer};
pub use tokenizer::{LocatedTokens, PackedTokenizer, TextTokenizer, Tokens};
pub use tokenizer_config::{TOKENIZER_CONFIG, TokenizerConfig, VOCABULARY, older_tokenizer};
