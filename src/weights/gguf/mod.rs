//! The header of a GGUF file: metadata by key, and the place of each tensor.
//!
//! *Source*: ggml, `docs/gguf.md`, and `ggml/src/gguf.cpp` for what the versions 2 and 3 of the format have in common.

mod value;
mod walk;

use std::collections::{HashMap, HashSet};

use pilotlight_kernels::blocks::Format;

use value::{Cursor, Texts, Value};
use walk::Walk;

use super::header::{Entry, FileFormat, Header, named};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{ByteStream, Fetch, MAX_FILE};

/// The longest header that is accepted, in bytes. One with a vocabulary of 256,000 tokens has 16 MB.
const MAX_HEADER: u64 = 64 << 20;

/// The most bytes that are allocated before they are read, so that memory grows with what has arrived.
const PIECE: usize = 1 << 20;

/// The most dimensions of a tensor.
const MAX_DIMS: u32 = 4;

/// The most tensors, and the most metadata keys, of a file.
const MAX_ENTRIES: u64 = 1 << 16;

/// The largest alignment of tensors that is accepted, in bytes.
const MAX_ALIGNMENT: u64 = 1 << 16;

/// The most rows of one attention head.
const MAX_HEAD: usize = 1024;

/// The names of tensor types, for those that are read and those that are only named in errors. *Source*: `ggml.h`, `enum ggml_type`.
#[rustfmt::skip]
const TYPES: [(u32, &str); 30] = [
    (0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (6, "Q5_0"), (7, "Q5_1"), (8, "Q8_0"), (10, "Q2_K"), (11, "Q3_K"),
    (12, "Q4_K"), (13, "Q5_K"), (14, "Q6_K"), (16, "IQ2_XXS"), (17, "IQ2_XS"), (18, "IQ3_XXS"), (19, "IQ1_S"), (20, "IQ4_NL"),
    (21, "IQ3_S"), (22, "IQ2_S"), (23, "IQ4_XS"), (24, "I8"), (25, "I16"), (26, "I32"), (27, "I64"), (28, "F64"), (29, "IQ1_M"),
    (30, "BF16"), (34, "TQ1_0"), (35, "TQ2_0"), (39, "MXFP4"),
];

/// Whether a file begins as a GGUF file does.
pub(super) fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GGUF")
}

/// Reads the rest of a header of which `bytes` has the first bytes, up to the first byte of the tensors.
///
/// *Errors*: `InvalidWeights` for an impossible length or a truncated file, `UnsupportedModel` for another version.
pub(super) async fn read_rest(
    file: &str,
    fetch: &mut Fetch<'_>,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    let mut walk = Walk::default();
    loop {
        let needed = walk.advance(bytes).map_err(|error| named(file, error))?;
        let limit = fetch.size().map_or(MAX_HEADER, |size| size.min(MAX_HEADER));
        if needed > limit {
            return Err(Error::invalid_weights(format!(
                "{file}: the header claims at least {needed} bytes, more than {}",
                if limit < MAX_HEADER {
                    format!("the file's {limit}")
                } else {
                    format!("the limit of {limit}")
                }
            ))
            .with_file(file));
        }
        if needed <= bytes.len() as u64 {
            return Ok(());
        }
        fetch.extend_front(needed);
        while (bytes.len() as u64) < needed {
            let from = bytes.len();
            bytes.resize((needed as usize).min(from + PIECE), 0);
            let read = fetch.read_exact(&mut bytes[from..]).await;
            read.map_err(|error| named(file, error))?;
        }
    }
}

/// The parsed header of a GGUF file.
pub struct Gguf<'a> {
    values: HashMap<&'a str, Value<'a>>,
    entries: Vec<Entry>,
    alignment: u64,
}

impl<'a> Gguf<'a> {
    /// Parses the bytes of a whole header.
    ///
    /// *Errors*: `InvalidWeights` naming the file and the tensor or the key; `UnsupportedModel` for a tensor of a type that is not read,
    /// and for one shard of several.
    pub fn parse(file: &str, bytes: &'a [u8]) -> Result<Self> {
        let mut cursor = Cursor { bytes, at: 8 };
        let gguf = Self::from_cursor(&mut cursor).map_err(|error| named(file, error))?;
        let start = (cursor.at as u64).next_multiple_of(gguf.alignment);
        if start != bytes.len() as u64 {
            return Err(Error::invalid_weights(format!(
                "{file}: the header has {} bytes, expected {start}",
                bytes.len()
            )));
        }
        Ok(gguf)
    }

