//! The table of a file's tensors, which is the header that is kept of an ONNX file.

use std::ops::Range;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::weights::header::{Entry, FileFormat, Header};
use crate::weights::safetensors::element_bytes;
use crate::weights::stored_rows::{self, Columns, Held, Quantized, Stored};

/// The first bytes of a header that was made of an ONNX file; no file begins with them. The length of the table follows, the table, and
/// values that are kept with it.
pub(super) const TABLE: &[u8; 8] = b"ONNX\0\0\0\0";

/// The tensors of a file.
#[derive(Deserialize, Serialize)]
pub(super) struct Table {
    /// Bytes of the file, or of the file with the values up to the last one.
    pub size: u64,
    /// Bytes at the start of the file that were read to make the table.
    pub front: u64,
    /// The file that has the values, from the folder of this one on, where that is another file.
    pub location: Option<String>,
    /// The tensors in the order of their bytes.
    pub tensors: Vec<Tensor>,
    /// Scales, zero points and short tensors.
    #[serde(skip)]
    pub held: Vec<u8>,
}

/// A tensor of a file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Tensor {
    pub name: String,
    pub dtype: String,
    /// The shape in PyTorch.
    pub shape: Vec<u64>,
    /// The bytes of the tensor in the file.
    pub range: Range<u64>,
    /// The first value of each column that is the tensor's, and the number of values in each, where the columns come one after the other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub columns: Option<(u64, u64)>,
    /// The numbers that stand for the values.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub numbers: Option<Numbers>,
    /// The place of the values among those that are kept with the table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<Range<u64>>,
    /// The number of the type of its elements in ONNX.
    #[serde(skip)]
    pub kind: u64,
    /// Whether another file has the values.
    #[serde(skip)]
    pub is_external: bool,
}

/// The numbers of a quantized tensor.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Numbers {
    pub kind: Kind,
    /// The places of scales and zero points among the values that are kept with the table.
    pub scales: Range<u64>,
    pub zeros: Range<u64>,
}

/// The kind of the numbers of a quantized tensor.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum Kind {
    I8,
    U8,
    /// 4 bits, and the number of values that have a scale in common.
    U4(u64),
}

impl Table {
    pub fn new(size: u64, front: u64, tensors: Vec<Tensor>, held: Vec<u8>) -> Self {
        Self {
            size,
            front,
            location: None,
            tensors,
            held,
        }
    }

    /// The header.
    pub fn to_bytes(&self, file: &str) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self);
        let json = json.map_err(|error| Error::internal(format!("{file}: its table: {error}")))?;
        let length = (json.len() as u64).to_le_bytes();
        Ok([TABLE, &length, &json[..], &self.held].concat())
    }
}

impl Tensor {
    pub fn new(name: String, dtype: String, shape: Vec<u64>, range: Range<u64>) -> Self {
        Self {
            name,
            dtype,
            shape,
            range,
            ..Self::default()
        }
    }

    /// The number of values, where it can be counted.
    fn elements(&self) -> Option<u64> {
        let mut dims = self.shape.iter();
        dims.try_fold(1u64, |n, dim| n.checked_mul(*dim))
    }

    /// Checks that the tensor has the bytes that its shape and dtype need.
    ///
    /// *Errors*: `InvalidWeights`.
    pub fn check(&self) -> Result<()> {
        let range = self.held.as_ref().unwrap_or(&self.range);
        let bytes = range.end.saturating_sub(range.start);
        let name = &self.name;
        let Some(elements) = self.elements() else {
            let wrong = format!("tensor '{name}' has the impossible shape {:?}", self.shape);
            return Err(Error::invalid_weights(wrong).with_tensor(name));
        };
        let stored = match (self.columns, self.shape.as_slice()) {
            (None, _) => Some(elements),
            (Some((first, of)), [n, k]) if first.checked_add(*n).is_some_and(|end| end <= of) => {
                of.checked_mul(*k)
            }
            _ => None,
        };
        let needed = match (&self.numbers, element_bytes(&self.dtype)) {
            (None, None) => return Ok(()),
            (None, Some(width)) => stored.and_then(|stored| stored.checked_mul(width)),
            (Some(numbers), _) => stored.and_then(|stored| numbers.bytes(stored, &self.shape)),
        };
        match needed {
            Some(needed) if needed == bytes => Ok(()),
            _ => {
                let dtype = &self.dtype;
                let wrong = format!(
                    "tensor '{name}' has {bytes} bytes, expected {elements} values of {dtype}"
                );
                Err(Error::invalid_weights(wrong).with_tensor(name))
            }
        }
    }

