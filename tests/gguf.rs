//! Models from GGUF files: their values, the choice of the file, and what the store keeps of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use pilotlight::{
    CacheConfig, Dtype, EmbedOptions, Error, ErrorKind, Library, LoadStatus, MemoryHost,
    MemoryStore, NoYield, Source, TextEmbedder, Values, Weights,
};
use pollster::block_on;
use support::gguf::gguf_of;
use support::store_keys::{keys_of, packed_tokenizers};
use support::{CHUNK, Files, Flaky, Hurried, WEIGHTS, key, model, packed, vector};

const F32: &str = "bert-tiny.f32.gguf";
const Q4_1: &str = "bert-tiny.Q4_1.gguf";

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::fs::read(folder.join(name)).unwrap()
}

/// A repository of GGUF files.
fn repository(names: &[&str]) -> Files {
    let file = |name: &&str| ((*name).into(), golden(&format!("gguf/{name}")));
    names.iter().map(file).collect()
}

fn load(files: Files, dtype: Dtype) -> Result<TextEmbedder, Error> {
    let host = MemoryHost::new(files);
    let source = Source::new(&host, &NoYield);
    block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))
}

/// The texts, ids and vectors that PyTorch computed of the same model from safetensors.
fn cases() -> Vec<(String, usize, bool, Vec<f32>)> {
    let json: serde_json::Value =
        serde_json::from_slice(&golden("bert-tiny-mean/expected.json")).unwrap();
    let case = |case: &serde_json::Value| {
        let values = case["embedding"].as_array().unwrap().iter();
        (
            case["text"].as_str().unwrap().to_string(),
            case["ids"].as_array().unwrap().len(),
            case["truncated"].as_bool().unwrap(),
            values.map(|x| x.as_f64().unwrap() as f32).collect(),
        )
    };
    json["cases"].as_array().unwrap().iter().map(case).collect()
}

fn vectors(embedder: &TextEmbedder) -> (Vec<f32>, Vec<usize>, Vec<bool>) {
    let texts: Vec<_> = cases().into_iter().map(|(text, ..)| text).collect();
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    (values, embeddings.tokens, embeddings.truncated)
}

/// The least cosine of two lists of vectors of length 1.
fn least_cosine(a: &[f32], b: &[f32]) -> f32 {
    let rows = a.chunks_exact(32).zip(b.chunks_exact(32));
    let cosines = rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    cosines.fold(1.0, f32::min)
}

#[test]
fn a_bert_from_a_gguf_file_alone_equals_pytorch() {
    let embedder = load(repository(&[F32]), Dtype::F32).unwrap();
    assert_eq!((embedder.dimensions(), embedder.max_tokens()), (32, 24));
    let (values, tokens, truncated) = vectors(&embedder);
    for (i, (text, count, cut, expected)) in cases().iter().enumerate() {
        assert_eq!((tokens[i], truncated[i]), (*count, *cut), "{text:?}");
        for (got, expected) in values[i * 32..].iter().zip(expected) {
            assert!(
                (got - expected).abs() <= 2e-5,
                "{text:?}: {got}, expected {expected}"
            );
        }
    }
}

#[test]
fn each_dtype_stays_near_the_values_of_the_file() {
    let exact = vectors(&load(repository(&[F32]), Dtype::F32).unwrap()).0;
    let four = vectors(&load(repository(&[Q4_1]), Dtype::F32).unwrap()).0;
    for (file, dtype, own, least) in [
        (F32, Dtype::Q8, &exact, 0.98),
        (Q4_1, Dtype::Q8, &four, 0.98),
        // The file's numbers are kept, so that int4 is as near as int8, whose activations are rounded alike.
        (Q4_1, Dtype::Q4, &four, 0.98),
    ] {
        let found = vectors(&load(repository(&[file]), dtype).unwrap()).0;
        let cosine = least_cosine(&found, own);
        println!("{file} in {dtype:?}: least cosine {cosine}");
        assert!(cosine > least, "{file} in {dtype:?}: {cosine}");
    }
    // The four bits themselves change more than that: the bar would show if weights were quantized anew.
    assert!(least_cosine(&exact, &four) < 0.98);
}

