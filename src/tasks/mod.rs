//! What a user asks for.

mod embed;
mod load;
mod pooling;

pub use embed::{EmbedOptions, Embeddings, Precision, TextEmbedder, Values};
pub use load::{LoadProgress, LoadStatus, Source};
pub use pooling::Pooling;
