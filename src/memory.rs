//! Fallible allocation: a lack of memory becomes an error where `Vec` would abort, which WebAssembly cannot recover from.

use std::collections::TryReserveError;

use crate::error::{Error, ErrorKind};

/// An empty vector with memory for `capacity` values.
///
/// *Errors*: an allocation failure, which [`out_of_memory`] turns into an `Error`.
pub fn try_vec<T>(capacity: usize) -> Result<Vec<T>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(capacity)?;
    Ok(values)
}

/// A vector of `count` default values: zeros for numbers.
///
/// *Errors*: as [`try_vec`].
pub fn try_zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>, TryReserveError> {
    let mut values = try_vec(count)?;
    values.resize(count, T::default());
    Ok(values)
}

/// Checks that `bytes` could be allocated now. For callers that allocate through code which cannot report a failure, such as maps,
/// strings and decoders.
///
/// *Errors*: as [`try_vec`].
pub fn probe(bytes: usize) -> Result<(), TryReserveError> {
    try_vec::<u8>(bytes).map(|_| ())
}

/// Makes the error `ResourceLimit` of an allocation that failed, with a message that names it.
pub fn out_of_memory(message: impl Into<String>, error: TryReserveError) -> Error {
    Error::new(ErrorKind::ResourceLimit, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_memory_is_an_error_and_no_abort() {
        assert!(probe(usize::MAX).is_err());
        let error = try_zeros::<u64>(usize::MAX / 4).unwrap_err();
        let error = out_of_memory("the table does not fit", error);
        assert_eq!(error.kind(), ErrorKind::ResourceLimit);
        assert_eq!(error.to_string(), "the table does not fit");
    }

    #[test]
    fn vectors_have_the_asked_capacity_and_zeros() {
        assert!(try_vec::<u32>(7).unwrap().capacity() >= 7);
        assert_eq!(try_zeros::<u32>(3).unwrap(), [0; 3]);
    }
}