    /// Returns the form in which the file has the tensor: `Some(None)` for a list of rows, `None` if its values are not among the kept bytes.
    fn stored(&self, kept: &Rc<[u8]>) -> Option<Option<Box<Stored>>> {
        if self.columns.is_none() && self.numbers.is_none() && self.held.is_none() {
            return Some(None);
        }
        let held = |range: &Range<u64>| Held::new(kept, range.clone());
        let quantized = match &self.numbers {
            None => None,
            Some(numbers) => Some(Quantized {
                numbers: match numbers.kind {
                    Kind::I8 => stored_rows::Numbers::I8,
                    Kind::U8 => stored_rows::Numbers::U8,
                    Kind::U4(group) => stored_rows::Numbers::U4 {
                        group: group as usize,
                    },
                },
                scales: held(&numbers.scales)?,
                zeros: held(&numbers.zeros)?,
            }),
        };
        let columns = self.columns.map(|(first, of)| Columns {
            first: first as usize,
            of: of as usize,
        });
        let own = match &self.held {
            None => None,
            Some(range) => Some(held(range)?),
        };
        Some(Some(Box::new(Stored {
            columns,
            quantized,
            held: own,
        })))
    }
}

impl Numbers {
    /// Returns the bytes of `stored` numbers; `None` if scales and zero points are not as many as a tensor of this shape needs.
    fn bytes(&self, stored: u64, shape: &[u64]) -> Option<u64> {
        let bytes = |range: &Range<u64>| range.end.saturating_sub(range.start);
        let (scales, zeros) = (bytes(&self.scales), bytes(&self.zeros));
        let rows = shape.first().copied().unwrap_or(1);
        let has_all = |needed: u64, pairs: u64| {
            Some(scales) == needed.checked_mul(4) && (zeros == 0 || zeros == pairs)
        };
        match self.kind {
            Kind::I8 | Kind::U8 => (has_all(1, 1) || has_all(rows, rows)).then_some(stored),
            Kind::U4(group) => {
                let [rows, length] = *<&[u64; 2]>::try_from(shape).ok()?;
                let groups = length.checked_div(group)?;
                let is_whole = matches!(group, 32 | 64 | 128 | 256) && groups * group == length;
                let pairs = rows.checked_mul(groups.div_ceil(2))?;
                (is_whole && has_all(rows.checked_mul(groups)?, pairs)).then_some(stored / 2)
            }
        }
    }
}

/// Parses a header that [`read`](super::read) made.
///
/// *Errors*: `InvalidWeights` for one that was damaged in the store.
pub(in crate::weights) fn parse(file: &str, bytes: &[u8]) -> Result<Header> {
    let damaged = |what: &dyn std::fmt::Display| {
        Error::invalid_weights(format!(
            "{file}: the table of its tensors is not valid: {what}"
        ))
    };
    let parts = bytes.strip_prefix(TABLE).and_then(|bytes| {
        let (length, rest) = bytes.split_first_chunk()?;
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
    });
    let (json, kept) = parts.ok_or_else(|| damaged(&"its length"))?;
    let table: Table = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    let kept: Rc<[u8]> = kept.into();
    let (mut entries, mut before) = (Vec::with_capacity(table.tensors.len()), 0);
    for tensor in table.tensors {
        tensor.check().map_err(|error| damaged(&error))?;
        let range = &tensor.range;
        let inside = before <= range.start && range.start <= range.end && range.end <= table.size;
        let stored = tensor.stored(&kept).filter(|_| inside);
        let stored = stored.ok_or_else(|| damaged(&format!("the place of '{}'", tensor.name)))?;
        before = range.start;
        entries.push(Entry {
            name: tensor.name,
            dtype: tensor.dtype,
            shape: tensor.shape.into_iter().map(|dim| dim as usize).collect(),
            range: tensor.range,
            interleaved_heads: None,
            stored,
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
        data_file: table.location.map(|location| match file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{location}"),
            None => location,
        }),
        ..Header::default()
    })
}
