//! A walk over the bytes of a GGUF header as they arrive, which finds its end: the format does not say how long a header is.

use super::check_alignment;
use super::value::{LIST, TEXT, unknown_type, width_of};
use crate::error::{Error, Result};

/// The fewest bytes of a key with its value: an empty name, the type, and one byte.
const LEAST_VALUE: u64 = 8 + 4 + 1;
/// The fewest bytes of a tensor's description: an empty name, no dimensions, the type, and the offset.
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;
/// Bytes before the first key: the magic number, the version, and two counts.
const START: u64 = 24;

/// The state of a walk, which continues where it stopped when more bytes have arrived.
#[derive(Default)]
pub(super) struct Walk {
    at: u64,
    started: bool,
    alignment: u64,
    values: u64,
    tensors: u64,
    /// The strings of the current list that are still to come.
    texts: u64,
}

/// The header has fewer bytes than the walk needs: this many, counted from its start.
struct Short(u64);

/// The bytes of a header that are there.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn number<const N: usize>(&self, at: u64) -> std::result::Result<u64, Short> {
        let end = self.up_to(at.saturating_add(N as u64))?;
        let mut eight = [0; 8];
        eight[..N].copy_from_slice(&self.0[at as usize..end as usize]);
        Ok(u64::from_le_bytes(eight))
    }

    /// The end of a string.
    fn text(&self, at: u64) -> std::result::Result<u64, Short> {
        let length = self.number::<8>(at)?;
        Ok(at.saturating_add(8).saturating_add(length))
    }

    /// Checks that the bytes up to `end` are there.
    fn up_to(&self, end: u64) -> std::result::Result<u64, Short> {
        if end > self.0.len() as u64 {
            return Err(Short(end));
        }
        Ok(end)
    }
}

impl Walk {
    /// Goes as far as the bytes allow. Returns how many the header has at least; if these are no more than there are, it is complete.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<u64> {
        let here = Bytes(bytes);
        loop {
            match self.step(&here) {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => {}
                Err(Stop::Short(Short(end))) => return Ok(end.saturating_add(self.rest())),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }

    /// The fewest bytes that follow the current value or tensor.
    fn rest(&self) -> u64 {
        let later = |count: u64, bytes: u64| count.saturating_sub(1).saturating_mul(bytes);
        if self.texts > 0 {
            return later(self.texts, 8)
                .saturating_add(self.values.saturating_mul(LEAST_VALUE))
                .saturating_add(self.tensors.saturating_mul(LEAST_TENSOR));
        }
        match self.values {
            0 => later(self.tensors, LEAST_TENSOR),
            values => {
                later(values, LEAST_VALUE).saturating_add(self.tensors.saturating_mul(LEAST_TENSOR))
            }
        }
    }

    /// Passes one string of a list, one key, or one tensor. Returns the end of the header when all are passed.
    fn step(&mut self, here: &Bytes<'_>) -> std::result::Result<Option<u64>, Stop> {
        if !self.started {
            self.start(here)?;
        } else if self.texts > 0 {
            self.at = here.up_to(here.text(self.at)?)?;
            self.texts -= 1;
        } else if self.values > 0 {
            self.value(here)?;
        } else if self.tensors > 0 {
            let end = here.text(self.at)?;
            let dims = here.number::<4>(end)?;
            self.at = here.up_to((end + LEAST_TENSOR - 8).saturating_add(dims * 8))?;
            self.tensors -= 1;
        } else {
            return Ok(Some(self.at.next_multiple_of(self.alignment)));
        }
        Ok(None)
    }

    fn start(&mut self, here: &Bytes<'_>) -> std::result::Result<(), Stop> {
        here.up_to(START)?;
        let version = here.number::<4>(4)?;
        if version != 2 && version != 3 {
            // A file of the other byte order has its version in the upper bytes.
            return Err(Stop::Failed(Error::unsupported(format!(
                "the GGUF version is {version}, expected 2 or 3 in little-endian order"
            ))));
        }
        (self.tensors, self.values) = (here.number::<8>(8)?, here.number::<8>(16)?);
        (self.at, self.alignment, self.started) = (START, 32, true);
        Ok(())
    }

    /// Passes a key and its value, or a key and the length of its list of strings.
    fn value(&mut self, here: &Bytes<'_>) -> std::result::Result<(), Stop> {
        let key = here.up_to(here.text(self.at)?)?;
        let kind = here.number::<4>(key)?;
        let at = key + 4;
        let mut texts = 0;
        let end = match (kind as u32, width_of(kind as u32)) {
            (_, Some(width)) => at + width,
            (TEXT, _) => here.text(at)?,
            (LIST, _) => {
                let (inner, count) = (here.number::<4>(at)?, here.number::<8>(at + 4)?);
                match width_of(inner as u32) {
                    Some(width) => (at + 12).saturating_add(count.saturating_mul(width)),
                    None if inner as u32 == TEXT => {
                        texts = count;
                        at + 12
                    }
                    None => return Err(Stop::Failed(unknown_type(inner as u32))),
                }
            }
            _ => return Err(Stop::Failed(unknown_type(kind as u32))),
        };
        let end = here.up_to(end)?;
        let name = here.0.get(self.at as usize + 8..key as usize);
        if name == Some(b"general.alignment") && matches!(kind, 4 | 5) {
            self.alignment = check_alignment(here.number::<4>(at)?).map_err(Stop::Failed)?;
        }
        (self.at, self.texts) = (end, texts);
        self.values -= 1;
        Ok(())
    }
}

/// The reason for which a step was not taken.
enum Stop {
    Short(Short),
    Failed(Error),
}

impl From<Short> for Stop {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}
