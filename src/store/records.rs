//! The rows of a store beside its chunks. Each begins with a digest of its content, so that an altered row is not read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Chunk, Store};
use crate::error::{Error, Result};

/// Length of a BLAKE3 digest in hexadecimal.
const DIGEST: usize = 64;

/// A stored file, which is cut into chunks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredFile {
    /// Bytes of all chunks together.
    pub size: u64,
    /// BLAKE3 of each chunk's bytes, hexadecimal.
    pub chunks: Vec<String>,
}

/// The row of a complete model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub host: String,
    pub model: String,
    pub revision: String,
    pub variant: String,
    pub commit: String,
    /// The name of the [`crate::hub::Verified`] level that the download reached.
    pub verified: String,
    /// The id of the load that wrote the model's chunks.
    #[serde(rename = "writing")]
    pub write_id: String,
    pub files: BTreeMap<String, StoredFile>,
    /// The listed digest of each file of the host that was read, or `absent`. They show whether a new commit changed a file.
    pub sources: BTreeMap<String, String>,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        sum(&self.files)
    }

    /// The BLAKE3 digest of the names and bytes of all files, hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, file) in &self.files {
            // A zero byte, which no name or digest has, ends each of them.
            for part in std::iter::once(name).chain(&file.chunks) {
                hasher.update(part.as_bytes()).update(&[0]);
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Bytes of all files, as the row states them. They are compared with the chunks only when a file is read, so the sum saturates.
pub(super) fn sum(files: &BTreeMap<String, StoredFile>) -> u64 {
    let sizes = files.values().map(|file| file.size);
    sizes.fold(0, u64::saturating_add)
}

/// The row with the commit that a branch or tag points to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    /// The commit whose model is stored.
    pub commit: String,
    /// The commit that the host named when it was last asked.
    pub latest: String,
}

/// The row of a packed tokenizer, whose bytes follow the JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tokenizer {
    /// The digests of the chunks of `tokenizer.json` from which it was made, as in the manifest.
    pub source: Vec<String>,
}

/// The row of a partial download.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Partial {
    pub host: String,
    pub model: String,
    pub revision: String,
    pub variant: String,
    pub commit: String,
    /// The id of the load that began to write the chunks.
    #[serde(rename = "writing")]
    pub write_id: String,
    /// The nonce of the load that wrote this row last.
    pub owner: String,
    /// The time at which the row was written, in milliseconds since 1970.
    pub updated: u64,
    /// The files that are complete.
    pub files: BTreeMap<String, StoredFile>,
    /// The sources of the files so far, as in [`Manifest::sources`].
    pub sources: BTreeMap<String, String>,
    /// The resume point in the weights, if their download has started.
    pub weights: Option<PartialWeights>,
}

impl Partial {
    pub fn bytes(&self) -> u64 {
        let weights = self
            .weights
            .as_ref()
            .map_or(0, |weights| weights.stored.size);
        sum(&self.files).saturating_add(weights)
    }
}

/// The resume point in a weights file: a [`crate::weights::ResumePoint`] as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartialWeights {
    /// The packed file that is being written.
    pub target: String,
    /// The chunks of it that are stored.
    pub stored: StoredFile,
    /// The host's file that is being read.
    pub source: String,
    /// Bytes of the source that were read or skipped.
    pub position: u64,
    /// Size of the source in bytes, if known.
    pub size: Option<u64>,
    /// The host's identifier of the source's state; see [`crate::hub::Opened::validator`].
    pub validator: Option<String>,
    /// The tensor that is being packed, as its number in the order of the file.
    pub tensor: usize,
    /// The part of that tensor that is done: rows packed if the source is an upstream checkpoint, bytes copied if it is packed.
    #[serde(rename = "done")]
    pub units_done: u64,
    /// Lengths in bytes of the three parts after this row's JSON: the state of the file's hash, the state of the tensor's hash, and
    /// the side tensors, which follow the tensor's values in the packed file.
    pub tail: [usize; 3],
}

/// Reads a row that is one JSON value; `None` where there is none, or it is altered.
pub(super) async fn get<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    Ok(get_with_tail(store, key).await?.map(|(value, _)| value))
}

/// Reads a row that is one JSON value with bytes after it; `None` where there is none, or it is altered.
pub(super) async fn get_with_tail<T: DeserializeOwned>(
    store: &dyn Store,
    key: &str,
) -> Result<Option<(T, Vec<u8>)>> {
    let row = store.get(key).await?;
    Ok(row.and_then(|row| unseal(&row.to_vec())))
}

/// Writes a row: a JSON value with bytes after it.
pub(super) async fn put<T: Serialize>(
    store: &dyn Store,
    key: &str,
    value: &T,
    tail: &[u8],
) -> Result<()> {
    store
        .put(key, Chunk::from(seal(value, tail)?.as_slice()))
        .await
}

fn seal<T: Serialize>(value: &T, tail: &[u8]) -> Result<Vec<u8>> {
    let mut content = serde_json::to_vec(value).map_err(|error| {
        Error::internal(format!(
            "a row of the store cannot be written as JSON: {error}"
        ))
    })?;
    content.push(b'\n');
    content.extend_from_slice(tail);
    let mut row = blake3::hash(&content).to_hex().as_bytes().to_vec();
    row.append(&mut content);
    Ok(row)
}

/// The value and the bytes after it that a row consists of; `None` if the row is altered.
pub(super) fn unseal<T: DeserializeOwned>(row: &[u8]) -> Option<(T, Vec<u8>)> {
    let (digest, content) = row.split_at_checked(DIGEST)?;
    if blake3::hash(content).to_hex().as_bytes() != digest {
        return None;
    }
    let end = content.iter().position(|byte| *byte == b'\n')?;
    let value = serde_json::from_slice(&content[..end]).ok()?;
    Some((value, content[end + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_an_altered_one_does_not() {
        let reference = Reference {
            commit: "a\nb".into(),
            latest: "é".into(),
        };
        let row = seal(&reference, b"tail\n\xff").unwrap();
        let (back, tail): (Reference, _) = unseal(&row).unwrap();
        assert_eq!((back.commit, back.latest), ("a\nb".into(), "é".into()));
        assert_eq!(tail, b"tail\n\xff");
        for at in 0..row.len() {
            let mut altered = row.clone();
            altered[at] ^= 1;
            assert!(unseal::<Reference>(&altered).is_none(), "byte {at}");
            assert!(unseal::<Reference>(&row[..at]).is_none(), "cut at {at}");
        }
    }
}
