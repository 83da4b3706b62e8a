//! Text to vectors: loading a sentence encoder, and running it over lists of texts.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use async_trait::async_trait;
use burn::tensor::Device;
use serde::Deserialize;

use super::pooling::{Modules, Pooling, normalize};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{self, ByteStream, FileEntry, Host, read_small};
use crate::models::{Bert, BertConfig};
use crate::ops::read;
use crate::pace::Pace;
use crate::store::{ModelKey, ModelWriter, Store, StoredModel};
use crate::text::{TextTokenizer, Tokens};
use crate::weights::{self, Dtype, Sink};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const MODULES: &str = "modules.json";
const SENTENCE: &str = "sentence_bert_config.json";
const UPSTREAM: &str = "model.safetensors";

/// Tokens that go through the model together: enough to fill the kernels, few enough to keep buffers small
/// (one feed-forward buffer of MiniLM takes 3 MB then).
const TOKENS_AT_ONCE: usize = 512;

/// What loading is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStatus {
    /// Asking the host what there is.
    Plan,
    /// Bytes arrive.
    Download,
    /// Tokenizer and model are set up.
    Prepare,
    /// Done.
    Ready,
}

/// One step of loading.
#[derive(Clone, Debug)]
pub struct LoadProgress<'a> {
    /// What is being done.
    pub status: LoadStatus,
    /// The file under way.
    pub file: Option<&'a str>,
    /// Bytes so far, over all files.
    pub loaded: u64,
    /// Bytes in all as far as known.
    pub total: u64,
    /// Whether the bytes come from the store.
    pub cached: bool,
}

/// Where a model comes from and where it is kept.
pub struct Source<'a> {
    /// The repository.
    pub host: &'a dyn Host,
    /// Where the packed model is kept, and under which key and nonce.
    pub store: Option<(&'a dyn Store, ModelKey, u64)>,
    /// Called at every step.
    pub progress: &'a dyn Fn(&LoadProgress),
    /// Cancels.
    pub pace: &'a dyn Pace,
}

/// How one value of an embedding is returned; the names are sentence-transformers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As computed.
    Float32,
    /// -127 to 127, scaled per vector so that the largest magnitude is 127: the cosine does not depend on the scale.
    Int8,
    /// `Int8` plus 128.
    Uint8,
    /// The signs, eight in a byte, the first in the highest bit; minus 128.
    Binary,
    /// The signs, eight in a byte, the first in the highest bit.
    Ubinary,
}

impl Precision {
    /// By its name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "float32" => Ok(Self::Float32),
            "int8" => Ok(Self::Int8),
            "uint8" => Ok(Self::Uint8),
            "binary" => Ok(Self::Binary),
            "ubinary" => Ok(Self::Ubinary),
            other => Err(Error::invalid_input(format!(
                "precision is '{other}', expected 'float32', 'int8', 'uint8', 'binary' or 'ubinary'"
            ))),
        }
    }
}

/// How texts are embedded.
#[derive(Clone, Copy, Debug)]
pub struct EmbedOptions {
    /// Keeps only the first values and normalizes again.
    pub dimensions: Option<usize>,
    /// How a value is returned.
    pub precision: Precision,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            dimensions: None,
            precision: Precision::Float32,
        }
    }
}

/// The values of all rows, one row after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `Float32`
    Float32(Vec<f32>),
    /// `Int8` and `Binary`
    Int8(Vec<i8>),
    /// `Uint8` and `Ubinary`
    Uint8(Vec<u8>),
}

/// What embedding a list of texts gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// All rows.
    pub values: Values,
    /// Rows, and values a row.
    pub dims: [usize; 2],
    /// Tokens of each text, special tokens and truncation included.
    pub tokens: Vec<usize>,
    /// Whether a text was cut.
    pub truncated: Vec<bool>,
}

