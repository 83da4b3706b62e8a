//! The encoders that can stand behind a `TextEmbedder`, by the `model_type` of their `config.json`. A new one is a file beside this
//! one and a line in each `match` here.

use burn::tensor::Tensor;

use super::bert::{Bert, BertConfig};
use super::config::{self, FILE};
use super::distilbert::{DistilBert, DistilBertConfig};
use crate::error::{Error, Result};
use crate::ops::Spans;
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// Called with hidden states, `[t, d]`.
pub type OnLayer<'a> = dyn FnMut(&Tensor<2>) + 'a;

/// What `config.json` says of an encoder.
pub enum SentenceEncoderConfig {
    /// `model_type: "bert"`
    Bert(BertConfig),
    /// `model_type: "distilbert"`
    DistilBert(DistilBertConfig),
}

impl SentenceEncoderConfig {
    /// Reads and checks the config of whichever encoder it names.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        match config::model_type(json)?.as_str() {
            "bert" => BertConfig::from_json(json).map(Self::Bert),
            "distilbert" => DistilBertConfig::from_json(json).map(Self::DistilBert),
            other => Err(Error::unsupported(format!(
                "{FILE}: model_type is '{other}', expected 'bert' or 'distilbert'"
            ))),
        }
    }

    /// `d`, the values of one hidden state.
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
            Self::DistilBert(config) => config.dim,
        }
    }

    /// The longest sequence in tokens.
    pub fn max_positions(&self) -> usize {
        match self {
            Self::Bert(config) => config.max_position_embeddings,
            Self::DistilBert(config) => config.max_position_embeddings,
        }
    }

    /// What checkpoints may put before tensor names: a model with a head keeps its encoder in a field.
    pub fn prefixes(&self) -> &'static [&'static str] {
        match self {
            Self::Bert(_) => &["", "bert."],
            Self::DistilBert(_) => &["", "distilbert."],
        }
    }
}

/// An encoder of token sequences.
pub enum SentenceEncoder {
    /// BERT.
    Bert(Bert),
    /// DistilBERT.
    DistilBert(DistilBert),
}

impl SentenceEncoder {
    /// Takes the encoder's tensors.
    pub fn new(config: &SentenceEncoderConfig, tensors: &mut Tensors) -> Result<Self> {
        Ok(match config {
            SentenceEncoderConfig::Bert(config) => Self::Bert(Bert::new(config, tensors)?),
            SentenceEncoderConfig::DistilBert(config) => {
                Self::DistilBert(DistilBert::new(config, tensors)?)
            }
        })
    }

    /// The last hidden states of sequences that lie one after the other.
    ///
    /// `on_layer` is called with what goes into the first layer and with what comes out of each.
    /// *Shapes*: `sequences`: token ids of each text, `t` in all, result `[t, d]` and where each text lies in it.
    /// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary; `Aborted`.
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        on_layer: &mut OnLayer<'_>,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        match self {
            Self::Bert(model) => model.forward(sequences, on_layer, scheduler).await,
            Self::DistilBert(model) => model.forward(sequences, on_layer, scheduler).await,
        }
    }
}
