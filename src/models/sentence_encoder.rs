//! The encoders that a `TextEmbedder` can use, chosen by the `model_type` of their `config.json`.

use burn::tensor::Tensor;

use super::bert::Bert;
use super::config::{self, FILE};
use super::decoder::Decoder;
use super::distilbert::DistilBert;
use super::jina_bert::JinaBert;
use super::modernbert::ModernBert;
use super::mpnet::MpNet;
use super::nomic_bert::NomicBert;
use super::roberta::Roberta;
use super::static_embedding::{StaticEmbedding, StaticEmbeddingConfig};
use crate::error::{Error, Result};
use crate::ops::Spans;
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// An encoder of token sequences.
pub trait Encoder: Sized {
    /// The contents of `config.json`.
    type Config;

    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    fn config(json: &[u8]) -> Result<Self::Config>;

    /// `[d, positions]`: the values of one hidden state, 0 where only the tensors tell, and the longest sequence in tokens.
    fn sizes(config: &Self::Config) -> [usize; 2];

    /// The number of layers, which a caller may lower to have only the first ones.
    fn layers(config: &mut Self::Config) -> &mut usize;

    /// The prefixes that tensor names may have in a checkpoint: a model with a head keeps its encoder in a field.
    const PREFIXES: &'static [&'static str];

    /// The name that a GGUF file has for a tensor; `None` where no name is known.
    fn gguf_name(_name: &str) -> Option<String> {
        None
    }

    /// Takes the encoder's tensors; those of a checkpoint's heads are not needed.
    fn new(config: &Self::Config, tensors: &mut Tensors) -> Result<Self>;

    /// Computes the hidden states of several sequences after the first `layers` layers. With 0 these are the input of the first
    /// layer, with the number of layers or more the last hidden states.
    ///
    /// *Shapes*: `sequences`: token ids of each text, `t` in all, result `[t, d]` and the rows of each text in it.
    /// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary; `Aborted`.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)>;

    /// Computes hidden states as [`forward`](Self::forward) does, of pairs of texts: the tokens of each sequence from the number in `firsts` on
    /// are those of the second text. Encoders that were not trained to distinguish them ignore `firsts`.
    async fn forward_pairs(
        &self,
        sequences: &[&[u32]],
        _firsts: &[usize],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        self.forward(sequences, layers, scheduler).await
    }
}

