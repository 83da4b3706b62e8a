//! The fields of protobuf messages in a file, read forward through a window. Skipped ranges are not requested, unless they are short.
//!
//! *Source*: the Protocol Buffers documentation, "Encoding".

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::hub::Fetch;

/// The longest number, in bytes.
const MAX_VARINT: u64 = 10;

/// Bytes of the first request, and of one after a jump, which has to show the description of the next tensor.
const FIRST: u64 = 64 << 10;
const AFTER_JUMP: u64 = 4 << 10;

/// The most bytes of a request, and so of the window. Each request that goes on where the last one ended asks for four times as much.
const MOST: u64 = 1 << 20;

/// Bytes that are downloaded to be skipped, because another request takes longer.
const SMALL_GAP: u64 = 64 << 10;

/// The most requests for one file: with gaps of 64 KiB they reach past 512 MB.
const MAX_REQUESTS: usize = 8192;

/// The number and the value of a field.
pub(super) struct Field {
    pub number: u64,
    pub value: Value,
}

/// The value of a field.
pub(super) enum Value {
    /// A number.
    Number(u64),
    /// A number of four or eight bytes; its place in the file.
    Fixed(Range<u64>),
    /// A string, a message or a list of numbers: its place in the file.
    Bytes(Range<u64>),
}

/// A reader of a file's messages.
pub(super) struct Walker<'a, 'h> {
    fetch: &'a mut Fetch<'h>,
    size: u64,
    window: Vec<u8>,
    /// The byte of the file at which the window begins.
    start: u64,
    /// The next byte to read.
    position: u64,
    /// Bytes of the next request.
    next: u64,
    requests: usize,
}

impl<'a, 'h> Walker<'a, 'h> {
    /// Begins at the first byte of a file of `size` bytes.
    pub fn new(fetch: &'a mut Fetch<'h>, size: u64) -> Self {
        Self {
            fetch,
            size,
            window: Vec::new(),
            start: 0,
            position: 0,
            next: FIRST,
            requests: 0,
        }
    }

    /// Reads the next field of a message that ends at byte `end`; `None` at its end. The contents of strings and messages come next, and are
    /// read or skipped by the caller.
    ///
    /// *Errors*: `InvalidWeights` for bytes that are no field, or a field longer than its message; those of the stream.
    pub async fn field(&mut self, end: u64) -> Result<Option<Field>> {
        if self.position >= end {
            return Ok(None);
        }
        let key = self.number(end).await?;
        let (number, wire) = (key >> 3, key & 7);
        if number == 0 || number >= 1 << 29 {
            return Err(bad(format!(
                "has a field of number {number}, expected 1 to 2^29 - 1"
            )));
        }
        let value = match wire {
            0 => Value::Number(self.number(end).await?),
            1 => Value::Fixed(self.place(number, 8, end)?),
            2 => {
                let length = self.number(end).await?;
                Value::Bytes(self.place(number, length, end)?)
            }
            5 => Value::Fixed(self.place(number, 4, end)?),
            _ => {
                return Err(bad(format!(
                    "field {number} is of wire type {wire}, expected 0, 1, 2 or 5"
                )));
            }
        };
        if let Value::Fixed(range) = &value {
            self.skip_to(range.end);
        }
        Ok(Some(Field { number, value }))
    }

    /// The place of the next `length` bytes, which must lie in the message that ends at byte `end`.
    fn place(&self, field: u64, length: u64, end: u64) -> Result<Range<u64>> {
        let remaining = end.saturating_sub(self.position);
        match length <= remaining {
            true => Ok(self.position..self.position + length),
            false => Err(bad(format!(
                "field {field} has {length} bytes, but its message has {remaining} more"
            ))),
        }
    }

    /// Reads a number of a message that ends at byte `end`.
    pub async fn number(&mut self, end: u64) -> Result<u64> {
        let length = MAX_VARINT.min(end.saturating_sub(self.position));
        let bytes = self.peek(length).await?;
        let mut number = 0;
        for (index, byte) in bytes.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.position += index as u64 + 1;
                return Ok(number);
            }
        }
        Err(bad(match length == MAX_VARINT {
            true => "has a number of more than 64 bits".into(),
            false => "ends within a number".into(),
        }))
    }

    /// Reads a string of at most `limit` bytes.
    pub async fn text(&mut self, range: &Range<u64>, limit: u64) -> Result<String> {
        let length = range.end - range.start;
        if length > limit {
            return Err(bad(format!(
                "has a name of {length} bytes, more than the limit of {limit}"
            )));
        }
        let bytes = self.bytes(range).await?;
        String::from_utf8(bytes).map_err(|_| bad("has a name that is no UTF-8".into()))
    }

    /// Reads the bytes of a range.
    pub async fn bytes(&mut self, range: &Range<u64>) -> Result<Vec<u8>> {
        let bytes = self.peek(range.end - range.start).await?.to_vec();
        self.position = range.end;
        Ok(bytes)
    }

    /// The next byte that is read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves on to a byte.
    pub fn skip_to(&mut self, position: u64) {
        self.position = position;
    }

    /// The next `length` bytes, without moving on.
    async fn peek(&mut self, length: u64) -> Result<&[u8]> {
        if length == 0 {
            return Ok(&[]);
        }
        let end = self.position + length;
        if end > self.window_end() {
            self.fill(end).await?;
        }
        let from = (self.position - self.start) as usize;
        let bytes = self.window.get(from..from + length as usize);
        bytes.ok_or_else(|| Error::internal("the window of the file lacks bytes"))
    }

    fn window_end(&self) -> u64 {
        self.start + self.window.len() as u64
    }

    /// Makes the window hold the bytes from the current position to byte `end` at least.
    async fn fill(&mut self, end: u64) -> Result<()> {
        if end > self.size {
            return Err(bad(format!("the file ends at byte {}", self.size)));
        }
        let window_end = self.window_end();
        if self.position > window_end + SMALL_GAP {
            self.window.clear();
            self.start = self.position;
            self.next = AFTER_JUMP;
        }
        while self.window_end() < end {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                return Err(Error::unsupported(format!(
                    "its tensors are so far apart that more than {MAX_REQUESTS} requests would find them"
                )));
            }
            let from = self.window_end();
            let to = (from + self.next).min(self.size);
            let bytes = self.fetch.read_aside(from..to).await?;
            // The bytes before the position are not needed any more.
            let passed = (self.position.min(from) - self.start) as usize;
            self.window.drain(..passed);
            self.start += passed as u64;
            self.window.extend(bytes);
            self.next = (self.next * 4).min(MOST);
        }
        Ok(())
    }
}

fn bad(what: String) -> Error {
    Error::invalid_weights(what)
}

/// Puts the place of an error before its message: the path of a field.
pub(super) fn at(place: &str, error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidWeights | ErrorKind::UnsupportedModel => {
            Error::new(error.kind(), format!("{place} {error}")).with_details_of(&error)
        }
        _ => error,
    }
}
