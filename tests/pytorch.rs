//! Models from checkpoints of PyTorch: their vectors, the choice of the file, what is requested, and what an interrupted load continues from.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use pilotlight::{
    CacheConfig, Dtype, EmbedOptions, Host, Library, LoadStatus, MemoryHost, MemoryStore, NoYield,
    Opened, Result, Snapshot, Source, TextEmbedder, Values, Weights,
};
use pollster::block_on;
use support::cuts::goes_on_anywhere;
use support::gguf::gguf_of;
use support::pytorch::{PYTORCH, pytorch_of};
use support::store_keys::{keys_of, packed_tokenizers};
use support::{CHUNK, Files, Flaky, Hurried, WEIGHTS, key, model, vector};

const INDEX: &str = "pytorch_model.bin.index.json";
const SHARDS: [&str; 2] = [
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
];

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::fs::read(folder.join(name)).unwrap()
}

/// The repository of a tiny BERT without its safetensors.
fn configs(folder: &str) -> Files {
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

fn plain() -> Files {
    let mut files = configs("bert-tiny-mean");
    files.insert(PYTORCH.into(), golden("pytorch/plain.bin"));
    files
}

fn sharded() -> Files {
    let mut files = configs("bert-tiny-max");
    for name in [INDEX, SHARDS[0], SHARDS[1]] {
        files.insert(name.into(), golden(&format!("pytorch/{name}")));
    }
    files
}

fn load(files: &Files, dtype: Dtype) -> Result<TextEmbedder> {
    let host = MemoryHost::new(files.clone());
    let source = Source::new(&host, &NoYield);
    block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))
}

/// The texts and vectors that PyTorch computed.
fn cases(folder: &str) -> Vec<(String, Vec<f32>)> {
    let json: serde_json::Value =
        serde_json::from_slice(&golden(&format!("{folder}/expected.json"))).unwrap();
    let case = |case: &serde_json::Value| {
        let values = case["embedding"].as_array().unwrap().iter();
        (
            case["text"].as_str().unwrap().to_string(),
            values.map(|x| x.as_f64().unwrap() as f32).collect(),
        )
    };
    json["cases"].as_array().unwrap().iter().map(case).collect()
}

fn equals_pytorch(embedder: &TextEmbedder, folder: &str) {
    let (texts, expected): (Vec<_>, Vec<_>) = cases(folder).into_iter().unzip();
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    let expected = expected.concat();
    assert_eq!(values.len(), expected.len());
    for (index, (got, expected)) in values.iter().zip(&expected).enumerate() {
        assert!(
            (got - expected).abs() <= 2e-5,
            "value {index} of {folder}: {got}, expected {expected}"
        );
    }
}

#[test]
fn a_bert_from_a_checkpoint_or_from_its_shards_equals_pytorch() {
    equals_pytorch(&load(&plain(), Dtype::F32).unwrap(), "bert-tiny-mean");
    equals_pytorch(&load(&sharded(), Dtype::F32).unwrap(), "bert-tiny-max");
}

#[test]
fn vectors_are_those_of_the_safetensors_to_the_bit() {
    let files = model();
    for dtype in Dtype::ALL {
        let [own, other] = [&files, &pytorch_of(&files)].map(|files| load(files, dtype).unwrap());
        assert_eq!(vector(&own), vector(&other), "{dtype:?}");
    }
}

#[test]
fn norms_may_have_the_names_of_old_checkpoints() {
    let mut files = model();
    let expected = vector(&load(&files, Dtype::F32).unwrap());
    let file = &files[WEIGHTS];
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header = std::str::from_utf8(&file[8..8 + length]).unwrap();
    let old = header
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta");
    assert_ne!(header, old);
    let parts = [
        &(old.len() as u64).to_le_bytes(),
        old.as_bytes(),
        &file[8 + length..],
    ];
    files.insert(WEIGHTS.into(), parts.concat());
    for files in [&files, &pytorch_of(&files)] {
        assert_eq!(vector(&load(files, Dtype::F32).unwrap()), expected);
    }
}

/// A host that records its requests; without a list it is a plain bucket.
struct Recorded {
    host: MemoryHost,
    lists: bool,
    asked: RefCell<Vec<(String, Range<u64>)>>,
}

