//! Files that the caller hands over as JavaScript objects.

use std::ops::Range;

use async_trait::async_trait;
use js_sys::{ArrayBuffer, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ReadableStream, Response};

use super::body::{BodyStream, text};
use super::{FileEntry, Host, Opened, Snapshot};
use crate::error::{Error, Result};

/// `Record<string, Uint8Array | ArrayBuffer | Blob | Response | ReadableStream>` by path in the repository.
#[derive(Debug)]
pub struct FilesHost {
    files: Object,
}

impl FilesHost {
    /// The record is not copied; a stream in it can be read once.
    pub fn new(files: Object) -> Self {
        Self { files }
    }

    fn get(&self, file: &str) -> Option<JsValue> {
        Reflect::get(&self.files, &file.into())
            .ok()
            .filter(|value| !value.is_undefined() && !value.is_null())
    }
}

#[async_trait(?Send)]
impl Host for FilesHost {
    async fn snapshot(&self) -> Result<Snapshot> {
        let names = Object::keys(&self.files);
        let entry = |path: String| {
            let entry = FileEntry {
                size: self.get(&path).and_then(|value| size(&value)),
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
        let Some(value) = self.get(file) else {
            return Ok(None);
        };
        let size = size(&value);
        let unreadable = |error: &JsValue| Error::internal(format!("{file}: {}", text(error)));
        // What can be read anywhere is; what streams begins at its front, once.
        let start = size.map_or(0, |size| range.start.min(size));
        let body = if let Some(stream) = value.dyn_ref::<ReadableStream>() {
            Some(stream.clone())
        } else if let Some(response) = value.dyn_ref::<Response>() {
            if !response.ok() {
                return Err(Error::fetch_failed(format!(
                    "{file}: its Response has status {}",
                    response.status()
                )));
            }
            response.body()
        } else if let Some(blob) = value.dyn_ref::<Blob>() {
            let rest = blob.slice_with_f64(start as f64);
            Some(rest.map_err(|error| unreadable(&error))?.stream())
        } else if value.is_instance_of::<Uint8Array>() || value.is_instance_of::<ArrayBuffer>() {
            let bytes = match value.dyn_ref::<Uint8Array>() {
                Some(bytes) => bytes.clone(),
                None => Uint8Array::new(&value),
            };
            let rest = bytes.subarray(start as u32, bytes.length());
            let response = Response::new_with_opt_js_u8_array(Some(&rest));
            response.map_err(|error| unreadable(&error))?.body()
        } else {
            return Err(Error::invalid_input(format!(
                "files['{file}'] is none of Uint8Array, ArrayBuffer, Blob, Response, ReadableStream"
            )));
        };
        let body =
            body.ok_or_else(|| Error::invalid_input(format!("files['{file}'] has no body")))?;
        let least = size.map_or(0, |size| size - start);
        Ok(Some(Opened {
            stream: Box::new(BodyStream::new(file, body, least, false)?),
            start,
            end: u64::MAX,
            size,
            validator: None,
        }))
    }
}

fn size(value: &JsValue) -> Option<u64> {
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        Some(bytes.byte_length().into())
    } else if let Some(buffer) = value.dyn_ref::<ArrayBuffer>() {
        Some(buffer.byte_length().into())
    } else {
        value.dyn_ref::<Blob>().map(|blob| blob.size() as u64)
    }
}
