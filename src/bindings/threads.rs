//! The threads of the core with shared memory: each runs this module on the same memory.

use pilotlight_kernels::parallel;
use wasm_bindgen::prelude::wasm_bindgen;

/// Computes for the thread that has the models. It never returns: the thread ends when its worker is ended.
#[wasm_bindgen]
pub fn help() {
    parallel::help();
}

/// The number of parts of calls that other threads have computed.
#[wasm_bindgen(js_name = helpedParts)]
pub fn helped_parts() -> u32 {
    parallel::helped()
}

/// Sets how many threads share the work of a call from now on: this one, and those that `help`.
#[wasm_bindgen(js_name = setThreads)]
pub fn set_threads(count: usize) {
    parallel::set_threads(count);
}
