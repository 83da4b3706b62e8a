//! Tensors: safetensors read as a stream, each tensor cast or quantized by blocks of rows as it arrives.
//!
//! Two kinds of file are read. An *upstream checkpoint* has the tensors as they were trained. A *packed model* is
//! safetensors too, with the tensors in the layout that the kernels read; it is what the store keeps.

mod contents;
mod layout;
mod load;
mod pack;
mod safetensors;
mod tensors;

pub use layout::PACK_VERSION;
pub use load::{Needs, Plan, Resume, ResumePoint, Sink, load, plan};
pub use pack::Dtype;
pub use tensors::Tensors;

/// What a tensor is to its model, which decides how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The matrix `[n, k]` of a linear layer, whose inputs may have several dimensions: packed in panels, f32 or int8 per
    /// output channel.
    Panels,
    /// A table `[v, d]` whose rows are looked up, or a matrix that is computed with in f32 however it is kept: f32 or int8 per row.
    Rows,
    /// Anything small: kept in f32 and in its own shape.
    Plain,
}

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The upstream checkpoint's name for it.
    pub name: String,
    /// The upstream shape.
    pub shape: Vec<usize>,
    /// How it is kept.
    pub role: Role,
    /// The norm that a linear layer's inputs come from, by the name without `.weight` and `.bias`; helps to quantize.
    pub preceding_norm: Option<String>,
}

impl Parameter {
    /// A tensor by name, role and upstream shape.
    pub fn new(name: impl Into<String>, role: Role, shape: &[usize]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            preceding_norm: None,
        }
    }

    /// Rows and values a row: an output of a linear layer takes all the inputs, however many dimensions they have.
    fn matrix(&self) -> [usize; 2] {
        let count = self.shape.iter().product::<usize>();
        let row = match self.role {
            Role::Panels => self.shape.iter().skip(1).product(),
            Role::Rows | Role::Plain => self.shape.last().copied().unwrap_or(1),
        };
        [count.checked_div(row).unwrap_or(0), row]
    }
}
