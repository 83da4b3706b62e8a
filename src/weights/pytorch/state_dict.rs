//! The tensors of a state dict: their names, dtypes and shapes, and their places in storages.

use std::collections::HashSet;

use super::pickle::{Id, Storage, Value, Values};
use super::zip::shortened;
use crate::error::{Error, Result};

/// The most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// The most tensors of a file.
const MAX_TENSORS: usize = 1 << 16;

/// A tensor of a state dict.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub storage: Storage<'a>,
    /// The dtype as safetensors calls it; with the strides after it where the values do not lie in the order of the shape.
    pub dtype: String,
    pub shape: Vec<u64>,
    /// The tensor's first byte in the storage.
    pub start: u64,
    /// The number of its bytes; 0 where they do not lie in the order of the shape.
    pub bytes: u64,
}

/// Reads the tensors of a state dict from its pickle. Values that are no tensors are left out.
///
/// *Errors*: `InvalidWeights` naming the tensor; those of the pickle.
pub(super) fn tensors(pickle: &[u8]) -> Result<Vec<Tensor<'_>>> {
    let values = Values::read(pickle)?;
    let Value::Dict(pairs) = values.get(values.root) else {
        return Err(Error::unsupported(
            "the pickle is of something else than a dict, expected a state dict of tensors",
        ));
    };
    let (mut names, mut tensors) = (HashSet::new(), Vec::new());
    for (key, value) in pairs {
        let (Value::Text(name), Value::Tensor(arguments)) = (values.get(*key), values.get(*value))
        else {
            continue;
        };
        if !names.insert(*name) {
            return Err(bad(name, "is there twice"));
        }
        if tensors.len() == MAX_TENSORS {
            return Err(Error::unsupported(format!(
                "the state dict has more than {MAX_TENSORS} tensors"
            )));
        }
        tensors.push(tensor(&values, name, *arguments)?);
    }
    if tensors.is_empty() && !pairs.is_empty() {
        let keys = pairs.iter().filter_map(|(key, _)| match values.get(*key) {
            Value::Text(key) => Some(format!("'{}'", shortened(key))),
            _ => None,
        });
        let keys: Vec<_> = keys.take(3).collect();
        return Err(Error::unsupported(format!(
            "the dict has no tensors, but {}: expected the state dict itself",
            match keys.as_slice() {
                [] => "keys that are no texts".into(),
                keys => format!("keys such as {}", keys.join(", ")),
            }
        )));
    }
    Ok(tensors)
}

/// Reads the arguments of `_rebuild_tensor_v2`: the storage, the first element in it, the shape and the strides come first.
fn tensor<'a>(values: &Values<'a>, name: &'a str, arguments: Id) -> Result<Tensor<'a>> {
    let parts = match values.get(arguments) {
        Value::Tuple(parts) => parts.as_slice(),
        _ => &[],
    };
    let parts = parts
        .first_chunk()
        .map(|four| four.map(|id| values.get(id)));
    let Some(
        [
            Value::Storage(storage),
            Value::Integer(offset),
            Value::Tuple(shape),
            Value::Tuple(strides),
        ],
    ) = parts
    else {
        return Err(bad(name, "has other arguments than torch.save writes"));
    };
    if shape.len() > MAX_DIMS || strides.len() != shape.len() {
        let what = format!(
            "has {} dimensions and {} strides, expected as many, and at most {MAX_DIMS}",
            shape.len(),
            strides.len()
        );
        return Err(bad(name, &what));
    }
    let numbers = |ids: &[Id]| -> Option<Vec<u64>> {
        let number = |id: &Id| match values.get(*id) {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        ids.iter().map(number).collect()
    };
    let (Some(shape), Some(strides), Ok(offset)) =
        (numbers(shape), numbers(strides), u64::try_from(*offset))
    else {
        return Err(bad(
            name,
            "has a shape, strides or an offset that are no counts",
        ));
    };
    let fits = |dim: &u64| *dim <= u64::from(u32::MAX);
    let elements = shape.iter().try_fold(1u64, |product, dim| {
        product.checked_mul(*dim).filter(|_| fits(dim))
    });
    let width = storage.element.bytes;
    let [start, bytes] = [Some(offset), elements].map(|n| n.and_then(|n| n.checked_mul(width)));
    let (Some(elements), Some(start), Some(bytes)) = (elements, start, bytes) else {
        return Err(bad(name, &format!("has an impossible shape {shape:?}")));
    };
    let contiguous = is_contiguous(&shape, &strides);
    let end = offset.checked_add(elements);
    if contiguous && end.is_none_or(|end| end > storage.elements) {
        let what = format!(
            "has {elements} values from {offset} on in a storage of {}",
            storage.elements
        );
        return Err(bad(name, &what));
    }
    let dtype = match contiguous {
        true => storage.element.dtype.into(),
        false => format!(
            "{} with strides {strides:?}, as a transposed tensor has,",
            storage.element.dtype
        ),
    };
    Ok(Tensor {
        name,
        storage: *storage,
        dtype,
        shape,
        start,
        bytes: if contiguous { bytes } else { 0 },
    })
}

/// Whether the values lie in the order of the shape, one after the other. The stride of a dimension of one does not matter.
fn is_contiguous(shape: &[u64], strides: &[u64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut expected = 1u64;
    for (dim, stride) in shape.iter().zip(strides).rev() {
        if *dim > 1 && *stride != expected {
            return false;
        }
        expected = expected.saturating_mul(*dim);
    }
    true
}

fn bad(tensor: &str, what: &str) -> Error {
    let name = shortened(tensor);
    Error::invalid_weights(format!("tensor '{name}' {what}")).with_tensor(&name)
}
