//! Code that the small programs of the repository share with its tests.

mod data;
mod seeded;
pub mod seeded_clip;
pub mod seeded_qwen2;

pub use data::{data, first_field};
