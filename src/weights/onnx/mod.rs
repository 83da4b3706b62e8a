//! ONNX models as a source of weights: the initializers are read, and no graph is run.
//!
//! An ONNX file describes each tensor right before its values, so the descriptions are found by jumping over the values. They and
//! the names in the graph are turned into a [`Table`] of tensors with their places in the file, which is the header that the loader keeps
//! and resumes from.
//!
//! *Source*: ONNX, `onnx/onnx.proto`, for the numbers of fields and types; onnxruntime, `docs/ContribOperators.md`, for its own operations.

mod external;
mod graph;
mod names;
mod ops;
mod protobuf;
mod quantized;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use super::header::{Entry, named};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Fetch;
use graph::Graph;
use protobuf::{Value, Walker, at};
pub(super) use table::parse;
use table::{TABLE, Table};

/// Placeholders for the dtype of a tensor whose values are in a file that is not read, not in one piece, or quantized in a way that is not
/// supported.
const EXTERNAL: &str = "external data";
const SCATTERED: &str = "values in a field other than raw_data";
const UNREADABLE: &str = "numbers of another kind";

/// The placeholder for the dtype of a quantized tensor whose scales or zero points are not kept.
const UNSCALED: &str = "numbers without scales";

/// Whether a file is an ONNX file by its name: its bytes have no mark.
pub(crate) fn is_onnx(file: &str) -> bool {
    file.to_ascii_lowercase().ends_with(".onnx")
}

/// Whether a header was made of an ONNX file.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    bytes.starts_with(TABLE)
}

/// Reads the descriptions of the tensors, and makes the header of them. `first`: the first bytes of the file.
///
/// *Errors*: `InvalidWeights` for a file that is no ONNX file; `InvalidInput` for a stream.
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
    table.to_bytes(file)
}

/// Describes a file whose first bytes show that it is no ONNX file.
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
    while let Some(field) = graph::next(&mut walker, size, "the model").await? {
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
    if graph.tensors.is_empty() {
        return Err(Error::invalid_weights(
            "graph.initializer is empty: the model has no weights",
        ));
    }
    graph.into_table(size, front)
}

/// Checks that the values of a tensor that a model needs can be read.
///
/// *Errors*: `UnsupportedModel` for values in several other files, in several pieces, or of another quantization.
pub(super) fn check_values(file: &str, entry: &Entry) -> Result<()> {
    let name = &entry.name;
    let what = match entry.dtype.as_str() {
        EXTERNAL => "its values in another file than other tensors, expected them in one",
        SCATTERED => "its values in a list of numbers, expected them in raw_data",
        UNSCALED => {
            "its scales or zero points in another file, or more of them than are kept, 32 MB for all tensors, expected them beside the graph"
        }
        UNREADABLE => {
            "quantized numbers of another kind, expected bytes with a scale for the tensor or for each column, or 4 bits in whole groups of 32 to 256"
        }
        _ => return Ok(()),
    };
    let error = Error::unsupported(format!("{file}: tensor '{name}' has {what}"));
    Err(error.with_file(file).with_tensor(name))
}

/// The path of the file that has the values of the ONNX file `file` with this header; `None` where the file has them itself.
///
/// *Errors*: as [`parse`].
pub(crate) fn data_file(file: &str, header: &[u8]) -> Result<Option<String>> {
    match is_table(header) {
        true => Ok(parse(file, header)?.data_file),
        false => Ok(None),
    }
}
