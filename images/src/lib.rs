//! Decoding image files: from bytes to pixels.
//!
//! Native programs call [`decode`]. Pages fetch this crate as a WebAssembly module with the first file that they decode, so that those who
//! embed texts download no decoders (`exports`, and `pkg-config/src/core/image-decoder.ts` at its other side).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod decode;
#[cfg(all(target_arch = "wasm32", feature = "module"))]
mod exports;

pub use decode::decode;

/// An image of red, green and blue values of 8 bits each, in sRGB, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// The number of pixels in a row.
    pub width: usize,
    /// The number of rows.
    pub height: usize,
    /// Three bytes for each pixel.
    pub data: Vec<u8>,
}

/// The reason why a file could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind, on which callers act.
    pub kind: ErrorKind,
    /// A sentence for people.
    pub message: String,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file is no image of a known format, or is damaged.
    InvalidInput,
    /// The image has too many pixels, or there is no memory for it.
    ResourceLimit,
    /// A defect of this crate.
    Internal,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
