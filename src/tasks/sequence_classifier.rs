//! Classification of whole texts by a model that was trained for its labels.

use burn::tensor::Device;

#[cfg(feature = "webgpu")]
use super::comparison::{Timed, compare};
use super::load::plan::plan_stored;
use super::load::{self, LastFile, LoadPlan, Loading, Pretrained, Source};
use super::sentence_transformers::{CONFIG, TOKENIZER, tokenizer_config, tokenizer_file};
use crate::error::{Error, Result};
use crate::models::{self, SequenceClassifierConfig};
use crate::scheduler::Scheduler;
use crate::text::{TOKENIZER_CONFIG, TextTokenizer, TokenizerConfig, VOCABULARY, batches, encode};
use crate::weights::{Dtype, Tensors};

/// The part under which the store keeps a classifier: the same repository may also be stored as a sentence encoder, which has other
/// files and fewer tensors.
const PART: &str = "classifier";

/// The result of a classifier for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The output of the network for each label.
    pub logits: Vec<f32>,
    /// The probability of each label, 0 to 1. They sum to 1 unless several labels may be right at once. There are none where the labels are
    /// numbers that the model estimates, which are the logits.
    pub probabilities: Vec<f64>,
    /// The number of tokens after truncation, special tokens included.
    pub tokens: usize,
    /// Whether the text had more tokens.
    pub truncated: bool,
}

/// The result of a reranker for a pair of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct PairScore {
    /// The output of the network.
    pub logit: f32,
    /// The logit or its sigmoid, as the repository has it.
    pub score: f64,
    /// The number of tokens after truncation, special tokens included.
    pub tokens: usize,
    /// Whether the texts had more tokens.
    pub truncated: bool,
}

/// A loaded classifier of whole texts with its tokenizer.
pub struct SequenceClassifier {
    network: models::SequenceClassifier,
    tokenizer: TextTokenizer,
    config: SequenceClassifierConfig,
    max_tokens: usize,
    commit: String,
}

/// The configuration of a repository: of the network and of its tokenizer.
pub struct Config {
    network: SequenceClassifierConfig,
    tokenizer: TokenizerConfig,
}

impl Config {
    /// The longest text in tokens.
    fn max_tokens(&self) -> usize {
        let positions = self.network.positions();
        self.tokenizer
            .longest()
            .map_or(positions, |longest| longest.min(positions))
    }
}

impl Pretrained for SequenceClassifier {
    const FILES: &'static [&'static str] = &[CONFIG, TOKENIZER_CONFIG, TOKENIZER];
    const INSTEAD: &'static [&'static [&'static str]] = &[&[VOCABULARY]];

    type Config = Config;
    type Prepared = TextTokenizer;
    type Network = models::SequenceClassifier;

    async fn config(files: &mut Loading<'_, '_>) -> Result<Config> {
        let config = files.required(CONFIG).await?;
        let network = SequenceClassifierConfig::from_json(&config)?;
        let count = network.labels.len();
        if files.is_reranker() && count != 1 {
            return Err(Error::unsupported(format!(
                "{CONFIG}: the model has {count} labels, and a reranker has one: load it by SequenceClassifier"
            ))
            .with_file(CONFIG));
        }
        Ok(Config {
            network,
            tokenizer: tokenizer_config(files, &config).await?,
        })
    }

    fn prefixes(config: &Config) -> &'static [&'static str] {
        config.network.prefixes()
    }

    async fn last(files: &mut Loading<'_, '_>, file: &str, config: &Config) -> Result<Vec<u8>> {
        tokenizer_file(files, file, &config.tokenizer).await
    }

    fn prepare(config: &Config, file: &LastFile) -> Result<TextTokenizer> {
        let mut tokenizer = file.tokenizer(config.max_tokens(), false)?;
        tokenizer.heed(&config.tokenizer).map(|()| tokenizer)
    }

    fn tokenizer(tokenizer: &TextTokenizer) -> Option<&TextTokenizer> {
        Some(tokenizer)
    }

    fn network(config: &Config, tensors: &mut Tensors) -> Result<models::SequenceClassifier> {
        models::SequenceClassifier::new(&config.network, tensors)
    }

    fn assemble(
        config: Config,
        tokenizer: TextTokenizer,
        network: models::SequenceClassifier,
        _device: &Device,
    ) -> Self {
        Self {
            network,
            tokenizer,
            max_tokens: config.max_tokens(),
            config: config.network,
            commit: String::new(),
        }
    }
}

