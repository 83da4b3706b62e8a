//! The functions of the WebAssembly module. They pass numbers and places in the linear memory, so that no glue has to be fetched.
//!
//! JavaScript calls `reserve` and writes the file to the place that it returns, calls `decode`, and reads `length` bytes at `output`:
//! pixels of `width` columns, or a message in UTF-8.

// A name that the linker leaves as it is counts as unsafe code, because another crate could use the same one.
#![allow(unsafe_code)]

use std::cell::RefCell;

use crate::{Error, ErrorKind, Pixels};

thread_local! {
    static FILE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Output> = const { RefCell::new(Output { width: 0, bytes: Vec::new() }) };
}

/// The pixels, or the message of an error, for which the width is 0.
struct Output {
    width: usize,
    bytes: Vec<u8>,
}

/// Frees what was decoded before, reserves memory for a file and returns its place; 0 if there is none.
#[unsafe(no_mangle)]
extern "C" fn reserve(bytes: usize) -> usize {
    OUTPUT.with_borrow_mut(|output| output.bytes = Vec::new());
    FILE.with_borrow_mut(|file| {
        *file = Vec::new();
        if file.try_reserve_exact(bytes).is_err() {
            return 0;
        }
        file.resize(bytes, 0);
        file.as_mut_ptr().addr()
    })
}

/// Decodes the file and frees it. Returns 0, or the number of the kind of error: 1 for invalid input, 2 for a limit, 3 for a defect.
#[unsafe(no_mangle)]
extern "C" fn decode() -> u32 {
    let file = FILE.take();
    let (kind, width, bytes) = match crate::decode(&file) {
        Ok(Pixels { width, data, .. }) => (0, width, data),
        Err(Error { kind, message }) => (number(kind), 0, message.into_bytes()),
    };
    OUTPUT.replace(Output { width, bytes });
    kind
}

fn number(kind: ErrorKind) -> u32 {
    match kind {
        ErrorKind::InvalidInput => 1,
        ErrorKind::ResourceLimit => 2,
        ErrorKind::Internal => 3,
    }
}

/// The place of the pixels or the message.
#[unsafe(no_mangle)]
extern "C" fn output() -> usize {
    OUTPUT.with_borrow(|output| output.bytes.as_ptr().addr())
}

/// The number of bytes there.
#[unsafe(no_mangle)]
extern "C" fn length() -> usize {
    OUTPUT.with_borrow(|output| output.bytes.len())
}

/// The number of pixels in a row.
#[unsafe(no_mangle)]
extern "C" fn width() -> usize {
    OUTPUT.with_borrow(|output| output.width)
}
