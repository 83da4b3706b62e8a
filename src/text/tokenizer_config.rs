//! `tokenizer_config.json`: settings that Python's tokenizers take from there, whatever `tokenizer.json` says.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use crate::error::{Error, Result};

/// The name of the file.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// The name of the file that has only the words.
pub const VOCABULARY: &str = "vocab.txt";

/// The key of the class of tokenizers.
const CLASS: &str = "tokenizer_class";

/// The names, without the suffix, of the tokenizer classes that share BERT's settings and read `vocab.txt`.
const WORD_PIECE: [&str; 4] = ["Bert", "DistilBert", "MPNet", "Electra"];

/// The call that writes `tokenizer.json` from the files of older tokenizers.
const SAVE: &str = "AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER) in Python";

/// The files that older tokenizers are in.
const OLDER: [&str; 7] = [
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

/// The error of a repository without `tokenizer.json` that has an older tokenizer; `None` where it lists none.
pub fn older_tokenizer(lists: impl Fn(&str) -> bool) -> Option<Error> {
    let files: Vec<&str> = OLDER.into_iter().filter(|file| lists(file)).collect();
    if files.is_empty() {
        return None;
    }
    Some(Error::unsupported(format!(
        "tokenizer.json: is missing, and {} alone cannot be read: {SAVE} writes tokenizer.json",
        files.join(" and ")
    )))
}

/// A number that means no limit, as does a larger one.
const NO_LIMIT: f64 = 1e9;

/// The settings of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    values: Map<String, Value>,
}

