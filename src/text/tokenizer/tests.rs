//! Tokenizing long texts, pairs and prompts.

use super::*;
use pilotlight_tools::{data, first_field};

fn tokenizer(max_tokens: usize) -> TextTokenizer {
    tokenizer_of("bert-tiny-mean", max_tokens)
}

fn tokenizer_of(model: &str, max_tokens: usize) -> TextTokenizer {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens");
    let json = std::fs::read(format!("{folder}/{model}/tokenizer.json")).unwrap();
    TextTokenizer::from_json(&json, max_tokens, false).unwrap()
}

#[test]
fn a_long_text_has_the_same_first_tokens_as_when_tokenized_whole() {
    for model in [
        "bert-tiny-mean",
        "camembert-tiny",
        "modernbert-tiny",
        "mpnet-tiny",
        "roberta-tiny",
        "xlm-roberta-tiny",
    ] {
        let tokenizer = tokenizer_of(model, 20_000);
        for unit in [
            "the a  ",
            "\u{3000}\u{e9}a, b! ",
            "a\n\n\n\n",
            "\u{1f600} \u{4e2d}\u{6587}",
            "one two three ",
        ] {
            let text = unit.repeat(5_000);
            let whole = tokenizer.whole().unwrap();
            let whole = whole.encode(text.as_str(), true).unwrap();
            let tokens = tokenizer.encode(&text).unwrap();
            let shared = tokens.ids.len() - 1;
            let name = format!("{model}, {unit:?}");
            assert_eq!(tokens.ids[..shared], whole.get_ids()[..shared], "{name}");
            assert_eq!(tokens.truncated, whole.len() > 20_000, "{name}");
        }
    }
}

#[test]
fn a_megabyte_without_a_blank_is_cut_and_reported() {
    let tokens = tokenizer(24).encode(&"a,".repeat(1 << 19)).unwrap();
    assert_eq!((tokens.ids.len(), tokens.truncated), (24, true));
    let tokens = tokenizer(24).encode(&" ".repeat(1 << 20)).unwrap();
    assert_eq!((tokens.ids.len(), tokens.truncated), (2, false));
}

#[test]
fn what_is_not_a_tokenizer_is_an_error_that_names_the_file() {
    for json in [
        "",
        "{}",
        "<!doctype html>",
        "{\"version\":\"1.0\",\"model\":{\"type\":\"Nope\"}}",
    ] {
        let Err(error) = TextTokenizer::from_json(json.as_bytes(), 24, false) else {
            panic!("{json}")
        };
        assert!(error.to_string().starts_with("tokenizer.json: "), "{error}");
    }
}

/// A tokenizer with CLIP's vocabulary, which is not part of the repository; `None` if such tests are left out.
fn clip() -> Option<(std::path::PathBuf, TextTokenizer)> {
    let data = data("clip/tokenizer.json")?;
    let json = std::fs::read(data.join("clip/tokenizer.json")).unwrap();
    let tokenizer = TextTokenizer::from_json(&json, 77, false).unwrap();
    Some((data, tokenizer))
}

fn goldens(file: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/clip-tokenizer/");
    std::fs::read(format!("{folder}{file}")).unwrap()
}

/// All captions of the photos, followed by sentences of the STS benchmark.
fn captions(data: &std::path::Path) -> Vec<String> {
    let read = |file: &str| std::fs::read_to_string(data.join(file)).unwrap();
    let photos: serde_json::Value = serde_json::from_str(&read("photos/manifest.json")).unwrap();
    let photos = photos.as_array().unwrap().iter();
    let texts = photos.flat_map(|photo| photo["captions"].as_array().unwrap().clone());
    let mut all: Vec<String> = texts
        .map(|text| text.as_str().unwrap().to_string())
        .collect();
    for file in ["sts/stsb-en-test.csv", "sts/stsb-en-dev.csv"] {
        all.extend(read(file).lines().map(first_field));
    }
    all.truncate(2000);
    all
}

#[test]
fn captions_have_the_ids_that_transformers_gives() {
    let Some((data, tokenizer)) = clip() else {
        return;
    };
    let ids = goldens("ids.bin");
    let numbers: Vec<u32> = ids
        .as_chunks::<2>()
        .0
        .iter()
        .map(|bytes| u32::from(u16::from_le_bytes(*bytes)))
        .collect();
    let mut rest = numbers.as_slice();
    let captions = captions(&data);
    assert_eq!(captions.len(), 2000);
    for caption in captions {
        let (expected, others) = rest[1..].split_at(rest[0] as usize);
        rest = others;
        assert_eq!(
            tokenizer.encode(&caption).unwrap().ids,
            expected,
            "{caption}"
        );
    }
    assert!(rest.is_empty());
}

#[test]
fn odd_texts_have_the_ids_that_transformers_gives() {
    let Some((_, tokenizer)) = clip() else {
        return;
    };
    let odd: serde_json::Value = serde_json::from_slice(&goldens("odd.json")).unwrap();
    let cases = odd["cases"].as_array().unwrap();
    assert!(cases.len() > 60);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let ids = case["ids"].as_array().unwrap().iter();
        let ids: Vec<u32> = ids.map(|id| id.as_u64().unwrap() as u32).collect();
        let truncated = case["truncated"].as_bool().unwrap();
        assert_eq!(
            tokenizer.encode(text).unwrap(),
            Tokens { ids, truncated },
            "{text:?}"
        );
    }
}
