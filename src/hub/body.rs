//! A JavaScript `ReadableStream` as a [`ByteStream`]: each chunk stays in JavaScript's memory until it is copied out.

use std::time::Duration;

use async_trait::async_trait;
use js_sys::{ArrayBuffer, IteratorNext, Promise, Uint8Array};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::ByteStream;
use crate::error::{Error, ErrorKind, Result};

/// A body of a response, or whatever else streams.
pub(super) struct BodyStream {
    file: String,
    chunks: Chunks,
    chunk: Uint8Array,
    /// Read from the chunk under way.
    position: u32,
    /// Bytes that there must be, at least.
    least: u64,
    /// Whether what broke can be had again.
    again: bool,
    received: u64,
}

impl BodyStream {
    /// Of at least so many bytes, which can be asked for `again` or not.
    ///
    /// *Errors*: `InvalidInput` where the stream is locked or was read before.
    pub fn new(file: &str, raw: web_sys::ReadableStream, least: u64, again: bool) -> Result<Self> {
        let chunks = Chunks::new(raw.unchecked_ref()).map_err(|error| {
            Error::invalid_input(format!("{file}: the stream is locked or was read before"))
                .with_source(text(&error))
        })?;
        Ok(Self {
            file: file.into(),
            chunks,
            chunk: Uint8Array::new_with_length(0),
            position: 0,
            least,
            again,
            received: 0,
        })
    }

    fn passing(&self, error: Error) -> Error {
        if self.again && error.kind() == ErrorKind::FetchFailed {
            error.transient(Duration::ZERO)
        } else {
            error
        }
    }

    async fn next_chunk(&mut self) -> Result<bool> {
        match self.chunks.next().await {
            Ok(None) => Ok(false),
            Err(error) => {
                let error = failure(&self.file, "the connection broke", &error);
                Err(self.passing(error))
            }
            Ok(Some(chunk)) => {
                self.chunk = if let Some(bytes) = chunk.dyn_ref::<Uint8Array>() {
                    bytes.clone()
                } else if let Some(buffer) = chunk.dyn_ref::<ArrayBuffer>() {
                    Uint8Array::new(buffer)
                } else {
                    return Err(Error::invalid_input(format!(
                        "{}: the stream yields something else than bytes",
                        self.file
                    )));
                };
                self.position = 0;
                self.received += u64::from(self.chunk.length());
                Ok(true)
            }
        }
    }
}

#[async_trait(?Send)]
impl ByteStream for BodyStream {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        while self.position == self.chunk.length() {
            if !self.next_chunk().await? {
                if self.received >= self.least {
                    return Ok(0);
                }
                return Err(self.passing(Error::fetch_failed(format!(
                    "{}: the host sent {} bytes of {}",
                    self.file, self.received, self.least
                ))));
            }
        }
        let count = (to.len() as u32).min(self.chunk.length() - self.position);
        self.chunk
            .subarray(self.position, self.position + count)
            .copy_to(&mut to[..count as usize]);
        self.position += count;
        Ok(count as usize)
    }
}

#[wasm_bindgen]
extern "C" {
    type Stream;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn reader(this: &Stream) -> Result<Reader, JsValue>;

    type Reader;

    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader) -> Result<Promise, JsValue>;
}

thread_local! {
    /// For a promise that nobody waits for: what it rejects with would else be reported.
    static IGNORE: Closure<dyn FnMut(JsValue)> = Closure::new(|_| {});
}

/// What a stream yields. Its lock is never given back, and nothing that is thrown when it is dropped flies through Rust: in
/// Cloudflare Workers it may be another request than the stream's own that drops it, and streams refuse that.
struct Chunks {
    reader: Reader,
    /// The chunk that was asked for; whoever asked may have gone on without it.
    next: Option<JsFuture>,
    ended: bool,
}

impl Chunks {
    fn new(stream: &Stream) -> Result<Self, JsValue> {
        Ok(Self {
            reader: stream.reader()?,
            next: None,
            ended: false,
        })
    }

    /// The next chunk, or `None` at the end.
    async fn next(&mut self) -> Result<Option<JsValue>, JsValue> {
        let next = match &mut self.next {
            Some(next) => next,
            None => {
                let read = self.reader.read()?;
                self.next.insert(JsFuture::from(read))
            }
        };
        let read = next.await;
        self.next = None;
        let read: IteratorNext = match read {
            Ok(read) => read.unchecked_into(),
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        };
        self.ended = read.done();
        Ok((!self.ended).then(|| read.value()))
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(cancelled) = self.reader.cancel() {
            let _ = IGNORE.with(|ignore| cancelled.catch(ignore));
        }
    }
}

/// `Aborted` where the browser says so, else `FetchFailed` with its words.
pub(super) fn failure(file: &str, what: &str, error: &JsValue) -> Error {
    let name = js_sys::Reflect::get(error, &"name".into())
        .ok()
        .and_then(|name| name.as_string());
    if name.as_deref() == Some("AbortError") {
        return Error::aborted();
    }
    Error::fetch_failed(format!("{file}: {what}: {}", text(error)))
}

/// A JavaScript error in words.
pub(super) fn text(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || format!("{error:?}"),
        |error| String::from(error.message()),
    )
}
