//! Text to vectors: loading a sentence encoder, and running it over lists of texts.

use burn::tensor::Device;
use serde::Deserialize;

use super::load::{Loading, Source, load};
use super::plan::{self, LoadPlan};
use super::pooling::{Modules, Pooling, normalize};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Bert, BertConfig};
use crate::ops::read;
use crate::pace::Pace;
use crate::text::{TextTokenizer, Tokens};
use crate::weights::{Dtype, Needs};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
const SENTENCE: &str = "sentence_bert_config.json";

/// All small files, the tokenizer's last: it is the largest.
const FILES: [&str; 5] = [CONFIG, MODULES, POOLING, SENTENCE, TOKENIZER];

/// Tokens that go through the model together: enough to fill the kernels, few enough to keep buffers small
/// (one feed-forward buffer of MiniLM takes 3 MB then).
const TOKENS_AT_ONCE: usize = 512;

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

/// What a repository's small files say of the model.
struct Blueprint {
    config: BertConfig,
    modules: Modules,
    pooling: Pooling,
    max_tokens: usize,
    /// Whether texts are lowercased first.
    lowercase: bool,
    /// The file with the weights.
    weights: String,
}

impl Blueprint {
    async fn read(loading: &mut Loading<'_, '_>, dtype: Dtype, files: &[&str]) -> Result<Self> {
        let weights = loading.plan(dtype, files).await?;
        let config = BertConfig::from_json(&loading.required(CONFIG).await?)?;
        let modules = match loading.small(MODULES).await? {
            Some(json) => Modules::from_json(&json)?,
            None => Modules::ABSENT,
        };
        let pooling = match &modules.pooling_config {
            Some(file) => Pooling::from_json(file, &loading.required(file).await?)?,
            None => Pooling::Mean,
        };
        let (max_tokens, lowercase) = Self::limits(loading, &config).await?;
        Ok(Self {
            config,
            modules,
            pooling,
            max_tokens,
            lowercase,
            weights,
        })
    }

    /// The longest text, and whether it is lowercased first.
    async fn limits(loading: &mut Loading<'_, '_>, config: &BertConfig) -> Result<(usize, bool)> {
        let positions = config.max_position_embeddings;
        let Some(json) = loading.small(SENTENCE).await? else {
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
}

impl TextEmbedder {
    /// Loads from the store where the model is whole there, else from the host, and then keeps it.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`; nothing
    /// that could be read is left in the store then.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        load(source, async |loading| {
            Self::read(loading, dtype, device).await
        })
        .await
    }

    /// What loading would take. Fetches the small files but the tokenizer's, and the header of the weights.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
        if let Some(plan) = plan::of_stored(source, TOKENIZER, false).await? {
            return Ok(plan);
        }
        let snapshot = match source.snapshot().await {
            // As a load would go on with what is stored.
            Err(error) if error.kind() == ErrorKind::FetchFailed => {
                let plan = plan::of_stored(source, TOKENIZER, true).await?;
                return plan.ok_or(error);
            }
            snapshot => snapshot?,
        };
        let mut loading = Loading::fetching(source, snapshot, None);
        let Blueprint {
            config, weights, ..
        } = Blueprint::read(&mut loading, dtype, &FILES[..FILES.len() - 1]).await?;
        let needs = Needs {
            parameters: &config.parameters(),
            prefixes: BertConfig::PREFIXES,
            dtype,
        };
        plan::of_host(&mut loading, source, &FILES, TOKENIZER, &weights, &needs).await
    }

    async fn read(loading: &mut Loading<'_, '_>, dtype: Dtype, device: &Device) -> Result<Self> {
        let Blueprint {
            config,
            modules,
            pooling,
            max_tokens,
            lowercase,
            weights,
        } = Blueprint::read(loading, dtype, &FILES).await?;
        let json = loading.required(TOKENIZER).await?;
        // What is stored comes while the tokenizer is made of its file, which takes as long.
        let weights = loading.open_weights(weights).await;
        loading.prepare(TOKENIZER);
        let tokenizer = TextTokenizer::from_json(&json, max_tokens, lowercase)?;
        drop(json);

        let needs = Needs {
            parameters: &config.parameters(),
            prefixes: BertConfig::PREFIXES,
            dtype,
        };
        let weights = loading.weights(weights, &needs, device).await?;
        let dimensions = config.hidden_size;
        Ok(Self {
            bert: Bert::new(config, weights, device.clone())?,
            tokenizer,
            pooling,
            normalize: modules.normalize,
            dimensions,
            max_tokens,
        })
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