/// A sentence encoder, ready to embed.
pub struct TextEmbedder {
    bert: Bert,
    tokenizer: TextTokenizer,
    pooling: Pooling,
    normalize: bool,
    dimensions: usize,
    max_tokens: usize,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl TextEmbedder {
    /// Loads from the store where the model is whole there, else from the host, and then keeps it.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`; nothing
    /// that could be read is left in the store then.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        let Some((store, key, nonce)) = &source.store else {
            return Loading::new(source.host, source, false, None)
                .run(dtype, device)
                .await;
        };
        if let Some(stored) = StoredModel::open(*store, key).await? {
            match Loading::new(&stored, source, true, None)
                .run(dtype, device)
                .await
            {
                // What is stored cannot be used: it goes, and the host is asked.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Integrity | ErrorKind::InvalidWeights
                    ) =>
                {
                    stored.delete().await?;
                }
                done => return done,
            }
        }
        let writer = ModelWriter::new(*store, key, *nonce);
        Loading::new(source.host, source, false, Some(writer))
            .run(dtype, device)
            .await
    }

    /// Values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Longest text in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Embeds texts. The same text gives the same vector whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` naming the option, `Aborted`.
    pub async fn embed(
        &self,
        texts: &[String],
        options: &EmbedOptions,
        pace: &dyn Pace,
    ) -> Result<Embeddings> {
        let kept = options.dimensions.unwrap_or(self.dimensions);
        if kept == 0 || kept > self.dimensions {
            return Err(Error::invalid_input(format!(
                "dimensions is {kept}, expected 1 to {}",
                self.dimensions
            )));
        }
        let mut tokens = Vec::with_capacity(texts.len());
        for text in texts {
            pace.breathe().await?;
            tokens.push(self.tokenizer.encode(text)?);
        }
        let mut vectors = Vec::with_capacity(texts.len() * kept);
        for batch in batches(&tokens) {
            self.embed_batch(batch, kept, &mut vectors, pace).await?;
        }
        let (values, width) = quantize(vectors, kept, options.precision);
        Ok(Embeddings {
            values,
            dims: [texts.len(), width],
            tokens: tokens.iter().map(|tokens| tokens.ids.len()).collect(),
            truncated: tokens.iter().map(|tokens| tokens.truncated).collect(),
        })
    }

    async fn embed_batch(
        &self,
        batch: &[Tokens],
        kept: usize,
        to: &mut Vec<f32>,
        pace: &dyn Pace,
    ) -> Result<()> {
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let (hidden, spans) = self.bert.forward(&sequences, pace).await?;
        let hidden = read(hidden).await?;
        let mut vector = vec![0.0; self.dimensions];
        for rows in spans.iter() {
            self.pooling.pool(
                &hidden[rows.start * self.dimensions..rows.end * self.dimensions],
                &mut vector,
            );
            if self.normalize {
                normalize(&mut vector);
            }
            if kept < self.dimensions {
                normalize(&mut vector[..kept]);
            }
            to.extend_from_slice(&vector[..kept]);
        }
        Ok(())
    }
}

