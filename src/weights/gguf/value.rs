//! The values of a GGUF file's metadata.

use crate::error::{Error, Result};

/// A value of the metadata.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A whole number.
    Integer(i64),
    /// A number of 32 or 64 bits.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(&'a str),
    /// A list of strings.
    Texts(Texts<'a>),
    /// A list of whole numbers of 32 bits.
    Integers(&'a [[u8; 4]]),
    /// A list of other values, which are not read.
    Others,
}

/// A list of strings, which are not copied.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Texts<'a> {
    /// The number of strings.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        // Parsing has read every string once, so that none is broken here.
        let mut cursor = Cursor {
            bytes: self.bytes,
            at: 0,
        };
        (0..self.count).map_while(move |_| cursor.text().ok())
    }
}

/// A reader of values from bytes.
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match usize::try_from(count)
            .ok()
            .and_then(|count| rest.get(..count))
        {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(Error::invalid_weights(format!(
                "the header ends {} bytes before it should",
                count - rest.len() as u64
            ))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        let length = self.u64()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|error| {
            Error::invalid_weights(format!("a string of the header is not UTF-8: {error}"))
        })
    }

    pub fn value(&mut self, kind: u32) -> Result<Value<'a>> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Integer(self.u32()?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            9 => self.list()?,
            10 => Value::Integer(self.u64()?.try_into().unwrap_or(i64::MAX)),
            11 => Value::Integer(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(unknown_type(kind)),
        })
    }

    fn list(&mut self) -> Result<Value<'a>> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind == TEXT {
            let start = self.at;
            for _ in 0..count {
                self.text()?;
            }
            return Ok(Value::Texts(Texts {
                count: count as usize,
                bytes: &self.bytes[start..self.at],
            }));
        }
        let width = width_of(kind).ok_or_else(|| unknown_type(kind))?;
        let bytes = self.take(count.saturating_mul(width))?;
        Ok(match kind {
            4 | 5 => Value::Integers(bytes.as_chunks().0),
            _ => Value::Others,
        })
    }
}

/// The type of strings.
pub(super) const TEXT: u32 = 8;
/// The type of lists.
pub(super) const LIST: u32 = 9;

/// The number of bytes of a value of a type; `None` for strings, lists, and types that do not exist.
pub(super) fn width_of(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

pub(super) fn unknown_type(kind: u32) -> Error {
    Error::invalid_weights(format!(
        "a value has the type {kind}, expected 0 to 12, and no list in a list"
    ))
}
