//! The operations on burn's Flex backend. They pass the tensors as slices to the kernels of the crate `pilotlight-kernels`.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use pilotlight_kernels as kernels;

use super::{Activation, HotOps, Spans, Window, work};

impl HotOps for Flex {
    fn linear_f32(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let [m, k] = dims(&x);
        let [n] = dims(&bias);
        work::count(m, k, n);
        output([m, n], |y| {
            let (x, weight, bias) = (
                x.to_contiguous(),
                weight.to_contiguous(),
                bias.to_contiguous(),
            );
            kernels::linear_f32(floats(&x), k, floats(&weight), floats(&bias), y, activation);
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
        let [_, groups, _] = dims(&sums);
        work::count(m, k, n);
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
            let weights = kernels::Q8Weights {
                values: integers(&weight),
                sums: floats(&sums),
                scale: floats(&scale),
                smooth: floats(&smooth),
                groups,
            };
            kernels::linear_q8(floats(&x), k, &weights, floats(&bias), y, activation);
        })
    }

    fn linear_q4(
        x: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        linear_q4(x, weight, scale, None, bias, activation)
    }

    fn linear_q4_offset(
        x: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        offset: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        linear_q4(x, weight, scale, Some(offset), bias, activation)
    }

    fn attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        spans: Spans,
        heads: usize,
    ) -> FlexTensor {
        let [queries, width] = dims(&query);
        let [_, key_width] = dims(&key);
        let reach = spans.bias().and_then(|bias| bias.reach);
        for rows in spans.iter() {
            let seen = reach.map_or(usize::MAX, |reach| 2 * reach + kernels::QUERY_BLOCK);
            work::count(rows.len().min(queries), rows.len().min(seen), 2 * width);
        }
        output([queries, width], |out| {
            let (q, k, v) = (
                query.to_contiguous(),
                key.to_contiguous(),
                value.to_contiguous(),
            );
            kernels::attention(
                floats(&q),
                floats(&k),
                floats(&v),
                out,
                width,
                heads,
                heads * key_width / width.max(1),
                spans.offsets(),
                spans.is_causal(),
                reach,
                // The kernel itself leaves out the keys outside of a window, so it needs no bias for them.
                spans
                    .bias()
                    .filter(|_| reach.is_none())
                    .map(|bias| kernels::Bias {
                        table: &bias.table,
                        rows: bias.rows,
                        longest: bias.longest,
                    }),
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
            kernels::add_layer_norm(
                floats(&x),
                floats(&residual),
                floats(&gamma),
                floats(&beta),
                epsilon,
                y,
            );
        })
    }

    fn rms_norm(x: FlexTensor, gain: FlexTensor, epsilon: f32) -> FlexTensor {
        let [m, d] = dims(&x);
        output([m, d], |y| {
            let (x, gain) = (x.to_contiguous(), gain.to_contiguous());
            kernels::rms_norm(floats(&x), floats(&gain), epsilon, y);
        })
    }

    fn rotary(x: FlexTensor, cos: FlexTensor, sin: FlexTensor) -> FlexTensor {
        let [t, width] = dims(&x);
        let [_, half] = dims(&cos);
        output([t, width], |y| {
            let (x, cos, sin) = (x.to_contiguous(), cos.to_contiguous(), sin.to_contiguous());
            let heads = width / (2 * half);
            kernels::rotary(floats(&x), floats(&cos), floats(&sin), heads, half, y);
        })
    }

    fn gated(gate: FlexTensor, up: FlexTensor, activation: Activation) -> FlexTensor {
        let [m, n] = dims(&gate);
        output([m, n], |y| {
            let (gate, up) = (gate.to_contiguous(), up.to_contiguous());
            kernels::gated(floats(&gate), floats(&up), activation, y);
        })
    }

    fn panel_rows_f32(weight: FlexTensor, ids: FlexTensor) -> FlexTensor {
        let ([_, k, _], [t]) = (dims(&weight), dims(&ids));
        output([t, k], |y| {
            let (weight, ids) = (weight.to_contiguous(), ids.to_contiguous());
            kernels::panel_rows_f32(floats(&weight), integers(&ids), k, y);
        })
    }

    fn panel_rows_q8(
        weight: FlexTensor,
        scale: FlexTensor,
        smooth: FlexTensor,
        ids: FlexTensor,
    ) -> FlexTensor {
        let ([k], [t]) = (dims(&smooth), dims(&ids));
        output([t, k], |y| {
            let (weight, scale) = (weight.to_contiguous(), scale.to_contiguous());
            let (smooth, ids) = (smooth.to_contiguous(), ids.to_contiguous());
            kernels::panel_rows_q8(
                integers(&weight),
                floats(&scale),
                floats(&smooth),
                integers(&ids),
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
            kernels::embedding_q8(
                integers(&table),
                floats(&scale),
                integers(&ids),
                quads,
                y,
                dimensions,
            );
        })
    }

    fn conv2d(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, window: Window) -> FlexTensor {
        let [b, h, w, c] = dims(&x);
        let [n] = dims(&bias);
        let (rows, columns) = (window.outputs(h), window.outputs(w));
        work::count(b * rows * columns, window.size * window.size * c, n);
        output([b, rows, columns, n], |y| {
            let (x, weight, bias) = (
                x.to_contiguous(),
                weight.to_contiguous(),
                bias.to_contiguous(),
            );
            let (x, weight, bias) = (floats(&x), floats(&weight), floats(&bias));
            kernels::conv2d(x, [b, h, w, c], weight, bias, window, y);
        })
    }

    fn group_norm(
        x: FlexTensor,
        gain: FlexTensor,
        offset: FlexTensor,
        groups: usize,
        epsilon: f32,
        activation: Activation,
    ) -> FlexTensor {
        let [b, h, w, c] = dims(&x);
        output([b, h, w, c], |y| {
            let (x, gain, offset) = (
                x.to_contiguous(),
                gain.to_contiguous(),
                offset.to_contiguous(),
            );
            let shape = [h * w, c];
            let (x, gain, offset) = (floats(&x), floats(&gain), floats(&offset));
            kernels::group_norm(x, shape, groups, gain, offset, epsilon, activation, y);
        })
    }

    fn upsample(x: FlexTensor, factor: usize) -> FlexTensor {
        let [b, h, w, c] = dims(&x);
        output([b, h * factor, w * factor, c], |y| {
            kernels::upsample(floats(&x.to_contiguous()), [w, c], factor, y);
        })
    }
}

fn linear_q4(
    x: FlexTensor,
    weight: FlexTensor,
    scale: FlexTensor,
    offset: Option<FlexTensor>,
    bias: FlexTensor,
    activation: Activation,
) -> FlexTensor {
    let [m, k] = dims(&x);
    let [n] = dims(&bias);
    work::count(m, k, n);
    let [_, groups, _] = dims(&scale);
    output([m, n], |y| {
        let (x, weight, scale, bias) = (
            x.to_contiguous(),
            weight.to_contiguous(),
            scale.to_contiguous(),
            bias.to_contiguous(),
        );
        let offset = offset.map(|offset| offset.to_contiguous());
        let weights = kernels::Q4Weights {
            values: integers(&weight),
            scale: integers(&scale),
            offset: offset.as_ref().map_or(&[], integers),
            groups,
        };
        kernels::linear_q4(floats(&x), k, &weights, floats(&bias), y, activation);
    })
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

/// Makes a new f32 tensor whose values `fill` computes.
fn output<const D: usize>(shape: [usize; D], fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut values = vec![0.0f32; shape.iter().product()];
    fill(&mut values);
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(Shape::from(shape)),
        DType::F32,
    )
}
