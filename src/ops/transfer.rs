//! Values to tensors and back.
//!
//! By the backends' own functions: `Tensor::from_data` and `Tensor::into_data` can convert between all of burn's dtypes, and that
//! is 100 KB of WebAssembly which nobody here needs.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Bytes, Dispatch};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::error::{Error, Result};

/// A tensor of these values, which are moved and not copied on the CPU.
pub fn floats<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::from_bytes(Bytes::from_elems(values), shape, DType::F32);
    Tensor::from_dispatch(Dispatch::float_from_data(data, device.as_dispatch()))
}

/// A tensor of these values, which are moved and not copied on the CPU.
pub fn integers<const D: usize>(
    values: Vec<i32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    let data = TensorData::from_bytes(Bytes::from_elems(values), shape, DType::I32);
    Tensor::from_dispatch(Dispatch::int_from_data(data, device.as_dispatch()))
}

/// The values of an f32 tensor, row by row. Asynchronous, because a browser hands a GPU's results out in no other way.
///
/// *Errors*: `Internal` where the backend fails.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = Dispatch::float_into_data(tensor.into_dispatch()).await;
    let (bytes, _, _) = data
        .map_err(|error| Error::internal(format!("reading a result failed: {error:?}")))?
        .into_parts();
    // Bytes that are not a vector of their own are copied.
    Ok(bytes
        .try_into_vec()
        .unwrap_or_else(|bytes| bytemuck::pod_collect_to_vec(&bytes)))
}