    fn from_cursor(cursor: &mut Cursor<'a>) -> Result<Self> {
        let (tensors, count) = (cursor.u64()?, cursor.u64()?);
        for (what, number) in [("tensors", tensors), ("metadata keys", count)] {
            if number > MAX_ENTRIES {
                return Err(Error::invalid_weights(format!(
                    "the header has {number} {what}, expected at most {MAX_ENTRIES}"
                )));
            }
        }
        let mut values = HashMap::new();
        for _ in 0..count {
            let key = cursor.text()?;
            let kind = cursor.u32()?;
            let value = cursor.value(kind).map_err(|error| in_key(key, &error))?;
            values.insert(key, value);
        }
        let mut gguf = Self {
            values,
            entries: Vec::new(),
            alignment: 32,
        };
        if let Some(alignment) = gguf.count("general.alignment")? {
            gguf.alignment = check_alignment(alignment as u64)?;
        }
        if gguf.count("split.count")?.is_some_and(|count| count > 1) {
            return Err(Error::unsupported(
                "the file is one of several that make up the model, expected one file",
            ));
        }
        let mut names = HashSet::new();
        for _ in 0..tensors {
            let entry = gguf.entry(cursor)?;
            if !names.insert(entry.name.clone()) {
                return Err(bad(&entry.name, "is there twice"));
            }
            gguf.entries.push(entry);
        }
        gguf.entries
            .sort_by_key(|entry| (entry.range.start, entry.range.end));
        gguf.check_places()?;
        Ok(gguf)
    }

    /// Reads the description of one tensor.
    fn entry(&self, cursor: &mut Cursor<'a>) -> Result<Entry> {
        let name = cursor.text()?;
        let count = cursor.u32()?;
        if count > MAX_DIMS {
            let what = format!("has {count} dimensions, expected at most {MAX_DIMS}");
            return Err(bad(name, &what));
        }
        // The innermost dimension comes first.
        let mut dims = Vec::with_capacity(count as usize);
        for _ in 0..count {
            dims.push(cursor.u64()?);
        }
        let (kind, start) = (cursor.u32()?, cursor.u64()?);
        let format = format_of(name, kind)?;
        let impossible = || bad(name, &format!("has an impossible shape {dims:?}"));
        let elements = dims.iter().try_fold(1u64, |product, dim| {
            let fits = *dim <= u64::from(u32::MAX);
            product.checked_mul(*dim).filter(|_| fits)
        });
        let elements = elements.ok_or_else(impossible)?;
        let block = format.1.block();
        let row = dims.first().copied().unwrap_or(1);
        if !row.is_multiple_of(block.values as u64) {
            let what = format!(
                "has rows of {row} values, expected blocks of {} for {}",
                block.values, format.0
            );
            return Err(bad(name, &what));
        }
        let size = (elements / block.values as u64).checked_mul(block.bytes as u64);
        let end = size.and_then(|size| size.checked_add(start));
        let end = end.filter(|end| *end <= MAX_FILE).ok_or_else(impossible)?;
        let shape: Vec<usize> = dims.iter().rev().map(|dim| *dim as usize).collect();
        Ok(Entry {
            interleaved_heads: self.interleaved_heads(name, &shape)?,
            name: name.into(),
            dtype: format.0.into(),
            shape,
            range: start..end,
            stored: None,
            member: None,
        })
    }

    /// Checks that the tensors lie one after the other, as writers of the format put them.
    fn check_places(&self) -> Result<()> {
        let mut end = 0;
        for entry in &self.entries {
            if entry.range.start != end {
                let what = if entry.range.start < end {
                    "overlaps the tensor before it"
                } else {
                    "leaves a hole before it"
                };
                let what = format!("{what}: it begins at {}, expected {end}", entry.range.start);
                return Err(bad(&entry.name, &what));
            }
            end = entry.range.end.next_multiple_of(self.alignment);
        }
        Ok(())
    }

    /// The number of heads of a tensor whose rows are interleaved. The converter of the architecture `llama` reorders the rows of queries
    /// and keys, so that the two values that a rotary embedding turns are neighbours. *Source*: llama.cpp, `convert_hf_to_gguf.py`,
    /// `LlamaModel.permute`.
    fn interleaved_heads(&self, name: &str, shape: &[usize]) -> Result<Option<usize>> {
        if self.text("general.architecture")? != Some("llama") {
            return Ok(None);
        }
        let mut parts = name.rsplit('.');
        let key = match (parts.next(), parts.next()) {
            (Some("weight" | "bias"), Some("attn_q")) => "llama.attention.head_count",
            (Some("weight" | "bias"), Some("attn_k")) => "llama.attention.head_count_kv",
            _ => return Ok(None),
        };
        let heads = match self.count(key)? {
            Some(heads) => heads,
            None => self.required_count("llama.attention.head_count")?,
        };
        let rows = shape.first().copied().unwrap_or_default();
        if heads == 0 || !rows.is_multiple_of(heads * 2) || rows / heads > MAX_HEAD {
            let what = format!("has {rows} rows, expected {heads} heads of up to {MAX_HEAD}");
            return Err(bad(name, &what));
        }
        Ok(Some(heads))
    }

