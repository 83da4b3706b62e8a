//! What a user asks for.

#[cfg(test)]
mod digit_goldens;
mod text_embedder;
mod embeddings;
mod digit_generator;
mod image_text_embedder;
mod digit_classifier;
mod load;
mod network;
mod plan;
mod pooling;

pub use text_embedder::{Embeddings, TextEmbedder};
pub use embeddings::{EmbedOptions, Precision, Values};
pub use digit_generator::{DigitGenerator, GenerateOptions, OnStep, Interpolation, Latent};
pub use image_text_embedder::{ImageTextEmbedder, LabelScore, Tower};
pub use digit_classifier::DigitClassifier;
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadProgress, LoadStatus, Source};
pub use plan::{LoadPlan, PlannedFile, plan_model};
pub use pooling::Pooling;
pub use search::{
    Filter, Hit, Id, IndexOptions, IndexPrecision, IndexSnapshot, SavedIndex, SearchOptions, Tags,
    VectorIndex, Vectors,
};
