//! A host of files that the caller passes as JavaScript objects.

use std::ops::Range;

use async_trait::async_trait;
use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::body::{BodyStream, ByteReader, failure};
use super::{FileEntry, Host, MAX_FILE, Opened, Snapshot};
use crate::error::Result;

#[wasm_bindgen]
extern "C" {
    /// The interface `ByteSource` of `byte-sources.ts`.
    type ByteSource;

    #[wasm_bindgen(method, getter)]
    fn size(this: &ByteSource) -> Option<f64>;

    #[wasm_bindgen(method, getter)]
    fn once(this: &ByteSource) -> bool;

    #[wasm_bindgen(method, catch)]
    fn open(this: &ByteSource, from: f64) -> Result<ByteReader, JsValue>;
}

impl ByteSource {
    fn bytes(&self) -> Option<u64> {
        let size = self.size().map(|size| size as u64);
        size.filter(|size| *size <= MAX_FILE)
    }
}

/// A repository whose files are a `Record<string, ByteSource>`, by path.
#[derive(Debug)]
pub struct FilesHost {
    files: Object,
}

impl FilesHost {
    /// Wraps the record without copying it. A stream in it can be read only once.
    pub fn new(files: Object) -> Self {
        Self { files }
    }

    fn get(&self, file: &str) -> Option<ByteSource> {
        let value = Reflect::get(&self.files, &file.into()).ok()?;
        // `sourcesOf` of `byte-sources.ts` has made the object, so its class need not be checked.
        value.is_object().then(|| value.unchecked_into())
    }
}

#[async_trait(?Send)]
impl Host for FilesHost {
    async fn snapshot(&self) -> Result<Snapshot> {
        let names = Object::keys(&self.files);
        let entry = |path: String| {
            let source = self.get(&path);
            let entry = FileEntry {
                size: source.as_ref().and_then(ByteSource::bytes),
                once: source.as_ref().is_some_and(ByteSource::once),
                ..FileEntry::default()
            };
            (path, entry)
        };
        Ok(Snapshot {
            files: Some(
                names
                    .iter()
                    .filter_map(|name| name.as_string())
                    .map(entry)
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
        let Some(source) = self.get(file) else {
            return Ok(None);
        };
        let size = source.bytes();
        // A stream, or a file of unknown size, can only be read from its start.
        let start = match size {
            Some(size) if !source.once() => range.start.min(size),
            _ => 0,
        };
        let name = format!("files['{file}']");
        let reader = source
            .open(start as f64)
            .map_err(|error| failure(&name, "it cannot be read", &error))?;
        let min_bytes = size.map_or(0, |size| size - start);
        Ok(Some(Opened {
            stream: Box::new(BodyStream::new(file, reader, min_bytes, false)),
            start,
            end: u64::MAX,
            size,
            validator: None,
        }))
    }
}
