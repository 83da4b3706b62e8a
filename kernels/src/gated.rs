//! The gate of a feed-forward layer.

use super::math::sigmoid;
use super::simd::{F32x4, kernel};

kernel! {
    /// Computes `y = gate · σ(gate) · up`. *Source*: Shazeer, "GLU Variants Improve Transformer", 2020.
    pub fn gated_silu(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((gate, up), y) in gate.chunks(4).zip(up.chunks(4)).zip(y.chunks_mut(4)) {
            let [gate, up] = [gate, up].map(F32x4::load_partial);
            gate.mul(sigmoid(gate)).mul(up).store_partial(y);
        }
    }
}
