//! Decoders: hidden states of texts, and how likely each token of a text is.

use burn::tensor::{Device, Int, Tensor};
use pilotlight_kernels::statistics::TokenStatistics;

use super::embeddings::Embeddings;
use super::first_layers::{self, Layered};
use super::hidden_states::{HiddenStatesOptions, hidden_states};
use super::load::{LastFile, LoadPlan, Loading, Pretrained, Source};
use super::sentence_transformers::{CONFIG, TOKENIZER, cut_layers};
use super::table_rows::TableRows;
use crate::error::{Error, Result};
use crate::models::{self, DecoderConfig, Encoder};
use crate::ops::{Spans, floats, integers};
use crate::scheduler::Scheduler;
use crate::text::{LocatedTokens, TextTokenizer, Tokens, batches, encode};
use crate::weights::{Dtype, Tensors};

/// The token that separates documents where a model was trained with it.
const SEPARATOR: &str = "<|endoftext|>";

/// The options of [`Decoder::likelihoods`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LikelihoodOptions {
    /// The number of tokens after which a text is cut; as many as the model takes where it is `None`.
    pub max_tokens: Option<usize>,
}

/// The likelihoods of the tokens of a text, each given those before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likelihoods {
    /// The index of each token's first character in the text, in UTF-16 code units.
    pub starts: Vec<u32>,
    /// The prediction of each token.
    pub tokens: Vec<TokenStatistics>,
    /// Whether the text had more tokens.
    pub truncated: bool,
}

/// A loaded decoder with its tokenizer.
pub struct Decoder {
    network: models::Decoder,
    /// The rows of the embedding table, where they stay in the store.
    rows: Option<TableRows>,
    tokenizer: TextTokenizer,
    /// The token from which the first one of a text is predicted.
    separator: Option<u32>,
    hidden_size: usize,
    max_tokens: usize,
    layers: usize,
    is_cut: bool,
    commit: String,
    device: Device,
}

impl Pretrained for Decoder {
    const FILES: &'static [&'static str] = &[CONFIG, TOKENIZER];

    type Config = DecoderConfig;
    type Prepared = TextTokenizer;
    type Network = models::Decoder;

    async fn config(files: &mut Loading<'_, '_>) -> Result<DecoderConfig> {
        let mut config = DecoderConfig::from_json(&files.required(CONFIG).await?)?;
        config.table_in_store = files.is_table_in_store();
        if let Some(layers) = files.layers() {
            cut_layers(models::Decoder::layers(&mut config), layers)?;
        }
        Ok(config)
    }

    fn prefixes(_: &DecoderConfig) -> &'static [&'static str] {
        models::Decoder::PREFIXES
    }

    fn gguf_name(_: &DecoderConfig) -> fn(&str) -> Option<String> {
        models::Decoder::gguf_name
    }

    fn prepare(config: &DecoderConfig, file: &LastFile) -> Result<TextTokenizer> {
        let [_, positions] = models::Decoder::sizes(config);
        file.tokenizer(positions, false)
    }

    fn network(config: &DecoderConfig, tensors: &mut Tensors) -> Result<models::Decoder> {
        models::Decoder::with_head(config, tensors)
    }

    fn assemble(
        mut config: DecoderConfig,
        tokenizer: TextTokenizer,
        network: models::Decoder,
        device: &Device,
    ) -> Self {
        let [hidden_size, max_tokens] = models::Decoder::sizes(&config);
        Self {
            network,
            rows: None,
            separator: tokenizer.id(SEPARATOR).or(config.bos_token_id()),
            tokenizer,
            hidden_size,
            max_tokens,
            is_cut: config.is_cut(),
            layers: *models::Decoder::layers(&mut config),
            commit: String::new(),
            device: device.clone(),
        }
    }
}

impl Layered for Decoder {
    const CONFIG: &'static str = CONFIG;

    fn cut(config: &[u8], layers: usize) -> Result<bool> {
        let mut config = DecoderConfig::from_json(config)?;
        cut_layers(models::Decoder::layers(&mut config), layers)
    }

    fn layers(&self) -> usize {
        self.layers
    }
}

