//! Values that are in another file than their descriptions.

use std::ops::Range;

use super::protobuf::{Value, Walker};
use crate::error::{Error, Result};

/// The longest key or value, in bytes.
const MAX_TEXT: u64 = 4096;

/// The place of a tensor's values in another file.
#[derive(Default)]
pub(super) struct External {
    /// The file, from the folder of the ONNX file on.
    pub location: String,
    pub offset: u64,
    pub length: Option<u64>,
}

impl External {
    /// Reads one entry of the description of the place.
    ///
    /// *Errors*: `InvalidWeights` for a file outside of the folder, and for an invalid number.
    pub async fn read(&mut self, walker: &mut Walker<'_, '_>, entry: &Range<u64>) -> Result<()> {
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = walker.field(entry.end).await? {
            let Value::Bytes(range) = field.value else {
                continue;
            };
            match field.number {
                1 => key = walker.text(&range, MAX_TEXT).await?,
                2 => value = walker.text(&range, MAX_TEXT).await?,
                _ => walker.skip_to(range.end),
            }
        }
        let number = || {
            value.parse().map_err(|_| {
                Error::invalid_weights(format!(
                    "has the {key} '{value}' of external data, expected a number of bytes"
                ))
            })
        };
        match key.as_str() {
            "location" if !is_inside(&value) => {
                return Err(Error::invalid_weights(format!(
                    "has external data in '{value}', expected the name of a file in its folder"
                )));
            }
            "location" => self.location = value,
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }

    /// The bytes of the file that have the values, which need `bytes`.
    ///
    /// *Errors*: `InvalidWeights` for a range that no file has.
    pub fn range(&self, bytes: Option<u64>) -> Result<Range<u64>> {
        let length = self.length.or(bytes).unwrap_or(0);
        let end = self.offset.checked_add(length);
        let end = end.filter(|end| *end <= crate::hub::MAX_FILE);
        let end = end.ok_or_else(|| {
            Error::invalid_weights(format!(
                "has {length} bytes of external data from byte {} on, which no file has",
                self.offset
            ))
        })?;
        Ok(self.offset..end)
    }
}

/// Whether a location is the path of a file in the same folder or in one inside of it.
fn is_inside(path: &str) -> bool {
    path.split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '%', '?', '#']))
}
