//! The backends that run models: the CPU, and a GPU that is tested before its use.

#[cfg(feature = "webgpu")]
mod gpu;
#[cfg(feature = "webgpu")]
mod self_test;

#[cfg(feature = "webgpu")]
pub use gpu::{Adapter, Gpu};

use burn::tensor::Device;

use crate::ops::is_gpu;

#[cfg(target_arch = "wasm32")]
use crate::error::Result;
#[cfg(all(target_arch = "wasm32", not(feature = "webgpu")))]
use crate::error::{Error, ErrorKind};

/// The CPU as a device: burn's Flex backend with the SIMD kernels of this crate.
pub fn cpu() -> Device {
    Device::flex()
}

/// Whether a device is the CPU.
pub(crate) fn is_cpu(device: &Device) -> bool {
    !is_gpu(device)
}

/// The backend that runs a model.
#[cfg(target_arch = "wasm32")]
pub(crate) enum Backend {
    Cpu,
    #[cfg(feature = "webgpu")]
    Gpu(Gpu),
}

#[cfg(target_arch = "wasm32")]
impl Backend {
    /// Opens the GPU if `webgpu` is true.
    ///
    /// *Errors*: `BackendUnavailable` if there is no GPU, or if this build has no WebGPU backend.
    pub async fn open(webgpu: bool) -> Result<Self> {
        if !webgpu {
            return Ok(Self::Cpu);
        }
        #[cfg(feature = "webgpu")]
        return Ok(Self::Gpu(Gpu::open().await?));
        #[cfg(not(feature = "webgpu"))]
        Err(Error::new(
            ErrorKind::BackendUnavailable,
            "this build has no WebGPU backend",
        ))
    }

    pub fn device(&self) -> Device {
        match self {
            Self::Cpu => cpu(),
            #[cfg(feature = "webgpu")]
            Self::Gpu(gpu) => gpu.device().clone(),
        }
    }

    /// Checks that no operation failed so far. A GPU reports failures late, so this must be called after values were read back.
    ///
    /// *Errors*: those of `Gpu::check`.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "webgpu")]
            Self::Gpu(gpu) => gpu.check(),
        }
    }
}
