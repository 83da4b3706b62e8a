//! The tokenizers of sentence encoders against `transformers`. `tests/goldens/tokenizers/make_goldens.py` made the tokenizers, the texts
//! and what is expected; its docstring says what each file holds.

use serde::Deserialize;
use serde_json::Value;

use super::{TextTokenizer, TokenizerConfig};

/// The folders with a WordPiece tokenizer of BERT's type.
pub const WORD_PIECE: [&str; 5] = [
    "bert",
    "bert-accents",
    "bert-cased",
    "bert-no-chinese",
    "mpnet",
];

/// Longer than any of the texts.
const LONGEST: usize = 1 << 20;

#[derive(Deserialize)]
struct Texts {
    sentences: usize,
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    longest: usize,
    longest_pair: usize,
    tokenizers: Vec<Folder>,
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct Folder {
    name: String,
    model_type: String,
}

/// A repository whose files disagree.
#[derive(Deserialize)]
struct Setting {
    name: String,
    model_type: String,
    tokenizer_config: Option<Value>,
    hash: u32,
}

fn read(file: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tokenizers/");
    std::fs::read(format!("{folder}{file}")).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn parse<T: for<'a> Deserialize<'a>>(file: &str) -> T {
    serde_json::from_slice(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn texts() -> Vec<String> {
    let Texts { sentences, texts } = parse("texts.json");
    assert!(
        sentences > 2_000 && texts.len() > sentences + 100,
        "{sentences}"
    );
    texts
}

/// `tokenizer.json` of a folder, with SentencePiece's rules of normalization, which one folder has for all.
fn tokenizer_json(name: &str) -> String {
    let json = String::from_utf8(read(&format!("{name}/tokenizer.json"))).unwrap();
    let empty = "\"precompiled_charsmap\":\"\"";
    if !json.contains(empty) {
        return json;
    }
    let rules: Value = parse("xlm-roberta/tokenizer.json");
    let rules = &rules["normalizer"]["precompiled_charsmap"];
    json.replacen(empty, &format!("\"precompiled_charsmap\":{rules}"), 1)
}

/// The tokenizer as a model of that type loads it.
fn load(json: &str, config: Option<&[u8]>, model_type: &str, longest: usize) -> TextTokenizer {
    let model = format!(r#"{{"model_type":"{model_type}"}}"#);
    let config = TokenizerConfig::new(config, model.as_bytes()).unwrap();
    let mut tokenizer = TextTokenizer::from_json(json.as_bytes(), longest, false).unwrap();
    tokenizer.heed(&config).unwrap();
    tokenizer
}

/// FNV-1a of 32 bits, of numbers in little-endian order.
fn fnv(start: u32, ids: &[u32]) -> u32 {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    bytes.fold(start, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

const START: u32 = 0x811C_9DC5;

/// The hash of all ids of all texts.
fn fnv_of_all(tokenizer: &TextTokenizer, texts: &[String]) -> u32 {
    texts.iter().fold(START, |hash, text| {
        fnv(hash, &tokenizer.encode(text).unwrap().ids)
    })
}

#[test]
fn each_kind_of_tokenizer_has_the_ids_that_transformers_gives() {
    let texts = texts();
    let index: Index = parse("index.json");
    assert!(index.tokenizers.len() >= 11);
    for Folder { name, model_type } in &index.tokenizers {
        let config = read(&format!("{name}/tokenizer_config.json"));
        let json = tokenizer_json(name);
        let of_length = |longest| load(&json, Some(&config), model_type, longest);
        let whole = of_length(LONGEST);
        let (cut, pair) = (of_length(index.longest), of_length(index.longest_pair));
        let odd: Vec<Vec<u32>> = parse(&format!("{name}/odd.json"));
        let first_odd = texts.len() - odd.len();
        let hashes = read(&format!("{name}/hashes.bin"));
        let (hashes, []) = hashes.as_chunks::<8>() else {
            panic!("{name}: {} bytes", hashes.len())
        };
        assert_eq!(hashes.len(), texts.len());
        let mut wrong = Vec::new();
        for (at, (text, expected)) in texts.iter().zip(hashes).enumerate() {
            let ids = whole.encode(text).unwrap().ids;
            if let Some(at) = at.checked_sub(first_odd)
                && ids != odd[at]
            {
                wrong.push(format!("{text:?}: {ids:?}, expected {:?}", odd[at]));
            }
            let located = whole.locate(text, LONGEST).unwrap().ids;
            let cut = cut.encode(text).unwrap();
            assert_eq!(cut.truncated, ids.len() > index.longest, "{name}: {text:?}");
            let next = &texts[(at + 1) % texts.len()];
            let pair = pair.encode_pair(text, next).unwrap().tokens.ids;
            let (one, other) = expected.split_at(4);
            let expected = [one, other].map(|hash| u32::from_le_bytes(hash.try_into().unwrap()));
            let hashes = [fnv(START, &ids), fnv(fnv(START, &cut.ids), &pair)];
            if hashes != expected {
                wrong.push(format!("{text:?}: {ids:?}, {:?}, {pair:?}", cut.ids));
            }
            // All of them put one special token before a text and one after it.
            if ids.get(1..ids.len() - 1) != Some(&located[..]) {
                wrong.push(format!("{text:?}: {ids:?}, located {located:?}"));
            }
        }
        let some = wrong.iter().take(5).cloned().collect::<Vec<_>>();
        assert!(wrong.is_empty(), "{name}: {}: {some:#?}", wrong.len());
    }
}

#[test]
fn where_the_files_of_a_repository_disagree_ids_are_those_of_transformers() {
    let texts = texts();
    let index: Index = parse("index.json");
    assert!(index.settings.len() >= 16);
    let mut wrong = Vec::new();
    for setting in &index.settings {
        let config = setting.tokenizer_config.as_ref().map(Value::to_string);
        let config = config.as_ref().map(String::as_bytes);
        let json = tokenizer_json(&setting.name);
        let tokenizer = load(&json, config, &setting.model_type, LONGEST);
        if fnv_of_all(&tokenizer, &texts) != setting.hash {
            wrong.push(format!(
                "{}, {}: {:?}",
                setting.name, setting.model_type, setting.tokenizer_config
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_tokenizer_made_from_words_has_the_ids_that_transformers_gives() {
    let texts = texts();
    for name in WORD_PIECE {
        let json = tokenizer_json(name);
        let file: Value = serde_json::from_str(&json).unwrap();
        let words = file["model"]["vocab"].as_object().unwrap();
        let mut words: Vec<_> = words.iter().collect();
        words.sort_by_key(|(_, id)| id.as_u64());
        let words: String = words.iter().map(|(word, _)| format!("{word}\n")).collect();
        let config = read(&format!("{name}/tokenizer_config.json"));
        let own = TokenizerConfig::new(Some(&config), b"{}").unwrap();
        let made = own.tokenizer_of(words.as_bytes()).unwrap();
        let made = TextTokenizer::from_json(&made, LONGEST, false).unwrap();
        let whole = load(&json, Some(&config), "bert", LONGEST);
        for text in &texts {
            let ids = made.encode(text).unwrap().ids;
            assert_eq!(ids, whole.encode(text).unwrap().ids, "{name}: {text:?}");
        }
    }
}
