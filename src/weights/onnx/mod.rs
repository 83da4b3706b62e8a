//! ONNX models as a source of weights: the initializers are read, and no graph is run.
//!
//! An ONNX file describes each tensor right before its values, so the descriptions are found by jumping over the values. What they say, with
//! the names that the graph tells, is kept as a [`Table`] of tensors with their places in the file, which is the header that the loader keeps
//! and resumes from.
//!
//! *Source*: ONNX, `onnx/onnx.proto`, for the numbers of fields and types.

mod names;
mod protobuf;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::header::{Entry, FileFormat, Header, named};
use super::safetensors::element_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Fetch;
use names::{Node, Op};
use protobuf::{Field, Value, Walker, at};

/// The first bytes of a header that was made of an ONNX file; no file begins with them.
const TABLE: &[u8; 8] = b"ONNX\0\0\0\0";

/// The longest name of a node or tensor, in bytes.
const MAX_NAME: u64 = 4096;

/// The most bytes of names that are kept. A model of 100 layers has about 500 KB.
const MAX_NAMES: usize = 16 << 20;

/// The most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// What stands for the dtype of a tensor whose values are in another file, or not in one piece.
const EXTERNAL: &str = "external data";
const SCATTERED: &str = "values in a field other than raw_data";

/// Operations of models whose weights are quantized.
const QUANTIZED: [&str; 6] = [
    "MatMulInteger",
    "DynamicQuantizeLinear",
    "DequantizeLinear",
    "QLinearMatMul",
    "MatMulNBits",
    "DynamicQuantizeMatMul",
];

/// Whether a file is an ONNX file by its name: its bytes have no mark.
pub(super) fn is_onnx(file: &str) -> bool {
    file.to_ascii_lowercase().ends_with(".onnx")
}

/// Whether a header was made of an ONNX file.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    bytes.starts_with(TABLE)
}

/// The tensors of a file.
#[derive(Deserialize, Serialize)]
struct Table {
    /// Bytes of the file.
    size: u64,
    /// Bytes at the start of the file that were read to make the table.
    front: u64,
    /// The tensors in the order of their bytes.
    tensors: Vec<Tensor>,
}

/// A tensor of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    /// The shape in PyTorch.
    shape: Vec<u64>,
    /// The bytes of the tensor in the file.
    range: Range<u64>,
    /// Whether the columns come one after the other in the file, not the rows.
    transposed: bool,
}

/// Reads the descriptions of the tensors, and makes the header of them. `first`: the first bytes of the file.
///
/// *Errors*: `InvalidWeights` for what is no ONNX file; `UnsupportedModel` for a quantized one; `InvalidInput` for a stream.
pub(super) async fn read(file: &str, fetch: &mut Fetch<'_>, first: &[u8]) -> Result<Vec<u8>> {
    let table = match not_onnx(first) {
        Some(what) => Err(Error::invalid_weights(format!(
            "{what}, expected an ONNX file"
        ))),
        None => read_table(fetch, first.len() as u64).await,
    };
    let table = table.map_err(|error| match error.kind() {
        ErrorKind::InvalidWeights | ErrorKind::UnsupportedModel => {
            at(&format!("{file}:"), error).with_file(file)
        }
        _ => named(file, error),
    })?;
    let mut bytes = TABLE.to_vec();
    serde_json::to_writer(&mut bytes, &table)
        .map_err(|error| Error::internal(format!("{file}: its table: {error}")))?;
    Ok(bytes)
}

/// Says what a file is that is no ONNX file by its first bytes.
fn not_onnx(first: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], _); 5] = [
        (
            b"version ",
            "is a pointer of Git LFS instead of the file, which 'git lfs pull' fetches",
        ),
        (b"PK\x03\x04", "is a zip archive"),
        (b"GGUF", "is a GGUF file"),
        (b"<", "is a web page or XML"),
        (b"{", "is JSON"),
    ];
    let found = starts.iter().find(|(start, _)| first.starts_with(start));
    found.map(|(_, what)| *what)
}

