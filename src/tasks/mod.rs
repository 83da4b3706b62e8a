//! What a user asks for.

mod embed;
mod load;
mod plan;
mod pooling;

pub use embed::{EmbedOptions, Embeddings, Precision, TextEmbedder, Values};
#[cfg(target_arch = "wasm32")]
pub use load::STALL;
pub use load::{LoadProgress, LoadStatus, Source};
pub use plan::{LoadPlan, PlannedFile};
pub use pooling::Pooling;
