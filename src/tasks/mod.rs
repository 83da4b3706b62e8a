//! What a user asks for.

mod embed;
mod pooling;

pub use embed::{
    EmbedOptions, Embeddings, LoadProgress, LoadStatus, Precision, Source, TextEmbedder, Values,
};
pub use pooling::Pooling;
