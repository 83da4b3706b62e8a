//! The GPU as a device: burn's Cube backend on wgpu, which uses WebGPU in a browser and Vulkan, Metal or Direct3D natively.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use burn::tensor::Device;
use burn::tensor::wgpu::{MemoryConfiguration, WgpuBackend, WgpuInitError, wgpu};

use crate::error::{Error, ErrorKind, Result};
use crate::ops::{Dtype, count_opening, now_ms};

/// An open GPU. Clones share it.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Device,
    /// The same device below burn, which has no way to close it.
    raw: wgpu::Device,
    adapter: Arc<Adapter>,
    /// The first error that the GPU reported. Later ones are usually its consequences.
    failure: Arc<OnceLock<(ErrorKind, String)>>,
    /// The largest differences in its self-tests, in the order of [`Dtype::ALL`].
    pub(super) tests: Arc<Tests>,
}

/// The results of self-tests, of which each format of weights has one.
pub(super) type Tests = [OnceLock<f32>; Dtype::ALL.len()];

/// A description of a GPU by the platform. In a browser, where `pkg-config/src/core/adapter.ts` asks for one, the texts are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// The id of the vendor on the PCI bus.
    pub vendor: String,
    /// The name, such as `NVIDIA GeForce RTX 3060`.
    pub description: String,
    /// Whether it is a software renderer, whose results are right but slower than the kernels for the CPU.
    pub software: bool,
}

impl Gpu {
    /// Opens the GPU. Every call returns the same one, because burn supports one GPU in a program.
    ///
    /// *Errors*: `BackendUnavailable` if there is no GPU, or none that this origin may use. A later call tries again.
    pub async fn open() -> Result<Self> {
        let guard = match OpenGuard::acquire().await {
            Ok(guard) => guard,
            Err(gpu) => return Ok(gpu),
        };
        // The kernels are written in WGSL and tuned by hand, so neither autotune nor fusion is compiled in. Exclusive pages are the
        // only memory configuration that burn supports in a browser.
        let options = Device::wgpu_options()
            .memory_config(MemoryConfiguration::ExclusivePages)
            .tasks_max(TASKS);
        let options = if cfg!(target_family = "wasm") {
            options.graphics_api(WgpuBackend::WebGpu)
        } else {
            options
        };
        let start = now_ms();
        let (device, setup) = options.init_with_setup_async().await.map_err(unavailable)?;
        count_opening(now_ms() - start);
        // No `.await` below: dropping the future here would leak an open device.
        let gpu = Self {
            device,
            raw: setup.device.clone(),
            adapter: Arc::new(Adapter::describe(&setup.adapter.get_info())),
            failure: record_failures(&setup.device),
            tests: Arc::default(),
        };
        guard.finish(gpu.clone());
        Ok(gpu)
    }

    /// The device of burn on which models are loaded.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The description of this GPU by the platform.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Checks that no operation failed so far. The GPU reports failures late and the values of a failed operation are undefined, so
    /// this must be called after values were read back.
    ///
    /// *Errors*: `ResourceLimit` if the memory of the GPU ran out, `Internal` for any other failure. Either is permanent.
    pub fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some((kind, message)) => {
                Err(Error::new(*kind, format!("the GPU failed: {message}")).gpu_failed())
            }
            None => Ok(()),
        }
    }

    /// Frees all memory of the GPU. Every later operation on it fails, and this program cannot open it again.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn close() {
        if let State::Open(gpu) = &*state() {
            gpu.raw.destroy();
        }
    }
}

/// The number of dispatches after which work is submitted before its results are read. A forward pass of most encoders has fewer, and so
/// is one submission.
const TASKS: usize = 256;

/// Words in the names of software renderers. `adapter.ts` looks for the same words before the WebGPU core is loaded.
const SOFTWARE: [&str; 6] = [
    "swiftshader",
    "llvmpipe",
    "lavapipe",
    "software",
    "basic render",
    "warp",
];

impl Adapter {
    fn describe(info: &wgpu::AdapterInfo) -> Self {
        let description = info.name.clone();
        let names = format!("{description} {}", info.driver).to_lowercase();
        let software = info.device_type == wgpu::DeviceType::Cpu
            || SOFTWARE.iter().any(|name| names.contains(name));
        Self {
            vendor: format!("{:#06x}", info.vendor),
            description,
            software,
        }
    }
}

