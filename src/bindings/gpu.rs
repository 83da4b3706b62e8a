//! `initGpu` and `closeGpu`: opening and testing the GPU, and closing it.

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::error::to_js;
use crate::device::{Adapter, Gpu, Trial};
use crate::error::Error;
use crate::weights::Dtype;

/// The result of `initGpu`.
#[derive(Serialize)]
struct Report<'a> {
    adapter: &'a Adapter,
    #[serde(flatten)]
    trial: Trial,
}

/// Opens the GPU and runs its [`Trial`] with weights of the format `dtype`; later calls return the first result without running it again.
///
/// Resolves to `{ adapter: { vendor, architecture, description, software }, cpuMs, gpuMs, maxAbsError }`: the times are
/// those of one layer of MiniLM on 128 tokens, and the error is the largest difference between GPU and CPU. Blocks the thread for
/// `cpuMs` at a time.
///
/// *Errors*: `INVALID_INPUT` for another dtype, `BACKEND_UNAVAILABLE` if there is no GPU, or if its results differ from the CPU's.
#[wasm_bindgen(js_name = initGpu)]
pub async fn init_gpu(dtype: &str) -> Result<JsValue, JsValue> {
    let dtype = Dtype::from_name(dtype).map_err(to_js)?;
    let gpu = Gpu::open().await.map_err(to_js)?;
    let trial = gpu.trial(dtype).await.map_err(to_js)?;
    // serde serializes flattened fields as a map, which would become a `Map` and not an object.
    let objects = serde_wasm_bindgen::Serializer::json_compatible();
    let report = Report {
        adapter: gpu.adapter(),
        trial,
    }
    .serialize(&objects);
    report.map_err(|error| to_js(Error::internal(format!("the GPU's report: {error}"))))
}

/// Frees the memory of the GPU, after which this instance computes nothing on it any more.
#[wasm_bindgen(js_name = closeGpu)]
pub fn close_gpu() {
    Gpu::close();
}