/// Loads into a store, and returns the files that the host was asked for.
fn load_into(
    store: &MemoryStore,
    files: &Files,
    weights: &str,
    dtype: Dtype,
) -> Result<(TextEmbedder, Vec<String>), Error> {
    // Each load has a number of its own, under which it writes.
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let nonce = LOADS.fetch_add(1, Ordering::Relaxed);
    let host = MemoryHost::new(files.clone());
    let flaky = Flaky::new(&host, files, ("", u64::MAX));
    let weights = Weights::from_name(weights)?;
    let key = match weights.name() {
        Some(name) => key(dtype).weights(name),
        None => key(dtype),
    };
    let source = Source {
        cache: Some(CacheConfig::new(store, key, nonce, 1_795_000_000_000)),
        weights,
        ..Source::new(&flaky, &Hurried)
    };
    let embedder = block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))?;
    let asked = flaky
        .asked
        .borrow()
        .iter()
        .map(|(file, _)| file.clone())
        .collect();
    Ok((embedder, asked))
}

#[test]
fn a_stored_model_needs_neither_the_file_nor_a_request() {
    for dtype in Dtype::ALL {
        let store = MemoryStore::default();
        let (first, asked) = load_into(&store, &repository(&[Q4_1]), "auto", dtype).unwrap();
        assert_eq!(asked, [Q4_1]);
        let (second, asked) = load_into(&store, &Files::new(), "auto", dtype).unwrap();
        assert_eq!(asked, [""; 0]);
        assert_eq!(vectors(&first).0, vectors(&second).0);
        // The stored files are a repository, with a packed file.
        let files: Vec<_> = [
            "config.json",
            "tokenizer.json",
            "modules.json",
            "1_Pooling/config.json",
        ]
        .into_iter()
        .filter(|file| {
            !keys_of(&store, "chunk")
                .iter()
                .any(|key| key.contains(&format!("/{file}/")))
        })
        .collect();
        assert_eq!(files, [""; 0], "{dtype:?}");
        let header = packed(&store, dtype);
        let has_offsets = String::from_utf8_lossy(&header[..8000]).contains("dense.weight_offset");
        assert_eq!(has_offsets, dtype == Dtype::Q4);
    }
}

