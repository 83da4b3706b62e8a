//! The lock file of a folder that `pilotlight pull` wrote: its files and their digests, for hosts that cannot list files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, FileEntry, MAX_FILE, Snapshot};

/// The lock file's name, in the folder of the files that it lists.
pub const LOCK_FILE: &str = "pilotlight-lock.json";

const VERSION: u32 = 1;

/// The content of a lock file.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LockFile {
    /// Version of the format.
    pub version: u32,
    /// The commit that the files were downloaded from, if the host had one.
    pub commit: Option<String>,
    /// The files by their paths in the folder.
    pub files: BTreeMap<String, LockedFile>,
}

/// A file in the lock file, with its digests.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LockedFile {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: String,
    /// SHA-256 of each tensor's bytes by its name, hexadecimal, which is verified if only some tensors are downloaded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensors: BTreeMap<String, String>,
}

impl LockFile {
    /// Parses a lock file; `None` if it is not one of this version. Hosts may answer with anything, so that is no error.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let lock: Self = serde_json::from_slice(json).ok()?;
        (lock.version == VERSION).then_some(lock)
    }

    /// The files as a host would list them.
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

    /// Adds the lock file's entries to a snapshot. If the host cannot list files, they become the list; else they only supply what
    /// the host left open, such as digests or the size of a stream.
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
        for (size, tensors, expected) in [(Some(9), 1, 9), (Some(8), 0, 8), (None, 1, 9)] {
            let mut snapshot = listed(size);
            LockFile::parse(JSON.as_bytes())
                .unwrap()
                .complete(&mut snapshot);
            assert_eq!(snapshot.entry("w").tensors.len(), tensors);
            assert_eq!(snapshot.entry("w").size, Some(expected));
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
