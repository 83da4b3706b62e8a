//! The tokenizers of decoders against `transformers` and `tokenizers`. `tests/goldens/decoder/token_ids.py` says which texts these are,
//! and made the ids.

use std::path::Path;

use pilotlight_tools::{data, first_field};
use serde_json::{Value, json};

use super::TextTokenizer;
use crate::tasks::smollm2_tokenizer;

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/");

/// Longer than any of the texts.
const LONGEST: usize = 1 << 20;

fn read(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn parse(file: impl AsRef<Path>) -> Value {
    serde_json::from_str(&read(file)).unwrap()
}

fn strings(value: &Value, count: usize) -> Vec<String> {
    let list = value.as_array().unwrap().iter().take(count);
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The `.json` files of a folder, in the order of their names.
fn json_files(folder: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files.iter().map(parse).collect()
}

/// The 47 texts of llama.cpp's test of Qwen2's vocabulary.
fn llama_cpp_texts(data: &Path) -> Vec<String> {
    let texts = read(data.join("qwen2/ggml-vocab-qwen2.gguf.inp"));
    let texts = texts.split("\n__ggml_vocab_test__\n");
    texts.map(str::to_owned).collect()
}

fn texts(data: &Path) -> Vec<String> {
    let lines = |file: &str, first: usize, count: usize| {
        let all = read(data.join(file));
        let some = all.lines().skip(first).take(count);
        some.map(first_field).collect::<Vec<_>>()
    };
    let mut texts = lines("sts/stsb-en-test.csv", 0, 248);
    texts.extend(lines("banking77/banking77-test.csv", 1, 150));
    for pairs in json_files(&data.join("aitext")) {
        texts.extend(strings(&pairs["original"], 4));
        texts.extend(strings(&pairs["sampled"], 4));
    }
    for list in json_files(&data.join("bias")) {
        texts.extend(strings(&list, 2));
    }
    assert_eq!(texts.len(), 500);
    texts.extend(llama_cpp_texts(data));
    let odd = parse(format!("{GOLDENS}clip-tokenizer/odd.json"));
    let odd = odd["cases"].as_array().unwrap().iter();
    texts.extend(odd.map(|case| case["text"].as_str().unwrap().to_owned()));
    texts
}

/// The numbers of an `ids.bin`, each of `N` bytes, by text.
fn expected_ids<const N: usize>(folder: &str) -> Vec<Vec<u32>> {
    let bytes = std::fs::read(format!("{GOLDENS}{folder}/ids.bin")).unwrap();
    let (numbers, []) = bytes.as_chunks::<N>() else {
        panic!("{folder}: {} bytes", bytes.len())
    };
    let mut numbers = numbers.iter().map(|bytes| {
        let digits = bytes.iter().rev();
        digits.fold(0, |number, byte| number << 8 | u32::from(*byte))
    });
    let mut all = Vec::new();
    while let Some(count) = numbers.next() {
        let ids: Vec<u32> = numbers.by_ref().take(count as usize).collect();
        assert_eq!(ids.len(), count as usize);
        all.push(ids);
    }
    all
}

/// The tokenizer of Qwen2.5, as `qwen2_blueprint` in `token_ids.py` builds it.
fn qwen2(data: &Path) -> TextTokenizer {
    let folder = data.join("qwen2");
    let merges = read(folder.join("merges.txt"));
    let merges = merges.lines();
    let merges: Vec<&str> = merges
        .filter(|line| !line.is_empty() && !line.starts_with("#version"))
        .collect();
    let config = parse(folder.join("tokenizer_config.json"));
    let added = config["added_tokens_decoder"].as_object().unwrap().iter();
    let added = added.map(|(id, token)| {
        let mut token = token.clone();
        token["id"] = id.parse::<u32>().unwrap().into();
        token
    });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let split = json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [split, bytes] },
        "post_processor": bytes,
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": parse(folder.join("vocab.json")), "merges": merges,
        },
    });
    TextTokenizer::from_json(json.to_string().as_bytes(), LONGEST, false).unwrap()
}

/// Checks the ids of all texts, and that the places of their tokens are in the text and in order.
fn assert_ids(tokenizer: &TextTokenizer, texts: &[String], expected: &[Vec<u32>]) {
    assert_eq!(texts.len(), 618);
    assert_eq!(texts.len(), expected.len());
    for (text, expected) in texts.iter().zip(expected) {
        assert_eq!(&tokenizer.encode(text).unwrap().ids, expected, "{text:?}");
        let located = tokenizer.locate(text, LONGEST).unwrap();
        assert_eq!(&located.ids, expected, "{text:?}");
        assert!(located.starts.is_sorted(), "{text:?}: {:?}", located.starts);
        let units = text.encode_utf16().count() as u32;
        let last = located.starts.last().copied().unwrap_or_default();
        assert!(last <= units, "{text:?}: {last} of {units}");
        assert_eq!(located.starts.len(), expected.len());
    }
}

#[test]
fn qwen2_has_the_ids_that_transformers_gives() {
    let Some(data) = data("qwen2/vocab.json") else {
        return;
    };
    let tokenizer = qwen2(&data);
    assert_ids(
        &tokenizer,
        &texts(&data),
        &expected_ids::<4>("qwen2-tokenizer"),
    );
    // And those of llama.cpp: a line of ids for each of its texts, of which the last is empty.
    let ids = read(data.join("qwen2/ggml-vocab-qwen2.gguf.out"));
    let texts = llama_cpp_texts(&data);
    let lines: Vec<&str> = ids.split('\n').collect();
    assert_eq!((texts.len(), lines.len()), (47, 47));
    for (text, ids) in texts.iter().zip(lines) {
        let ids = ids.split_whitespace().map(|id| id.parse().unwrap());
        let ids: Vec<u32> = ids.collect();
        assert_eq!(tokenizer.encode(text).unwrap().ids, ids, "{text:?}");
    }
}

#[test]
fn smollm2_has_the_ids_that_tokenizers_gives() {
    let Some(data) = data("bias/toefl_human.json") else {
        return;
    };
    let expected = expected_ids::<2>("smollm2-tokenizer");
    assert_ids(&smollm2_tokenizer(), &texts(&data), &expected);
}
