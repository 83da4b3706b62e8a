//! The surface for JavaScript: conversions only, no arithmetic.

mod caller;
mod digit_generator;
mod error;
mod event_loop;
#[cfg(feature = "webgpu")]
mod gpu;
mod image_text_embedder;
mod models;
mod options;
mod source;
mod store;
mod text_embedder;
mod vector_index;

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::ops::SIMD_LEVEL;

/// What this build is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoreInfo {
    version: &'static str,
    simd: &'static str,
    webgpu: bool,
    /// Linear memory so far; it never shrinks, so this is the peak too.
    memory_bytes: usize,
}

/// `{ version, simd, webgpu, memoryBytes }` of this build and instance.
#[wasm_bindgen(js_name = coreInfo)]
pub fn core_info() -> Result<JsValue, JsValue> {
    let info = CoreInfo {
        version: env!("CARGO_PKG_VERSION"),
        simd: SIMD_LEVEL,
        webgpu: cfg!(feature = "webgpu"),
        memory_bytes: core::arch::wasm32::memory_size(0) << 16,
    };
    Ok(serde_wasm_bindgen::to_value(&info)?)
}
