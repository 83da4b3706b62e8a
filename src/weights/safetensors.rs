//! The safetensors header: its length in eight bytes, then JSON with the place of each tensor in the file.
//!
//! *Source*: the format's description in the `safetensors` repository, README, "Format".

use std::collections::BTreeMap;

use serde::Deserialize;

use super::header::{Entry, Header};
use crate::error::{Error, FetchReason, Result};
use crate::hub::MAX_FILE;

/// The longest header that is accepted, in bytes; a model of 10,000 tensors has about 1 MB.
const MAX_HEADER: u64 = 16 << 20;

/// The header's key for free-form strings.
pub(super) const METADATA: &str = "__metadata__";

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The length of the JSON, from the eight bytes before it; `whole` is the size of the file, where it is known.
pub(super) fn length(file: &str, bytes: &[u8], whole: Option<u64>) -> Result<usize> {
    if bytes.first() == Some(&b'<') {
        return Err(Error::fetch_failed(format!(
            "{file}: the host answered with an HTML page instead of the file"
        ))
        .with_reason(FetchReason::Html)
        .with_file(file));
    }
    let length = bytes
        .first_chunk()
        .map_or(0, |eight| u64::from_le_bytes(*eight));
    let rest = whole.map_or(u64::MAX, |whole| whole.saturating_sub(8));
    if length <= MAX_HEADER.min(rest) {
        return Ok(length as usize);
    }
    Err(Error::invalid_weights(format!(
        "{file}: the header claims {length} bytes, more than {}",
        if rest < MAX_HEADER {
            format!("the file's {rest}")
        } else {
            format!("the limit of {MAX_HEADER}")
        }
    )))
}

/// Parses the JSON.
///
/// *Errors*: `InvalidWeights` naming the file and the tensor.
pub(super) fn parse(file: &str, json: &[u8]) -> Result<Header> {
    let broken =
        |error| Error::invalid_weights(format!("{file}: the header is not valid: {error}"));
    let mut map: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(broken)?;
    let metadata = match map.remove(METADATA) {
        Some(value) => serde_json::from_value(value).map_err(broken)?,
        None => BTreeMap::new(),
    };
    let mut entries = Vec::with_capacity(map.len());
    for (name, value) in map {
        let raw: RawEntry = serde_json::from_value(value).map_err(|error| {
            Error::invalid_weights(format!("{file}: tensor '{name}': {error}")).with_tensor(&name)
        })?;
        entries.push(check(file, name, raw)?);
    }
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let mut end = 0;
    for entry in &entries {
        if entry.range.start != end {
            let what = if entry.range.start < end {
                "overlaps the tensor before it"
            } else {
                "leaves a hole before it"
            };
            return Err(Error::invalid_weights(format!(
                "{file}: tensor '{}' {what}: it begins at {}, expected {end}",
                entry.name, entry.range.start
            ))
            .with_tensor(&entry.name));
        }
        end = entry.range.end;
    }
    if end > MAX_FILE {
        return Err(Error::invalid_weights(format!(
            "{file}: the header describes {end} bytes, more than the limit of {MAX_FILE}"
        )));
    }
    Ok(Header {
        entries,
        metadata,
        ..Header::default()
    })
}

fn check(file: &str, name: String, raw: RawEntry) -> Result<Entry> {
    let bad = |what: String| {
        Error::invalid_weights(format!("{file}: tensor '{name}' {what}")).with_tensor(&name)
    };
    let (start, end) = raw.data_offsets;
    if start > end {
        return Err(bad(format!("ends at {end} before it begins at {start}")));
    }
    let elements = raw
        .shape
        .iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim));
    let width = element_bytes(&raw.dtype)
        .ok_or_else(|| bad(format!("has the unknown dtype '{}'", raw.dtype)))?;
    let expected = elements
        .and_then(|elements| elements.checked_mul(width))
        .filter(|_| raw.shape.iter().all(|&dim| dim <= u32::MAX.into()))
        .ok_or_else(|| bad(format!("has an impossible shape {:?}", raw.shape)))?;
    if end - start != expected {
        return Err(bad(format!(
            "spans {} bytes, but shape {:?} of {} takes {expected}",
            end - start,
            raw.shape,
            raw.dtype
        )));
    }
    let shape = raw.shape.iter().map(|&dim| dim as usize).collect();
    Ok(Entry {
        name,
        dtype: raw.dtype,
        shape,
        range: start..end,
        interleaved_heads: None,
        stored: None,
        member: None,
    })
}

/// The bytes of an element; `None` for an unknown dtype.
pub(super) fn element_bytes(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn parse(json: &str) -> Result<Header> {
        super::parse("model.safetensors", json.as_bytes())
    }

    #[test]
    fn entries_come_in_the_order_of_their_bytes() {
        let header = parse(
            r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F16","shape":[],"data_offsets":[8,10]},"__metadata__":{"format":"pt"}}"#,
        )
        .unwrap();
        assert_eq!(
            header
                .entries
                .iter()
                .map(|entry| entry.name.as_str())
                .collect::<Vec<_>>(),
            ["b", "a"]
        );
        assert_eq!(header.metadata["format"], "pt");
    }

    #[test]
    fn lying_headers_are_errors_that_name_the_tensor() {
        let tensor = |fields: &str| format!(r#"{{"x":{{{fields}}}}}"#);
        for (json, what) in [
            ("[1]".into(), "not valid"),
            ("{".into(), "not valid"),
            (r#"{"__metadata__":{"a":1}}"#.into(), "not valid"),
            (tensor(r#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#), "spans 4 bytes"),
            (tensor(r#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#), "before it begins"),
            (tensor(r#""dtype":"F32","shape":[2],"data_offsets":[8,16]"#), "hole"),
            (tensor(r#""dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]"#), "impossible shape"),
            (tensor(r#""dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]"#), "impossible shape"),
            (tensor(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#), "'x'"),
            (tensor(r#""dtype":"Q7","shape":[1],"data_offsets":[0,4]"#), "unknown dtype 'Q7'"),
            (tensor(r#""dtype":"F32","shape":[1]"#), "data_offsets"),
            (
                r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                    .into(),
                "tensor 'x' overlaps",
            ),
        ] {
            let error = parse(&json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{json}");
            assert!(error.to_string().contains(what), "{json}: {error}");
            assert!(error.to_string().starts_with("model.safetensors: "), "{error}");
        }
    }
}