#[test]
fn the_option_weights_decides_which_file_is_read_and_under_which_key_it_is_kept() {
    let mut files = repository(&[F32, Q4_1]);
    for name in [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        WEIGHTS,
    ] {
        files.insert(name.into(), golden(&format!("bert-tiny-mean/{name}")));
    }
    let store = MemoryStore::default();
    let read = |weights: &str, dtype: Dtype| load_into(&store, &files, weights, dtype).unwrap().1;
    assert!(read("auto", Dtype::Q8).contains(&WEIGHTS.into()));
    assert_eq!(read("gguf", Dtype::Q8), [F32]);
    assert_eq!(read(Q4_1, Dtype::Q8), [Q4_1]);
    assert_eq!(read("gguf", Dtype::Q4), [Q4_1]);
    assert!(read("safetensors", Dtype::Q8).contains(&WEIGHTS.into()));
    for weights in ["auto", "gguf", "safetensors", Q4_1] {
        assert_eq!(read(weights, Dtype::Q8), [""; 0], "{weights}");
    }
    let listed = block_on(Library::new(&store).list()).unwrap();
    let mut listed: Vec<_> = listed
        .iter()
        .map(|info| (info.dtype.as_str(), info.weights.as_deref()))
        .collect();
    listed.sort_unstable();
    let expected = [
        ("q4", Some("gguf")),
        ("q8", None),
        ("q8", Some(Q4_1)),
        ("q8", Some("gguf")),
        ("q8", Some("safetensors")),
    ];
    assert_eq!(listed, expected);
    // A packed file comes first only where nothing else is asked for.
    let mut host = files.clone();
    host.insert("pilotlight-q8.safetensors".into(), vec![0; 8]);
    let fresh = MemoryStore::default();
    assert!(load_into(&fresh, &host, "auto", Dtype::Q8).is_err());
    assert!(load_into(&fresh, &host, "gguf", Dtype::Q8).is_ok());
    assert!(load_into(&fresh, &host, "safetensors", Dtype::Q8).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    let store = MemoryStore::default();
    for (weights, files, kind, what) in [
        (
            "other.gguf",
            repository(&[F32]),
            ErrorKind::FetchFailed,
            "other.gguf: the repository has no such file",
        ),
        (
            "gguf",
            Files::new(),
            ErrorKind::FetchFailed,
            "has no GGUF file",
        ),
        (
            "../x.gguf",
            Files::new(),
            ErrorKind::InvalidInput,
            "weights is '../x.gguf'",
        ),
    ] {
        let error = load_into(&store, &files, weights, Dtype::Q8)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert_eq!(keys_of(&store, "partial"), [""; 0]);
}

#[test]
fn a_plan_says_what_a_load_then_fetches() {
    let files = gguf_of(&model());
    let host = MemoryHost::new(files.clone());
    let size = files["model.F32.gguf"].len() as u64;
    for layers in [None, Some(1)] {
        let store = MemoryStore::default();
        let last = RefCell::new((0, 0));
        let progress = |event: &pilotlight::LoadProgress<'_>| {
            if event.status == LoadStatus::Ready {
                last.replace((event.loaded, event.total));
            }
        };
        let source = Source {
            cache: Some(CacheConfig::new(&store, key(Dtype::Q8), 1, 1)),
            layers,
            progress: &progress,
            ..Source::new(&host, &Hurried)
        };
        let plan = block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap();
        let paths: Vec<_> = plan.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["model.F32.gguf"]);
        assert_eq!(plan.files[0].bytes, Some(plan.fetch));
        assert_eq!(plan.fetch == size, layers.is_none());
        let embedder =
            block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu())).unwrap();
        assert_eq!(embedder.layers(), layers.unwrap_or(4));
        assert_eq!(*last.borrow(), (plan.fetch, plan.fetch), "{layers:?}");
        let stored = block_on(Library::new(&store).list()).unwrap();
        assert_eq!(
            stored[0].bytes,
            plan.stored + packed_tokenizers(&store),
            "{layers:?}"
        );
        let plan = block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap();
        assert!(plan.whole && plan.fetch == 0);
    }
}

#[test]
fn vectors_are_those_of_the_safetensors_to_the_bit() {
    let files = model();
    for dtype in Dtype::ALL {
        let (own, gguf) = (
            load(files.clone(), dtype).unwrap(),
            load(gguf_of(&files), dtype).unwrap(),
        );
        assert_eq!(vector(&own), vector(&gguf), "{dtype:?}");
    }
}

#[test]
fn a_vocabulary_with_capital_letters_keeps_those_of_texts() {
    let of = |embedder: &TextEmbedder, text: &str| {
        let texts = [text.to_string()];
        let embeddings =
            block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
        embeddings.values
    };
    let mut files = model();
    let uncased = load(gguf_of(&files), Dtype::F32).unwrap();
    assert_eq!(of(&uncased, "The cat"), of(&uncased, "the cat"));
    let tokenizer = String::from_utf8(files["tokenizer.json"].clone()).unwrap();
    let cased = tokenizer.replacen(r#""the":"#, r#""The":"#, 1);
    assert_ne!(tokenizer, cased);
    files.insert("tokenizer.json".into(), cased.into_bytes());
    let cased = load(gguf_of(&files), Dtype::F32).unwrap();
    assert_eq!(of(&cased, "The cat"), of(&uncased, "the cat"));
    assert_ne!(of(&cased, "The cat"), of(&cased, "the cat"));
}

#[test]
fn a_cut_anywhere_costs_one_chunk_at_most() {
    let files = gguf_of(&model());
    for dtype in Dtype::ALL {
        support::cuts::cut_everywhere(&files, "model.F32.gguf", dtype);
    }
    assert!(files["model.F32.gguf"].len() > 8 * CHUNK);
}