impl Decoder {
    /// Loads the model, or the first [`layers`](Source::layers) of it, from the store if it is complete there, else from the host,
    /// and stores it.
    ///
    /// *Errors*: `InvalidInput` for no layers or more than the model has, `FetchFailed`, `Integrity`, `InvalidWeights`,
    /// `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The store then holds a partial download that can be resumed, or
    /// nothing; never a readable model.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        let loaded = first_layers::load::<Self>(source, dtype, device).await?;
        let rows = match loaded.model.network.stored_table() {
            Some(table) => Some(TableRows::open(source, &loaded, table).await?),
            None => None,
        };
        Ok(Self {
            rows,
            commit: loaded.commit,
            ..loaded.model
        })
    }

    /// Computes the cost of loading the model, or the first layers of it.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
        first_layers::plan::<Self>(source, dtype).await
    }

    /// Asks the host for the current commit, which the next load reads, and records that the model, or its part, was used.
    ///
    /// *Errors*: as [`TextEmbedder::refresh`](super::TextEmbedder::refresh).
    pub async fn refresh(source: &Source<'_>) -> Result<()> {
        first_layers::refresh::<Self>(source).await
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The number of values of a hidden state.
    pub fn dimensions(&self) -> usize {
        self.hidden_size
    }

    /// The longest text in tokens; longer texts are truncated.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The number of loaded layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Whether the model has more layers than were loaded.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Computes the hidden states after a layer, and none of the layers that follow it. Those after the last layer of the model have gone
    /// through its final norm, as in `transformers`; all others have not. The same text gives the same states whatever else is in the list.
    ///
    /// *Shapes*: a row of `d` values for each text, or without pooling for each token, one text after the other.
    /// *Errors*: `InvalidInput` naming the option, or for a text without tokens; `Integrity` where the store has lost the rows of the
    /// embedding table; `ResourceLimit`, `Aborted`.
    pub async fn hidden_states(
        &self,
        texts: &[String],
        options: &HiddenStatesOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        if let Some(index) = tokens.iter().position(|tokens| tokens.ids.is_empty()) {
            return Err(Error::invalid_input(format!(
                "texts[{index}] has no tokens, expected a text"
            )));
        }
        hidden_states(
            &tokens,
            options,
            [self.layers, self.hidden_size],
            async |sequences, layers| self.forward(sequences, layers, scheduler).await,
            scheduler,
        )
        .await
    }

    /// Computes the states of sequences after some layers.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let (Some(rows), Some(table)) = (&self.rows, self.network.stored_table()) else {
            return self.network.forward(sequences, layers, scheduler).await;
        };
        self.network.check(sequences)?;
        let rows = rows.read(table, sequences, scheduler).await?;
        // [t, d]
        let shape = [rows.len() / self.hidden_size, self.hidden_size];
        let rows = floats(rows, shape, &self.device);
        self.network
            .forward_rows(rows, sequences, layers, scheduler)
            .await
    }

    /// Computes how likely each token of each text is. The first one is predicted from the token that separates documents. A text without
    /// tokens has an empty result. The same text gives the same result whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` where only the first layers are loaded, or the rows of a table that is the head too stay in the store, or
    /// naming the option; `UnsupportedModel` for a model without such a
    /// token; `ResourceLimit`, `Aborted`.
    pub async fn likelihoods(
        &self,
        texts: &[String],
        options: &LikelihoodOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<Likelihoods>> {
        if self.is_cut {
            let layers = self.layers;
            return Err(Error::invalid_input(format!(
                "likelihoods need all layers of the model, and only the first {layers} are loaded"
            )));
        }
        if !self.network.has_head() {
            return Err(Error::invalid_input(
                "likelihoods need the whole embedding table, which is the vocabulary head too: load with embeddings: 'memory'",
            ));
        }
        let separator = self.separator.ok_or_else(|| {
            Error::unsupported(format!(
                "{TOKENIZER}: has no token '{SEPARATOR}', and {CONFIG} no bos_token_id, to begin a text with"
            ))
        })?;
        // The separator takes one position.
        let most = self.max_tokens - 1;
        let longest = options.max_tokens.unwrap_or(most);
        if longest == 0 || longest > most {
            return Err(Error::invalid_input(format!(
                "maxTokens is {longest}, expected 1 to {most}"
            )));
        }
        let mut located = Vec::with_capacity(texts.len());
        let mut tokens = Vec::with_capacity(texts.len());
        for text in texts {
            scheduler.yield_now().await?;
            let LocatedTokens {
                ids,
                starts,
                truncated,
            } = self.tokenizer.locate(text, longest)?;
            located.push((starts, truncated));
            let ids = std::iter::once(separator).chain(ids).collect();
            tokens.push(Tokens { ids, truncated });
        }
        let mut predictions = Vec::new();
        for batch in batches(&tokens) {
            predictions.extend(self.predictions(batch, scheduler).await?);
        }
        let results = located.into_iter().zip(predictions);
        let results = results.map(|((starts, truncated), tokens)| Likelihoods {
            starts,
            tokens,
            truncated,
        });
        Ok(results.collect())
    }

    /// Computes the predictions of all tokens but the first of each text.
    async fn predictions(
        &self,
        batch: &[Tokens],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<Vec<TokenStatistics>>> {
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let targets: Vec<u32> = sequences
            .iter()
            .flat_map(|ids| ids.iter().skip(1))
            .copied()
            .collect();
        let lengths = sequences.iter().map(|ids| ids.len() - 1);
        if targets.is_empty() {
            return Ok(lengths.map(|_| Vec::new()).collect());
        }
        let (hidden, spans) = self.forward(&sequences, self.layers, scheduler).await?;
        // [t, d] → [targets, d]: the last token of a text predicts nothing.
        let hidden = hidden.select(0, self.predicting_rows(&spans));
        let all = self
            .network
            .predictions(hidden, &targets, scheduler)
            .await?;
        let mut rest = all.into_iter();
        Ok(lengths
            .map(|length| rest.by_ref().take(length).collect())
            .collect())
    }

    fn predicting_rows(&self, spans: &Spans) -> Tensor<1, Int> {
        let rows = spans.iter().flat_map(|rows| rows.start..rows.end - 1);
        let rows: Vec<i32> = rows.map(|row| row as i32).collect();
        let count = rows.len();
        integers(rows, [count], &self.device)
    }
}
