//! What a user asks for.

mod digit_classifier;
mod digit_generator;
#[cfg(test)]
mod digit_goldens;
mod embeddings;
mod image_text_embedder;
mod load;
mod network;
mod plan;
mod pooling;
mod text_embedder;

pub use digit_classifier::DigitClassifier;
pub use digit_generator::{DigitGenerator, GenerateOptions, Interpolation, Latent, OnStep};
pub use embeddings::{EmbedOptions, Precision, Values};
pub use image_text_embedder::{ImageTextEmbedder, LabelScore, Tower};
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadProgress, LoadStatus, Source};
pub use plan::{LoadPlan, PlannedFile, plan_model};
pub use pooling::Pooling;
pub use text_embedder::{Embeddings, TextEmbedder};
