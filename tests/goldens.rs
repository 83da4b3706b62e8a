//! Whole models against PyTorch, every value: the tiny ones that `tests/goldens/index.json` lists, and the real MiniLM.
//!
//! `tests/goldens/make_goldens.py` made the expected values; its README says how.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/goldens.rs"]
mod goldens;

use std::path::{Path, PathBuf};

use pilotlight::{
    Dtype, EmbedOptions, Embeddings, MemoryHost, NoYield, Source, TextEmbedder, Values,
};
use serde::Deserialize;

use goldens::Listed;

#[derive(Deserialize)]
struct Golden {
    dimensions: usize,
    /// `None` where no text is too long.
    max_tokens: Option<usize>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    truncated: bool,
    embedding: Vec<f32>,
}

fn golden(name: &str) -> (Golden, PathBuf) {
    let folder = goldens::folder(name);
    let json = std::fs::read(folder.join("expected.json")).unwrap();
    (serde_json::from_slice(&json).unwrap(), folder)
}

fn load(folder: &Path, dtype: Dtype) -> TextEmbedder {
    let host = MemoryHost::from_folder(folder).unwrap();
    let source = Source::new(&host, &NoYield);
    pollster::block_on(TextEmbedder::load(&source, dtype, &goldens::device())).unwrap()
}

fn embed(embedder: &TextEmbedder, texts: &[String]) -> (Embeddings, Vec<f32>) {
    let embeddings =
        pollster::block_on(embedder.embed(texts, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values.clone() else {
        panic!("float32 was asked for")
    };
    (embeddings, values)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Compares all values of all cases in f32, the numbers of tokens, and the truncation flags.
fn assert_equals_pytorch(golden: &Golden, embedder: &TextEmbedder, listed: &Listed) {
    assert_eq!(embedder.dimensions(), golden.dimensions);
    assert_eq!(
        embedder.max_tokens(),
        golden.max_tokens.unwrap_or(usize::MAX)
    );
    let texts: Vec<String> = golden.cases.iter().map(|case| case.text.clone()).collect();
    let (embeddings, values) = embed(embedder, &texts);
    assert_eq!(embeddings.dims, [texts.len(), golden.dimensions]);
    for (i, case) in golden.cases.iter().enumerate() {
        assert_eq!(
            embeddings.tokens[i],
            case.ids.len(),
            "tokens of {:?}",
            case.text
        );
        assert_eq!(
            embeddings.truncated[i], case.truncated,
            "truncation of {:?}",
            case.text
        );
        let row = &values[i * golden.dimensions..(i + 1) * golden.dimensions];
        for (j, (got, expected)) in row.iter().zip(&case.embedding).enumerate() {
            assert!(
                (got - expected).abs() <= listed.tolerance,
                "{}: {:?}, value {j}: {got}, expected {expected}",
                listed.name,
                case.text
            );
        }
    }
}

/// Mean and least cosine to PyTorch's values.
fn cosines(golden: &Golden, embedder: &TextEmbedder) -> (f64, f64) {
    let texts: Vec<String> = golden.cases.iter().map(|case| case.text.clone()).collect();
    let (_, values) = embed(embedder, &texts);
    let rows = values.chunks_exact(golden.dimensions).zip(&golden.cases);
    let cosines: Vec<f64> = rows
        .map(
            |(row, case)| match case.embedding.iter().all(|x| *x == 0.0) {
                // A text without tokens, whose vector has no direction.
                true => f64::from(u8::from(row == case.embedding)),
                false => cosine(row, &case.embedding),
            },
        )
        .collect();
    (
        cosines.iter().sum::<f64>() / cosines.len() as f64,
        cosines.into_iter().fold(1.0, f64::min),
    )
}

#[test]
fn tiny_models_equal_pytorch_in_f32() {
    for listed in Listed::committed("TextEmbedder") {
        let (golden, folder) = golden(&listed.name);
        assert_equals_pytorch(&golden, &load(&folder, Dtype::F32), &listed);
    }
}

#[test]
fn tiny_models_stay_near_pytorch_in_q8() {
    for Listed { name, .. } in Listed::committed("TextEmbedder") {
        let (golden, folder) = golden(&name);
        let (mean, least) = cosines(&golden, &load(&folder, Dtype::Q8));
        // Random weights of 32 dimensions average the rounding out less than trained ones of 384 do.
        assert!(
            mean > 0.995 && least > 0.98,
            "{name}: mean {mean}, least {least}"
        );
    }
}

/// The real weights, which the test set-up fetches.
fn minilm() -> PathBuf {
    let folder = std::env::var_os("PILOTLIGHT_MINILM").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    assert!(
        folder.join("model.safetensors").exists(),
        "{} has no MiniLM: `make minilm` fetches it",
        folder.display()
    );
    folder
}

#[test]
fn minilm_equals_pytorch_in_f32() {
    let folder = minilm();
    let (golden, _) = golden("minilm");
    assert_equals_pytorch(
        &golden,
        &load(&folder, Dtype::F32),
        &Listed::named("minilm"),
    );
}

#[test]
fn minilm_stays_near_pytorch_in_q8() {
    let folder = minilm();
    let (mut golden, _) = golden("minilm");
    // The int8 kernel is written for WebAssembly and slow natively; the package's tests take all texts.
    golden.cases = golden.cases.into_iter().step_by(6).collect();
    let (mean, least) = cosines(&golden, &load(&folder, Dtype::Q8));
    println!("MiniLM q8: mean cosine {mean:.5}, least {least:.5}");
    assert!(
        mean >= 0.995 && least >= 0.975,
        "mean {mean}, least {least}"
    );
}

#[test]
fn same_text_same_vector_whatever_the_batch() {
    let (golden, folder) = golden("bert-tiny-mean");
    for dtype in [Dtype::F32, Dtype::Q8] {
        let embedder = load(&folder, dtype);
        let others: Vec<String> = golden
            .cases
            .iter()
            .map(|case| case.text.clone())
            .cycle()
            .take(31)
            .collect();
        for case in &golden.cases {
            let (_, alone) = embed(&embedder, std::slice::from_ref(&case.text));
            for position in [0, 15, 31] {
                let mut texts = others.clone();
                texts.insert(position, case.text.clone());
                let (_, batch) = embed(&embedder, &texts);
                let row = &batch[position * golden.dimensions..(position + 1) * golden.dimensions];
                // The bits are equal, not only close.
                assert!(
                    row.iter()
                        .zip(&alone)
                        .all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{:?}",
                    case.text
                );
            }
        }
    }
}
