//! Repositories as people have them: old and new spellings of sentence-transformers, each with what it answers, every value.
//!
//! The repositories are no part of this one: `PILOTLIGHT_DATA` is a folder beside that of the cases.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use pilotlight::{
    CacheConfig, Dtype, EmbedOptions, MemoryHost, MemoryStore, NoYield, Source, TextEmbedder,
    Values,
};
use serde::Deserialize;

#[path = "support/mod.rs"]
mod support;

use support::pytorch::of_safetensors;
use support::{Files, key};

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    max_tokens: usize,
    vectors: Vec<Vec<f32>>,
}

/// The folder of the cases; `None` where such tests are left out.
fn cases() -> Option<PathBuf> {
    let folder = pilotlight_tools::data("../cases/control/config.json")?;
    Some(folder.join("../cases"))
}

/// The case of this name: its files, and what it answers.
fn case(cases: &Path, name: &str) -> (Files, Expected) {
    let folder = cases.join(name);
    let mut files = Files::new();
    let mut folders = vec![folder.clone()];
    while let Some(path) = folders.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
                    files.insert(name.into(), std::fs::read(&path).unwrap());
                }
            }
        }
    }
    let expected = serde_json::from_slice(&files["expected.json"]).unwrap();
    (files, expected)
}

fn load(source: &Source<'_>, name: &str) -> TextEmbedder {
    let embedder = pollster::block_on(TextEmbedder::load(source, Dtype::F32, &pilotlight::cpu()));
    embedder.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The vectors of the texts, one after the other.
fn embed(embedder: &TextEmbedder, texts: &[String]) -> Vec<f32> {
    let options = EmbedOptions::default();
    let embeddings = pollster::block_on(embedder.embed(texts, &options, &NoYield)).unwrap();
    match embeddings.values {
        Values::Float32(values) => values,
        _ => panic!("float32 is the default"),
    }
}

/// Loads the files, and compares what the embedder answers.
fn answers(name: &str, files: Files, expected: &Expected) {
    let host = MemoryHost::new(files);
    let embedder = load(&Source::new(&host, &NoYield), name);
    assert_eq!(embedder.max_tokens(), expected.max_tokens, "{name}");
    let (values, wanted) = (embed(&embedder, &expected.texts), expected.vectors.concat());
    assert_eq!(values.len(), wanted.len(), "{name}");
    // Its vectors are those of the tokenizer.json that was taken out of it, which had five words; the ids that vocab.txt gives are tested
    // beside the code that reads it.
    if name == "vocab-only" {
        return;
    }
    // The file has seven digits.
    for (got, wanted) in values.iter().zip(&wanted) {
        assert!(
            (got - wanted).abs() < 2e-6,
            "{name}: {got}, expected {wanted}"
        );
    }
}

#[test]
fn each_repository_answers_as_in_python() {
    let Some(cases) = cases() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(&cases).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("expected.json").exists() {
            let name = folder.file_name().unwrap().to_str().unwrap();
            let (files, expected) = case(&cases, name);
            answers(name, files, &expected);
            count += 1;
        }
    }
    assert!(count >= 13, "{count} cases");
}

#[test]
fn the_weights_of_a_module_may_be_a_checkpoint_of_pytorch() {
    let Some(cases) = cases() else { return };
    let (mut files, expected) = case(&cases, "dense");
    let weights = files.remove("2_Dense/model.safetensors").unwrap();
    let name = "2_Dense/pytorch_model.bin";
    files.insert(name.into(), of_safetensors(&weights));
    answers("dense", files.clone(), &expected);
    files.get_mut(name).unwrap().truncate(200);
    let host = MemoryHost::new(files);
    let source = Source::new(&host, &NoYield);
    let cpu = pilotlight::cpu();
    let loaded = TextEmbedder::load(&source, Dtype::F32, &cpu);
    let error = pollster::block_on(loaded).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with(name), "{error}");
}

#[test]
fn the_longest_text_may_stand_in_a_file_that_is_named_after_the_family() {
    let Some(cases) = cases() else { return };
    let (mut files, expected) = case(&cases, "control");
    let own = files.remove("sentence_bert_config.json").unwrap();
    files.insert("sentence_xlm-roberta_config.json".into(), own);
    files.remove("tokenizer_config.json");
    answers("control", files, &expected);
}

#[test]
fn the_first_layers_of_a_repository_with_numbered_folders_load_too() {
    let Some(cases) = cases() else { return };
    let (files, expected) = case(&cases, "0_Transformer");
    let (host, store) = (MemoryHost::new(files), MemoryStore::default());
    let source = |layers| Source {
        layers,
        cache: Some(CacheConfig::new(&store, key(Dtype::F32), 1, 0)),
        ..Source::new(&host, &NoYield)
    };
    let whole = load(&source(None), "whole");
    assert!(whole.layers() > 1);
    let cut = load(&source(Some(1)), "cut");
    assert_eq!(cut.layers(), 1);
    let [whole, cut] = [whole, cut].map(|embedder| embed(&embedder, &expected.texts));
    assert_ne!(whole, cut);
}
