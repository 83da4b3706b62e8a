//! The models, each a file that reads top to bottom like the figure in its paper.

mod bert;
mod clip;
mod clip_config;
mod config;
mod digits;
mod judge;

pub use bert::{Bert, BertConfig};
pub use clip::{ClipText, ClipVision};
pub use clip_config::ClipConfig;
pub use digits::{CLASSES, DigitUNet, EDGE};
pub use judge::DigitJudge;