impl SequenceClassifier {
    /// Loads the model from the store if it is complete there, else from the host, and stores it.
    ///
    /// *Errors*: `InvalidInput` where [`layers`](Source::layers) is set, `FetchFailed`, `Integrity`, `InvalidWeights`,
    /// `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The store then holds a partial download that can be resumed, or
    /// nothing; never a readable model.
    pub async fn load(source: &Source<'_>, dtype: Dtype, device: &Device) -> Result<Self> {
        refuse_layers(source)?;
        let part = source.for_part(PART, source.progress);
        #[cfg(feature = "webgpu")]
        compare(
            source,
            dtype,
            device,
            part.config_file(CONFIG, dtype),
            Timed::texts,
        )
        .await?;
        let loaded = load::load::<Self>(&part, dtype, device).await?;
        Ok(Self {
            commit: loaded.commit,
            ..loaded.model
        })
    }

    /// Computes the cost of loading the model.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
        refuse_layers(source)?;
        load::plan::<Self>(&source.for_part(PART, source.progress), dtype).await
    }

    /// Whether the model is complete in the store. An outdated one counts only if `outdated` is set.
    pub(super) async fn is_stored(source: &Source<'_>, outdated: bool) -> Result<bool> {
        let part = source.for_part(PART, source.progress);
        let plan = plan_stored(&part, TOKENIZER, outdated).await?;
        Ok(plan.is_some())
    }

    /// Asks the host for the current commit, which the next load reads, and records that the model was used.
    ///
    /// *Errors*: `FetchFailed`, `Aborted`.
    pub async fn refresh(source: &Source<'_>) -> Result<()> {
        source.refresh(&[PART]).await
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The names of the labels, in the order of the probabilities.
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// The longest text in tokens, special tokens included; longer texts are truncated.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Classifies texts. The same text gives the same result whatever else is in the list.
    ///
    /// *Errors*: `InvalidWeights` where the tokenizer gives an id that the model does not have, `Aborted`.
    pub async fn classify(
        &self,
        texts: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<Classification>> {
        let tokens = encode(&self.tokenizer, texts, scheduler).await?;
        let mut results = Vec::with_capacity(tokens.len());
        for batch in batches(&tokens) {
            let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
            let logits = self.network.forward(&sequences, &[], scheduler).await?;
            let rows = logits.chunks_exact(self.config.labels.len()).zip(batch);
            results.extend(rows.map(|(logits, tokens)| Classification {
                logits: logits.to_vec(),
                probabilities: self.config.probabilities(logits),
                tokens: tokens.ids.len(),
                truncated: tokens.truncated,
            }));
        }
        Ok(results)
    }
}

impl SequenceClassifier {
    /// Computes the logits of a text paired with each of others, and their scores: those of a reranker, of which a higher one means that the
    /// second text answers the first better. The longer text of a pair is truncated first.
    ///
    /// *Errors*: as [`classify`](Self::classify), and `UnsupportedModel` for a model of several labels.
    pub async fn score_pairs(
        &self,
        first: &str,
        seconds: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<PairScore>> {
        if self.config.labels.len() != 1 {
            return Err(Error::unsupported(format!(
                "config.json: the model has {} labels, and a reranker has one: load it by SequenceClassifier",
                self.config.labels.len()
            )));
        }
        let mut pairs = Vec::with_capacity(seconds.len());
        for second in seconds {
            scheduler.yield_now().await?;
            pairs.push(self.tokenizer.encode_pair(first, second)?);
        }
        let (tokens, firsts): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .map(|pair| (pair.tokens, pair.first))
            .unzip();
        let mut scores = Vec::with_capacity(tokens.len());
        for batch in batches(&tokens) {
            let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
            let firsts = &firsts[scores.len()..][..batch.len()];
            let logits = self.network.forward(&sequences, firsts, scheduler).await?;
            scores.extend(logits.iter().zip(batch).map(|(logit, tokens)| PairScore {
                logit: *logit,
                score: self.config.score(*logit),
                tokens: tokens.ids.len(),
                truncated: tokens.truncated,
            }));
        }
        Ok(scores)
    }
}

fn refuse_layers(source: &Source<'_>) -> Result<()> {
    match source.layers {
        None => Ok(()),
        Some(layers) => Err(Error::invalid_input(format!(
            "layers is {layers}, but a classifier is loaded whole: leave it out"
        ))),
    }
}
