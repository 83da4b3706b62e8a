//! The names of the files that have a model's weights: a packed file, or an upstream checkpoint of one file or several shards.

use std::collections::HashMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::weights::{Dtype, Needs, Parameter};

/// The name of a checkpoint of one file.
pub(super) const UPSTREAM: &str = "model.safetensors";

/// The name of the index that lists which shard of a checkpoint has which tensor.
pub(super) const SHARD_INDEX: &str = "model.safetensors.index.json";

/// The names of a checkpoint that `torch.save` wrote, and of the index of one in shards.
pub(super) const PYTORCH: &str = "pytorch_model.bin";
pub(super) const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// Whether a name is that of the index of a checkpoint in shards.
pub(super) fn is_index(file: &str) -> bool {
    matches!(file, SHARD_INDEX | PYTORCH_INDEX)
}

/// The prefix and the suffix of the name of a packed file.
const PACKED: (&str, &str) = ("pilotlight-", ".safetensors");

/// The name of the packed file of a model, or of a part that is loaded separately. The store keeps such files, and a host may.
pub(super) fn packed_name(dtype: Dtype, part: Option<&str>) -> String {
    let part = part.map_or(String::new(), |part| format!("-{part}"));
    format!("{}{}{part}{}", PACKED.0, dtype.name(), PACKED.1)
}

/// Whether a name is that of a packed file.
pub fn is_packed(file: &str) -> bool {
    file.starts_with(PACKED.0) && file.ends_with(PACKED.1)
}

/// One shard of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// The name of the shard on the host.
    pub file: String,
    /// The name of the shard's packed file in the store.
    pub packed: String,
    /// The name of its packed file where that has all parts of the model.
    pub packed_whole: String,
    /// The tensors that are needed from it.
    pub parameters: Vec<Parameter>,
}

/// Lists the shards that have the needed tensors, sorted by name. `index_file`: the name of the index.
///
/// *Errors*: `InvalidWeights` where the index is broken, or lacks a tensor.
pub(super) fn shards(
    index_file: &str,
    index: &[u8],
    needs: &Needs<'_>,
    part: Option<&str>,
) -> Result<Vec<Shard>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let Index { weight_map } = serde_json::from_slice(index)
        .map_err(|error| Error::invalid_weights(format!("{index_file}: is not valid: {error}")))?;
    let mut shards: Vec<Shard> = Vec::new();
    for parameter in needs.parameters {
        let name = &parameter.name;
        let found = needs
            .names(parameter)
            .find_map(|name| weight_map.get(&name));
        let Some(file) = found else {
            if parameter.presence.is_optional() {
                continue;
            }
            return Err(Error::invalid_weights(format!(
                "{index_file}: tensor '{name}' is missing"
            ))
            .with_file(index_file)
            .with_tensor(name));
        };
        match shards.iter_mut().find(|shard| shard.file == *file) {
            Some(shard) => shard.parameters.push(parameter.clone()),
            None => shards.push(Shard {
                packed: packed_shard(index_file, file, needs.dtype, part)?,
                packed_whole: packed_shard(index_file, file, needs.dtype, None)?,
                file: file.clone(),
                parameters: vec![parameter.clone()],
            }),
        }
    }
    shards.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(shards)
}

/// Returns the prefix and the suffix of the names of the shards that an index lists.
pub(super) fn shard_names(index: &str) -> (&'static str, &'static str) {
    match index {
        PYTORCH_INDEX => ("pytorch_model-", ".bin"),
        _ => ("model-", ".safetensors"),
    }
}

/// `model-00001-of-00002.safetensors` becomes `pilotlight-q8-00001-of-00002.safetensors`.
fn packed_shard(index: &str, file: &str, dtype: Dtype, part: Option<&str>) -> Result<String> {
    let (start, end) = shard_names(index);
    let number = file
        .strip_prefix(start)
        .and_then(|file| file.strip_suffix(end))
        // The number becomes part of a file name on disk, so it must not contain path separators.
        .filter(|number| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !number.is_empty() && number.len() < 64 && number.bytes().all(plain)
        })
        .ok_or_else(|| {
            Error::invalid_weights(format!(
                "{index}: names the file '{file}', expected {start}…-of-…{end}"
            ))
        })?;
    let name = match part {
        Some(part) => format!("{part}-{number}"),
        None => number.into(),
    };
    Ok(packed_name(dtype, Some(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Role;

    #[test]
    fn tensors_are_looked_for_in_their_shards() {
        let parameters: Vec<_> = ["a", "b", "c"]
            .map(|name| Parameter::new(name, Role::Plain, &[1]))
            .into();
        let needs = |count: usize| Needs {
            parameters: &parameters[..count],
            prefixes: &["", "x."],
            gguf_name: |_| None,
            dtype: Dtype::Q8,
        };
        let index = br#"{"weight_map": {"a": "model-2-of-2.safetensors", "x.b": "model-1-of-2.safetensors"}}"#;
        let found = shards(SHARD_INDEX, index, &needs(2), Some("text")).unwrap();
        let names: Vec<_> = found.iter().map(|shard| shard.packed.as_str()).collect();
        assert_eq!(
            names,
            [
                "pilotlight-q8-text-1-of-2.safetensors",
                "pilotlight-q8-text-2-of-2.safetensors"
            ]
        );
        assert_eq!(found[0].parameters[0].name, "b");
        let error = shards(SHARD_INDEX, index, &needs(3), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "model.safetensors.index.json: tensor 'c' is missing"
        );
    }

    #[test]
    fn an_index_that_names_odd_files_or_is_none_is_an_error() {
        let parameters = [Parameter::new("a", Role::Plain, &[1])];
        let needs = Needs {
            parameters: &parameters,
            prefixes: &[""],
            gguf_name: |_| None,
            dtype: Dtype::F32,
        };
        for index in [
            "",
            "{}",
            r#"{"weight_map": {"a": "../model-1.safetensors"}}"#,
            r#"{"weight_map": {"a": "model-/../x.safetensors"}}"#,
            r#"{"weight_map": {"a": 7}}"#,
        ] {
            for file in [SHARD_INDEX, PYTORCH_INDEX] {
                let error = shards(file, index.as_bytes(), &needs, None).unwrap_err();
                assert!(error.to_string().starts_with(file), "{error}");
            }
        }
    }
}
