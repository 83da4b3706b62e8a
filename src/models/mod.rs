//! The models, each a file that reads top to bottom like the figure in its paper.

mod bert;
mod clip;
mod clip_config;
mod config;
mod digit_unet;
mod digit_classifier;

pub use bert::{Bert, BertConfig};
pub use clip::{ClipText, ClipVision};
pub use clip_config::ClipConfig;
pub use digit_unet::{CLASSES, DigitUNet, EDGE};
pub use digit_classifier::DigitClassifier;