/// Neighbours whose tokens together are at most [`TOKENS_AT_ONCE`], or one text alone that is longer.
fn batches(mut tokens: &[Tokens]) -> impl Iterator<Item = &[Tokens]> {
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fitting = tokens.iter().take_while(|text| {
            sum += text.ids.len();
            sum <= TOKENS_AT_ONCE
        });
        let count = fitting.count().max(1).min(tokens.len());
        let (batch, rest) = tokens.split_at(count);
        tokens = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

fn quantize(vectors: Vec<f32>, dimensions: usize, precision: Precision) -> (Values, usize) {
    let int8 = || {
        vectors.chunks_exact(dimensions).flat_map(|vector| {
            let largest = vector
                .iter()
                .fold(0.0f32, |largest, x| largest.max(x.abs()));
            let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            vector
                .iter()
                .map(move |x| (x * factor).round_ties_even() as i8)
        })
    };
    let bits = || {
        vectors.chunks_exact(dimensions).flat_map(|vector| {
            vector.chunks(8).map(|eight| {
                eight
                    .iter()
                    .enumerate()
                    .fold(0u8, |byte, (i, x)| byte | u8::from(*x > 0.0) << (7 - i))
            })
        })
    };
    match precision {
        Precision::Int8 => (Values::Int8(int8().collect()), dimensions),
        Precision::Uint8 => (
            Values::Uint8(int8().map(|x| x.cast_unsigned() ^ 0x80).collect()),
            dimensions,
        ),
        Precision::Binary => (
            Values::Int8(bits().map(|x| (x ^ 0x80).cast_signed()).collect()),
            dimensions.div_ceil(8),
        ),
        Precision::Ubinary => (Values::Uint8(bits().collect()), dimensions.div_ceil(8)),
        Precision::Float32 => (Values::Float32(vectors), dimensions),
    }
}

/// One way through the files of a repository, from the host or from the store.
struct Loading<'a, 's> {
    host: &'a dyn Host,
    source: &'a Source<'s>,
    cached: bool,
    writer: Option<ModelWriter<'s>>,
    listed: Option<HashMap<String, FileEntry>>,
    loaded: u64,
    total: u64,
}

impl<'a, 's> Loading<'a, 's> {
    fn new(
        host: &'a dyn Host,
        source: &'a Source<'s>,
        cached: bool,
        writer: Option<ModelWriter<'s>>,
    ) -> Self {
        Self {
            host,
            source,
            cached,
            writer,
            listed: None,
            loaded: 0,
            total: 0,
        }
    }

    /// Reads the model and makes it readable in the store, or leaves nothing of it there.
    async fn run(mut self, dtype: Dtype, device: &Device) -> Result<TextEmbedder> {
        let mut done = self.read(dtype, device).await;
        if let Some(writer) = &mut self.writer {
            if done.is_ok() {
                done = writer.commit().await.and(done);
            }
            if done.is_err() {
                // The first failure is the one to report; what a failing clean-up leaves cannot be read anyway.
                let _ = writer.abandon().await;
            }
        }
        if done.is_ok() {
            self.report(LoadStatus::Ready, None);
        }
        done
    }

    async fn read(&mut self, dtype: Dtype, device: &Device) -> Result<TextEmbedder> {
        self.source.pace.breathe().await?;
        self.report(LoadStatus::Plan, None);
        let entries = self.host.list().await?;
        self.listed = entries.map(|list| {
            list.into_iter()
                .map(|entry| (entry.path.clone(), entry))
                .collect()
        });
        let weights_file = self.weights_file(dtype);
        self.plan(&weights_file);

        let config = BertConfig::from_json(&self.required(CONFIG).await?)?;
        let modules = match self.small(MODULES).await? {
            Some(json) => Modules::from_json(&json)?,
            None => Modules::ABSENT,
        };
        let pooling = match &modules.pooling_config {
            Some(file) => Pooling::from_json(file, &self.required(file).await?)?,
            None => Pooling::Mean,
        };
        let (max_tokens, lowercase) = self.limits(&config).await?;
        let json = self.required(TOKENIZER).await?;
        // What is stored comes while the tokenizer is made of its file, which takes as long.
        let entry = self.entry(&weights_file);
        let weights = hub::open(self.host, &weights_file, entry);
        let weights = Opening::new(weights, self.cached).await;
        self.report(LoadStatus::Prepare, Some(TOKENIZER));
        let tokenizer = TextTokenizer::from_json(&json, max_tokens, lowercase)?;
        drop(json);

        let weights = weights.stream().await?;
        let weights = self
            .weights(&weights_file, weights, &config, dtype, device)
            .await?;
        self.report(LoadStatus::Prepare, Some(&weights_file));
        let dimensions = config.hidden_size;
        let bert = Bert::new(config, weights, device.clone())?;
        self.source.pace.breathe().await?;
        Ok(TextEmbedder {
            bert,
            tokenizer,
            pooling,
            normalize: modules.normalize,
            dimensions,
            max_tokens,
        })
    }

    /// The packed file where the host lists one, else the checkpoint.
    fn weights_file(&self, dtype: Dtype) -> String {
        let packed = format!("pilotlight-{}.safetensors", dtype.name());
        match &self.listed {
            Some(listed) if listed.contains_key(&packed) => packed,
            _ => UPSTREAM.into(),
        }
    }

    /// Sums up what is known of the sizes before the first byte comes.
    fn plan(&mut self, weights_file: &str) {
        if let Some(listed) = &self.listed {
            let files = [
                CONFIG,
                MODULES,
                "1_Pooling/config.json",
                SENTENCE,
                TOKENIZER,
                weights_file,
            ];
            self.total = files
                .iter()
                .filter_map(|file| listed.get(*file)?.size)
                .sum();
        }
        self.report(LoadStatus::Plan, None);
    }

    /// The longest text, and whether it is lowercased first.
    async fn limits(&mut self, config: &BertConfig) -> Result<(usize, bool)> {
        let positions = config.max_position_embeddings;
        let Some(json) = self.small(SENTENCE).await? else {
            return Ok((positions, false));
        };
        let sentence: SentenceConfig = serde_json::from_slice(&json).map_err(|error| {
            Error::invalid_weights(format!("{SENTENCE}: is not valid: {error}"))
        })?;
        Ok((
            sentence.max_seq_length.unwrap_or(positions).min(positions),
            sentence.do_lower_case,
        ))
    }

    async fn weights(
        &mut self,
        file: &str,
        stream: Option<Box<dyn ByteStream>>,
        config: &BertConfig,
        dtype: Dtype,
        device: &Device,
    ) -> Result<weights::Weights> {
        let mut stream = stream.ok_or_else(|| self.missing(file))?;
        if self.known_size(file).is_none() {
            self.total += stream.length().unwrap_or(0);
        }
        if let Some(writer) = self.writer.as_mut() {
            // What is stored is always the packed form.
            writer
                .begin(&format!("pilotlight-{}.safetensors", dtype.name()))
                .await?;
        }
        let before = self.loaded;
        let mut counted = Counted {
            stream: stream.as_mut(),
            received: 0,
            report: &|received| {
                self.source.report(
                    LoadStatus::Download,
                    Some(file),
                    before + received,
                    self.total,
                    self.cached,
                )
            },
        };
        let parameters = config.parameters();
        let sink = self.writer.as_mut().map(|writer| writer as &mut dyn Sink);
        let pace = self.source.pace;
        let weights = weights::load(
            file,
            &mut counted,
            &parameters,
            BertConfig::PREFIXES,
            dtype,
            device,
            sink,
            pace,
        )
        .await?;
        self.loaded += counted.received;
        Ok(weights)
    }

    async fn required(&mut self, file: &str) -> Result<Vec<u8>> {
        self.small(file).await?.ok_or_else(|| self.missing(file))
    }

    /// A config file, or `None` where there is none; it is stored on the way.
    async fn small(&mut self, file: &str) -> Result<Option<Vec<u8>>> {
        if self
            .listed
            .as_ref()
            .is_some_and(|listed| !listed.contains_key(file))
        {
            return Ok(None);
        }
        self.source.pace.breathe().await?;
        let Some(stream) = hub::open(self.host, file, self.entry(file)).await? else {
            return Ok(None);
        };
        let bytes = read_small(file, stream).await?;
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Err(Error::fetch_failed(format!(
                "{file}: the host answered with an HTML page instead of the file"
            )));
        }
        if let Some(writer) = self.writer.as_mut() {
            writer.begin(file).await?;
            writer.write(&bytes).await?;
        }
        self.loaded += bytes.len() as u64;
        if self.known_size(file).is_none() {
            self.total += bytes.len() as u64;
        }
        self.report(LoadStatus::Download, Some(file));
        Ok(Some(bytes))
    }

    /// What the host's list says of a file.
    fn entry(&self, file: &str) -> Option<FileEntry> {
        self.listed.as_ref()?.get(file).cloned()
    }

    fn known_size(&self, file: &str) -> Option<u64> {
        self.entry(file)?.size
    }

    fn missing(&self, file: &str) -> Error {
        Error::fetch_failed(format!("{file}: the repository has no such file"))
    }

    fn report(&self, status: LoadStatus, file: Option<&str>) {
        self.source.report(
            status,
            file,
            self.loaded,
            self.total.max(self.loaded),
            self.cached,
        );
    }
}

