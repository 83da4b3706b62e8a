//! A model of a few MB, a host whose connections break, and functions that load from it.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use pilotlight::{
    ByteStream, CacheConfig, Digest, Dtype, EmbedOptions, Error, ErrorKind, Host, MemoryHost,
    MemoryStore, ModelKey, NoYield, Opened, Result, Scheduler, Snapshot, Source, Store,
    TextEmbedder, Values, Verified,
};
use pollster::block_on;
use serde_json::json;
use sha2::Digest as _;
use store_keys::keys_of;

pub mod changed_json;
pub mod classifiers;
pub mod cuts;
pub mod gguf;
pub mod onnx;
pub mod pytorch;
pub mod store_keys;

pub type Files = BTreeMap<String, Vec<u8>>;

pub const WEIGHTS: &str = "model.safetensors";
pub const CHUNK: usize = 128 << 10;

/// A BERT of about 3 MB with the tokenizer of one of the tiny models.
pub fn model() -> Files {
    model_among(4, &[])
}

/// Makes a BERT with a number of layers, and other tensors before and after its own in the same file.
pub fn model_among(layers: usize, others: &[(&str, usize)]) -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/bert-tiny-mean");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&read("config.json")).unwrap();
    let number = |name: &str| config[name].as_u64().unwrap() as usize;
    let (words, positions, types) = (
        number("vocab_size"),
        number("max_position_embeddings"),
        number("type_vocab_size"),
    );
    const H: usize = 120;
    const WIDE: usize = 500;
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![words, H]),
        (
            "embeddings.position_embeddings.weight".into(),
            vec![positions, H],
        ),
        (
            "embeddings.token_type_embeddings.weight".into(),
            vec![types, H],
        ),
        ("embeddings.LayerNorm.weight".into(), vec![H]),
        ("embeddings.LayerNorm.bias".into(), vec![H]),
    ];
    for layer in 0..layers {
        for (name, shape) in [
            ("attention.self.query", [H, H]),
            ("attention.self.key", [H, H]),
            ("attention.self.value", [H, H]),
            ("attention.output.dense", [H, H]),
            ("attention.output.LayerNorm", [H, 0]),
            ("intermediate.dense", [WIDE, H]),
            ("output.dense", [H, WIDE]),
            ("output.LayerNorm", [H, 0]),
        ] {
            let name = format!("encoder.layer.{layer}.{name}");
            let shape: Vec<_> = shape.into_iter().filter(|dim| *dim > 0).collect();
            tensors.push((format!("{name}.bias"), shape[..1].to_vec()));
            tensors.push((format!("{name}.weight"), shape));
        }
    }
    for (index, (name, values)) in others.iter().enumerate() {
        let at = if index % 2 == 0 { 0 } else { tensors.len() };
        tensors.insert(at, ((*name).into(), vec![*values]));
    }
    config["hidden_size"] = H.into();
    config["num_attention_heads"] = 4.into();
    config["num_hidden_layers"] = layers.into();
    config["intermediate_size"] = WIDE.into();
    let pooling = json!({ "word_embedding_dimension": H, "pooling_mode_mean_tokens": true });
    let mut files = Files::from([
        ("config.json".into(), serde_json::to_vec(&config).unwrap()),
        (
            "1_Pooling/config.json".into(),
            serde_json::to_vec(&pooling).unwrap(),
        ),
        (WEIGHTS.into(), safetensors(&tensors)),
    ]);
    for name in [
        "tokenizer.json",
        "modules.json",
        "sentence_bert_config.json",
    ] {
        files.insert(name.into(), read(name));
    }
    files
}

/// A safetensors file of these tensors, with arbitrary numbers that are the same at every call.
pub fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let mut state = 1u32;
    for (name, shape) in tensors {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (state >> 8) as f32 / 16_777_216.0 - 0.5;
            data.extend((value * 0.2).to_le_bytes());
        }
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

/// The tensors of a safetensors file of f32: their names, shapes and bytes.
pub fn tensors_of(file: &[u8]) -> Vec<(String, Vec<u64>, &[u8])> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let (head, data) = file.split_at(8 + length);
    let entries: serde_json::Map<_, _> = serde_json::from_slice(&head[8..]).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<u64> {
        let numbers = value.as_array().unwrap().iter();
        numbers.map(|number| number.as_u64().unwrap()).collect()
    };
    let tensors = entries.iter().map(|(name, entry)| {
        let range = numbers(&entry["data_offsets"]);
        let values = &data[range[0] as usize..range[1] as usize];
        (name.clone(), numbers(&entry["shape"]), values)
    });
    tensors.collect()
}

/// The repository with another file of weights, `named`, that `made` makes of its safetensors.
pub fn with_weights(files: &Files, named: &str, made: fn(&[u8]) -> Vec<u8>) -> Files {
    let mut files = files.clone();
    let weights = files.remove(WEIGHTS).unwrap();
    files.insert(named.into(), made(&weights));
    files
}

/// A host with digests and ranges. Its connection breaks when it has sent a file up to a certain byte, and then it cannot be reached.
pub struct Flaky<'a> {
    host: &'a MemoryHost,
    pub snapshot: Snapshot,
    /// The file, and the byte before which its connection breaks.
    pub cut: (&'a str, u64),
    pub gone: Cell<bool>,
    /// The requests so far: files, and the first byte of each request.
    pub asked: RefCell<Vec<(String, u64)>>,
    /// Bytes that were sent of the file in `cut`.
    pub sent: Cell<u64>,
}

