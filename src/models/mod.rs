//! The models, each a file that reads top to bottom like the figure in its paper.

mod bert;

pub use bert::{Bert, BertConfig};