impl Source<'_> {
    fn report(
        &self,
        status: LoadStatus,
        file: Option<&str>,
        loaded: u64,
        total: u64,
        cached: bool,
    ) {
        (self.progress)(&LoadProgress {
            status,
            file,
            loaded,
            total: total.max(loaded),
            cached,
        });
    }
}

type Opened = Result<Option<Box<dyn ByteStream>>>;

/// A file that is being opened while something else is done.
struct Opening<'a> {
    future: Pin<Box<dyn Future<Output = Opened> + 'a>>,
    done: Poll<Opened>,
}

impl<'a> Opening<'a> {
    /// `early`: it begins now, and else when the stream is wanted.
    async fn new(future: impl Future<Output = Opened> + 'a, early: bool) -> Self {
        let mut future: Pin<Box<dyn Future<Output = Opened> + 'a>> = Box::pin(future);
        let done = if early {
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
        } else {
            Poll::Pending
        };
        Self { future, done }
    }

    async fn stream(self) -> Opened {
        match self.done {
            Poll::Ready(opened) => opened,
            Poll::Pending => self.future.await,
        }
    }
}

/// Counts the bytes that pass.
struct Counted<'a> {
    stream: &'a mut dyn ByteStream,
    received: u64,
    report: &'a dyn Fn(u64),
}

/// Progress is reported at most once in so many bytes: a Worker's stream comes in pieces of 4 KiB.
const REPORT_EVERY: u64 = 256 << 10;

#[async_trait(?Send)]
impl ByteStream for Counted<'_> {
    fn length(&self) -> Option<u64> {
        self.stream.length()
    }

    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = self.stream.read(to).await?;
        let before = self.received;
        self.received += count as u64;
        if count == 0 || before / REPORT_EVERY != self.received / REPORT_EVERY {
            (self.report)(self.received);
        }
        Ok(count)
    }
}
