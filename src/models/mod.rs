//! The models, each a file that reads top to bottom like the figure in its paper.

mod bert;
mod clip;
mod config;
mod digits;
mod judge;

pub use bert::{Bert, BertConfig};
pub use clip::{ClipConfig, ClipText, ClipVision};
pub use digits::{CLASSES, DigitUNet, EDGE};
pub use judge::DigitJudge;
