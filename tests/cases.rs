//! Repositories as people have them: old and new spellings of sentence-transformers, each with what it answers, every value.
//!
//! The repositories are no part of this one: `PILOTLIGHT_DATA` is a folder beside that of the cases.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use pilotlight::{Dtype, EmbedOptions, MemoryHost, NoYield, Source, TextEmbedder, Values};
use serde::Deserialize;

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

#[test]
fn each_repository_answers_as_in_python() {
    let Some(cases) = cases() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(&cases).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(json) = std::fs::read(folder.join("expected.json")) else {
            continue;
        };
        let name = folder.file_name().unwrap().to_str().unwrap();
        let expected: Expected = serde_json::from_slice(&json).unwrap();
        let host = MemoryHost::from_folder(&folder).unwrap();
        let source = Source::new(&host, &NoYield);
        let device = pilotlight::cpu();
        let embedder = pollster::block_on(TextEmbedder::load(&source, Dtype::F32, &device));
        let embedder = embedder.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(embedder.max_tokens(), expected.max_tokens, "{name}");
        let options = EmbedOptions::default();
        let embeddings =
            pollster::block_on(embedder.embed(&expected.texts, &options, &NoYield)).unwrap();
        let Values::Float32(values) = embeddings.values else {
            panic!("float32 is the default")
        };
        let wanted = expected.vectors.concat();
        assert_eq!(values.len(), wanted.len(), "{name}");
        count += 1;
        // Its vectors are those of the tokenizer.json that was taken out of it, which had five words; the ids that vocab.txt gives are tested
        // beside the code that reads it.
        if name == "vocab-only" {
            continue;
        }
        // The file has seven digits.
        for (got, wanted) in values.iter().zip(&wanted) {
            assert!(
                (got - wanted).abs() < 2e-6,
                "{name}: {got}, expected {wanted}"
            );
        }
    }
    assert!(count >= 13, "{count} cases");
}
