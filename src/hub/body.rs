//! A [`ByteStream`] over a `ByteReader` of `byte-reader.ts`. Each piece stays in JavaScript's memory until it is copied out.

use std::time::Duration;

use async_trait::async_trait;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{ByteStream, PlatformHash};
use crate::error::{Error, ErrorKind, Result};
use crate::interop::{get, message_of};

#[wasm_bindgen]
extern "C" {
    /// The class `ByteReader` of `byte-reader.ts`.
    #[derive(Debug)]
    pub(super) type ByteReader;

    #[wasm_bindgen(method, catch)]
    async fn read(this: &ByteReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn hash(this: &ByteReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn sha256(this: &ByteReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cancel(this: &ByteReader) -> Result<(), JsValue>;
}

/// The body of a response, or another source of bytes in order.
pub(super) struct BodyStream {
    file: String,
    reader: ByteReader,
    piece: Uint8Array,
    /// Bytes of `piece` that have been read.
    position: u32,
    /// The stream is an error if it ends before this many bytes.
    min_bytes: u64,
    /// Whether the bytes can be requested again after a failure.
    repeatable: bool,
    received: u64,
}

impl BodyStream {
    /// A stream that fails if it yields fewer than `min_bytes` bytes; `repeatable` says whether it can be requested again.
    pub fn new(file: &str, reader: ByteReader, min_bytes: u64, repeatable: bool) -> Self {
        Self {
            file: file.into(),
            reader,
            piece: Uint8Array::new_with_length(0),
            position: 0,
            min_bytes,
            repeatable,
            received: 0,
        }
    }

    /// Marks a failed fetch as transient if the bytes can be requested again.
    fn mark_transient(&self, error: Error) -> Error {
        if self.repeatable && error.kind() == ErrorKind::FetchFailed {
            error.transient(Duration::ZERO)
        } else {
            error
        }
    }

    async fn next_piece(&mut self) -> Result<bool> {
        let piece = self.reader.read().await.map_err(|error| {
            let error = failure(&self.file, "the connection broke off", &error);
            self.mark_transient(error)
        })?;
        if piece.is_undefined() {
            return Ok(false);
        }
        self.piece = bytes(&self.file, piece)?;
        self.position = 0;
        self.received += u64::from(self.piece.length());
        Ok(true)
    }

    fn digest(&self, digest: JsValue) -> Result<[u8; 32]> {
        let digest = bytes(&self.file, digest)?.to_vec();
        let length = digest.len();
        digest.try_into().map_err(|_| {
            Error::internal(format!(
                "{}: expected a SHA-256 of 32 bytes from the platform, got {length} bytes",
                self.file
            ))
        })
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        // A failure to cancel does not matter: the reader is not used any more.
        let _ = self.reader.cancel();
    }
}

#[async_trait(?Send)]
impl ByteStream for BodyStream {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        while self.position == self.piece.length() {
            if !self.next_piece().await? {
                if self.received >= self.min_bytes {
                    return Ok(0);
                }
                return Err(self.mark_transient(Error::fetch_failed(format!(
                    "{}: expected {} bytes, but the host sent {}",
                    self.file, self.min_bytes, self.received
                ))));
            }
        }
        // The piece is empty now if the caller has transferred its buffer since it was read.
        let Some(rest) = self.piece.length().checked_sub(self.position) else {
            let message = format!(
                "{}: its buffer was transferred while it was read",
                self.file
            );
            return Err(Error::invalid_input(message));
        };
        let count = (to.len() as u32).min(rest);
        self.piece
            .subarray(self.position, self.position + count)
            .copy_to(&mut to[..count as usize]);
        self.position += count;
        Ok(count as usize)
    }

    async fn hash(&mut self) -> Result<PlatformHash> {
        // A download that breaks off is resumed, also by a later load, and the platform's hash cannot be.
        if self.repeatable {
            return Ok(PlatformHash::None);
        }
        let failed = |error| failure(&self.file, "it cannot be read", &error);
        let hash = self.reader.hash().await.map_err(failed)?;
        match hash.as_bool() {
            Some(true) => Ok(PlatformHash::AtEnd),
            Some(false) => Ok(PlatformHash::None),
            None => self.digest(hash).map(PlatformHash::Known),
        }
    }

    async fn sha256(&mut self) -> Result<[u8; 32]> {
        let failed = |error: JsValue| {
            let message = message_of(&error);
            Error::internal(format!(
                "{}: the platform could not compute its SHA-256: {message}",
                self.file
            ))
        };
        let digest = self.reader.sha256().await.map_err(failed)?;
        self.digest(digest)
    }
}

fn bytes(file: &str, value: JsValue) -> Result<Uint8Array> {
    value
        .dyn_into()
        .map_err(|_| Error::internal(format!("{file}: expected a Uint8Array from its reader")))
}

/// Converts what JavaScript threw: by its `code` if the package set one, to `Aborted` for an `AbortError`, else to `FetchFailed`.
pub(super) fn failure(file: &str, what: &str, error: &JsValue) -> Error {
    let text = |name: &str| get(error, name)?.as_string();
    let status = get(error, "status").and_then(|status| status.as_f64());
    let with_kind = |kind| Error::new(kind, format!("{file}: {}", message_of(error)));
    match (text("code").as_deref(), text("name").as_deref()) {
        (Some("ABORTED"), _) | (_, Some("AbortError")) => Error::aborted(),
        (Some("INVALID_INPUT"), _) => with_kind(ErrorKind::InvalidInput),
        (Some("FETCH_FAILED"), _) => match status {
            Some(status) => with_kind(ErrorKind::FetchFailed).with_status(status as u16),
            None => with_kind(ErrorKind::FetchFailed),
        },
        _ => Error::fetch_failed(format!("{file}: {what}: {}", message_of(error))),
    }
}
