//! The header of a file of tensors, whichever its format.

use std::collections::BTreeMap;
use std::ops::Range;

use super::stored_rows::Stored;
use super::{gguf, onnx, pytorch, safetensors};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::{ByteStream, Fetch};

/// One tensor's place in the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    /// The tensor's bytes, counted from [`Header::data_start`].
    pub range: Range<u64>,
    /// The number of attention heads whose rows are stored in the order of interleaved rotary embeddings; `None` for the order in which
    /// models are trained.
    pub interleaved_heads: Option<usize>,
    /// The form in which the file has the tensor; `None` for a list of its rows in its dtype.
    pub stored: Option<Box<Stored>>,
    /// The bytes of the file before the member of a zip archive that has the tensor; they must be a member's header.
    pub member: Option<Range<u64>>,
}

impl Entry {
    /// Whether another tensor has the same columns, which are in memory whole while rows are made of them.
    pub fn shares_block(&self, other: &Self) -> bool {
        let columns = self.stored.as_ref().and_then(|stored| stored.columns);
        let others = other.stored.as_ref().and_then(|stored| stored.columns);
        columns.is_some() && others.is_some() && self.range == other.range
    }

    /// Whether the file has the values in 8 bits or fewer.
    pub fn is_lossy(&self) -> bool {
        let stored = self.stored.as_ref();
        stored.is_some_and(|stored| stored.quantized.is_some()) || self.dtype.starts_with('Q')
    }
}

/// The format of a file of tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// Safetensors, which a packed model is as well.
    #[default]
    Safetensors,
    /// GGUF.
    Gguf,
    /// The zip archive of `torch.save`.
    Pytorch,
    /// An ONNX model.
    Onnx,
}

/// The checked header of a file.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// The tensors in the order of their bytes.
    pub entries: Vec<Entry>,
    /// The free-form strings of a safetensors file.
    pub metadata: BTreeMap<String, String>,
    /// The format of the file.
    pub format: FileFormat,
    /// The byte of the file from which the places of tensors are counted.
    pub data_start: u64,
    /// The bytes at the start of the file that are read before any tensor.
    pub front: u64,
    /// The byte of the file at which it ends, but for padding.
    pub end: u64,
    /// The most bytes of padding.
    pub padding: u64,
    /// The name of the file that has the tensors, where that is another one.
    pub data_file: Option<String>,
}

impl Header {
    /// Reads the header's bytes; the next byte of the stream is then the first of the tensors. The format is detected by the file's first bytes.
    /// A checkpoint of PyTorch or an ONNX file describes its tensors in several places; its header is a table that is made of these.
    ///
    /// *Errors*: `InvalidWeights` for an impossible length, `UnsupportedModel` for a format that is known and not read, `FetchFailed` where
    /// the host sent a web page.
    pub async fn read(file: &str, fetch: &mut Fetch<'_>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 8];
        let read = fetch.read_exact(&mut bytes).await;
        read.map_err(|error| named(file, error))?;
        if onnx::is_onnx(file) {
            return onnx::read(file, fetch, &bytes).await;
        }
        if gguf::is_gguf(&bytes) {
            gguf::read_rest(file, fetch, &mut bytes).await?;
            return Ok(bytes);
        }
        if pytorch::is_archive(&bytes) {
            return pytorch::read(file, fetch, &bytes).await;
        }
        if bytes == *b"version " {
            return Err(Error::invalid_weights(format!(
                "{file}: is a pointer of Git LFS instead of the file, which 'git lfs pull' fetches"
            ))
            .with_file(file));
        }
        let length = safetensors::length(file, &bytes, fetch.size());
        let length = length.map_err(|error| match error.kind() {
            ErrorKind::InvalidWeights if file.ends_with(".gguf") => Error::invalid_weights(
                format!("{file}: does not begin with 'GGUF', as a GGUF file does"),
            )
            .with_file(file),
            ErrorKind::InvalidWeights => match pytorch::refusal(file, &bytes) {
                Some(refusal) => refusal.with_file(file),
                None => error,
            },
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
        let (is_pytorch, is_onnx) = (pytorch::is_table(bytes), onnx::is_table(bytes));
        let header = match gguf::is_gguf(bytes) {
            true => gguf::Gguf::parse(file, bytes).map(gguf::Gguf::into_header),
            false if is_pytorch => pytorch::parse(file, bytes),
            false if is_onnx => onnx::parse(file, bytes),
            false => safetensors::parse(file, bytes.get(8..).unwrap_or_default()),
        };
        let mut header = header.map_err(|error| error.with_file(file))?;
        if !is_pytorch && !is_onnx {
            header.data_start = bytes.len() as u64;
            header.front = header.data_start;
            let data = header.entries.last().map_or(0, |last| last.range.end);
            header.end = header.data_start + data;
        }
        let described = header.end;
        if header.data_file.is_some() {
            header.end = whole.unwrap_or(described).max(described);
        }
        match whole {
            Some(whole) if header.data_file.is_some() && whole >= described => Ok(header),
            Some(whole) if whole < described || whole - described > header.padding => {
                let file = header.data_file.as_deref().unwrap_or(file);
                Err(Error::invalid_weights(format!(
                    "{file}: the file has {whole} bytes, but its header describes {described}"
                ))
                .with_file(file))
            }
            _ => Ok(header),
        }
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
