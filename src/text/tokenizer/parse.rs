//! Parses `tokenizer.json` once the kind of its model is known. `Tokenizer::from_bytes` finds the kind out by buffering the vocabulary as
//! generic values three times, which takes most of the time of a later visit.

use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    TokenizerImpl,
};

use super::broken;
use crate::error::Result;

/// A tokenizer with one kind of model.
type With<Model> = TokenizerImpl<
    Model,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
}

/// Parses `tokenizer.json`.
///
/// *Errors*: `InvalidWeights` if the file is not a tokenizer.
pub fn parse(json: &[u8]) -> Result<Tokenizer> {
    let File { model } = serde_json::from_slice(json).map_err(broken)?;
    match model.r#type.as_deref() {
        Some("WordPiece") => serde_json::from_slice::<With<WordPiece>>(json).map(Into::into),
        Some("BPE") => serde_json::from_slice::<With<BPE>>(json).map(Into::into),
        Some("Unigram") => serde_json::from_slice::<With<Unigram>>(json).map(Into::into),
        Some("WordLevel") => serde_json::from_slice::<With<WordLevel>>(json).map(Into::into),
        // Old files do not name the kind of their model.
        _ => serde_json::from_slice(json),
    }
    .map_err(broken)
}
