//! What a user asks for.

#[cfg(test)]
mod digit_goldens;
mod embed;
mod generate;
mod judge;
mod load;
mod network;
mod plan;
mod pooling;
mod search;

pub use embed::{EmbedOptions, Embeddings, Precision, TextEmbedder, Values};
pub use generate::{DigitGenerator, GenerateOptions, OnStep, Sketch, Start};
pub use judge::DigitJudge;
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadProgress, LoadStatus, Source};
pub use plan::{LoadPlan, PlannedFile};
pub use pooling::Pooling;
pub use search::{
    Filter, Hit, Id, IndexOptions, IndexPrecision, IndexSnapshot, SavedIndex, SearchOptions, Tags,
    VectorIndex, Vectors,
};
