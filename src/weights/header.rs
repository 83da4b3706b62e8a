//! The header of a file of tensors, whichever its format.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{gguf, safetensors};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{ByteStream, Fetch};

/// One tensor's place in the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    /// The tensor's bytes, counted from the end of the header.
    pub range: Range<u64>,
    /// The number of attention heads whose rows are stored in the order of interleaved rotary embeddings; `None` for the order in which
    /// models are trained.
    pub interleaved_heads: Option<usize>,
}

/// The checked header of a file.
#[derive(Debug)]
pub(super) struct Header {
    /// The tensors in the order of their bytes.
    pub entries: Vec<Entry>,
    /// The free-form strings of a safetensors file.
    pub metadata: BTreeMap<String, String>,
    /// Whether the file is a GGUF file.
    pub is_gguf: bool,
    /// The most bytes that may follow the last tensor.
    pub padding: u64,
}

impl Header {
    /// Reads the header's bytes; the next byte of the stream is then the first of the tensors. The file's first bytes tell its format.
    ///
    /// *Errors*: `InvalidWeights` for an impossible length, `FetchFailed` where the host sent a web page.
    pub async fn read(file: &str, fetch: &mut Fetch<'_>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 8];
        let read = fetch.read_exact(&mut bytes).await;
        read.map_err(|error| named(file, error))?;
        if gguf::is_gguf(&bytes) {
            gguf::read_rest(file, fetch, &mut bytes).await?;
            return Ok(bytes);
        }
        let length = safetensors::length(file, &bytes, fetch.size());
        let length = length.map_err(|error| match error.kind() {
            ErrorKind::InvalidWeights if file.ends_with(".gguf") => Error::invalid_weights(
                format!("{file}: does not begin with 'GGUF', as a GGUF file does"),
            )
            .with_file(file),
            _ => error,
        })?;
        bytes.resize(8 + length, 0);
        let read = fetch.read_exact(&mut bytes[8..]).await;
        read.map_err(|error| named(file, error))?;
        Ok(bytes)
    }

    /// Parses a header that was [`read`](Self::read), and checks it against the size of the file where that is known.
    ///
    /// *Errors*: `InvalidWeights` naming the file and the tensor, `UnsupportedModel` for a tensor of a type that is not read.
    pub fn check(file: &str, bytes: &[u8], whole: Option<u64>) -> Result<Self> {
        let header = match gguf::is_gguf(bytes) {
            true => gguf::Gguf::parse(file, bytes).map(gguf::Gguf::into_header),
            false => safetensors::parse(file, bytes.get(8..).unwrap_or_default()),
        };
        let header = header.map_err(|error| error.with_file(file))?;
        let described = bytes.len() as u64 + header.data();
        match whole {
            Some(whole) if whole < described || whole - described > header.padding => {
                Err(Error::invalid_weights(format!(
                    "{file}: the file has {whole} bytes, but its header describes {described}"
                ))
                .with_file(file))
            }
            _ => Ok(header),
        }
    }

    /// The number of bytes that all tensors take.
    pub fn data(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.range.end)
    }
}

/// Puts the file's name before the error's message, unless the message has it already.
pub(crate) fn named(file: &str, error: Error) -> Error {
    let message = error.to_string();
    if message.contains(file) {
        error.with_file(file)
    } else {
        Error::new(error.kind(), format!("{file}: {message}"))
            .with_details_of(&error)
            .with_file(file)
            .with_source(error)
    }
}

/// Reads the bytes of a file's header, as [`Header::read`] does.
pub(crate) async fn read_header(file: &str, fetch: &mut Fetch<'_>) -> Result<Vec<u8>> {
    Header::read(file, fetch).await
}