async fn read_table(fetch: &mut Fetch<'_>, front: u64) -> Result<Table> {
    let size = fetch.size().ok_or_else(|| {
        Error::fetch_failed(
            "the host does not say how long the file is, and an ONNX file is read from several places",
        )
    })?;
    let mut walker = Walker::new(fetch, size);
    let mut graph = Graph::default();
    let mut is_model = false;
    while let Some(field) = next(&mut walker, size, "the model").await? {
        if let Value::Bytes(range) = field.value {
            if field.number == 7 {
                is_model = true;
                graph.read(&mut walker, &range).await?;
            }
            walker.skip_to(range.end);
        }
    }
    if !is_model {
        return Err(Error::invalid_weights(
            "has no graph (field 7 of the model), as an ONNX file does",
        ));
    }
    if let Some(op) = graph.quantized {
        return Err(Error::unsupported(format!(
            "is a quantized model (its graph has {op} nodes), expected one in float32 or float16, such as 'onnx/model.onnx' or 'onnx/model_fp16.onnx'"
        )));
    }
    let mut tensors = graph.tensors;
    if tensors.is_empty() {
        return Err(Error::invalid_weights(
            "graph.initializer is empty: the model has no weights",
        ));
    }
    names::restore(&mut tensors, &graph.nodes);
    tensors.sort_by(|a, b| {
        let key = |tensor: &Tensor| (tensor.range.start, tensor.range.end);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    Ok(Table {
        size,
        front,
        tensors,
    })
}

async fn next(walker: &mut Walker<'_, '_>, end: u64, place: &str) -> Result<Option<Field>> {
    let field = walker.field(end).await;
    field.map_err(|error| at(place, error))
}

/// What is kept of a graph while it is read.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    names: HashSet<String>,
    /// An operation on quantized weights.
    quantized: Option<&'static str>,
    /// Bytes of the names that are kept.
    kept: usize,
    /// The number of nodes so far.
    count: usize,
}

impl Graph {
    /// Reads the nodes and the descriptions of the tensors.
    async fn read(&mut self, walker: &mut Walker<'_, '_>, graph: &Range<u64>) -> Result<()> {
        while let Some(field) = next(walker, graph.end, "graph").await? {
            let Value::Bytes(range) = field.value else {
                continue;
            };
            match field.number {
                1 => {
                    let read = self.node(walker, &range).await;
                    read.map_err(|error| at(&format!("graph.node[{}]", self.count), error))?;
                    self.count += 1;
                }
                5 => {
                    let index = self.tensors.len();
                    let read = self.initializer(walker, &range).await;
                    read.map_err(|error| at(&format!("graph.initializer[{index}]"), error))?;
                }
                _ => {}
            }
            walker.skip_to(range.end);
        }
        Ok(())
    }

    /// Reads a node, and keeps it where it tells names.
    async fn node(&mut self, walker: &mut Walker<'_, '_>, node: &Range<u64>) -> Result<()> {
        let (mut name, mut op) = (String::new(), String::new());
        let (mut inputs, mut output) = (Vec::new(), None);
        while let Some(field) = walker.field(node.end).await? {
            let Value::Bytes(range) = field.value else {
                continue;
            };
            match field.number {
                1 if inputs.len() < 2 => inputs.push(walker.text(&range, MAX_NAME).await?),
                2 if output.is_none() => output = Some(walker.text(&range, MAX_NAME).await?),
                3 => name = walker.text(&range, MAX_NAME).await?,
                4 => op = walker.text(&range, MAX_NAME).await?,
                _ => walker.skip_to(range.end),
            }
        }
        if let Some(op) = QUANTIZED.iter().find(|name| **name == op) {
            self.quantized = Some(op);
        }
        let Some(op) = Op::from_name(&op) else {
            return Ok(());
        };
        let mut inputs = inputs.into_iter();
        let inputs = [(); 2].map(|()| inputs.next().unwrap_or_default());
        let output = output.unwrap_or_default();
        self.keep([&name, &inputs[0], &inputs[1], &output])?;
        self.nodes.push(Node {
            op,
            name,
            inputs,
            output,
        });
        Ok(())
    }

    /// Reads the description of a tensor.
    async fn initializer(
        &mut self,
        walker: &mut Walker<'_, '_>,
        tensor: &Range<u64>,
    ) -> Result<()> {
        let (mut name, mut shape, mut kind) = (String::new(), Vec::new(), 0);
        let (mut raw, mut floats, mut is_external) = (None, None, false);
        while let Some(field) = walker.field(tensor.end).await? {
            match (field.number, field.value) {
                (1, Value::Number(dim)) => push_dim(&mut shape, dim)?,
                (1, Value::Bytes(range)) => {
                    while walker.position() < range.end {
                        push_dim(&mut shape, walker.number(range.end).await?)?;
                    }
                }
                (2, Value::Number(number)) => kind = number,
                // A list of float32 has the bytes of raw_data, where it is in one piece.
                (4, Value::Bytes(range)) => {
                    floats = match floats {
                        None => Some(Some(range.clone())),
                        Some(_) => Some(None),
                    };
                    walker.skip_to(range.end);
                }
                (8, Value::Bytes(range)) => name = walker.text(&range, MAX_NAME).await?,
                (9, Value::Bytes(range)) => {
                    walker.skip_to(range.end);
                    raw = Some(range);
                }
                (13, Value::Bytes(range)) => {
                    is_external = true;
                    walker.skip_to(range.end);
                }
                (14, Value::Number(location)) => is_external |= location == 1,
                (_, Value::Bytes(range)) => walker.skip_to(range.end),
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(Error::invalid_weights("has no name"));
        }
        if !self.names.insert(name.clone()) {
            return Err(Error::invalid_weights(format!(
                "has the name '{name}', which another one has"
            ))
            .with_tensor(&name));
        }
        self.keep([&name])?;
        let floats = floats.flatten().filter(|_| kind == 1);
        let (dtype, range) = match raw.or(floats) {
            _ if is_external => (EXTERNAL.into(), tensor.start..tensor.start),
            Some(range) => (dtype(kind), range),
            None if shape.contains(&0) => (dtype(kind), tensor.start..tensor.start),
            None => (SCATTERED.into(), tensor.start..tensor.start),
        };
        let tensor = Tensor {
            name,
            dtype,
            shape,
            range,
            transposed: false,
        };
        tensor.check()?;
        self.tensors.push(tensor);
        Ok(())
    }

    /// Counts the bytes of names that are kept.
    fn keep<'n>(&mut self, names: impl IntoIterator<Item = &'n String>) -> Result<()> {
        self.kept += names.into_iter().map(String::len).sum::<usize>();
        match self.kept <= MAX_NAMES {
            true => Ok(()),
            false => Err(Error::unsupported(format!(
                "has a name after which all names have more than {MAX_NAMES} bytes"
            ))),
        }
    }
}

fn push_dim(shape: &mut Vec<u64>, dim: u64) -> Result<()> {
    if shape.len() == MAX_DIMS {
        return Err(Error::unsupported(format!(
            "has more than {MAX_DIMS} dimensions"
        )));
    }
    shape.push(dim);
    Ok(())
}

/// The name in safetensors of a type of elements.
fn dtype(kind: u64) -> String {
    let name = match kind {
        1 => "F32",
        2 => "U8",
        3 => "I8",
        4 => "U16",
        5 => "I16",
        6 => "I32",
        7 => "I64",
        9 => "BOOL",
        10 => "F16",
        11 => "F64",
        12 => "U32",
        13 => "U64",
        16 => "BF16",
        _ => return format!("type {kind} of ONNX"),
    };
    name.into()
}

impl Tensor {
    /// Checks that the tensor has the bytes that its shape and dtype need.
    ///
    /// *Errors*: `InvalidWeights`.
    fn check(&self) -> Result<()> {
        let elements = self
            .shape
            .iter()
            .try_fold(1u64, |n, dim| n.checked_mul(*dim));
        let bytes = self.range.end.saturating_sub(self.range.start);
        let name = &self.name;
        let wrong = match (element_bytes(&self.dtype), elements) {
            (_, None) => format!("tensor '{name}' has the impossible shape {:?}", self.shape),
            (Some(width), Some(elements)) if elements.checked_mul(width) != Some(bytes) => format!(
                "tensor '{name}' has {bytes} bytes, expected {elements} values of {}",
                self.dtype
            ),
            _ => return Ok(()),
        };
        Err(Error::invalid_weights(wrong).with_tensor(name))
    }
}

/// Checks that the values of a tensor that a model needs can be read.
///
/// *Errors*: `UnsupportedModel` for values in another file, or in several pieces.
pub(super) fn check_values(file: &str, entry: &Entry) -> Result<()> {
    let name = &entry.name;
    let what = match entry.dtype.as_str() {
        EXTERNAL => "its values in another file (external data), expected them in this one",
        SCATTERED => "its values in a list of numbers, expected them in raw_data",
        _ => return Ok(()),
    };
    let error = Error::unsupported(format!("{file}: tensor '{name}' has {what}"));
    Err(error.with_file(file).with_tensor(name))
}

/// Parses a header that [`read`] made.
///
/// *Errors*: `InvalidWeights` for one that was damaged in the store.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Header> {
    let damaged = |what: &dyn std::fmt::Display| {
        Error::invalid_weights(format!(
            "{file}: the table of its tensors is not valid: {what}"
        ))
    };
    let json = bytes.strip_prefix(TABLE).unwrap_or_default();
    let table: Table = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    let (mut entries, mut before) = (Vec::with_capacity(table.tensors.len()), 0);
    for tensor in table.tensors {
        tensor.check().map_err(|error| damaged(&error))?;
        let range = &tensor.range;
        let inside = before <= range.start && range.start <= range.end && range.end <= table.size;
        if !inside || (tensor.transposed && tensor.shape.len() != 2) {
            return Err(damaged(&format!("the place of tensor '{}'", tensor.name)));
        }
        before = range.start;
        entries.push(Entry {
            name: tensor.name,
            dtype: tensor.dtype,
            shape: tensor.shape.into_iter().map(|dim| dim as usize).collect(),
            range: tensor.range,
            interleaved_heads: None,
            transposed: tensor.transposed,
            member: None,
        });
    }
    if table.front > table.size {
        return Err(damaged(&"its front"));
    }
    Ok(Header {
        entries,
        format: FileFormat::Onnx,
        front: table.front,
        end: table.size,
        ..Header::default()
    })
}
