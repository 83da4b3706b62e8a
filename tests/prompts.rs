//! Prompts of sentence encoders against what sentence-transformers makes of them, every value.
//!
//! `tests/goldens/make_goldens.py` made the expected values.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/goldens.rs"]
mod goldens;

use pilotlight::{
    Dtype, EmbedOptions, ErrorKind, MemoryHost, NoYield, Source, TextEmbedder, Values,
};
use pollster::block_on;
use serde::Deserialize;

use goldens::Listed;

#[derive(Deserialize)]
struct Golden {
    prompted: Vec<Prompted>,
}

#[derive(Deserialize)]
struct Prompted {
    /// `None` is the default of the repository.
    prompt: Option<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

const FILE: &str = "config_sentence_transformers.json";

fn load(host: &MemoryHost) -> pilotlight::Result<TextEmbedder> {
    let source = Source::new(host, &NoYield);
    block_on(TextEmbedder::load(&source, Dtype::F32, &pilotlight::cpu()))
}

fn embed(
    embedder: &TextEmbedder,
    texts: &[String],
    prompt: Option<&str>,
) -> (Vec<usize>, Vec<f32>) {
    let options = EmbedOptions {
        prompt: prompt.map(Into::into),
        ..EmbedOptions::default()
    };
    let embeddings = block_on(embedder.embed(texts, &options, &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    (embeddings.tokens, values)
}

#[test]
fn a_prompt_by_its_name_as_a_text_or_by_default_gives_the_values_of_pytorch() {
    for name in ["bert-tiny-prompt", "qwen3-tiny-embedder"] {
        let listed = Listed::named(name);
        let host = MemoryHost::from_folder(&listed.folder()).unwrap();
        let json = std::fs::read(listed.folder().join("expected.json")).unwrap();
        let golden: Golden = serde_json::from_slice(&json).unwrap();
        let embedder = load(&host).unwrap();
        assert_eq!(golden.prompted.len(), 3);
        for Prompted { prompt, cases } in &golden.prompted {
            let texts: Vec<_> = cases.iter().map(|case| case.text.clone()).collect();
            let (tokens, values) = embed(&embedder, &texts, prompt.as_deref());
            let expected: Vec<_> = cases.iter().map(|case| case.ids.len()).collect();
            assert_eq!(tokens, expected, "{name}, {prompt:?}");
            let expected = cases.iter().flat_map(|case| &case.embedding);
            assert_eq!(values.len(), expected.clone().count());
            for (got, expected) in values.iter().zip(expected) {
                let error = (got - expected).abs();
                assert!(error <= listed.tolerance, "{name}, {prompt:?}: {error:e}");
            }
        }
    }
}

#[test]
fn without_the_file_a_prompt_is_a_text_and_with_a_broken_one_the_load_fails() {
    let folder = goldens::folder("bert-tiny-mean");
    let embedder = load(&MemoryHost::from_folder(&folder).unwrap()).unwrap();
    let plain = embed(&embedder, &["query light".into()], None);
    assert_eq!(embed(&embedder, &["light".into()], Some("query ")), plain);
    assert_ne!(embed(&embedder, &["light".into()], None), plain);

    let names = [
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "model.safetensors",
    ];
    let files = names.map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()));
    let broken = (
        FILE.to_owned(),
        br#"{"default_prompt_name":"query"}"#.to_vec(),
    );
    let error = load(&MemoryHost::new(files.into_iter().chain([broken])))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidWeights);
    assert!(error.to_string().starts_with(FILE), "{error}");
}
