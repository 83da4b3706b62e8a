//! Which backend runs a model, and whether it can be trusted here.

#[cfg(feature = "webgpu")]
mod gpu;
#[cfg(feature = "webgpu")]
mod trial;

#[cfg(feature = "webgpu")]
pub use gpu::{Adapter, Gpu};
#[cfg(feature = "webgpu")]
pub use trial::Trial;

use burn::tensor::Device;

/// The CPU, by burn's Flex backend and our SIMD kernels.
pub fn cpu() -> Device {
    Device::flex()
}
