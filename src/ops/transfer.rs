//! Moving values into tensors and back.
//!
//! This uses functions of the backends, because `Tensor::from_data` and `Tensor::into_data` convert between all dtypes of burn, which adds
//! 100 KB of WebAssembly.

use std::ops::Range;

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Bytes, Dispatch, ExecutionError};
use burn::tensor::{DType, Device, Int, Slice, Tensor, TensorData};

#[cfg(feature = "webgpu")]
use super::is_gpu;
use crate::error::{Error, Result};

/// Makes an f32 tensor of these values, which the CPU backend takes over without a copy.
pub fn floats<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::from_bytes(Bytes::from_elems(values), shape, DType::F32);
    send(data, device, |data| {
        Tensor::from_dispatch(Dispatch::float_from_data(data, device.as_dispatch()))
    })
}

/// Makes an i32 tensor of these values, which the CPU backend takes over without a copy.
pub fn integers<const D: usize>(
    values: Vec<i32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    let data = TensorData::from_bytes(Bytes::from_elems(values), shape, DType::I32);
    send(data, device, |data| {
        Tensor::from_dispatch(Dispatch::int_from_data(data, device.as_dispatch()))
    })
}

/// Makes a tensor of values; those for a GPU are counted.
fn send<T>(data: TensorData, device: &Device, make: impl FnOnce(TensorData) -> T) -> T {
    #[cfg(feature = "webgpu")]
    if is_gpu(device) {
        return super::gpu::count_sent(data.bytes().len(), || make(data));
    }
    let _ = device;
    make(data)
}

/// The tensor on a device, which it is on already or to which it is sent from the CPU.
#[cfg(feature = "webgpu")]
pub(crate) fn float_on<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    if tensor.device() == *device {
        return tensor;
    }
    let bytes = tensor.dims().iter().product::<usize>() * size_of::<f32>();
    super::gpu::count_sent(bytes, || {
        let sent = Dispatch::float_to_device(tensor.into_dispatch(), device.as_dispatch());
        Tensor::from_dispatch(sent)
    })
}

/// As [`float_on`], for integers.
#[cfg(feature = "webgpu")]
pub(crate) fn integer_on<const D: usize>(
    tensor: Tensor<D, Int>,
    device: &Device,
) -> Tensor<D, Int> {
    if tensor.device() == *device {
        return tensor;
    }
    let bytes = tensor.dims().iter().product::<usize>() * size_of::<i32>();
    super::gpu::count_sent(bytes, || {
        let sent = Dispatch::int_to_device(tensor.into_dispatch(), device.as_dispatch());
        Tensor::from_dispatch(sent)
    })
}

/// A range of a tensor's first dimension. As with the functions above, burn's own `narrow` would add its checks.
pub(crate) fn part<const D: usize>(tensor: &Tensor<D>, range: Range<usize>) -> Tensor<D> {
    let slices = slices(tensor.dims(), range);
    Tensor::from_dispatch(Dispatch::float_slice(
        tensor.clone().into_dispatch(),
        &slices,
    ))
}

/// A range of the columns of a matrix.
pub(crate) fn columns(tensor: &Tensor<2>, range: Range<usize>) -> Tensor<2> {
    let [rows, _] = tensor.dims();
    let slices = [Slice::from(0..rows), Slice::from(range)];
    Tensor::from_dispatch(Dispatch::float_slice(
        tensor.clone().into_dispatch(),
        &slices,
    ))
}

/// A range of the first dimension of a tensor of integers.
pub(crate) fn part_int<const D: usize>(
    tensor: &Tensor<D, Int>,
    range: Range<usize>,
) -> Tensor<D, Int> {
    let slices = slices(tensor.dims(), range);
    Tensor::from_dispatch(Dispatch::int_slice(tensor.clone().into_dispatch(), &slices))
}

fn slices<const D: usize>(dims: [usize; D], range: Range<usize>) -> [Slice; D] {
    let mut slices = dims.map(|n| Slice::from(0..n));
    if let Some(first) = slices.first_mut() {
        *first = Slice::from(range);
    }
    slices
}

/// Reads the values of an f32 tensor, row by row. It is asynchronous because browsers return the results of a GPU only through promises.
///
/// *Errors*: `Internal` if the backend fails.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let failed = reading_failed;
    #[cfg(feature = "webgpu")]
    let failed = if is_gpu(&tensor.device()) {
        super::gpu::count_read(tensor.dims().iter().product::<usize>() * size_of::<f32>());
        gpu_failed
    } else {
        failed
    };
    let data = Dispatch::float_into_data(tensor.into_dispatch()).await;
    let (bytes, _, _) = data.map_err(failed)?.into_parts();
    // Bytes that do not own their allocation are copied.
    Ok(bytes
        .try_into_vec()
        .unwrap_or_else(|bytes| bytemuck::pod_collect_to_vec(&bytes)))
}

fn reading_failed(error: ExecutionError) -> Error {
    Error::internal(format!("reading a result failed: {error:?}"))
}

/// The error of a GPU that was lost: the driver was reset, the browser took the GPU away, or a program destroyed the device.
#[cfg(feature = "webgpu")]
fn gpu_failed(error: ExecutionError) -> Error {
    let reason = match error {
        ExecutionError::WithContext { reason }
        | ExecutionError::Generic { reason, .. }
        | ExecutionError::DevicePoisoned { reason } => reason,
    };
    Error::internal(format!("the GPU failed: {}", innermost(&reason))).gpu_failed()
}

/// The innermost cause of a failure: each stands below the error that it caused, and a backtrace below it.
#[cfg(feature = "webgpu")]
fn innermost(reason: &str) -> &str {
    let cause = reason
        .rsplit_once("Caused by:")
        .map_or(reason, |(_, cause)| cause);
    cause.trim().lines().next().unwrap_or_default()
}

#[cfg(all(test, feature = "webgpu"))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_its_innermost_cause() {
        let reason = "The device is poisoned\nCaused by:\n  Destroyed: gone\nBacktrace:\n0: a";
        assert_eq!(innermost(reason), "Destroyed: gone");
        assert_eq!(innermost("no memory\n"), "no memory");
        assert_eq!(innermost(""), "");
    }
}
