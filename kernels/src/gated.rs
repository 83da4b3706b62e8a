//! The gate of a feed-forward layer.

// In the relaxed build a function has a target feature and is therefore no `Fn`, but a closure that calls it is.
#![allow(clippy::redundant_closure)]

use super::activation::Activation;
use super::math::activate;
use super::simd::{F32x4, kernel};

/// Computes `y = activation(gate) · up`. *Source*: Shazeer, "GLU Variants Improve Transformer", 2020.
///
/// This is not a `kernel!`: those may be inlined into other crates, where they are optimized for size.
pub fn gated(gate: &[f32], up: &[f32], activation: Activation, y: &mut [f32]) {
    values(gate, up, activation, y);
}

kernel! {
    fn values(gate: &[f32], up: &[f32], activation: Activation, y: &mut [f32]) {
        // Whole vectors, then the rest.
        let ((gate, gate_rest), (up, up_rest)) = (gate.as_chunks::<4>(), up.as_chunks::<4>());
        let (y, y_rest) = y.as_chunks_mut::<4>();
        for ((gate, up), y) in gate.iter().zip(up).zip(y) {
            let mut gate = [F32x4::load(gate)];
            activate(&mut gate, activation);
            gate[0].mul(F32x4::load(up)).store(y);
        }
        let mut gate = [F32x4::load_partial(gate_rest)];
        activate(&mut gate, activation);
        gate[0].mul(F32x4::load_partial(up_rest)).store_partial(y_rest);
    }
}