/// Defines the enums of all encoders and of their configs, and dispatches each call to the encoder in use.
macro_rules! encoders {
    ($($($model_type:literal)|+ => $encoder:ident,)*) => {
        /// The config of an encoder of any architecture.
        #[derive(Debug)]
        pub enum SentenceEncoderConfig {
            $(#[doc = concat!("`model_type`:" $(, " ", $model_type)+)]
            $encoder(<$encoder as Encoder>::Config),)*
        }

        impl SentenceEncoderConfig {
            /// Reads and checks the config of whichever encoder it names.
            ///
            /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
            pub fn from_json(json: &[u8]) -> Result<Self> {
                match config::architecture(json)?.as_str() {
                    $($($model_type)|+ => $encoder::config(json).map(Self::$encoder),)*
                    other => Err(Error::unsupported(format!(
                        "{FILE}: model_type is '{other}', expected one of {}",
                        [$($($model_type),+),*].join(", ")
                    ))),
                }
            }

            /// `[d, positions]`: the values of one hidden state, 0 where only the tensors tell, and the longest sequence in tokens.
            pub fn sizes(&self) -> [usize; 2] {
                match self {
                    $(Self::$encoder(config) => $encoder::sizes(config),)*
                }
            }

            /// The number of layers, which a caller may lower to have only the first ones.
            pub fn layers(&mut self) -> &mut usize {
                match self {
                    $(Self::$encoder(config) => $encoder::layers(config),)*
                }
            }

            /// The prefixes that tensor names may have in a checkpoint.
            pub fn prefixes(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$encoder(_) => $encoder::PREFIXES,)*
                }
            }
        }

        impl SentenceEncoderConfig {
            /// The function that returns the name of a tensor in a GGUF file.
            pub fn gguf_name(&self) -> fn(&str) -> Option<String> {
                match self {
                    $(Self::$encoder(_) => $encoder::gguf_name,)*
                }
            }
        }

        /// An encoder of any architecture.
        pub enum SentenceEncoder {
            $(#[doc = concat!("`model_type`:" $(, " ", $model_type)+)]
            $encoder($encoder),)*
        }

        impl SentenceEncoder {
            /// Takes the encoder's tensors.
            pub fn new(config: &SentenceEncoderConfig, tensors: &mut Tensors) -> Result<Self> {
                match config {
                    $(SentenceEncoderConfig::$encoder(config) => {
                        $encoder::new(config, tensors).map(Self::$encoder)
                    })*
                }
            }

            /// Computes hidden states, as [`Encoder::forward`] does.
            pub async fn forward(
                &self,
                sequences: &[&[u32]],
                layers: usize,
                scheduler: &dyn Scheduler,
            ) -> Result<(Tensor<2>, Spans)> {
                match self {
                    $(Self::$encoder(encoder) => encoder.forward(sequences, layers, scheduler).await,)*
                }
            }

            /// Computes the last hidden states of pairs of texts, as [`Encoder::forward_pairs`] does.
            pub async fn forward_pairs(
                &self,
                sequences: &[&[u32]],
                firsts: &[usize],
                scheduler: &dyn Scheduler,
            ) -> Result<(Tensor<2>, Spans)> {
                let layers = usize::MAX;
                match self {
                    $(Self::$encoder(encoder) => {
                        encoder.forward_pairs(sequences, firsts, layers, scheduler).await
                    })*
                }
            }
        }
    };
}

impl SentenceEncoderConfig {
    /// The number that the norms of ModernBERT add to the variance, which its classifiers have too.
    pub(super) fn epsilon(&self) -> f32 {
        match self {
            Self::ModernBert(config) => config.norm_eps,
            _ => 1e-5,
        }
    }

    /// Returns the prefixes of the names of architectures that have this encoder and a head.
    pub(super) fn heads(&self) -> &'static [&'static str] {
        match self {
            Self::Bert(_) => &["Bert"],
            Self::DistilBert(_) => &["DistilBert"],
            Self::JinaBert(_) => &["JinaBert", "Bert"],
            Self::ModernBert(_) => &["ModernBert"],
            Self::MpNet(_) => &["MPNet"],
            Self::NomicBert(_) => &["NomicBert"],
            Self::Roberta(_) => &["Roberta", "XLMRoberta", "Camembert"],
            Self::Decoder(_) | Self::StaticEmbedding(_) => &[],
        }
    }

    /// Whether the encoder is a decoder, which is a sentence encoder only if it was trained as one.
    pub fn is_decoder(&self) -> bool {
        matches!(self, Self::Decoder(_))
    }

    /// The config of a static embedding; `None` for another encoder.
    pub fn as_static(&self) -> Option<&StaticEmbeddingConfig> {
        match self {
            Self::StaticEmbedding(config) => Some(config),
            _ => None,
        }
    }
}

impl SentenceEncoder {
    /// The encoder if it is a static embedding, whose vectors are computed without hidden states.
    pub fn as_static(&self) -> Option<&StaticEmbedding> {
        match self {
            Self::StaticEmbedding(encoder) => Some(encoder),
            _ => None,
        }
    }
}

// A new architecture is one line here, so that no dispatch can be forgotten.
encoders! {
    "bert" => Bert,
    "distilbert" => DistilBert,
    "llama" | "qwen2" | "qwen3" => Decoder,
    "bert with alibi" => JinaBert,
    "camembert" | "roberta" | "xlm-roberta" => Roberta,
    "modernbert" => ModernBert,
    "model2vec" | "static embedding" => StaticEmbedding,
    "mpnet" => MpNet,
    "nomic_bert" => NomicBert,
}
