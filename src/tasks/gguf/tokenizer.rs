//! `tokenizer.json`, in the form of the `tokenizers` crate. It is written piece by piece, because a vocabulary of 150,000 tokens as a tree
//! of values would take ten times its size.

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::weights::Gguf;

/// The type of a token that stands for no text. *Source*: llama.cpp, `enum llama_token_type`.
const CONTROL: i32 = 3;
/// The type of a token that was added to a trained vocabulary.
const USER_DEFINED: i32 = 4;

/// The mark of a word's start.
const WORD: char = '▁';

/// The expression by which the tokenizers of Qwen2 and of Llama 3 split texts; `DIGITS` stands for the most digits of a piece, in which they differ.
/// *Source*: `tokenizer.json` of Qwen/Qwen2.5-0.5B and of meta-llama/Meta-Llama-3-8B.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Makes the file.
///
/// *Errors*: `InvalidWeights`; `UnsupportedModel` naming a tokenizer that is not known.
pub(super) fn json(gguf: &Gguf<'_>) -> Result<Vec<u8>> {
    match gguf.text("tokenizer.ggml.model")?.unwrap_or_default() {
        "gpt2" => byte_level(gguf),
        "bert" => word_pieces(gguf),
        other => Err(Error::unsupported(format!(
            "tokenizer.ggml.model is '{other}', expected gpt2 or bert"
        ))),
    }
}

/// A `tokenizer.json` that is being written.
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        serde_json::to_writer(&mut self.0, value)
            .map_err(|error| Error::internal(format!("tokenizer.json: {error}")))
    }

    /// Writes a field of the outermost object after others.
    fn field(&mut self, name: &str, value: &Value) -> Result<()> {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        self.value(value)
    }

    /// Writes the vocabulary: `of` makes the form that `tokenizer.json` has of each token.
    fn vocabulary(&mut self, gguf: &Gguf<'_>, of: fn(&str, i32) -> String) -> Result<()> {
        let tokens = gguf.required_texts(TOKENS)?;
        let types = token_types(gguf)?;
        self.raw("{");
        for (id, token) in tokens.iter().enumerate() {
            self.raw(if id == 0 { "" } else { "," });
            self.value(&of(token, type_of(types, id)))?;
            self.raw(":");
            self.value(&id)?;
        }
        self.raw("}");
        Ok(())
    }
}

const TOKENS: &str = "tokenizer.ggml.tokens";

/// The most tokens of a vocabulary, four times as many as the largest has.
const MAX_TOKENS: usize = 1 << 20;

/// The types of all tokens, four bytes each.
fn token_types<'a>(gguf: &Gguf<'a>) -> Result<&'a [[u8; 4]]> {
    gguf.integers("tokenizer.ggml.token_type")
}

fn type_of(types: &[[u8; 4]], id: usize) -> i32 {
    types.get(id).map_or(0, |bytes| i32::from_le_bytes(*bytes))
}

/// Begins the file with the tokens that are found before a text is split.
fn begin(gguf: &Gguf<'_>) -> Result<Json> {
    let mut json = Json(Vec::new());
    let types = token_types(gguf)?;
    let tokens = gguf.required_texts(TOKENS)?;
    if tokens.len() > MAX_TOKENS {
        return Err(Error::invalid_weights(format!(
            "metadata '{TOKENS}' has {} tokens, expected at most {MAX_TOKENS}",
            tokens.len()
        )));
    }
    json.raw(r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":["#);
    let mut is_first = true;
    for (id, token) in tokens.iter().enumerate() {
        let kind = type_of(types, id);
        if !matches!(kind, CONTROL | USER_DEFINED) {
            continue;
        }
        json.raw(if is_first { "" } else { "," });
        is_first = false;
        json.value(&json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": kind == CONTROL,
        }))?;
    }
    json.raw("]");
    Ok(json)
}

fn byte_level(gguf: &Gguf<'_>) -> Result<Vec<u8>> {
    let pre = gguf.text("tokenizer.ggml.pre")?.unwrap_or_default();
    let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
    let sequence = |first: Value, second: Value| json!({ "type": "Sequence", "pretokenizers": [first, second] });
    let split = |digits: &str| {
        let pattern = json!({ "Regex": SPLIT.replace("DIGITS", digits) });
        json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false })
    };
    let (normalizer, pre_tokenizer) = match pre {
        "gpt-2" => (Value::Null, bytes(true)),
        "smollm" => {
            let digits = json!({ "type": "Digits", "individual_digits": true });
            (Value::Null, sequence(digits, bytes(true)))
        }
        "qwen2" => (json!({ "type": "NFC" }), sequence(split(""), bytes(false))),
        "llama-bpe" | "llama3" | "llama-v3" => {
            (Value::Null, sequence(split("{1,3}"), bytes(false)))
        }
        other => {
            return Err(Error::unsupported(format!(
                "tokenizer.ggml.pre is '{other}', expected one of gpt-2, default, smollm, qwen2, llama-bpe"
            )));
        }
    };
    let is_llama = pre.starts_with("llama");
    let mut json = begin(gguf)?;
    json.field("normalizer", &normalizer)?;
    json.field("pre_tokenizer", &pre_tokenizer)?;
    let before = added(gguf, "bos", is_llama)?;
    let after = added(gguf, "eos", false)?;
    json.field("post_processor", &template(before, after))?;
    json.field("decoder", &bytes(true))?;
    json.raw(r#","model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":"#);
    json.value(&is_llama)?;
    json.raw(r#","vocab":"#);
    json.vocabulary(gguf, |token, _| token.into())?;
    json.raw(r#","merges":["#);
    let merges = gguf.required_texts("tokenizer.ggml.merges")?;
    for (index, merge) in merges.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        json.value(merge)?;
    }
    json.raw("]}}");
    Ok(json.0)
}

/// The special token that is added before (`bos`) or after (`eos`) every text; `by_default`: whether it is where no key says so.
fn added<'a>(gguf: &Gguf<'a>, which: &str, by_default: bool) -> Result<Option<(usize, &'a str)>> {
    let is_added = gguf.flag(&format!("tokenizer.ggml.add_{which}_token"))?;
    let key = format!("tokenizer.ggml.{which}_token_id");
    match gguf.count(&key)? {
        Some(id) if is_added.unwrap_or(by_default) => token(gguf, &key, id).map(Some),
        _ => Ok(None),
    }
}

