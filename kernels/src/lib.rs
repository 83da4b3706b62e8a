//! The CPU kernels of Pilotlight: functions on slices, in WebAssembly SIMD or plain Rust.
//!
//! They are a crate of their own, because they are optimized for speed and everything else for size. The only `unsafe` code is in [`simd`]:
//! loads and stores of vectors, and the instructions themselves; and in `parallel`: the parts of a result that threads share, and locks.

#![cfg_attr(
    target_feature = "atomics",
    feature(stdarch_wasm_atomic_wait, thread_local)
)]

pub mod activation;
mod attention;
pub mod blocks;
mod conv;
mod dots;
mod embedding;
pub mod exact;
mod gated;
mod group_norm;
mod halves;
pub mod image;
pub mod layout;
mod math;
mod matmul_f32;
mod matmul_q4;
mod matmul_q8;
mod norm;
pub mod pack;
mod panels;
pub mod parallel;
mod quantized;
mod rotary;
pub mod scan;
mod simd;
pub mod statistics;
pub mod testing;
mod upsample;

pub use activation::Activation;
pub use attention::{BLOCK as QUERY_BLOCK, Bias, attention};
pub use conv::{Window, conv2d};
pub use embedding::{embedding_q8, panel_rows_f32, panel_rows_q8};
pub use gated::gated;
pub use group_norm::group_norm;
pub use halves::{are_finite_halves, fits_halves, unpack_halves};
pub use matmul_f32::linear as linear_f32;
pub use matmul_q4::{Q4Weights, linear as linear_q4};
pub use matmul_q8::{Method, Q8Weights, linear_q8};
pub use norm::{add_layer_norm, rms_norm};
pub use rotary::rotary;
pub use simd::ACTIVATION_MAX;
pub use upsample::upsample;

/// The SIMD instructions that the kernels of this build use.
pub const SIMD_LEVEL: &str = if cfg!(feature = "relaxed-simd") {
    "relaxed-simd"
} else {
    "simd128"
};
