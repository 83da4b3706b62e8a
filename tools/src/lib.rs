//! Code that the small programs of the repository share with its tests.

mod data;
pub mod seeded_clip;

pub use data::data;
