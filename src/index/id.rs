//! What vectors are found by.

use std::rc::Rc;

use crate::error::{Error, Result};

/// JavaScript's numbers hold every integer up to here.
const SAFE: i64 = (1 << 53) - 1;

/// What a vector is found by: `1` and `"1"` are different.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// From -(2⁵³ - 1) to 2⁵³ - 1, so that JavaScript has it too.
    Integer(i64),
    /// Any text.
    Text(Rc<str>),
}

impl Id {
    /// *Errors*: `InvalidInput` beginning with `name` where the integer is too large.
    pub(super) fn check(&self, name: impl Fn() -> String) -> Result<()> {
        match self {
            Self::Integer(integer) if integer.abs_diff(0) > SAFE as u64 => {
                let name = name();
                Err(Error::invalid_input(format!(
                    "{name} is {integer}, expected at most {SAFE}"
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Integer(_) => 0,
            // With the two counts in front.
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
