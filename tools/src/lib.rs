//! Code that the small programs of the repository share with its tests.

pub mod seeded_clip;
