//! Files that the caller hands over as JavaScript objects.

use async_trait::async_trait;
use js_sys::{ArrayBuffer, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ReadableStream, Response};

use super::body::{BodyStream, text};
use super::{ByteStream, FileEntry, Host};
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
    async fn list(&self) -> Result<Option<Vec<FileEntry>>> {
        let names = Object::keys(&self.files);
        let entry = |path: String| FileEntry {
            size: self.get(&path).and_then(|value| size(&value)),
            digest: None,
            path,
        };
        Ok(Some(
            names
                .iter()
                .filter_map(|name| name.as_string())
                .map(entry)
                .collect(),
        ))
    }

    async fn open(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>> {
        let Some(value) = self.get(file) else {
            return Ok(None);
        };
        let length = size(&value);
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
            Some(blob.stream())
        } else if value.is_instance_of::<Uint8Array>() || value.is_instance_of::<ArrayBuffer>() {
            let response = Response::new_with_opt_js_u8_array(Some(&Uint8Array::new(&value)));
            response
                .map_err(|error| Error::internal(format!("{file}: {}", text(&error))))?
                .body()
        } else {
            return Err(Error::invalid_input(format!(
                "files['{file}'] is none of Uint8Array, ArrayBuffer, Blob, Response, ReadableStream"
            )));
        };
        let body =
            body.ok_or_else(|| Error::invalid_input(format!("files['{file}'] has no body")))?;
        Ok(Some(Box::new(BodyStream::new(file, body, length)?)))
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
