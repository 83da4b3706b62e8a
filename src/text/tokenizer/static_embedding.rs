//! Tokenizers of static embeddings, which add no special tokens to a text.

use serde::Deserialize;
use tokenizers::{PostProcessorWrapper, Tokenizer};

use super::parse::parse;
use super::{TextTokenizer, broken};
use crate::error::Result;

impl TextTokenizer {
    /// Reads `tokenizer.json` for a static embedding of model2vec, whose texts have neither special nor unknown tokens. `max_tokens` is the
    /// longest text in tokens, unknown ones included; `None` for no limit. `median` is the median length of a token if the vocabulary was cut
    /// and no longer has that of the model.
    ///
    /// *Errors*: `InvalidWeights` if the file is not a tokenizer.
    /// *Source*: `StaticModel.tokenize` of model2vec 0.10.
    pub fn for_model2vec(
        json: &[u8],
        max_tokens: Option<usize>,
        median: Option<usize>,
    ) -> Result<Self> {
        let tokenizer = parse(json)?;
        let dropped = unknown(json, &tokenizer)?;
        let max_characters = max_tokens.map_or(usize::MAX, |tokens| {
            tokens.saturating_mul(median.unwrap_or_else(|| median_length(&tokenizer)))
        });
        let own = Self::without_special_tokens(tokenizer, json, max_tokens)?;
        Ok(Self {
            dropped,
            max_characters,
            ..own
        })
    }

    /// Reads `tokenizer.json` for a `StaticEmbedding` of sentence-transformers, whose texts have no special tokens, and are as long as the
    /// file's truncation allows, if it has one.
    ///
    /// *Errors*: `InvalidWeights` if the file is not a tokenizer.
    pub fn for_static_embedding(json: &[u8]) -> Result<Self> {
        let tokenizer = parse(json)?;
        let max_tokens = tokenizer.get_truncation().map(|own| own.max_length);
        Self::without_special_tokens(tokenizer, json, max_tokens)
    }

    fn without_special_tokens(
        mut tokenizer: Tokenizer,
        json: &[u8],
        max_tokens: Option<usize>,
    ) -> Result<Self> {
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        Self::new(tokenizer, json, max_tokens.unwrap_or(usize::MAX), false)
    }
}

/// The id that a tokenizer gives to unknown words; `None` if it names none.
fn unknown(json: &[u8], tokenizer: &Tokenizer) -> Result<Option<u32>> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        unk_id: Option<u32>,
        unk_token: Option<String>,
    }
    let File { model } = serde_json::from_slice(json).map_err(broken)?;
    let by_name = |token: String| tokenizer.token_to_id(&token);
    Ok(model.unk_id.or_else(|| model.unk_token.and_then(by_name)))
}

/// The median number of characters of a token, rounded down.
fn median_length(tokenizer: &Tokenizer) -> usize {
    let tokens = tokenizer.get_vocab(true).into_keys();
    let mut lengths: Vec<usize> = tokens.map(|token| token.chars().count()).collect();
    lengths.sort_unstable();
    let at = |index: usize| lengths.get(index).copied().unwrap_or_default();
    (at(lengths.len().saturating_sub(1) / 2) + at(lengths.len() / 2)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokens;

    fn file(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");
        std::fs::read_to_string(format!("{folder}/{name}/tokenizer.json")).unwrap()
    }

    fn encode(tokenizer: Result<TextTokenizer>, text: &str) -> Tokens {
        tokenizer.unwrap().encode(text).unwrap()
    }

    #[test]
    fn unknown_tokens_are_dropped_after_the_cut_and_only_for_model2vec() {
        let json = file("static-tiny");
        // Short enough not to be cut by characters.
        let text = "a \u{1f600} a a";
        let kept = encode(TextTokenizer::for_static_embedding(json.as_bytes()), text);
        let own = TextTokenizer::for_static_embedding(json.as_bytes()).unwrap();
        let (a, unknown) = (own.id("a").unwrap(), own.id("[UNK]").unwrap());
        assert_eq!(kept.ids, [a, unknown, a, a]);
        for (longest, expected) in [
            (None, (vec![a; 3], false)),
            (Some(4), (vec![a; 3], false)),
            (Some(3), (vec![a; 2], true)),
        ] {
            let tokens = encode(
                TextTokenizer::for_model2vec(json.as_bytes(), longest, None),
                text,
            );
            assert_eq!((tokens.ids, tokens.truncated), expected, "{longest:?}");
        }
        // A model that names no unknown token has none to drop.
        let none = json.replacen("\"unk_token\":\"[UNK]\"", "\"unk_token\":\"none\"", 1);
        assert_ne!(none, json);
        let tokenizer = Tokenizer::from_bytes(none.as_bytes()).unwrap();
        assert_eq!(super::unknown(none.as_bytes(), &tokenizer).unwrap(), None);
    }

    #[test]
    fn a_text_is_cut_to_the_characters_of_so_many_tokens_of_median_length() {
        let json = file("static-tiny");
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let lengths: Vec<_> = tokenizer
            .get_vocab(true)
            .into_keys()
            .map(|token| token.chars().count())
            .collect();
        let median = median_length(&tokenizer);
        let shorter = lengths.iter().filter(|length| **length < median).count();
        let longer = lengths.iter().filter(|length| **length > median).count();
        assert!(shorter.max(longer) <= lengths.len() / 2, "{median}");
        // One token of one character more than two tokens of median length have.
        let text = format!("a{}é", " ".repeat(2 * median - 1));
        let tokens = |longest| {
            encode(
                TextTokenizer::for_model2vec(json.as_bytes(), Some(longest), None),
                &text,
            )
        };
        assert_eq!((tokens(2).ids.len(), tokens(2).truncated), (1, true));
        assert_eq!((tokens(3).ids.len(), tokens(3).truncated), (2, false));
    }

    #[test]
    fn the_truncation_of_the_file_limits_only_texts_of_sentence_transformers() {
        let json = file("bert-tiny-mean");
        assert!(json.contains("\"max_length\":8") || json.contains("\"max_length\": 8"));
        let own = TextTokenizer::for_static_embedding(json.as_bytes()).unwrap();
        assert_eq!(own.max_tokens(), 8);
        assert_eq!(
            own.encode(&"light ".repeat(9)).unwrap().ids,
            [own.id("light").unwrap(); 8]
        );
        let own = TextTokenizer::for_model2vec(json.as_bytes(), None, None).unwrap();
        assert_eq!(own.max_tokens(), usize::MAX);
        assert_eq!(own.encode(&"light ".repeat(9)).unwrap().ids.len(), 9);
    }
}
