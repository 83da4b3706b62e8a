//! The JavaScript API of the crate. These modules convert arguments, results and errors; they compute nothing.

mod caller;
mod decoder;
mod digit_generator;
mod error;
mod event_loop;
#[cfg(feature = "webgpu")]
mod gpu;
mod image_text_embedder;
mod json;
mod models;
mod named;
mod options;
mod sequence_classifier;
mod source;
mod store;
mod text_classifier;
mod text_embedder;
#[cfg(target_feature = "atomics")]
mod threads;
mod vector_index;

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::ops::{Method, SIMD_LEVEL};

/// The result of `coreInfo`: which build runs, and how much memory it has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoreInfo {
    version: &'static str,
    simd: &'static str,
    webgpu: bool,
    /// The kernels' method of adding up integer products: `dot` or `pairs`, whichever suits the dot product of this engine.
    products: &'static str,
    /// Bytes of linear memory. It never shrinks, so this is also the peak.
    memory_bytes: usize,
    /// The work of the GPU since this instance was started.
    #[cfg(feature = "webgpu")]
    gpu: crate::ops::GpuStats,
}

/// Describes this build and instance as `{ version, simd, webgpu, products, memoryBytes }`, with WebGPU also `gpu`, the
/// fields of [`GpuStats`](crate::ops::GpuStats).
#[wasm_bindgen(js_name = coreInfo)]
pub fn core_info() -> Result<JsValue, JsValue> {
    let info = CoreInfo {
        version: env!("CARGO_PKG_VERSION"),
        simd: SIMD_LEVEL,
        webgpu: cfg!(feature = "webgpu"),
        products: Method::best().name(),
        memory_bytes: core::arch::wasm32::memory_size(0) << 16,
        #[cfg(feature = "webgpu")]
        gpu: crate::ops::GpuStats::now(),
    };
    Ok(serde_wasm_bindgen::to_value(&info)?)
}
