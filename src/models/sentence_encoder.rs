//! The encoders that a `TextEmbedder` can use, chosen by the `model_type` of their `config.json`.

use burn::tensor::Tensor;

use super::bert::Bert;
use super::config::{self, FILE};
use super::distilbert::DistilBert;
use crate::error::{Error, Result};
use crate::ops::Spans;
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// A callback that receives hidden states, `[t, d]`.
pub type OnLayer<'a> = dyn FnMut(&Tensor<2>) + 'a;

/// An encoder of token sequences.
pub trait Encoder: Sized {
    /// The contents of `config.json`.
    type Config;

    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    fn config(json: &[u8]) -> Result<Self::Config>;

    /// `[d, positions]`: the values of one hidden state, and the longest sequence in tokens.
    fn sizes(config: &Self::Config) -> [usize; 2];

    /// The prefixes that tensor names may have in a checkpoint: a model with a head keeps its encoder in a field.
    const PREFIXES: &'static [&'static str];

    /// Takes the encoder's tensors; those of a checkpoint's heads are not needed.
    fn new(config: &Self::Config, tensors: &mut Tensors) -> Result<Self>;

    /// Computes the last hidden states of several sequences, one after the other.
    ///
    /// `on_layer` is called with the input of the first layer, and with the output of each layer.
    /// *Shapes*: `sequences`: token ids of each text, `t` in all, result `[t, d]` and the rows of each text in it.
    /// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary; `Aborted`.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        on_layer: &mut OnLayer<'_>,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)>;
}

/// Defines the enums of all encoders and of their configs, and dispatches each call to the encoder in use.
macro_rules! encoders {
    ($($model_type:literal => $encoder:ident,)*) => {
        /// The config of an encoder of any architecture.
        pub enum SentenceEncoderConfig {
            $(#[doc = concat!("`model_type: \"", $model_type, "\"`")]
            $encoder(<$encoder as Encoder>::Config),)*
        }

        impl SentenceEncoderConfig {
            /// Reads and checks the config of whichever encoder it names.
            ///
            /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
            pub fn from_json(json: &[u8]) -> Result<Self> {
                match config::model_type(json)?.as_str() {
                    $($model_type => $encoder::config(json).map(Self::$encoder),)*
                    other => Err(Error::unsupported(format!(
                        "{FILE}: model_type is '{other}', expected one of {}",
                        [$($model_type),*].join(", ")
                    ))),
                }
            }

            /// `[d, positions]`: the values of one hidden state, and the longest sequence in tokens.
            pub fn sizes(&self) -> [usize; 2] {
                match self {
                    $(Self::$encoder(config) => $encoder::sizes(config),)*
                }
            }

            /// The prefixes that tensor names may have in a checkpoint.
            pub fn prefixes(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$encoder(_) => $encoder::PREFIXES,)*
                }
            }
        }

        /// An encoder of any architecture.
        pub enum SentenceEncoder {
            $(#[doc = concat!("`model_type: \"", $model_type, "\"`")]
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

            /// Computes the last hidden states, as [`Encoder::forward`] does.
            pub async fn forward(
                &self,
                sequences: &[&[u32]],
                on_layer: &mut OnLayer<'_>,
                scheduler: &dyn Scheduler,
            ) -> Result<(Tensor<2>, Spans)> {
                match self {
                    $(Self::$encoder(encoder) => encoder.forward(sequences, on_layer, scheduler).await,)*
                }
            }
        }
    };
}

// A new architecture is one line here, so that no dispatch can be forgotten.
encoders! {
    "bert" => Bert,
    "distilbert" => DistilBert,
}
