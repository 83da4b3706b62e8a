//! The tasks of the public API: embedding, classification and drawing digits.

mod clip_towers;
#[cfg(feature = "webgpu")]
mod comparison;
mod decoder;
mod digit_classifier;
mod digit_generator;
mod embeddings;
mod first_layers;
mod gguf;
#[cfg(test)]
mod goldens;
mod hidden_states;
mod image_text_embedder;
mod load;
mod model_type;
mod modules;
mod pooling;
mod prompts;
mod sentence_transformers;
mod sequence_classifier;
mod table_rows;
mod text_embedder;

pub use clip_towers::Tower;
pub use decoder::{Decoder, LikelihoodOptions, Likelihoods};
pub use digit_classifier::DigitClassifier;
pub use digit_generator::{DigitGenerator, GenerateOptions, Interpolation, Latent, OnStep};
pub use embeddings::{EmbedOptions, Embeddings, Precision, Values};
#[cfg(test)]
pub(crate) use gguf::tests::{smollm2, smollm2_tokenizer};
pub use hidden_states::HiddenStatesOptions;
pub use image_text_embedder::{ImageTextEmbedder, LabelScore};
#[cfg(feature = "webgpu")]
pub use load::OnTimed;
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadPlan, LoadProgress, LoadStatus, PlannedFile, Source, Weights};
pub use model_type::{ModelClass, plan_model, refresh_model};
pub use pooling::Pooling;
pub use sequence_classifier::{Classification, PairScore, SequenceClassifier};
pub use text_embedder::TextEmbedder;