impl<'a> Flaky<'a> {
    pub fn new(host: &'a MemoryHost, files: &Files, cut: (&'a str, u64)) -> Self {
        let mut snapshot = block_on(host.snapshot()).unwrap();
        snapshot.commit = Some("c0ffee".into());
        for (name, entry) in snapshot.files.as_mut().unwrap() {
            entry.digest = Some(Digest::Sha256(sha2::Sha256::digest(&files[name]).into()));
        }
        Self {
            host,
            snapshot,
            cut,
            gone: Cell::new(false),
            asked: RefCell::default(),
            sent: Cell::new(0),
        }
    }

    /// The host, whose connections do not break.
    pub fn host(&self) -> &'a MemoryHost {
        self.host
    }

    /// The byte at which the download of the file in `cut` was resumed.
    pub fn first_of_weights(&self) -> Option<u64> {
        let asked = self.asked.borrow();
        asked
            .iter()
            .find(|(file, _)| file == self.cut.0)
            .map(|(_, start)| *start)
    }
}

/// The model's place in a store.
pub fn key(dtype: Dtype) -> ModelKey {
    ModelKey::new("https://example.org", "test/bert", "main", dtype)
}

pub fn broken() -> Error {
    Error::new(ErrorKind::FetchFailed, "the train is in a tunnel").transient(Duration::ZERO)
}

#[async_trait(?Send)]
impl Host for Flaky<'_> {
    async fn snapshot(&self) -> Result<Snapshot> {
        if self.gone.get() {
            return Err(broken());
        }
        Ok(self.snapshot.clone())
    }

    async fn open(&self, _: Option<&str>, file: &str, range: Range<u64>) -> Result<Option<Opened>> {
        if self.gone.get() {
            return Err(broken());
        }
        self.asked.borrow_mut().push((file.into(), range.start));
        let Some(opened) = self.host.open(None, file, range.clone()).await? else {
            return Ok(None);
        };
        // The borrow checker cannot know that a stream does not outlive its host.
        let all = collect(opened, range.end).await?;
        let (start, end) = (range.start, range.end);
        let keep = match file == self.cut.0 {
            true => self.cut.1.saturating_sub(start).min(all.len() as u64) as usize,
            false => all.len(),
        };
        let breaks = keep < all.len();
        if file == self.cut.0 {
            self.sent.set(self.sent.get() + keep as u64);
        }
        self.gone.set(self.gone.get() || breaks);
        Ok(Some(Opened {
            stream: Box::new(Breaking {
                bytes: all[..keep].to_vec(),
                at: 0,
                breaks,
            }),
            start,
            end,
            size: self.snapshot.entry(file).size,
            validator: None,
        }))
    }
}

async fn collect(mut opened: Opened, end: u64) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match opened.stream.read(&mut piece).await? {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
    all.truncate((end - opened.start).min(all.len() as u64) as usize);
    Ok(all)
}

pub struct Breaking {
    bytes: Vec<u8>,
    at: usize,
    breaks: bool,
}

#[async_trait(?Send)]
impl ByteStream for Breaking {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = to.len().min(self.bytes.len() - self.at).min(10_007);
        to[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        if count == 0 && self.breaks && !to.is_empty() {
            return Err(broken());
        }
        Ok(count)
    }
}

/// A scheduler that does not wait.
pub struct Hurried;

#[async_trait(?Send)]
impl Scheduler for Hurried {
    async fn yield_now(&self) -> Result<()> {
        Ok(())
    }

    async fn sleep(&self, _: Duration) -> Result<()> {
        Ok(())
    }
}

pub fn load(
    host: &dyn Host,
    store: &dyn Store,
    dtype: Dtype,
    chunk: usize,
    nonce: u64,
) -> Result<(TextEmbedder, Option<Verified>)> {
    let key = key(dtype);
    let verified = Cell::new(None);
    let source = Source {
        cache: Some(CacheConfig {
            chunk,
            ..CacheConfig::new(store, key, nonce, 1_795_000_000_000)
        }),
        progress: &|progress| verified.set(progress.verified),
        ..Source::new(host, &Hurried)
    };
    let embedder = block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))?;
    Ok((embedder, verified.get()))
}

pub fn vector(embedder: &TextEmbedder) -> Vec<f32> {
    let texts = ["the cat sat on the mat".to_string()];
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    values
}

/// The bytes of the packed weights file in the store.
pub fn packed(store: &MemoryStore, dtype: Dtype) -> Vec<u8> {
    let file = format!("/pilotlight-{}.safetensors/", dtype.name());
    let mut chunks: Vec<(usize, String)> = keys_of(store, "chunk")
        .into_iter()
        .filter_map(|key| Some((key.split_once(&file)?.1.parse().unwrap(), key)))
        .collect();
    chunks.sort();
    let bytes = chunks
        .iter()
        .map(|(_, key)| block_on(store.get(key)).unwrap().unwrap().to_vec());
    bytes.collect::<Vec<_>>().concat()
}
