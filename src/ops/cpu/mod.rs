//! SIMD kernels for burn's Flex backend. The only place with `unsafe`: loads and stores of vectors, in `simd`.

mod attention;
mod math;
mod matmul_f32;
mod matmul_q4;
mod matmul_q8;
mod norm;
#[allow(unsafe_code)]
mod simd;

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use self::matmul_q4::Q4Weights;
use self::matmul_q8::{Method, Q8Weights};
use super::{Activation, HotOps, Spans};
#[cfg(test)]
pub(super) use simd::ACTIVATION_MAX;

/// The SIMD level of this build's kernels.
#[cfg(target_arch = "wasm32")]
pub(crate) const SIMD_LEVEL: &str = if cfg!(feature = "relaxed-simd") {
    "relaxed-simd"
} else {
    "simd128"
};

impl HotOps for Flex {
    fn linear_f32(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let [m, k] = dims(&x);
        let [n] = dims(&bias);
        output([m, n], |y| {
            let (x, weight, bias) = (
                x.to_contiguous(),
                weight.to_contiguous(),
                bias.to_contiguous(),
            );
            matmul_f32::linear(floats(&x), k, floats(&weight), floats(&bias), y, activation);
        })
    }

    fn linear_q8(
        x: FlexTensor,
        weight: FlexTensor,
        sums: FlexTensor,
        scale: FlexTensor,
        smooth: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let [m, k] = dims(&x);
        let [n] = dims(&bias);
        output([m, n], |y| {
            let (x, weight, sums) = (
                x.to_contiguous(),
                weight.to_contiguous(),
                sums.to_contiguous(),
            );
            let (scale, smooth, bias) = (
                scale.to_contiguous(),
                smooth.to_contiguous(),
                bias.to_contiguous(),
            );
            let weights = Q8Weights {
                values: integers(&weight),
                sums: floats(&sums),
                scale: floats(&scale),
                smooth: floats(&smooth),
            };
            matmul_q8::linear(
                floats(&x),
                k,
                &weights,
                floats(&bias),
                y,
                activation,
                Method::best(),
            );
        })
    }

    fn linear_q4(
        x: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let [m, k] = dims(&x);
        let [n] = dims(&bias);
        let [_, groups, _] = dims(&scale);
        output([m, n], |y| {
            let (x, weight, scale, bias) = (
                x.to_contiguous(),
                weight.to_contiguous(),
                scale.to_contiguous(),
                bias.to_contiguous(),
            );
            let weights = Q4Weights {
                values: integers(&weight),
                scale: integers(&scale),
                groups,
            };
            matmul_q8::linear(
                floats(&x),
                k,
                &weights,
                floats(&bias),
                y,
                activation,
                Method::best(),
            );
        })
    }

    fn attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        spans: Spans,
        heads: usize,
    ) -> FlexTensor {
        let [t, width] = dims(&query);
        output([t, width], |out| {
            let (q, k, v) = (
                query.to_contiguous(),
                key.to_contiguous(),
                value.to_contiguous(),
            );
            attention::attention(
                floats(&q),
                floats(&k),
                floats(&v),
                out,
                width,
                heads,
                &spans,
            );
        })
    }

    fn add_layer_norm(
        x: FlexTensor,
        residual: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f32,
    ) -> FlexTensor {
        let [m, d] = dims(&x);
        output([m, d], |y| {
            let (x, residual) = (x.to_contiguous(), residual.to_contiguous());
            let (gamma, beta) = (gamma.to_contiguous(), beta.to_contiguous());
            norm::add_layer_norm(
                floats(&x),
                floats(&residual),
                floats(&gamma),
                floats(&beta),
                epsilon,
                y,
            );
        })
    }

    fn embedding_q8(
        table: FlexTensor,
        scale: FlexTensor,
        ids: FlexTensor,
        dimensions: usize,
    ) -> FlexTensor {
        let [t] = dims(&ids);
        let [_, quads] = dims(&table);
        output([t, dimensions], |y| {
            let (table, scale, ids) = (
                table.to_contiguous(),
                scale.to_contiguous(),
                ids.to_contiguous(),
            );
            for (&id, y) in integers(&ids).iter().zip(y.chunks_exact_mut(dimensions)) {
                let (row, scale) = (id as usize, floats(&scale)[id as usize]);
                let bytes = integers(&table)[row * quads..(row + 1) * quads]
                    .iter()
                    .flat_map(|quad| quad.to_le_bytes());
                for (y, byte) in y.iter_mut().zip(bytes) {
                    *y = f32::from(byte.cast_signed()) * scale;
                }
            }
        })
    }
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

fn floats(tensor: &FlexTensor) -> &[f32] {
    &tensor.storage::<f32>()[tensor.layout().start_offset()..]
}

fn integers(tensor: &FlexTensor) -> &[i32] {
    &tensor.storage::<i32>()[tensor.layout().start_offset()..]
}

/// A new f32 tensor that the kernel fills.
fn output(shape: [usize; 2], fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut values = vec![0.0f32; shape[0] * shape[1]];
    fill(&mut values);
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(Shape::from(shape)),
        DType::F32,
    )
}
