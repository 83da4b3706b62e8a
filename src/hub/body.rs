//! A `ByteReader` of `byte-reader.ts` as a [`ByteStream`]: each piece stays in JavaScript's memory until it is copied out.

use std::time::Duration;

use async_trait::async_trait;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{ByteStream, PlatformHash};
use crate::error::{Error, ErrorKind, Result};

#[wasm_bindgen]
extern "C" {
    /// `ByteReader` of `byte-reader.ts`.
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

/// A body of a response, or whatever else has bytes in order.
pub(super) struct BodyStream {
    file: String,
    reader: ByteReader,
    piece: Uint8Array,
    /// Read from the piece under way.
    position: u32,
    /// Bytes that there must be, at least.
    least: u64,
    /// Whether what broke can be had again.
    again: bool,
    received: u64,
}

impl BodyStream {
    /// Of at least so many bytes, which can be asked for `again` or not.
    pub fn new(file: &str, reader: ByteReader, least: u64, again: bool) -> Self {
        Self {
            file: file.into(),
            reader,
            piece: Uint8Array::new_with_length(0),
            position: 0,
            least,
            again,
            received: 0,
        }
    }

    fn passing(&self, error: Error) -> Error {
        if self.again && error.kind() == ErrorKind::FetchFailed {
            error.transient(Duration::ZERO)
        } else {
            error
        }
    }

    async fn next_piece(&mut self) -> Result<bool> {
        let piece = self.reader.read().await.map_err(|error| {
            let error = failure(&self.file, "the connection broke", &error);
            self.passing(error)
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
                "{}: the runtime gave a SHA-256 of {length} bytes, expected 32",
                self.file
            ))
        })
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        // Nobody is left who could be told.
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
                if self.received >= self.least {
                    return Ok(0);
                }
                return Err(self.passing(Error::fetch_failed(format!(
                    "{}: the host sent {} bytes of {}",
                    self.file, self.received, self.least
                ))));
            }
        }
        // Less than what was read where the owner of the bytes has transferred them meanwhile.
        let Some(rest) = self.piece.length().checked_sub(self.position) else {
            let message = format!("{}: its bytes were transferred to somebody else", self.file);
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
        // What breaks off is asked for again, here or at another visit, and its hash goes on from there.
        if self.again {
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
            let words = text(&error);
            Error::internal(format!(
                "{}: the runtime did not hash it: {words}",
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
        .map_err(|_| Error::internal(format!("{file}: the entry gave something else than bytes")))
}

/// By the entry's code where there is one, `Aborted` where the browser says so, else `FetchFailed` with its words.
pub(super) fn failure(file: &str, what: &str, error: &JsValue) -> Error {
    let get = |name: &str| Reflect::get(error, &name.into()).ok()?.as_string();
    let status = Reflect::get(error, &"status".into())
        .ok()
        .and_then(|status| status.as_f64());
    let told = |kind| Error::new(kind, format!("{file}: {}", text(error)));
    match (get("code").as_deref(), get("name").as_deref()) {
        (Some("ABORTED"), _) | (_, Some("AbortError")) => Error::aborted(),
        (Some("INVALID_INPUT"), _) => told(ErrorKind::InvalidInput),
        (Some("FETCH_FAILED"), _) => match status {
            Some(status) => told(ErrorKind::FetchFailed).with_status(status as u16),
            None => told(ErrorKind::FetchFailed),
        },
        _ => Error::fetch_failed(format!("{file}: {what}: {}", text(error))),
    }
}

/// What was thrown, in words. Of any realm: it need not be an `Error` of this one.
pub(crate) fn text(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into());
    let message = message.ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| {
        let kind = error.js_typeof().as_string().unwrap_or_default();
        format!("{kind} was thrown")
    })
}
