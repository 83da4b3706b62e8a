//! The tensors of a model: safetensors, GGUF files, checkpoints of PyTorch and ONNX files are read as a stream, and each tensor is cast or
//! quantized in blocks of rows as it arrives.
//!
//! Two kinds of file are read. An *upstream checkpoint* has the tensors as they were trained, or as a GGUF file quantized them. A *packed
//! model* is a safetensors file, with the tensors in the layout that the kernels read; it is what the store keeps.

mod contents;
mod gguf;
mod header;
mod layout;
mod load;
mod onnx;
mod pytorch;
mod reader;
mod resume;
mod row_order;
mod safetensors;
mod sink;
mod small;
mod stored_rows;
mod stored_table;
mod table;
mod tensors;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(feature = "webgpu")]
mod zeros;

pub use crate::ops::Dtype;
pub use gguf::Gguf;
pub(crate) use header::{named, read_header};
pub use layout::PACK_VERSION;
pub use load::{Needs, Plan, check, load, plan};
pub(crate) use onnx::{data_file, is_onnx};
pub use resume::{Resume, ResumePoint};
pub use sink::Sink;
pub(crate) use small::SmallTensors;
pub use stored_table::StoredTable;
pub use table::Table;
pub use tensors::Tensors;
#[cfg(feature = "webgpu")]
pub(crate) use zeros::zeros;

/// The use of a tensor in its model, which decides how it is stored and kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The matrix `[n, k]` of a linear layer, packed in panels: in f32, or quantized per output channel. The inputs may have
    /// several dimensions.
    Panels,
    /// The matrix of a vocabulary head, whose rows may be looked up as well: like `Panels`, but int8 if the model is int4.
    Head,
    /// A table `[v, d]` whose rows are looked up, or a matrix that is unpacked to f32 before use: in f32, or in int8 per row.
    Rows,
    /// A small tensor, kept in f32 and in its own shape.
    Plain,
}

/// Whether a file must have a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Each file has it.
    Required,
    /// Each checkpoint has it. An ONNX file of a part of the model may lack it, and so may a file that was packed from that.
    InCheckpoint,
    /// The model does without it.
    Optional,
}

impl Presence {
    /// Whether a checkpoint may lack the tensor.
    pub fn is_optional(self) -> bool {
        self == Self::Optional
    }
}

/// The size of a dimension that only the file determines, in the shape of a [`Parameter`].
pub const ANY: usize = usize::MAX;

/// The dtypes of floats in a checkpoint.
pub const FLOATS: &[&str] = &["F32", "F16", "BF16", "F64"];
/// The dtypes of plain numbers in a checkpoint.
pub const NUMBERS: &[&str] = &["F32", "F16", "BF16", "F64", "I8"];
/// The dtypes of indices in a checkpoint.
pub const INDICES: &[&str] = &["I64", "I32"];

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in the upstream checkpoint, without a prefix.
    pub name: String,
    /// Another name that it may have there.
    pub alias: Option<&'static str>,
    /// The shape in the upstream checkpoint, with [`ANY`] for each size that only the file determines.
    pub shape: Vec<usize>,
    /// The use of the tensor, which decides how it is kept.
    pub role: Role,
    /// The name, without `.weight` and `.bias`, of the norm whose output a linear layer takes; smoothing reads that norm.
    pub preceding_norm: Option<String>,
    /// The dtypes that the tensor may have in a safetensors checkpoint.
    pub dtypes: &'static [&'static str],
    /// Whether the model does without the tensor where the file has none.
    pub presence: Presence,
    /// Whether its values stay in the store, from which rows are read when they are needed.
    pub in_store: bool,
}

impl Role {
    /// Whether the matrix is packed in panels.
    fn is_panels(self) -> bool {
        matches!(self, Self::Panels | Self::Head)
    }
}

impl Parameter {
    /// Makes a parameter from a name, a role and the upstream shape.
    pub fn new(name: impl Into<String>, role: Role, shape: &[usize]) -> Self {
        Self {
            name: name.into(),
            alias: None,
            shape: shape.to_vec(),
            role,
            preceding_norm: None,
            dtypes: FLOATS,
            presence: Presence::Required,
            in_store: false,
        }
    }

    /// The number of rows, and of values in each: a row of a linear layer has the weights of one output for all inputs, however
    /// many dimensions these have.
    fn matrix(&self) -> [usize; 2] {
        let count = self.shape.iter().product::<usize>();
        let row = match self.role {
            Role::Panels | Role::Head => self.shape.iter().skip(1).product(),
            Role::Rows | Role::Plain => self.shape.last().copied().unwrap_or(1),
        };
        [count.checked_div(row).unwrap_or(0), row]
    }
}