impl Recorded {
    fn new(files: &Files, lists: bool) -> Self {
        Self {
            host: MemoryHost::new(files.clone()),
            lists,
            asked: RefCell::default(),
        }
    }

    /// The files of the weights that were asked for, in order, each once in a row.
    fn weights(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let names = asked.iter().map(|(file, _)| file.clone());
        let mut names: Vec<_> = names.filter(|file| file.contains("model")).collect();
        names.retain(|file| file != "modules.json");
        names.dedup();
        names
    }
}

#[async_trait(?Send)]
impl Host for Recorded {
    async fn snapshot(&self) -> Result<Snapshot> {
        match self.lists {
            true => self.host.snapshot().await,
            false => Ok(Snapshot::default()),
        }
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

#[test]
fn safetensors_come_first_and_the_option_weights_decides_otherwise() {
    let mut all = plain();
    all.insert(WEIGHTS.into(), golden("bert-tiny-mean/model.safetensors"));
    all.insert("old/weights.bin".into(), golden("pytorch/plain.bin"));
    all.extend(gguf_of(&model()));
    let mut without = all.clone();
    without.remove(WEIGHTS);
    for (files, weights, expected) in [
        (&all, "auto", WEIGHTS),
        (&all, "safetensors", WEIGHTS),
        (&all, "pytorch", PYTORCH),
        (&all, PYTORCH, PYTORCH),
        (&without, "auto", PYTORCH),
        (&without, "old/weights.bin", "old/weights.bin"),
    ] {
        let host = Recorded::new(files, true);
        equals_pytorch(
            &load_from(&host, weights, Dtype::F32).unwrap(),
            "bert-tiny-mean",
        );
        let asked = host.asked.borrow();
        let read = asked
            .iter()
            .filter(|(file, _)| file.contains("weights") || file.contains("model."));
        let read: Vec<_> = read.map(|(file, _)| file.as_str()).collect();
        let bins = asked.iter().filter(|(file, _)| file == expected).count();
        assert!(bins > 0, "{weights}: {asked:?}");
        assert!(
            read.iter().all(|file| *file == expected),
            "{weights}: {read:?}"
        );
    }
    let error = load_from(&Recorded::new(&without, true), "safetensors", Dtype::F32);
    let error = error.map(|_| ()).unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
    let error = load_from(
        &Recorded::new(&configs("bert-tiny-mean"), true),
        "pytorch",
        Dtype::F32,
    );
    let error = error.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pytorch_model.bin: the repository has no such file"
    );
}

#[test]
fn a_host_that_lists_no_files_is_asked_for_safetensors_first() {
    let safetensors = [WEIGHTS, "model.safetensors.index.json"];
    for (files, folder, weights, expected) in [
        (
            plain(),
            "bert-tiny-mean",
            "auto",
            [&safetensors[..], &[PYTORCH]].concat(),
        ),
        (plain(), "bert-tiny-mean", "pytorch", vec![PYTORCH]),
        (
            sharded(),
            "bert-tiny-max",
            "auto",
            [&safetensors[..], &[PYTORCH, INDEX], &SHARDS].concat(),
        ),
        (
            sharded(),
            "bert-tiny-max",
            "pytorch",
            [&[PYTORCH, INDEX][..], &SHARDS].concat(),
        ),
    ] {
        let host = Recorded::new(&files, false);
        equals_pytorch(&load_from(&host, weights, Dtype::F32).unwrap(), folder);
        assert_eq!(host.weights(), expected, "{weights}");
    }
    let host = Recorded::new(&plain(), false);
    let error = load_from(&host, "safetensors", Dtype::F32)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "model.safetensors: the repository has no such file"
    );
    assert_eq!(host.weights(), safetensors);
}

