//! What a user asks for.

#[cfg(test)]
mod digit_goldens;
mod embed;
mod embeddings;
mod generate;
mod image_text;
mod judge;
mod load;
mod network;
mod plan;
mod pooling;
mod search;

pub use embed::{Embeddings, TextEmbedder};
pub use embeddings::{EmbedOptions, Precision, Values};
pub use generate::{DigitGenerator, GenerateOptions, OnStep, Sketch, Start};
pub use image_text::{ImageTextEmbedder, LabelScore, Tower};
pub use judge::DigitJudge;
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadProgress, LoadStatus, Source};
pub use plan::{LoadPlan, PlannedFile, plan_any};
pub use pooling::Pooling;
pub use search::{
    Filter, Hit, Id, IndexOptions, IndexPrecision, IndexSnapshot, SavedIndex, SearchOptions, Tags,
    VectorIndex, Vectors,
};