/// Records the first failure of a device, in place of burn's handler, which panics.
fn record_failures(device: &wgpu::Device) -> Arc<OnceLock<(ErrorKind, String)>> {
    let failure = Arc::new(OnceLock::new());
    let record = failure.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        // `set` keeps the first failure.
        let _ = record.set(match error {
            wgpu::Error::OutOfMemory { .. } => {
                (ErrorKind::ResourceLimit, "its memory ran out".into())
            }
            wgpu::Error::Validation { description, .. }
            | wgpu::Error::Internal { description, .. } => (ErrorKind::Internal, description),
        });
    }));
    failure
}

fn unavailable(error: WgpuInitError) -> Error {
    let message = match &error {
        WgpuInitError::AdapterUnavailable { .. } => "there is no GPU that this program may use",
        WgpuInitError::UnsupportedGraphicsApi { .. } => "this platform has no WebGPU",
        WgpuInitError::RequestDevice { .. } => "the GPU did not open",
        WgpuInitError::Registration { .. } => "the GPU was opened by other code in this program",
        _ => "the GPU could not be set up",
    };
    Error::new(ErrorKind::BackendUnavailable, message).with_source(error)
}

/// The progress of opening the GPU. Calls during `Opening` wait for its outcome.
enum State {
    Closed,
    Opening(Vec<Waker>),
    Open(Gpu),
}

static STATE: Mutex<State> = Mutex::new(State::Closed);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The exclusive right to open the GPU. If it is dropped before `finish`, because of an error or a cancelled call, a waiting call
/// acquires it.
struct OpenGuard;

impl OpenGuard {
    /// Waits for the right to open the GPU, or returns the GPU as `Err` if it is open.
    async fn acquire() -> Result<Self, Gpu> {
        poll_fn(|context| {
            let mut state = state();
            match &mut *state {
                State::Closed => {
                    *state = State::Opening(Vec::new());
                    Poll::Ready(Ok(Self))
                }
                State::Opening(waiting) => {
                    waiting.push(context.waker().clone());
                    Poll::Pending
                }
                State::Open(gpu) => Poll::Ready(Err(gpu.clone())),
            }
        })
        .await
    }

    fn finish(self, gpu: Gpu) {
        set_state(State::Open(gpu));
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        if matches!(*state(), State::Opening(_)) {
            set_state(State::Closed);
        }
    }
}

fn set_state(next: State) {
    if let State::Opening(waiting) = std::mem::replace(&mut *state(), next) {
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the GPU on a new thread and returns its tests, whose address identifies the GPU; `None` if there is no GPU.
    fn open() -> std::thread::JoinHandle<Option<Arc<Tests>>> {
        std::thread::spawn(|| pollster::block_on(Gpu::open()).ok().map(|gpu| gpu.tests))
    }

    #[test]
    fn all_who_open_the_gpu_at_once_get_the_same() {
        let opening: Vec<_> = (0..4).map(|_| open()).collect();
        let opened: Vec<_> = opening
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        if opened[0].is_none() {
            println!("SKIPPED: no GPU to open");
        }
        for other in &opened[1..] {
            assert_eq!(
                other.as_ref().map(Arc::as_ptr),
                opened[0].as_ref().map(Arc::as_ptr)
            );
        }
    }

    #[test]
    fn a_dropped_guard_passes_to_the_next_caller() {
        // Dropped while another thread waits, whatever the outcome of that thread's own attempt.
        let guard = pollster::block_on(OpenGuard::acquire());
        let other = open();
        std::thread::sleep(std::time::Duration::from_millis(20));
        drop(guard);
        let outcome = other.join().unwrap();
        assert_eq!(open().join().unwrap().is_some(), outcome.is_some());
    }

    #[test]
    fn software_renderers_are_recognized_by_name() {
        let info = |name: &str, device_type| wgpu::AdapterInfo {
            name: name.into(),
            ..wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        let software = |info| Adapter::describe(&info).software;
        assert!(software(info(
            "llvmpipe (LLVM 15.0.6, 256 bits)",
            wgpu::DeviceType::Other
        )));
        assert!(software(info("", wgpu::DeviceType::Cpu)));
        assert!(!software(info(
            "NVIDIA GeForce RTX 3060",
            wgpu::DeviceType::DiscreteGpu
        )));
        assert!(software(info(
            "SwiftShader Device",
            wgpu::DeviceType::Other
        )));
    }
}
