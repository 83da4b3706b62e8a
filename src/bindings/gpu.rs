//! `openGpu`, `testGpu` and `closeGpu`: the GPU of this instance.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::error::to_js;
use crate::device::Gpu;
use crate::error::Result;
use crate::weights::Dtype;

/// Opens the GPU; later calls do nothing.
///
/// *Errors*: `BACKEND_UNAVAILABLE` if there is no GPU.
#[wasm_bindgen(js_name = openGpu)]
pub async fn open_gpu() -> Result<(), JsValue> {
    Gpu::open().await.map(drop).map_err(to_js)
}

/// Opens the GPU and compares it with the CPU, with weights of the format `dtype`; see [`Gpu::test`]. Resolves to the largest difference.
///
/// *Errors*: `INVALID_INPUT` for another dtype, `BACKEND_UNAVAILABLE` if there is no GPU, or if its results differ from the CPU's,
/// `INTERNAL` or `RESOURCE_LIMIT` if it fails.
#[wasm_bindgen(js_name = testGpu)]
pub async fn test_gpu(dtype: &str) -> Result<f32, JsValue> {
    let test = async { Gpu::open().await?.test(Dtype::from_name(dtype)?).await };
    test.await.map_err(to_js)
}

/// Frees the memory of the GPU, after which this instance computes nothing on it any more.
#[wasm_bindgen(js_name = closeGpu)]
pub fn close_gpu() {
    Gpu::close();
}
