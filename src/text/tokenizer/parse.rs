//! Parses `tokenizer.json` once the kind of its model is known. `Tokenizer::from_bytes` finds the kind out by buffering the vocabulary as
//! generic values three times, which takes most of the time of a later visit.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::models::ModelWrapper;
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
    model: Kind,
}

#[derive(Deserialize)]
struct Kind {
    r#type: Option<String>,
}

/// Parses `tokenizer.json`.
///
/// *Errors*: `InvalidWeights` if the file is not a tokenizer.
pub fn parse(json: &[u8]) -> Result<Tokenizer> {
    let file: Option<File> = serde_json::from_slice(json).ok();
    let parsed = match file.and_then(|file| file.model.r#type).as_deref() {
        Some("WordPiece") => with::<WordPiece>(json),
        Some("BPE") => with::<BPE>(json),
        Some("Unigram") => with::<Unigram>(json),
        Some("WordLevel") => with::<WordLevel>(json),
        // Old files do not name the kind of their model.
        _ => None,
    };
    // The crate's own parser also reads models with unknown settings, and its error says what is wrong.
    parsed.map_or_else(|| Tokenizer::from_bytes(json).map_err(broken), Ok)
}

/// Parses a file whose model is `Model`; `None` if it has settings that the crate does not write.
fn with<Model>(json: &[u8]) -> Option<Tokenizer>
where
    Model: tokenizers::Model + DeserializeOwned + Into<ModelWrapper>,
{
    let tokenizer: With<Model> = serde_json::from_slice(json).ok()?;
    Some(tokenizer.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file(folder: &str) -> Value {
        let folder = format!("{}/tests/goldens/{folder}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(format!("{folder}/tokenizer.json")).unwrap()).unwrap()
    }

    #[test]
    fn files_of_each_kind_of_model_are_read_as_the_crate_reads_them_also_with_an_unknown_setting() {
        let mut word_level = file("bert-tiny-reranker");
        word_level["model"] = json!({ "type": "WordLevel", "vocab": word_level["model"]["vocab"], "unk_token": "[UNK]" });
        let of_kinds = ["bert-tiny-reranker", "llama-tiny", "xlm-roberta-tiny"].map(file);
        for mut json in of_kinds.into_iter().chain([word_level]) {
            assert!(json["model"]["type"].is_string());
            for setting in [None, Some("of a later version")] {
                if let Some(value) = setting {
                    json["model"]["unknown"] = value.into();
                }
                let bytes = json.to_string().into_bytes();
                let (own, theirs) = (
                    parse(&bytes).unwrap(),
                    Tokenizer::from_bytes(&bytes).unwrap(),
                );
                assert_eq!(
                    own.to_string(false).unwrap(),
                    theirs.to_string(false).unwrap()
                );
            }
        }
    }
}
