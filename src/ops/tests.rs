//! Tests of every kernel against its plain body, on odd shapes, natively and in each WebAssembly build.

use burn::backend::Flex;
use burn::tensor::{Device, Int, Tensor, TensorData};
use wasm_bindgen_test::wasm_bindgen_test;

use pilotlight_kernels::ACTIVATION_MAX;
use pilotlight_kernels::layout::{Groups, MOST_OF_FOUR};
use pilotlight_kernels::pack::{pack_row_f32, pack_row_q8};
use pilotlight_kernels::testing::Random;

use super::*;
use crate::weights::Dtype;

mod decoders;
mod images;
mod q4;

/// Edges of the tiles (1, 3, 7, 31, 33) and the sizes of MiniLM.
const SIZES: [usize; 7] = [1, 3, 7, 31, 33, 384, 1536];

/// The largest magnitude of which any four weights fit the 16-bit sums.
const LARGEST: f32 = (MOST_OF_FOUR / 4) as f32;

fn matrix(values: Vec<f32>, rows: usize) -> Tensor<2> {
    let columns = values.len() / rows;
    Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
}

fn vector(values: Vec<f32>) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), &Device::flex())
}

fn list(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn flex<const D: usize>(tensor: &Tensor<D>) -> burn_flex::FlexTensor {
    tensor.clone().try_into_primitive::<Flex>().unwrap()
}

fn flex_int<const D: usize>(tensor: &Tensor<D, Int>) -> burn_flex::FlexTensor {
    tensor.clone().try_into_primitive::<Flex>().unwrap()
}

fn f32_linear(w: &[f32], n: usize, k: usize, bias: Vec<f32>) -> Linear {
    let shape = packed_f32_shape(n, k);
    let mut packed = vec![0.0; shape.iter().product()];
    for (output, row) in w.chunks_exact(k).enumerate() {
        pack_row_f32(&mut packed, k, output, row);
    }
    let weight = Tensor::from_data(TensorData::new(packed, shape), &Device::flex());
    Linear {
        weight: LinearWeight::F32(weight),
        bias: vector(bias),
    }
}

fn q8_linear(w: &[i8], n: usize, k: usize, scale: Vec<f32>, bias: Vec<f32>) -> Linear {
    smooth_q8_linear(w, n, vec![1.0; k], scale, bias)
}

fn smooth_q8_linear(
    w: &[i8],
    n: usize,
    smooth: Vec<f32>,
    scale: Vec<f32>,
    bias: Vec<f32>,
) -> Linear {
    let k = smooth.len();
    let shape = packed_q8_shape(n, k);
    let mut packed = vec![0i32; shape.iter().product()];
    for (output, row) in w.chunks_exact(k).enumerate() {
        pack_row_q8(&mut packed, k, output, row);
    }
    Linear {
        weight: LinearWeight::q8(
            packed.clone(),
            group_sums(&packed, Groups::of(k)),
            scale,
            smooth,
            &Device::flex(),
        ),
        bias: vector(bias),
    }
}

fn plain(linear: &Linear, x: &Tensor<2>, activation: Activation) -> Vec<f32> {
    let y = match &linear.weight {
        LinearWeight::F32(weight) => {
            super::linear::plain_f32::<Flex>(flex(x), flex(weight), flex(&linear.bias), activation)
        }
        #[cfg(feature = "webgpu")]
        LinearWeight::F16(weight) => super::linear::plain_f16::<Flex>(
            flex(x),
            flex_int(weight),
            flex(&linear.bias),
            activation,
        ),
        LinearWeight::Q4 {
            packed,
            scale,
            offset,
        } => super::linear::plain_q4::<Flex>(
            flex(x),
            flex_int(packed),
            flex_int(scale),
            offset.as_ref().map(flex_int),
            flex(&linear.bias),
            activation,
        ),
        LinearWeight::Q8 {
            packed,
            scale,
            smooth,
            ..
        } => super::linear::plain_q8::<Flex>(
            flex(x),
            flex_int(packed),
            flex(scale),
            flex(smooth),
            flex(&linear.bias),
            activation,
        ),
    };
    list(Tensor::from_primitive::<Flex>(y))
}

fn assert_close(name: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{name}: length");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance,
            "{name}: value {i} is {got}, expected {expected}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn f32_linear_agrees_with_the_plain_body_on_odd_shapes() {
    let mut random = Random::new(1);
    for n in SIZES {
        for k in SIZES {
            let m = [1, 2, 3, 4, 5, 7, 33][(n + k) % 7];
            let layer = f32_linear(&random.values(n * k), n, k, random.values(n));
            let x = matrix(random.values(m * k), m);
            for activation in [
                Activation::Identity,
                Activation::Gelu,
                Activation::GeluTanh,
                Activation::QuickGelu,
                Activation::Silu,
                Activation::Relu,
            ] {
                let got = list(layer.forward(x.clone(), activation));
                // Sums of k products of magnitude below 1, taken in another order.
                let tolerance = 2e-6 + 4.0 * f32::EPSILON * k as f32;
                assert_close(
                    &format!("{m}x{k}x{n}"),
                    &got,
                    &plain(&layer, &x, activation),
                    tolerance,
                );
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn q8_linear_is_within_the_quantization_step_of_the_plain_body() {
    let mut random = Random::new(2);
    for n in SIZES {
        for k in SIZES {
            let m = [1, 2, 3, 4, 5, 7, 33][(n + k) % 7];
            let w: Vec<i8> = random
                .values(n * k)
                .iter()
                .map(|w| (w * LARGEST) as i8)
                .collect();
            let layer = q8_linear(
                &w,
                n,
                k,
                random.values(n).iter().map(|s| s.abs() / LARGEST).collect(),
                random.values(n),
            );
            let x = random.values(m * k);
            let got = list(layer.forward(matrix(x.clone(), m), Activation::Identity));
            // Random lie within -1 and 1, so one step is at most 2 / ACTIVATION_MAX and each product is off by at
            // most one step (a half from rounding, a half from the rounded zero point at the ends of the range).
            let tolerance = 2.0 / ACTIVATION_MAX * k as f32 + 1e-5;
            let expected = plain(&layer, &matrix(x, m), Activation::Identity);
            assert_close(&format!("{m}x{k}x{n}"), &got, &expected, tolerance);
            let error: f32 = got
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .sum::<f32>()
                / got.len() as f32;
            // Errors of random sign: their mean grows with the root of k only.
            assert!(
                error < 2.0 / ACTIVATION_MAX * (k as f32).sqrt(),
                "{m}x{k}x{n}: mean error {error}"
            );
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn q8_linear_is_exact_on_its_own_grid() {
    let mut random = Random::new(3);
    for (m, k, n) in [
        (1, 1, 1),
        (3, 7, 31),
        (5, 33, 9),
        (4, 384, 8),
        (7, 1536, 17),
    ] {
        // From 0 to ACTIVATION_MAX with both ends present the step is 1; the largest weights try the 16-bit sums.
        let mut x: Vec<f32> = random
            .values(m * k)
            .iter()
            .map(|x| (x.abs() * ACTIVATION_MAX).round())
            .collect();
        for row in x.chunks_exact_mut(k) {
            for group in row.chunks_mut(Groups::of(k).quads * 4) {
                group[group.len() / 2] = ACTIVATION_MAX;
            }
        }
        let w: Vec<i8> = random
            .values(n * k)
            .iter()
            .map(|w| LARGEST.copysign(*w) as i8)
            .collect();
        let layer = q8_linear(&w, n, k, vec![1.0; n], vec![0.0; n]);
        let x = matrix(x, m);
        let got = list(layer.forward(x.clone(), Activation::Identity));
        assert_eq!(got, plain(&layer, &x, Activation::Identity), "{m}x{k}x{n}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn smoothing_factors_are_taken_into_account() {
    let mut random = Random::new(8);
    let (m, k, n) = (5, 33, 9);
    let smooth: Vec<f32> = random.values(k).iter().map(|x| x.abs() + 0.1).collect();
    let w: Vec<i8> = random
        .values(n * k)
        .iter()
        .map(|w| (w * LARGEST) as i8)
        .collect();
    let layer = smooth_q8_linear(&w, n, smooth, vec![1.0 / LARGEST; n], random.values(n));
    let x = matrix(random.values(m * k), m);
    let got = list(layer.forward(x.clone(), Activation::Identity));
    let tolerance = 2.2 / ACTIVATION_MAX * k as f32;
    assert_close(
        "smooth",
        &got,
        &plain(&layer, &x, Activation::Identity),
        tolerance,
    );
}

/// A q4 layer whose groups have offsets of up to a quarter.
fn q4_linear_with_offsets(n: usize, k: usize, random: &mut Random) -> Linear {
    let (w, bias) = (random.values(n * k), random.values(n));
    let mut layer = Linear::pack(&w, &bias, Dtype::Q4, &Device::flex()).unwrap();
    let shape = super::q4_scale_shape(n, k);
    let halves = random.values(shape.iter().product::<usize>() * 2);
    let halves: Vec<i32> = halves
        .as_chunks()
        .0
        .iter()
        .map(|pair: &[f32; 2]| {
            let [low, high] = pair.map(|x| i32::from(half::f16::from_f32(x / 4.0).to_bits()));
            low | high << 16
        })
        .collect();
    let LinearWeight::Q4 { offset, .. } = &mut layer.weight else {
        panic!("the layer was packed as q4")
    };
    *offset = Some(super::integers(halves, shape, &Device::flex()));
    layer
}

#[wasm_bindgen_test(unsupported = test)]
fn a_row_of_zeros_of_large_values_or_of_nan_stays_what_it_is() {
    let k = 33;
    let q8 = q8_linear(&[1; 33 * 9], 9, k, vec![1.0; 9], vec![0.5; 9]);
    let f32 = f32_linear(&[1.0; 33 * 9], 9, k, vec![0.5; 9]);
    for layer in [&q8, &f32] {
        let row = |value: f32| list(layer.forward(matrix(vec![value; k], 1), Activation::Identity));
        assert_eq!(row(0.0), [0.5; 9]);
        let large = row(1e30);
        assert!(
            large
                .iter()
                .all(|y| (y / (1e30 * k as f32) - 1.0).abs() < 0.01),
            "{large:?}"
        );
        assert!(row(f32::NAN).iter().all(|y| y.is_nan()));
        // A single NaN among numbers must not be lost.
        let mut x = vec![1.0; k];
        x[5] = f32::NAN;
        let y = list(layer.forward(matrix(x, 1), Activation::Identity));
        assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_row_gives_the_same_bits_wherever_it_stands_in_a_batch() {
    let mut random = Random::new(4);
    let (n, k) = (41, 65);
    let w = random.values(n * k);
    let bytes: Vec<i8> = w.iter().map(|w| (w * LARGEST) as i8).collect();
    let layers = [
        f32_linear(&w, n, k, random.values(n)),
        q8_linear(&bytes, n, k, vec![0.01; n], random.values(n)),
    ];
    let row = random.values(k);
    for layer in layers {
        let alone = list(layer.forward(matrix(row.clone(), 1), Activation::Gelu));
        for m in 2..=9 {
            for position in 0..m {
                let mut x = random.values(m * k);
                x[position * k..(position + 1) * k].copy_from_slice(&row);
                let batch = list(layer.forward(matrix(x, m), Activation::Gelu));
                assert_eq!(
                    batch[position * n..(position + 1) * n],
                    alone,
                    "row {position} of {m}"
                );
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn attention_agrees_with_the_plain_body_on_ragged_batches() {
    let mut random = Random::new(5);
    let cases = [
        (vec![1], 1, 1),
        (vec![3, 1, 7], 3, 5),
        (vec![33, 2, 31], 12, 32),
        (vec![128], 2, 64),
        (vec![5, 5, 5, 6], 4, 3),
    ];
    let kinds = [
        (false, 0),
        (true, 0),
        (false, 1),
        (true, 2),
        (false, 3),
        (true, 3),
        (false, 4),
    ];
    let all = cases.iter().flat_map(|case| kinds.map(|kind| (case, kind)));
    for ((lengths, heads, d), (causal, bias)) in all {
        let (heads, d) = (*heads, *d);
        let spans = Spans::from_lengths(lengths.clone());
        let spans = if causal { spans.causal() } else { spans };
        // None, one of each head that differs for keys before and after, one of all, and two windows.
        let bias = match bias {
            1 => Some(RelativeBias::new(&spans, heads, |head, distance| {
                (head as f32 - 1.5) * distance as f32 * 0.3
            })),
            2 => Some(RelativeBias::new(&spans, 1, |_, distance| {
                -0.2 * distance.unsigned_abs() as f32
            })),
            3 => Some(RelativeBias::window(&spans, 2)),
            4 => Some(RelativeBias::window(&spans, 30)),
            _ => None,
        };
        let spans = match &bias {
            Some(bias) => spans.with_bias(bias.clone()),
            None => spans,
        };
        let t: usize = lengths.iter().sum();
        // Larger than usual, so that the softmax is peaked.
        let [q, k, v] = std::array::from_fn(|_| {
            matrix(
                random
                    .values(t * heads * d)
                    .iter()
                    .map(|x| x * 4.0)
                    .collect(),
                t,
            )
        });
        let got = list(attention(q.clone(), k.clone(), v.clone(), &spans, heads));
        let expected = super::attention::plain::<Flex>(flex(&q), flex(&k), flex(&v), spans, heads);
        assert_close(
            &format!(
                "{lengths:?}, causal: {causal}, {:?}",
                bias.map(|bias| bias.rows)
            ),
            &got,
            &list(Tensor::from_primitive::<Flex>(expected)),
            2e-5,
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn attention_stays_finite_where_scores_are_huge() {
    let q = matrix(vec![1e4, -1e4, 1e4, 1e4, -1e4, 1e4], 3);
    let v = matrix(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
    let got = list(attention(q.clone(), q, v, &Spans::from_lengths([3]), 1));
    assert_close("peaked", &got, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1e-6);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_key_far_below_the_best_one_counts_for_nothing() {
    let spans = Spans::from_lengths([2]);
    let far = RelativeBias::new(&spans, 1, |_, distance| {
        -200.0 * distance.unsigned_abs() as f32
    });
    let same = matrix(vec![1.0, 1.0], 2);
    // The least exponential of the kernel, 1.6e-38, would make 1.6 of the largest value.
    let values = matrix(vec![1e38, 0.0], 2);
    let got = list(attention(
        same.clone(),
        same,
        values,
        &spans.with_bias(far),
        1,
    ));
    assert_eq!(got, [1e38, 0.0]);
}

#[wasm_bindgen_test(unsupported = test)]
fn add_layer_norm_agrees_with_the_plain_body() {
    let mut random = Random::new(6);
    for d in SIZES {
        let m = 5;
        let norm = LayerNorm {
            weight: vector(random.values(d)),
            bias: vector(random.values(d)),
            epsilon: 1e-5,
        };
        // A large mean, which a one-pass variance would not survive.
        let x = matrix(random.values(m * d).iter().map(|x| x + 100.0).collect(), m);
        let residual = matrix(random.values(m * d), m);
        let got = list(norm.forward(x.clone(), residual.clone()));
        let expected = super::norm::plain::<Flex>(
            flex(&x),
            flex(&residual),
            flex(&norm.weight),
            flex(&norm.bias),
            norm.epsilon,
        );
        // Random near 100 carry an error of 1e-5, which the division by a small deviation enlarges.
        assert_close(
            &format!("{d}"),
            &got,
            &list(Tensor::from_primitive::<Flex>(expected)),
            2e-4,
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn q8_embedding_rows_agree_with_the_plain_body() {
    let mut random = Random::new(7);
    for d in SIZES {
        let (v, quads) = (11, d.div_ceil(4));
        let table: Vec<i32> = random
            .values(v * quads)
            .iter()
            .map(|x| x.to_bits() as i32)
            .collect();
        let table =
            Tensor::<2, Int>::from_data(TensorData::new(table, [v, quads]), &Device::flex());
        let scale = vector(random.values(v));
        let ids = Tensor::<1, Int>::from_data(
            TensorData::new(vec![10i32, 0, 3, 3], [4]),
            &Device::flex(),
        );
        let embedding = Embedding::Q8 {
            packed: table.clone(),
            scale: scale.clone(),
            dimensions: d,
        };
        let expected =
            super::embedding::plain_q8::<Flex>(flex_int(&table), flex(&scale), flex_int(&ids), d);
        assert_eq!(
            list(embedding.forward(ids)),
            list(Tensor::from_primitive::<Flex>(expected)),
            "{d}"
        );
    }
}
