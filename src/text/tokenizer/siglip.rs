//! The tokenizers of SigLIP, whose texts are lower-cased and padded.

use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, Replace, Sequence};

use super::super::tokenizer_config::TOKENIZER_CONFIG;
use super::{TextTokenizer, TokenizerConfig, broken};
use crate::error::{Error, Result};

/// The class of the first SigLIP's tokenizer.
const FIRST: &str = "SiglipTokenizer";

/// A character of `string.punctuation` in Python.
const PUNCTUATION: &str = "[!-/:-@\\[-`{-~]";

impl TextTokenizer {
    /// Reads `tokenizer.json` for a text tower of SigLIP. Returns the id of padding too, which only `tokenizer_config.json` names: it is that
    /// of the end token in the first SigLIP, and one of its own in SigLIP 2.
    ///
    /// Models were trained on lower case, and the first SigLIP without punctuation. Python's classes do both, whatever `tokenizer.json`
    /// says, and so does this; `do_lower_case` may be false.
    ///
    /// *Errors*: `InvalidWeights` if the file is not a tokenizer, or has no token of the name of the padding.
    /// *Source*: `SiglipTokenizer` and `Siglip2Tokenizer` of `transformers` 5.23.
    pub fn for_siglip(
        json: &[u8],
        max_tokens: usize,
        config: &TokenizerConfig,
    ) -> Result<(Self, u32)> {
        let mut own = Self::from_json(json, max_tokens, false)?;
        let mut rules: Vec<NormalizerWrapper> = Vec::new();
        if config.flag("do_lower_case") != Some(false) {
            rules.push(Lowercase.into());
        }
        if config.token("tokenizer_class", FIRST).starts_with(FIRST) {
            let pattern = ReplacePattern::Regex(PUNCTUATION.into());
            rules.push(Replace::new(pattern, "").map_err(broken)?.into());
        }
        if let Some(whole) = own.whole.get_mut() {
            rules.extend(whole.get_normalizer().cloned());
            let changed = whole.with_normalizer(Some(Sequence::new(rules)));
            changed.map_err(broken)?;
        }
        own.word_piece = None;
        let padding = config.token("pad_token", "</s>");
        let id = own.id(padding).ok_or_else(|| {
            Error::invalid_weights(format!(
                "{TOKENIZER_CONFIG}: pad_token is '{padding}', expected a token of tokenizer.json"
            ))
        })?;
        Ok((own, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn read(model: &str, file: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");
        std::fs::read(format!("{folder}/{model}/{file}")).unwrap()
    }

    fn config(model: &str) -> TokenizerConfig {
        TokenizerConfig::from_json(&read(model, "tokenizer_config.json")).unwrap()
    }

    fn assert_ids(model: &str, tokenizer: &TextTokenizer) {
        let expected: Value = serde_json::from_slice(&read(model, "expected.json")).unwrap();
        let cases = expected["texts"].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let tokens = tokenizer.encode(case["text"].as_str().unwrap()).unwrap();
            assert_eq!(
                serde_json::json!(tokens.ids),
                case["ids"],
                "{model}: {case}"
            );
        }
    }

    #[test]
    fn ids_are_those_of_transformers() {
        for (model, longest, padding) in [("siglip-tiny", 16, 1), ("siglip2-tiny", 20, 0)] {
            let json = read(model, "tokenizer.json");
            let (tokenizer, id) =
                TextTokenizer::for_siglip(&json, longest, &config(model)).unwrap();
            assert_eq!(id, padding, "{model}");
            assert_ids(model, &tokenizer);
        }
    }

    #[test]
    fn a_file_without_rules_for_capitals_and_punctuation_gives_the_same_ids() {
        let json = read("siglip-tiny", "tokenizer.json");
        let mut json: Value = serde_json::from_slice(&json).unwrap();
        let rules = json["normalizer"]["normalizers"].as_array_mut().unwrap();
        assert_eq!(rules.remove(0)["type"], "Lowercase");
        assert_eq!(rules.remove(0)["type"], "Replace");
        let json = json.to_string();
        let own = config("siglip-tiny");
        let (tokenizer, _) = TextTokenizer::for_siglip(json.as_bytes(), 16, &own).unwrap();
        assert_ids("siglip-tiny", &tokenizer);
    }

    #[test]
    fn capitals_stay_only_where_the_config_says_so() {
        let json = read("siglip2-tiny", "tokenizer.json");
        let ids = |config: &str, text: &str| {
            let config = TokenizerConfig::from_json(config.as_bytes()).unwrap();
            let (tokenizer, _) = TextTokenizer::for_siglip(&json, 20, &config).unwrap();
            tokenizer.encode(text).unwrap().ids
        };
        let silent = r#"{"tokenizer_class":"GemmaTokenizer","pad_token":"<pad>"}"#;
        let cased =
            r#"{"tokenizer_class":"GemmaTokenizer","pad_token":"<pad>","do_lower_case":false}"#;
        assert_eq!(ids(silent, "The CAT!"), ids(silent, "the cat!"));
        assert_ne!(ids(silent, "the cat!"), ids(silent, "the cat"));
        assert_ne!(ids(cased, "The CAT!"), ids(cased, "the cat!"));
    }
}
