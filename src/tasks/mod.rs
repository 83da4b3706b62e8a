//! What a user asks for.

mod embed;
mod load;
mod plan;
mod pooling;

pub use embed::{EmbedOptions, Embeddings, Precision, TextEmbedder, Values};
pub use load::{LoadProgress, LoadStatus, STALL, Source};
pub use plan::{LoadPlan, PlannedFile};
pub use pooling::Pooling;
