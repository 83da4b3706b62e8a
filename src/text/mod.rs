//! Text to token ids.

mod tokenizer;

pub use tokenizer::{TextTokenizer, Tokens};
