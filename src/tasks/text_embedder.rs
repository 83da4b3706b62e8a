//! Text to vectors: loading a sentence encoder, and running it over lists of texts.

use burn::tensor::Device;
use serde::Deserialize;

use super::embeddings::{
    EmbedOptions, Precision, Values, quantize, truncate_and_normalize, try_reserve,
};
use super::load::{Loading, Source, load};
use super::plan::{self, LoadPlan};
use super::pooling::{Modules, Pooling, normalize};
use crate::error::{Error, Result};
use crate::models::{Bert, BertConfig};
use crate::ops::read;
use crate::scheduler::Scheduler;
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

impl Embeddings {
    /// Of one text after the other, `width` values each.
    pub(super) fn of(
        vectors: Vec<f32>,
        width: usize,
        precision: Precision,
        tokens: &[Tokens],
    ) -> Self {
        let (values, width) = quantize(vectors, width, precision);
        Self {
            values,
            dims: [tokens.len(), width],
            tokens: tokens.iter().map(|tokens| tokens.ids.len()).collect(),
            truncated: tokens.iter().map(|tokens| tokens.truncated).collect(),
        }
    }
}

/// The tokens of each text.
pub(super) async fn encode(
    tokenizer: &TextTokenizer,
    texts: &[String],
    scheduler: &dyn Scheduler,
) -> Result<Vec<Tokens>> {
    let mut tokens = Vec::with_capacity(texts.len());
    for text in texts {
        scheduler.yield_now().await?;
        tokens.push(tokenizer.encode(text)?);
    }
    Ok(tokens)
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
        plan::plan(source, TOKENIZER, async |loading| {
            let Blueprint {
                config, weights, ..
            } = Blueprint::read(loading, dtype, &FILES[..FILES.len() - 1]).await?;
            let needs = Needs {
                parameters: &config.parameters(),
                prefixes: BertConfig::PREFIXES,
                dtype,
            };
            plan::of_host(loading, source, &FILES, TOKENIZER, &weights, &needs).await
        })
        .await
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
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let width = options.output_dimensions(self.dimensions)?;
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        let mut vectors = try_reserve(texts.len(), width)?;
        for batch in batches(&tokens) {
            self.embed_batch(batch, width, &mut vectors, scheduler)
                .await?;
        }
        Ok(Embeddings::of(vectors, width, options.precision, &tokens))
    }

    async fn embed_batch(
        &self,
        batch: &[Tokens],
        width: usize,
        to: &mut Vec<f32>,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let (hidden, spans) = self.bert.forward(&sequences, scheduler).await?;
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
            to.extend_from_slice(truncate_and_normalize(&mut vector, width));
        }
        Ok(())
    }
}

/// Neighbours whose tokens together are at most [`TOKENS_AT_ONCE`], or one text alone that is longer.
pub(super) fn batches(mut tokens: &[Tokens]) -> impl Iterator<Item = &[Tokens]> {
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
