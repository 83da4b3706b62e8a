//! The lock file: what a folder that `pilotlight pull` wrote holds, with digests, for hosts that cannot list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, FileEntry, MAX_FILE, Snapshot};

/// Its name, beside the files that it describes.
pub const LOCK_FILE: &str = "pilotlight-lock.json";

const VERSION: u32 = 1;

/// What the lock file says.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LockFile {
    /// Of this format.
    pub version: u32,
    /// What all of it was made from.
    pub commit: Option<String>,
    /// By their paths beside the lock file.
    pub files: BTreeMap<String, LockedFile>,
}

/// A file and its digests.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LockedFile {
    /// Bytes.
    pub size: u64,
    /// Of the whole file, hexadecimal.
    pub sha256: String,
    /// Of each tensor's bytes, by its name, hexadecimal: what is checked where only some are fetched.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensors: BTreeMap<String, String>,
}

impl LockFile {
    /// `None` for whatever is no lock file of this version: hosts answer with all kinds of things.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let lock: Self = serde_json::from_slice(json).ok()?;
        (lock.version == VERSION).then_some(lock)
    }

    fn entries(self) -> BTreeMap<String, FileEntry> {
        let entry = |file: LockedFile| FileEntry {
            size: Some(file.size).filter(|size| *size <= MAX_FILE),
            digest: Digest::sha256(&file.sha256),
            tensors: file
                .tensors
                .into_iter()
                .filter_map(|(name, hex)| Some((name, Digest::sha256(&hex)?)))
                .collect(),
            ..FileEntry::default()
        };
        self.files
            .into_iter()
            .map(|(path, file)| (path, entry(file)))
            .collect()
    }

    /// Adds what the lock file knows to what the host said: everything where the host cannot list, else only what it left open,
    /// such as the size of a stream.
    pub fn complete(self, snapshot: &mut Snapshot) {
        let Some(files) = &mut snapshot.files else {
            snapshot.commit = self.commit.clone();
            snapshot.files = Some(self.entries());
            return;
        };
        for (path, locked) in self.entries() {
            if let Some(entry) = files.get_mut(&path)
                && (entry.size.is_none() || entry.size == locked.size)
            {
                entry.size = locked.size;
                entry.digest = entry.digest.take().or(locked.digest);
                entry.tensors = locked.tensors;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"version":1,"commit":"abc","files":{"config.json":{"size":2,"sha256":"db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489"},
        "w":{"size":9,"sha256":"short","tensors":{"a":"db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489","b":"no"}}}}"#;

    #[test]
    fn a_host_that_cannot_list_gets_its_list_from_the_lock_file() {
        let mut snapshot = Snapshot::default();
        LockFile::parse(JSON.as_bytes())
            .unwrap()
            .complete(&mut snapshot);
        assert_eq!(snapshot.commit.as_deref(), Some("abc"));
        assert_eq!(snapshot.pin(), None);
        let entry = snapshot.entry("w");
        assert_eq!((entry.size, entry.digest), (Some(9), None));
        assert_eq!(entry.tensors.keys().collect::<Vec<_>>(), ["a"]);
        assert!(snapshot.entry("config.json").digest.is_some());
        assert!(snapshot.lacks("model.safetensors"));
    }

    #[test]
    fn what_the_host_lists_goes_before_the_lock_file() {
        let listed = |size| Snapshot {
            files: Some(
                [(
                    "w".into(),
                    FileEntry {
                        size,
                        ..FileEntry::default()
                    },
                )]
                .into(),
            ),
            ..Snapshot::default()
        };
        for (size, tensors, told) in [(Some(9), 1, 9), (Some(8), 0, 8), (None, 1, 9)] {
            let mut snapshot = listed(size);
            LockFile::parse(JSON.as_bytes())
                .unwrap()
                .complete(&mut snapshot);
            assert_eq!(snapshot.entry("w").tensors.len(), tensors);
            assert_eq!(snapshot.entry("w").size, Some(told));
            assert!(snapshot.lacks("config.json"));
        }
    }

    #[test]
    fn what_is_no_lock_file_is_none() {
        for json in [
            "",
            "<!doctype html>",
            "{}",
            "[]",
            r#"{"version":2,"commit":null,"files":{}}"#,
        ] {
            assert_eq!(LockFile::parse(json.as_bytes()), None, "{json}");
        }
    }
}
