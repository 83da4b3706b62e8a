//! A host of files in memory, for bundled models, native programs and tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use async_trait::async_trait;

use super::{ByteStream, FileEntry, Host, Opened, Snapshot};
use crate::error::{Error, Result};

/// A repository whose files are in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryHost {
    files: BTreeMap<String, Rc<[u8]>>,
}

impl MemoryHost {
    /// A repository of files by their paths.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, bytes)| (path, bytes.into()))
                .collect(),
        }
    }

    /// Reads all files of a folder that has the repository's layout.
    ///
    /// *Errors*: `FetchFailed` naming a path that cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(path) = folders.pop() {
            let failed = |error| Error::fetch_failed(format!("{}: {error}", path.display()));
            for entry in std::fs::read_dir(&path).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(name) = path.strip_prefix(folder) {
                    let bytes = std::fs::read(&path).map_err(|error| {
                        Error::fetch_failed(format!("{}: {error}", path.display()))
                    })?;
                    files.insert(name.to_string_lossy().replace('\\', "/"), bytes.into());
                }
            }
        }
        Ok(Self { files })
    }
}

#[async_trait(?Send)]
impl Host for MemoryHost {
    async fn snapshot(&self) -> Result<Snapshot> {
        let entry = |bytes: &Rc<[u8]>| FileEntry {
            size: Some(bytes.len() as u64),
            ..FileEntry::default()
        };
        let files = self.files.iter();
        Ok(Snapshot {
            files: Some(
                files
                    .map(|(path, bytes)| (path.clone(), entry(bytes)))
                    .collect(),
            ),
            ..Snapshot::default()
        })
    }

    async fn open(
        &self,
        _commit: Option<&str>,
        file: &str,
        range: Range<u64>,
    ) -> Result<Option<Opened>> {
        Ok(self.files.get(file).map(|bytes| {
            let start = range.start.min(bytes.len() as u64);
            Opened {
                stream: Box::new(MemoryStream {
                    bytes: bytes.clone(),
                    position: start as usize,
                }),
                start,
                end: u64::MAX,
                size: Some(bytes.len() as u64),
                validator: None,
            }
        }))
    }
}

/// A stream over bytes in memory.
#[derive(Clone, Debug)]
pub struct MemoryStream {
    bytes: Rc<[u8]>,
    position: usize,
}

impl MemoryStream {
    /// A stream that starts at the first byte.
    pub fn new(bytes: Rc<[u8]>) -> Self {
        Self { bytes, position: 0 }
    }
}

#[async_trait(?Send)]
impl ByteStream for MemoryStream {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = to.len().min(self.bytes.len() - self.position);
        to[..count].copy_from_slice(&self.bytes[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
