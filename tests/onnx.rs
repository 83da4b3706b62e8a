//! Models from ONNX files: their vectors, the choice of the file, and what is requested.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "onnx/kinds.rs"]
mod kinds;
#[path = "onnx/minilm.rs"]
mod minilm;
mod support;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use pilotlight::{
    CacheConfig, Dtype, EmbedOptions, Host, LoadStatus, MemoryHost, MemoryStore, NoYield, Opened,
    Result, Snapshot, Source, TextEmbedder, Values, Weights,
};
use pollster::block_on;
use support::cuts::goes_on_anywhere;
use support::gguf::gguf_of;
use support::onnx::{ONNX, onnx_of};
use support::store_keys::keys_of;
use support::{CHUNK, Files, Flaky, Hurried, WEIGHTS, key, model, model_among, vector};

const MODEL: &str = "onnx/model.onnx";
/// Bytes of the largest matrix that is transposed, in the model of 3 MB.
const TENSOR: u64 = 256 << 10;
const HALF: &str = "onnx/model_fp16.onnx";

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::fs::read(folder.join(name)).unwrap()
}

/// The repository of a tiny BERT without its safetensors.
fn configs() -> Files {
    let folder = "bert-tiny-mean";
    let read = |name: &str| (name.to_string(), golden(&format!("{folder}/{name}")));
    let names = [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
    ];
    names.map(read).into()
}

/// The repository with one of the ONNX files.
fn onnx(name: &str) -> Files {
    let mut files = configs();
    files.insert(name.into(), golden(name));
    files
}

fn safetensors() -> Files {
    let mut files = configs();
    files.insert(WEIGHTS.into(), golden("bert-tiny-mean/model.safetensors"));
    files
}

/// A host that records its requests.
struct Recorded {
    host: MemoryHost,
    asked: RefCell<Vec<(String, Range<u64>)>>,
}

impl Recorded {
    fn new(files: &Files) -> Self {
        Self {
            host: MemoryHost::new(files.clone()),
            asked: RefCell::default(),
        }
    }

    /// Bytes of the ONNX file.
    fn host_size(&self) -> u64 {
        let snapshot = block_on(self.host.snapshot()).unwrap();
        snapshot.entry(ONNX).size.unwrap()
    }

    /// The files of the weights that were asked for, each once.
    fn weights(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let names = asked.iter().map(|(file, _)| file.clone());
        let mut names: Vec<_> = names
            .filter(|file| file.contains("model.") || file.contains("model_"))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[async_trait(?Send)]
impl Host for Recorded {
    async fn snapshot(&self) -> Result<Snapshot> {
        self.host.snapshot().await
    }

    async fn open(&self, _: Option<&str>, file: &str, range: Range<u64>) -> Result<Option<Opened>> {
        self.asked.borrow_mut().push((file.into(), range.clone()));
        self.host.open(None, file, range).await
    }
}

fn load_from(host: &dyn Host, weights: &str, dtype: Dtype) -> Result<TextEmbedder> {
    let source = Source {
        weights: Weights::from_name(weights)?,
        ..Source::new(host, &NoYield)
    };
    block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))
}

fn load(files: &Files, dtype: Dtype) -> Result<TextEmbedder> {
    load_from(&MemoryHost::new(files.clone()), "auto", dtype)
}

/// Compares the embeddings with those that PyTorch computed from the weights in float32.
fn equals_pytorch(embedder: &TextEmbedder, tolerance: f32) {
    let json: serde_json::Value =
        serde_json::from_slice(&golden("bert-tiny-mean/expected.json")).unwrap();
    let (mut texts, mut expected) = (Vec::new(), Vec::new());
    for case in json["cases"].as_array().unwrap() {
        texts.push(case["text"].as_str().unwrap().to_string());
        let values = case["embedding"].as_array().unwrap().iter();
        expected.extend(values.map(|x| x.as_f64().unwrap() as f32));
    }
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    assert_eq!(values.len(), expected.len());
    for (index, (got, expected)) in values.iter().zip(&expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance,
            "value {index}: {got}, expected {expected}"
        );
    }
}

#[test]
fn a_bert_from_an_onnx_file_equals_pytorch() {
    equals_pytorch(&load(&onnx(MODEL), Dtype::F32).unwrap(), 2e-5);
    // The weights were rounded to 11 bits.
    equals_pytorch(&load(&onnx(HALF), Dtype::F32).unwrap(), 2e-3);
}

#[test]
fn vectors_are_those_of_the_safetensors_to_the_bit() {
    for dtype in Dtype::ALL {
        let [own, other] = [&safetensors(), &onnx(MODEL)].map(|files| load(files, dtype).unwrap());
        assert_eq!(vector(&own), vector(&other), "{dtype:?}");
    }
}

