//! The GPU for JavaScript.

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::error::to_js;
use crate::device::{Adapter, Gpu, Trial};
use crate::error::Error;

/// What `initGpu` resolves to.
#[derive(Serialize)]
struct Report<'a> {
    adapter: &'a Adapter,
    #[serde(flatten)]
    trial: Trial,
}

/// Opens the GPU and puts it on trial; a second call answers at once.
///
/// Resolves to `{ adapter: { vendor, architecture, description, software }, cpuMs, gpuMs, maxAbsError }`: milliseconds for one
/// layer of MiniLM on 128 tokens, and the largest difference between the two. Blocks the thread for as long as `cpuMs`.
///
/// *Errors*: `BACKEND_UNAVAILABLE` where there is no GPU, or where it computes something else than the CPU.
#[wasm_bindgen(js_name = initGpu)]
pub async fn init_gpu() -> Result<JsValue, JsValue> {
    let gpu = Gpu::open().await.map_err(to_js)?;
    let trial = gpu.trial().await.map_err(to_js)?;
    // Flattened fields come as a map, which JavaScript shall see as an object.
    let objects = serde_wasm_bindgen::Serializer::json_compatible();
    let report = Report {
        adapter: gpu.adapter(),
        trial,
    }
    .serialize(&objects);
    report.map_err(|error| to_js(Error::internal(format!("the GPU's report: {error}"))))
}