/// A token by its id, which a key gives.
fn token<'a>(gguf: &Gguf<'a>, key: &str, id: usize) -> Result<(usize, &'a str)> {
    let tokens = gguf.required_texts(TOKENS)?;
    let found = tokens.iter().nth(id).map(|token| (id, token));
    found.ok_or_else(|| {
        let count = tokens.len();
        Error::invalid_weights(format!(
            "metadata '{key}' is {id}, expected less than {count}"
        ))
    })
}

/// The step that puts special tokens around a text.
fn template(before: Option<(usize, &str)>, after: Option<(usize, &str)>) -> Value {
    if before.is_none() && after.is_none() {
        return Value::Null;
    }
    let special = |token: Option<(usize, &str)>, kind: usize| {
        token.map(|(_, token)| json!({ "SpecialToken": { "id": token, "type_id": kind } }))
    };
    let text =
        |name: &str, kind: usize| Some(json!({ "Sequence": { "id": name, "type_id": kind } }));
    let list = |parts: &[Option<Value>]| parts.iter().flatten().cloned().collect::<Vec<_>>();
    let single = [special(before, 0), text("A", 0), special(after, 0)];
    let pair = [list(&single), list(&[text("B", 1), special(after, 1)])].concat();
    let mut specials = serde_json::Map::new();
    for (id, token) in before.into_iter().chain(after) {
        let special = json!({ "id": token, "ids": [id], "tokens": [token] });
        specials.insert(token.into(), special);
    }
    json!({
        "type": "TemplateProcessing",
        "single": list(&single),
        "pair": pair,
        "special_tokens": specials,
    })
}

fn word_pieces(gguf: &Gguf<'_>) -> Result<Vec<u8>> {
    let tokens = gguf.required_texts(TOKENS)?;
    // The keys' names, the first misspelled by the format, and the tokens of files without them.
    let special = |key: &str, usual: &str| {
        let key = format!("tokenizer.ggml.{key}_token_id");
        if let Some(id) = gguf.count(&key)? {
            return token(gguf, &key, id);
        }
        let found = tokens.iter().enumerate().find(|(_, token)| *token == usual);
        found.ok_or_else(|| Error::invalid_weights(format!("metadata '{key}' is missing")))
    };
    let separator = special("seperator", "[SEP]")?;
    let (first, unknown) = (special("cls", "[CLS]")?, special("unknown", "[UNK]")?);
    // The format does not say whether texts are lowercased; a vocabulary of lowercased texts has no capital letter after a word's start.
    let types = token_types(gguf)?;
    let is_capital = |(id, token): (usize, &str)| {
        let begins_a_word = token.starts_with(WORD) && type_of(types, id) != CONTROL;
        begins_a_word && !token.contains('[') && token.chars().any(char::is_uppercase)
    };
    let lowercase = !tokens.iter().enumerate().any(is_capital);
    let mut json = begin(gguf)?;
    json.field("normalizer", &json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": lowercase,
    }))?;
    json.field("pre_tokenizer", &json!({ "type": "BertPreTokenizer" }))?;
    json.field("post_processor", &template(Some(first), Some(separator)))?;
    json.field(
        "decoder",
        &json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
    )?;
    json.raw(r###","model":{"type":"WordPiece","continuing_subword_prefix":"##","max_input_chars_per_word":100,"unk_token":"###);
    json.value(unknown.1)?;
    json.raw(r#","vocab":"#);
    json.vocabulary(gguf, word_piece)?;
    json.raw("}}");
    Ok(json.0)
}

/// Marks the continuations of words, as BERT does, where the file marks the starts.
fn word_piece(token: &str, kind: i32) -> String {
    if let Some(word) = token.strip_prefix(WORD) {
        return word.into();
    }
    // Older converters do not change `[unused1]`, though it is no control token.
    let is_bracketed = token.starts_with('[') && token.ends_with(']') && token.len() > 2;
    match kind == CONTROL || is_bracketed {
        true => token.into(),
        false => format!("##{token}"),
    }
}