#[test]
fn an_onnx_file_is_read_where_it_is_asked_for_or_there_is_nothing_else() {
    let mut all = safetensors();
    for name in [MODEL, HALF] {
        all.insert(name.into(), golden(name));
    }
    all.insert("onnx/model_O4.onnx".into(), golden(HALF));
    let mut without = all.clone();
    without.remove(WEIGHTS);
    let mut gguf = without.clone();
    gguf.extend(gguf_of(&model()));
    let gguf_name = gguf.keys().find(|name| name.ends_with(".gguf")).unwrap();
    for (files, weights, expected) in [
        (&all, "auto", WEIGHTS),
        (&all, "onnx", MODEL),
        (&all, HALF, HALF),
        (&all, "onnx/model_O4.onnx", "onnx/model_O4.onnx"),
        (&without, "auto", MODEL),
        (&onnx(HALF), "auto", HALF),
        (&onnx(HALF), "onnx", HALF),
        (&gguf, "auto", gguf_name),
        (&gguf, "onnx", MODEL),
    ] {
        let host = Recorded::new(files);
        load_from(&host, weights, Dtype::F32).unwrap();
        assert_eq!(host.weights(), [expected], "{weights}");
    }
    let error = load_from(&Recorded::new(&configs()), "onnx", Dtype::F32).map(|_| ());
    let error = error.unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
    assert_eq!(
        error.to_string(),
        "onnx/model.onnx: the repository has no such file"
    );
}

#[test]
fn a_plan_says_what_a_load_then_fetches_and_the_store_serves_the_next() {
    for layers in [None, Some(1)] {
        let host = Recorded::new(&onnx_of(&model()));
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
        let embedder = block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu()));
        let embedder = embedder.unwrap();
        let size = host.host_size();
        // The matrices of this model are so short that most are read when their places are looked for, and then again.
        assert_eq!(
            plan.fetch > size,
            layers.is_none(),
            "{} of {size}",
            plan.fetch
        );
        assert!(plan.fetch < 2 * size, "{} of {size}", plan.fetch);
        assert_eq!(*last.borrow(), (plan.fetch, plan.fetch), "{layers:?}");
        let nobody = MemoryHost::default();
        let source = Source {
            host: &nobody,
            ..source
        };
        let again = block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu())).unwrap();
        assert_eq!(vector(&embedder), vector(&again));
    }
}

#[test]
fn long_values_are_jumped_over_when_places_are_looked_for() {
    let others: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, 1 << 20)).into();
    let host = Recorded::new(&onnx_of(&model_among(1, &others)));
    let source = Source::new(&host, &NoYield);
    let plan = block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap();
    let size = host.host_size();
    assert!(plan.fetch < size / 5, "{} of {size}", plan.fetch);
    let asked = host.asked.borrow();
    let ranges = asked.iter().filter(|(file, _)| file == ONNX);
    let bytes: u64 = ranges.map(|(_, range)| range.end - range.start).sum();
    assert!(bytes < size / 10, "{bytes} of {size}");
}

/// A host whose connection breaks, but for the requests that find the tensors: they end before the file does, and follow the first one.
struct OpenWalk<'a> {
    flaky: Flaky<'a>,
    first: Cell<bool>,
}

#[async_trait(?Send)]
impl Host for OpenWalk<'_> {
    async fn snapshot(&self) -> Result<Snapshot> {
        self.flaky.snapshot().await
    }

    async fn open(&self, _: Option<&str>, file: &str, range: Range<u64>) -> Result<Option<Opened>> {
        let size = self.flaky.snapshot.entry(file).size;
        let is_bounded = file == ONNX && size.is_some_and(|size| range.end <= size);
        if is_bounded && !self.first.take() {
            let opened = self.flaky.host().open(None, file, range).await?;
            return Ok(opened.map(|opened| Opened { size, ..opened }));
        }
        self.flaky.open(None, file, range).await
    }
}

#[test]
fn an_interrupted_load_continues_and_asks_for_nothing_twice() {
    let files = onnx_of(&model());
    let host = MemoryHost::new(files.clone());
    let size = files[ONNX].len() as u64;
    let run = |store: &MemoryStore, cut: u64, nonce: u64| {
        let host = OpenWalk {
            flaky: Flaky::new(&host, &files, (ONNX, cut)),
            first: Cell::new(true),
        };
        let loaded = support::load(&host, store, Dtype::Q8, CHUNK, nonce);
        (loaded, host.flaky.asked.into_inner())
    };
    // A tensor is read whole before any of its rows is packed.
    goes_on_anywhere(ONNX, size, CHUNK as u64 + TENSOR, run);
}

#[test]
fn a_file_that_is_refused_leaves_nothing_in_the_store() {
    let store = MemoryStore::default();
    for (bytes, what) in [
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "onnx/model.onnx: is a pointer of Git LFS",
        ),
        (
            golden(MODEL)[..100_000].to_vec(),
            "onnx/model.onnx: the model field 7 has",
        ),
    ] {
        let mut files = configs();
        files.insert(MODEL.into(), bytes);
        let host = MemoryHost::new(files.clone());
        let flaky = Flaky::new(&host, &files, ("", u64::MAX));
        let loaded = support::load(&flaky, &store, Dtype::Q8, CHUNK, 1);
        let error = loaded.map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        assert_eq!(error.file(), Some(MODEL));
        for kind in ["partial", "chunk", "head", "manifest"] {
            assert_eq!(keys_of(&store, kind), [""; 0], "{what}");
        }
    }
}