impl TokenizerConfig {
    /// Reads the file.
    ///
    /// *Errors*: `InvalidWeights` where it is broken.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let values = serde_json::from_slice(json).map_err(|error| {
            Error::invalid_weights(format!("{TOKENIZER_CONFIG}: is not valid: {error}"))
        })?;
        Ok(Self { values })
    }

    /// The settings of `tokenizer_config.json`, which a repository may lack. Where it names no class of tokenizers, that is of `config.json`,
    /// or the one of the model's type.
    ///
    /// *Errors*: `InvalidWeights` where a file is broken.
    /// *Source*: `AutoTokenizer.from_pretrained` of transformers 5.23.
    pub fn new(json: Option<&[u8]>, config: &[u8]) -> Result<Self> {
        #[derive(Default, Deserialize)]
        struct Config {
            model_type: Option<String>,
            tokenizer_class: Option<String>,
        }
        let mut own = match json {
            Some(json) => Self::from_json(json)?,
            None => Self::default(),
        };
        if own.values.get(CLASS).is_none_or(Value::is_null) {
            let config: Config = serde_json::from_slice(config).map_err(|error| {
                Error::invalid_weights(format!("config.json: is not valid: {error}"))
            })?;
            let class = match config.model_type.as_deref() {
                Some("bert" | "distilbert" | "electra" | "nomic_bert") => Some("BertTokenizer"),
                Some("mpnet") => Some("MPNetTokenizer"),
                Some("roberta") => Some("RobertaTokenizer"),
                Some("xlm-roberta") => Some("XLMRobertaTokenizer"),
                Some("camembert") => Some("CamembertTokenizer"),
                Some("modernbert") => Some("PreTrainedTokenizerFast"),
                _ => None,
            };
            if let Some(class) = config.tokenizer_class.as_deref().or(class) {
                own.values.insert(CLASS.into(), class.into());
            }
        }
        Ok(own)
    }

    /// The longest text in tokens, special tokens included; `None` where there is no limit.
    pub fn longest(&self) -> Option<usize> {
        let limit = self.values.get("model_max_length")?.as_f64()?;
        (1.0..NO_LIMIT).contains(&limit).then_some(limit as usize)
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.values.get(name)?.as_bool()
    }

    /// Whether the class of tokenizers is one of these.
    fn is_of(&self, families: &[&str]) -> bool {
        let class = self.token(CLASS, "BertTokenizer");
        families.iter().any(|family| {
            let rest = class.strip_prefix(family);
            rest.is_some_and(|rest| rest.starts_with("Tokenizer"))
        })
    }

    /// Gives BERT's normalizer the settings of the file, or the defaults of its class in Python. Other classes take what `tokenizer.json` says.
    pub(super) fn normalizer(&self, own: &NormalizerWrapper) -> Option<NormalizerWrapper> {
        let NormalizerWrapper::BertNormalizer(own) = own else {
            return None;
        };
        if !self.is_of(&WORD_PIECE) {
            return None;
        }
        let mut own = *own;
        own.lowercase = self.flag("do_lower_case").unwrap_or(true);
        own.handle_chinese_chars = self.flag("tokenize_chinese_chars").unwrap_or(true);
        // If `strip_accents` is null, accents are stripped if texts are lowercased.
        own.strip_accents = self.flag("strip_accents");
        Some(NormalizerWrapper::BertNormalizer(own))
    }

    /// Splits words as the class in Python does, whatever `tokenizer.json` says: that of RoBERTa puts a blank before a text only where its
    /// settings say so, and that of XLM-RoBERTa drops the blanks after a text and before special tokens.
    ///
    /// *Source*: `RobertaTokenizer`, `XLMRobertaTokenizer` and `CamembertTokenizer` of transformers 5.23.
    pub(super) fn pre_tokenizer(&self, own: &PreTokenizerWrapper) -> Option<PreTokenizerWrapper> {
        match own {
            PreTokenizerWrapper::ByteLevel(bytes) if self.is_of(&["Roberta"]) => {
                let add = self.flag("add_prefix_space").unwrap_or(false);
                Some(PreTokenizerWrapper::ByteLevel(bytes.add_prefix_space(add)))
            }
            PreTokenizerWrapper::Metaspace(_) if self.is_of(&["XLMRoberta", "Camembert"]) => {
                let both = vec![WhitespaceSplit.into(), own.clone()];
                Some(PreTokenizerWrapper::Sequence(Sequence::new(both)))
            }
            _ => None,
        }
    }

    /// The text of a special token, which is a text or an object with one.
    pub(super) fn token<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let token = self.values.get(name);
        let text =
            token.and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
        text.unwrap_or(default)
    }

    /// Makes the `tokenizer.json` of BERT's tokenizer from the words of `vocab.txt`, one in a line.
    ///
    /// *Errors*: `InvalidWeights` naming the file where a special token is missing, `UnsupportedModel` for another tokenizer.
    pub fn tokenizer_of(&self, vocabulary: &[u8]) -> Result<Vec<u8>> {
        let class = self.token(CLASS, "BertTokenizer");
        if !self.is_of(&WORD_PIECE) {
            return Err(Error::unsupported(format!(
                "{VOCABULARY}: is the vocabulary of {class}, and tokenizer.json is missing: expected that file, which {SAVE} writes, or one of {}",
                WORD_PIECE.map(|name| format!("{name}Tokenizer")).join(", ")
            )));
        }
        let text = std::str::from_utf8(vocabulary)
            .map_err(|_| Error::invalid_weights(format!("{VOCABULARY}: is not UTF-8")))?;
        let mut words = Map::new();
        for (id, word) in text.lines().enumerate() {
            words.insert(word.into(), id.into());
        }
        let is_mpnet = class.starts_with("MPNet");
        let (first, last) = if is_mpnet {
            ("<s>", "</s>")
        } else {
            ("[CLS]", "[SEP]")
        };
        let (padding, mask) = if is_mpnet {
            ("<pad>", "<mask>")
        } else {
            ("[PAD]", "[MASK]")
        };
        let special = [
            self.token("unk_token", "[UNK]"),
            self.token("cls_token", first),
            self.token("sep_token", last),
            self.token("pad_token", padding),
            self.token("mask_token", mask),
        ];
        let id = |token: &str| {
            words.get(token).cloned().ok_or_else(|| {
                Error::invalid_weights(format!("{VOCABULARY}: the token '{token}' is missing"))
            })
        };
        let [unknown, first, last, ..] = special;
        let quoted = |text: &str| Value::from(text).to_string();
        let mut added = Vec::new();
        for token in special {
            let (id, token) = (id(token)?, quoted(token));
            added.push(format!(
                r#"{{"id":{id},"content":{token},"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}"#
            ));
        }
        let flag = |name: &str, default: &str| {
            self.flag(name)
                .map_or(default.into(), |flag| flag.to_string())
        };
        let (kind, chinese) = (
            if is_mpnet { "Roberta" } else { "Bert" },
            flag("tokenize_chinese_chars", "true"),
        );
        let (strip, lower) = (flag("strip_accents", "null"), flag("do_lower_case", "true"));
        let (first_id, last_id) = (id(first)?, id(last)?);
        let (added, unknown, first, last) = (
            added.join(","),
            quoted(unknown),
            quoted(first),
            quoted(last),
        );
        let words = Value::Object(words);
        // Written as text: as values, the same takes several kilobytes of code.
        let file = format!(
            r###"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{added}],
            "normalizer":{{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":{chinese},"strip_accents":{strip},"lowercase":{lower}}},
            "pre_tokenizer":{{"type":"BertPreTokenizer"}},
            "post_processor":{{"type":"{kind}Processing","sep":[{last},{last_id}],"cls":[{first},{first_id}],"trim_offsets":true,"add_prefix_space":false}},
            "decoder":{{"type":"WordPiece","prefix":"##","cleanup":true}},
            "model":{{"type":"WordPiece","unk_token":{unknown},"continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{words}}}}}"###
        );
        Ok(file.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::text::TextTokenizer;

    fn config(json: &str) -> TokenizerConfig {
        TokenizerConfig::from_json(json.as_bytes()).unwrap()
    }

    const WORDS: &str =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncafe\ncafé\nCafe\n##s\n中\n文\n中文\n";

    fn ids(settings: &str, text: &str) -> Vec<u32> {
        let config = config(settings);
        let json = config.tokenizer_of(WORDS.as_bytes()).unwrap();
        TextTokenizer::from_json(&json, 20, false)
            .unwrap()
            .encode(text)
            .unwrap()
            .ids
    }

    #[test]
    fn words_alone_make_the_tokenizer_of_bert() {
        assert_eq!(ids("{}", "A Cafés a"), [2, 5, 6, 9, 5, 3]);
        assert_eq!(ids("{}", "中文 nope"), [2, 10, 11, 1, 3]);
        assert_eq!(
            ids(r#"{"tokenize_chinese_chars":false}"#, "中文"),
            [2, 12, 3]
        );
        assert_eq!(ids(r#"{"do_lower_case":false}"#, "Cafe"), [2, 8, 3]);
        assert_eq!(ids(r#"{"strip_accents":false}"#, "Café"), [2, 7, 3]);
        let error = config("{}").tokenizer_of(b"a\nb\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
        assert!(error.to_string().contains("'[UNK]' is missing"), "{error}");
        let class = br#"{"model_type":"roberta"}"#;
        let roberta = TokenizerConfig::new(None, class).unwrap();
        let error = roberta.tokenizer_of(WORDS.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        let message = error.to_string();
        assert!(
            message.contains("of RobertaTokenizer, and tokenizer.json is missing"),
            "{message}"
        );
    }

    #[test]
    fn the_class_is_that_of_the_first_file_which_names_one() {
        let roberta = br#"{"tokenizer_class":"RobertaTokenizer"}"#;
        for (json, config, expected) in [
            (
                Some(&roberta[..]),
                r#"{"model_type":"bert","tokenizer_class":"A"}"#,
                "RobertaTokenizer",
            ),
            (
                Some(&b"{}"[..]),
                r#"{"model_type":"bert","tokenizer_class":"A"}"#,
                "A",
            ),
            (
                Some(&br#"{"tokenizer_class":null}"#[..]),
                r#"{"model_type":"mpnet"}"#,
                "MPNetTokenizer",
            ),
            (
                None,
                r#"{"model_type":"xlm-roberta"}"#,
                "XLMRobertaTokenizer",
            ),
            (None, r#"{"model_type":"nomic_bert"}"#, "BertTokenizer"),
            (None, r#"{"model_type":"other"}"#, "none"),
        ] {
            let own = TokenizerConfig::new(json, config.as_bytes()).unwrap();
            assert_eq!(own.token(CLASS, "none"), expected, "{config}");
        }
        let error = TokenizerConfig::new(None, b"[").unwrap_err();
        assert!(error.to_string().starts_with("config.json: "), "{error}");
    }

    #[test]
    fn an_older_tokenizer_is_named_with_what_is_missing() {
        assert!(older_tokenizer(|file| file == "config.json").is_none());
        let error = older_tokenizer(|file| file.starts_with("vocab") || file.starts_with("merges"));
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert_eq!(
            error.to_string(),
            "tokenizer.json: is missing, and vocab.json and merges.txt alone cannot be read: \
             AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER) in Python writes tokenizer.json"
        );
    }

    #[test]
    fn settings_of_the_file_replace_those_of_the_tokenizer() {
        let json = config("{}").tokenizer_of(WORDS.as_bytes()).unwrap();
        let encode = |settings: &str, text: &str| {
            let mut tokenizer = TextTokenizer::from_json(&json, 20, false).unwrap();
            tokenizer.heed(&config(settings)).unwrap();
            tokenizer.encode(text).unwrap().ids
        };
        assert_eq!(encode("{}", "Café"), [2, 6, 3]);
        assert_eq!(encode(r#"{"do_lower_case":false}"#, "Cafe"), [2, 8, 3]);
        assert_eq!(encode(r#"{"strip_accents":false}"#, "Café"), [2, 7, 3]);
        assert_eq!(
            encode(r#"{"tokenize_chinese_chars":false}"#, "中文"),
            [2, 12, 3]
        );
    }

    #[test]
    fn a_huge_number_is_no_limit() {
        for (json, expected) in [
            ("{}", None),
            (r#"{"model_max_length":512}"#, Some(512)),
            (
                r#"{"model_max_length":1000000000000000019884624838656}"#,
                None,
            ),
            (r#"{"model_max_length":null}"#, None),
        ] {
            assert_eq!(config(json).longest(), expected, "{json}");
        }
        let error = TokenizerConfig::from_json(b"[").unwrap_err();
        assert!(error.to_string().starts_with(TOKENIZER_CONFIG), "{error}");
    }
}