    /// The header without its metadata.
    pub(super) fn into_header(self) -> Header {
        Header {
            entries: self.entries,
            format: FileFormat::Gguf,
            // Writers align the end of the last tensor too.
            padding: self.alignment - 1,
            ..Header::default()
        }
    }

    /// The shape of a tensor, the outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(&entry.shape)
    }

    /// The value of a key, as `pick` takes it. `expected` names the type.
    fn get<T>(
        &self,
        key: &str,
        expected: &str,
        pick: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        match pick(*value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::invalid_weights(format!(
                "metadata '{key}' is not {expected}"
            ))),
        }
    }

    /// The value of a key that is a number of things.
    ///
    /// *Errors*: `InvalidWeights` for another value.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        let small = |value: i64| usize::try_from(value).ok().filter(|n| *n <= 1 << 30);
        self.get(key, "a whole number up to 2^30", |value| match value {
            Value::Integer(value) => small(value),
            _ => None,
        })
    }

    /// The value of a key that must be there, and is a number of things.
    ///
    /// *Errors*: `InvalidWeights` where it is missing.
    pub fn required_count(&self, key: &str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| missing_key(key))
    }

    /// The value of a key that is a number.
    ///
    /// *Errors*: `InvalidWeights` for another value.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a finite number", |value| match value {
            Value::Float(value) if value.is_finite() => Some(value),
            Value::Integer(value) => Some(value as f64),
            _ => None,
        })
    }

    /// The value of a key that is a truth value.
    ///
    /// *Errors*: `InvalidWeights` for another value.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, "true or false", |value| match value {
            Value::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// The value of a key that is a string.
    ///
    /// *Errors*: `InvalidWeights` for another value.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key, "a string", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The value of a key that must be there, and is a list of strings.
    ///
    /// *Errors*: `InvalidWeights` where it is missing, or another value.
    pub fn required_texts(&self, key: &str) -> Result<Texts<'a>> {
        let texts = self.get(key, "a list of strings", |value| match value {
            Value::Texts(texts) => Some(texts),
            _ => None,
        })?;
        texts.ok_or_else(|| missing_key(key))
    }

    /// The value of a key that is a list of whole numbers; empty where it is missing.
    ///
    /// *Errors*: `InvalidWeights` for another value.
    pub fn integers(&self, key: &str) -> Result<&'a [[u8; 4]]> {
        let integers = self.get(key, "a list of whole numbers", |value| match value {
            Value::Integers(integers) => Some(integers),
            _ => None,
        })?;
        Ok(integers.unwrap_or_default())
    }
}

/// Checks the alignment of the tensors, in bytes.
pub(super) fn check_alignment(alignment: u64) -> Result<u64> {
    if alignment.is_power_of_two() && alignment <= MAX_ALIGNMENT {
        return Ok(alignment);
    }
    Err(Error::invalid_weights(format!(
        "metadata 'general.alignment' is {alignment}, expected a power of two up to {MAX_ALIGNMENT}"
    )))
}

fn missing_key(key: &str) -> Error {
    Error::invalid_weights(format!("metadata '{key}' is missing"))
}

fn in_key(key: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("metadata '{key}': {error}"))
}

fn bad(tensor: &str, what: &str) -> Error {
    Error::invalid_weights(format!("tensor '{tensor}' {what}")).with_tensor(tensor)
}

/// The name and the format of a tensor's type.
fn format_of(tensor: &str, kind: u32) -> Result<(&'static str, Format)> {
    let name = TYPES.iter().find(|(id, _)| *id == kind);
    if let Some((_, name)) = name
        && let Some(format) = Format::from_name(name)
    {
        return Ok((name, format));
    }
    let found = name.map_or_else(|| kind.to_string(), |(_, name)| (*name).into());
    let read: Vec<_> = TYPES
        .iter()
        .map(|(_, name)| *name)
        .filter(|name| Format::from_name(name).is_some())
        .collect();
    Err(Error::new(
        ErrorKind::UnsupportedModel,
        format!(
            "tensor '{tensor}' has the type {found}, expected one of {}",
            read.join(", ")
        ),
    )
    .with_tensor(tensor))
}
