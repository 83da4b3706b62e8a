//! The names that a state dict may have. A pickle that has any other is refused.
//!
//! *Source*: PyTorch, `torch/_utils.py` and `torch/storage.py`.

/// The types of storages: the name in `torch`, the dtype as safetensors calls it, and the bytes of an element.
const STORAGES: [(&str, &str, u64); 12] = [
    ("FloatStorage", "F32", 4),
    ("HalfStorage", "F16", 2),
    ("BFloat16Storage", "BF16", 2),
    ("DoubleStorage", "F64", 8),
    ("LongStorage", "I64", 8),
    ("IntStorage", "I32", 4),
    ("ShortStorage", "I16", 2),
    ("CharStorage", "I8", 1),
    ("ByteStorage", "U8", 1),
    ("BoolStorage", "BOOL", 1),
    ("ComplexFloatStorage", "C64", 8),
    ("ComplexDoubleStorage", "C128", 16),
];

/// The type of a storage's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// The name of the dtype in safetensors.
    pub dtype: &'static str,
    /// Bytes of one element.
    pub bytes: u64,
}

/// A name that a state dict may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.Size`
    Size,
    /// `torch._utils._rebuild_tensor_v2`, and `_rebuild_tensor`
    Tensor,
    /// `torch._utils._rebuild_parameter`, and `_rebuild_parameter_with_state`
    Parameter,
    /// `torch.FloatStorage` and the like
    Storage(Element),
}

impl Global {
    /// Finds a name by its module; `None` for every name that is not allowed.
    pub fn from_name(module: &str, name: &str) -> Option<Self> {
        let storage = || STORAGES.iter().find(|(storage, ..)| *storage == name);
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch", _) => {
                let (_, dtype, bytes) = *storage()?;
                Self::Storage(Element { dtype, bytes })
            }
            _ => return None,
        })
    }
}
