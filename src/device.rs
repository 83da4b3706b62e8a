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

#[cfg(target_arch = "wasm32")]
use crate::error::Result;
#[cfg(all(target_arch = "wasm32", not(feature = "webgpu")))]
use crate::error::{Error, ErrorKind};

/// The CPU, by burn's Flex backend and our SIMD kernels.
pub fn cpu() -> Device {
    Device::flex()
}

/// Where a model runs.
#[cfg(target_arch = "wasm32")]
pub(crate) enum Backend {
    Cpu,
    #[cfg(feature = "webgpu")]
    Gpu(Gpu),
}

#[cfg(target_arch = "wasm32")]
impl Backend {
    /// *Errors*: `BackendUnavailable` where the GPU is wanted and there is none, or none in this build.
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

    /// Whether all went well so far: a GPU reports what fails only after the values were read back.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "webgpu")]
            Self::Gpu(gpu) => gpu.check(),
        }
    }
}