#[test]
fn a_plan_says_what_a_load_then_fetches_and_the_store_serves_the_next() {
    for (files, layers) in [
        (pytorch_of(&model()), None),
        (pytorch_of(&model()), Some(1)),
        (sharded(), None),
    ] {
        let host = Recorded::new(&files, true);
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
        let bins = plan.files.iter().filter(|file| file.path.ends_with(".bin"));
        let planned: u64 = bins.map(|file| file.bytes.unwrap()).sum();
        let sizes = files.iter().filter(|(name, _)| name.ends_with(".bin"));
        let size: u64 = sizes.map(|(_, bytes)| bytes.len() as u64).sum();
        // The end of each file is read first, and again where nearly all of the file is needed.
        assert_eq!(planned > size, layers.is_none(), "{planned} of {size}");
        host.asked.borrow_mut().clear();
        let embedder = block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu()));
        let embedder = embedder.unwrap();
        assert_eq!(*last.borrow(), (plan.fetch, plan.fetch), "{layers:?}");
        if layers.is_some() {
            // The first bytes, the end, and one range for the tensors.
            let asked = host.asked.borrow();
            let ranges = asked.iter().filter(|(file, _)| file == PYTORCH);
            let ranges: Vec<_> = ranges.map(|(_, range)| range.clone()).collect();
            assert!(ranges.len() <= 6, "{ranges:?}");
            assert!(ranges[0].start == 0 && ranges[1].end == size, "{ranges:?}");
            assert!(planned < size / 2, "{planned} of {size}");
        }
        let stored = block_on(Library::new(&store).list()).unwrap();
        assert_eq!(
            stored[0].bytes,
            plan.stored + packed_tokenizers(&store),
            "{layers:?}"
        );
        let nobody = MemoryHost::default();
        let source = Source {
            host: &nobody,
            ..source
        };
        let again = block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu())).unwrap();
        assert_eq!(vector(&embedder), vector(&again));
    }
}

/// A host whose connection breaks, but for requests of what lies behind the cut: the end of the file.
struct OpenEnd<'a>(Flaky<'a>);

#[async_trait(?Send)]
impl Host for OpenEnd<'_> {
    async fn snapshot(&self) -> Result<Snapshot> {
        self.0.snapshot().await
    }

    async fn open(&self, _: Option<&str>, file: &str, range: Range<u64>) -> Result<Option<Opened>> {
        let (name, cut) = self.0.cut;
        if file == name && range.start > cut && !self.0.gone.get() {
            let opened = self.0.host().open(None, file, range).await?;
            let size = self.0.snapshot.entry(file).size;
            return Ok(opened.map(|opened| Opened { size, ..opened }));
        }
        self.0.open(None, file, range).await
    }
}

#[test]
fn an_interrupted_load_continues_and_asks_for_nothing_twice() {
    let files = pytorch_of(&model());
    let host = MemoryHost::new(files.clone());
    let size = files[PYTORCH].len() as u64;
    let run = |store: &MemoryStore, cut: u64, nonce: u64| {
        let host = OpenEnd(Flaky::new(&host, &files, (PYTORCH, cut)));
        let loaded = support::load(&host, store, Dtype::Q8, CHUNK, nonce);
        (loaded, host.0.asked.into_inner())
    };
    goes_on_anywhere(PYTORCH, size, CHUNK as u64, run);
}

#[test]
fn files_that_are_refused_leave_nothing_in_the_store() {
    let store = MemoryStore::default();
    for (name, what) in [
        (
            "legacy.bin",
            "pytorch_model.bin: is in the format of PyTorch before 1.6",
        ),
        (
            "module.bin",
            "pytorch_model.bin: the pickle asks for 'torch.nn.modules.linear.Linear'",
        ),
        (
            "dtypes.bin",
            "pytorch_model.bin: tensor 'embeddings.word_embeddings.weight' is missing",
        ),
    ] {
        let mut files = plain();
        files.insert(PYTORCH.into(), golden(&format!("pytorch/{name}")));
        let host = MemoryHost::new(files.clone());
        let flaky = Flaky::new(&host, &files, ("", u64::MAX));
        let loaded = support::load(&flaky, &store, Dtype::Q8, CHUNK, 1);
        let error = loaded.map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        assert_eq!(error.file(), Some(PYTORCH));
        for kind in ["partial", "chunk", "head", "manifest"] {
            assert_eq!(keys_of(&store, kind), [""; 0], "{name}");
        }
    }
}
