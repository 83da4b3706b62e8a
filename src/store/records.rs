//! The small rows beside the chunks: each with a digest in front, so that an altered one is known.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Chunk, Store};
use crate::error::{Error, Result};

/// Length of a BLAKE3 digest in hexadecimal.
const DIGEST: usize = 64;

/// A file in chunks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredFile {
    /// Bytes of all chunks together.
    pub size: u64,
    /// BLAKE3 of each chunk's bytes, hexadecimal.
    pub chunks: Vec<String>,
}

/// A model that is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub host: String,
    pub model: String,
    pub revision: String,
    pub variant: String,
    pub commit: String,
    /// See [`crate::hub::Verified`].
    pub verified: String,
    /// The id of the load that wrote the model's chunks.
    #[serde(rename = "writing")]
    pub write_id: String,
    pub files: BTreeMap<String, StoredFile>,
    /// What the host listed of the files that were read, to tell whether a new commit changed any of them.
    pub sources: BTreeMap<String, String>,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        sum(&self.files)
    }

    /// Of the files' names and bytes.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, file) in &self.files {
            // Each name and digest ends with a byte that neither has.
            for part in std::iter::once(name).chain(&file.chunks) {
                hasher.update(part.as_bytes()).update(&[0]);
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Bytes of all files. What a row says is checked against the chunks only when they are read.
pub(super) fn sum(files: &BTreeMap<String, StoredFile>) -> u64 {
    let sizes = files.values().map(|file| file.size);
    sizes.fold(0, u64::saturating_add)
}

/// Which commit a branch stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    /// What is stored.
    pub commit: String,
    /// What the host had when it was asked last.
    pub latest: String,
}

/// A model on its way.
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
    /// Milliseconds since 1970.
    pub updated: u64,
    /// Those that are whole.
    pub files: BTreeMap<String, StoredFile>,
    pub sources: BTreeMap<String, String>,
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

/// How far the weights have come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartialWeights {
    /// The packed file that is being written.
    pub target: String,
    pub stored: StoredFile,
    /// The host's file.
    pub source: String,
    /// Of the source: bytes that were read, and what told it from other states.
    pub position: u64,
    pub size: Option<u64>,
    pub validator: Option<String>,
    /// Of the tensor under way: which in the order of the file, and how much of it.
    pub tensor: usize,
    pub done: u64,
    /// Behind this row's JSON: states of the file's and the tensor's hash, and what follows the tensor's values.
    pub tail: [usize; 3],
}

/// A row that is one value.
pub(super) async fn get<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    Ok(get_with_tail(store, key).await?.map(|(value, _)| value))
}

/// A row that is one value and bytes behind it; `None` where there is none, or one that was altered.
pub(super) async fn get_with_tail<T: DeserializeOwned>(
    store: &dyn Store,
    key: &str,
) -> Result<Option<(T, Vec<u8>)>> {
    let row = store.get(key).await?;
    Ok(row.and_then(|row| unseal(&row.to_vec())))
}

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
    let mut content = serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("a row of the store: {error}")))?;
    content.push(b'\n');
    content.extend_from_slice(tail);
    let mut row = blake3::hash(&content).to_hex().as_bytes().to_vec();
    row.append(&mut content);
    Ok(row)
}

/// What a row holds; `None` where it was altered.
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
