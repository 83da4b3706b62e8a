//! The models. Each is a file that reads from top to bottom like the figure in its paper.

mod bert;
mod clip;
mod clip_config;
mod config;
#[cfg(test)]
mod config_keys;
mod decoder;
mod decoder_config;
mod digit_classifier;
mod digit_unet;
mod distilbert;
mod encoder_layer;
pub(crate) mod gguf_names;
mod image_text;
mod jina_bert;
mod modernbert;
mod mpnet;
mod nomic_bert;
mod roberta;
mod sentence_encoder;
mod sequence_classifier;
mod sequence_classifier_config;
mod siglip;
mod static_embedding;

pub use decoder::Decoder;
pub use decoder_config::DecoderConfig;
pub use digit_classifier::DigitClassifier;
pub use digit_unet::{CLASSES, DigitUNet, EDGE};
pub use image_text::{ImageTextConfig, TextModel, VisionModel};
pub use sentence_encoder::{Encoder, SentenceEncoder, SentenceEncoderConfig};
pub use sequence_classifier::SequenceClassifier;
pub use sequence_classifier_config::{SequenceClassifierConfig, is_sequence_classifier};
pub use static_embedding::{STATIC_EMBEDDING, is_model2vec};
