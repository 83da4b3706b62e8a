//! The GPU, by burn's Cube backend on wgpu: WebGPU in a browser, Vulkan, Metal or Direct3D natively.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use burn::tensor::Device;
use burn::tensor::wgpu::{MemoryConfiguration, WgpuBackend, WgpuInitError, wgpu};
use serde::Serialize;

use super::Trial;
use crate::error::{Error, ErrorKind, Result};

/// A GPU that is ready for tensors. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Device,
    adapter: Arc<Adapter>,
    /// The first thing that went wrong outside of any call. What follows are its consequences.
    failure: Arc<OnceLock<(ErrorKind, String)>>,
    pub(super) trial: Arc<OnceLock<Trial>>,
}

/// What the platform tells about a GPU. In a browser that is little, and any of the texts may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// Who made it, such as `nvidia`.
    pub vendor: String,
    /// Its family, such as `ampere`.
    pub architecture: String,
    /// Its name, such as `NVIDIA GeForce RTX 3060`.
    pub description: String,
    /// Whether it is a program that runs on the CPU: right, but slower than our own code for the CPU.
    pub software: bool,
}

impl Gpu {
    /// Opens the GPU. Every call gets the same one: a program can have no second.
    ///
    /// *Errors*: `BackendUnavailable` where there is no GPU, or none that programs of this origin may use. A later call
    /// tries again.
    pub async fn open() -> Result<Self> {
        let turn = match Turn::take().await {
            Ok(turn) => turn,
            Err(gpu) => return Ok(gpu),
        };
        // The kernels are written for WGSL and tuned by hand: neither autotune nor fusion is compiled in, and an exclusive
        // page for each buffer is all that burn knows in a browser.
        let options = Device::wgpu_options().memory_config(MemoryConfiguration::ExclusivePages);
        let options = if cfg!(target_family = "wasm") {
            options.graphics_api(WgpuBackend::WebGpu)
        } else {
            options
        };
        let browser = BrowserInfo::ask().await;
        let (device, setup) = options.init_with_setup_async().await.map_err(unavailable)?;
        // No waiting from here on: who stops listening now would leave a GPU open that nobody has.
        let gpu = Self {
            device,
            adapter: Arc::new(Adapter::describe(&setup.adapter.get_info(), browser)),
            failure: watch(&setup.device),
            trial: Arc::default(),
        };
        turn.finish(gpu.clone());
        Ok(gpu)
    }

    /// burn's device, to load models onto.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the platform tells about it.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Whether all went well so far. To be asked after values were read back: the GPU reports what fails only later, and
    /// the values of a failed operation are anything.
    ///
    /// *Errors*: `ResourceLimit` when the GPU's memory ran out, `Internal` for anything else; both for good.
    pub fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some((kind, message)) => Err(Error::new(*kind, format!("the GPU failed: {message}"))),
            None => Ok(()),
        }
    }
}

impl Adapter {
    fn describe(info: &wgpu::AdapterInfo, browser: BrowserInfo) -> Self {
        // Natively the vendor is a number of the PCI register, and there is no architecture.
        let vendor = if info.vendor == 0 {
            browser.vendor
        } else {
            format!("{:#06x}", info.vendor)
        };
        let (architecture, description) = (browser.architecture, info.name.clone());
        let names = format!("{vendor} {architecture} {description} {}", info.driver).to_lowercase();
        let software = info.device_type == wgpu::DeviceType::Cpu
            || [
                "swiftshader",
                "llvmpipe",
                "lavapipe",
                "basic render",
                "warp",
            ]
            .iter()
            .any(|name| names.contains(name));
        Self {
            vendor,
            architecture,
            description,
            software,
        }
    }
}

/// What a browser tells of its GPU and wgpu leaves out.
#[derive(Default)]
struct BrowserInfo {
    vendor: String,
    architecture: String,
}

impl BrowserInfo {
    #[cfg(target_arch = "wasm32")]
    async fn ask() -> Self {
        use js_sys::{Function, Promise};
        use wasm_bindgen::{JsCast, JsValue};

        use crate::interop::{get, object};

        // (await navigator.gpu.requestAdapter({ powerPreference })).info, of the adapter that burn will also get.
        async fn info() -> Option<JsValue> {
            let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
            let request: Function = get(&gpu, "requestAdapter")?.dyn_into().ok()?;
            let options = object([("powerPreference", "high-performance".into())]);
            let adapter: Promise = request.call1(&gpu, &options).ok()?.dyn_into().ok()?;
            let adapter = wasm_bindgen_futures::JsFuture::from(adapter).await.ok()?;
            get(&adapter, "info")
        }
        let info = info().await.unwrap_or_default();
        let text = |name: &str| get(&info, name)?.as_string();
        Self {
            vendor: text("vendor").unwrap_or_default(),
            architecture: text("architecture").unwrap_or_default(),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn ask() -> Self {
        Self::default()
    }
}

/// Records what fails, in place of burn's handler, which panics.
fn watch(device: &wgpu::Device) -> Arc<OnceLock<(ErrorKind, String)>> {
    let failure = Arc::new(OnceLock::new());
    let record = failure.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let kind = match error {
            wgpu::Error::OutOfMemory { .. } => ErrorKind::ResourceLimit,
            _ => ErrorKind::Internal,
        };
        // The first one stays.
        let _ = record.set((kind, error.to_string()));
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

/// Where opening the GPU stands. Calls that come while one is at it wait for its outcome.
enum State {
    Closed,
    Opening(Vec<Waker>),
    Open(Gpu),
}

static STATE: Mutex<State> = Mutex::new(State::Closed);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to open the GPU. Dropped without an outcome, because of an error or because nobody waits any more, it passes
/// to the next.
struct Turn;

impl Turn {
    /// The right to open the GPU, or the open GPU.
    async fn take() -> Result<Self, Gpu> {
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
        replace(State::Open(gpu));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if matches!(*state(), State::Opening(_)) {
            replace(State::Closed);
        }
    }
}

fn replace(next: State) {
    if let State::Opening(waiting) = std::mem::replace(&mut *state(), next) {
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: whether the GPU opened, and which one it is.
    fn open() -> std::thread::JoinHandle<Option<Arc<OnceLock<Trial>>>> {
        std::thread::spawn(|| pollster::block_on(Gpu::open()).ok().map(|gpu| gpu.trial))
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
    fn a_right_to_open_that_is_dropped_passes_to_the_next() {
        // Held and let go while another waits, whatever the outcome of its own try.
        let turn = pollster::block_on(Turn::take());
        let other = open();
        std::thread::sleep(std::time::Duration::from_millis(20));
        drop(turn);
        let outcome = other.join().unwrap();
        assert_eq!(open().join().unwrap().is_some(), outcome.is_some());
    }

    #[test]
    fn software_is_told_by_its_names() {
        let info = |name: &str, device_type| wgpu::AdapterInfo {
            name: name.into(),
            ..wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        let software = |info| Adapter::describe(&info, BrowserInfo::default()).software;
        assert!(software(info(
            "llvmpipe (LLVM 15.0.6, 256 bits)",
            wgpu::DeviceType::Other
        )));
        assert!(software(info("", wgpu::DeviceType::Cpu)));
        assert!(!software(info(
            "NVIDIA GeForce RTX 3060",
            wgpu::DeviceType::DiscreteGpu
        )));
        let swiftshader = BrowserInfo {
            vendor: "google".into(),
            architecture: "swiftshader".into(),
        };
        assert!(Adapter::describe(&info("", wgpu::DeviceType::Other), swiftshader).software);
    }
}
