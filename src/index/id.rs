//! The ids of vectors.

use std::rc::Rc;

use crate::error::{Error, Result};

/// `Number.MAX_SAFE_INTEGER` of JavaScript.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The id of a vector. `1` and `"1"` are different ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer from -(2⁵³ - 1) to 2⁵³ - 1, the range in which JavaScript numbers are exact.
    Integer(i64),
    /// A text, which may be empty.
    Text(Rc<str>),
}

impl Id {
    /// Checks the range of an integer.
    ///
    /// *Errors*: `InvalidInput` beginning with `name`.
    pub(super) fn check(&self, name: impl Fn() -> String) -> Result<()> {
        match self {
            Self::Integer(integer) if integer.abs_diff(0) > MAX_SAFE_INTEGER as u64 => {
                let name = name();
                Err(Error::invalid_input(format!(
                    "{name} is {integer}, expected at most {MAX_SAFE_INTEGER}"
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Integer(_) => 0,
            // An `Rc` stores two reference counts before the text.
            Self::Text(text) => text.len() + 2 * size_of::<usize>(),
        }
    }
}

impl From<i64> for Id {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
