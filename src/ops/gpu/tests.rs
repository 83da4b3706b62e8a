//! Tests of every WGSL kernel against the plain body on the CPU, on any GPU, such as the software renderer lavapipe of Mesa.

mod biases;
mod decoders;
mod images;
mod pooling;
mod quantized;

use std::future::Future;

use burn::backend::{Dispatch, Flex};
use burn::tensor::{Device, Tensor};
use burn_flex::FlexTensor;
use pilotlight_kernels::testing::Random;

use images::{convolution, images, window};

use super::*;
use crate::device::{Gpu, cpu};
use crate::ops::{
    Conv2d, GroupNorm, LayerNorm, Linear, LinearWeight, attention as attend, floats,
    packed_f32_shape, read, upsample,
};
use crate::weights::Dtype;

/// Edges of the tiles (1, 3, 7, 31, 33) and a size of MiniLM.
const SIZES: [usize; 6] = [1, 3, 7, 31, 33, 384];

const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::QuickGelu,
    Activation::Silu,
];

/// The GPU; `None`, and a line that says why the test is skipped, if there is none.
fn gpu() -> Option<Gpu> {
    match pollster::block_on(Gpu::open()) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("SKIPPED: no GPU to test the WGSL kernels on: {error}");
            None
        }
    }
}

fn matrix(values: &[f32], rows: usize, device: &Device) -> Tensor<2> {
    floats(values.to_vec(), [rows, values.len() / rows], device)
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    floats(values.to_vec(), [values.len()], device)
}

/// Weights for `n` outputs; zeros past the last, as the loader packs them.
fn linear(random: &mut Random, n: usize, k: usize) -> (Vec<f32>, Vec<f32>) {
    let mut packed = random.values(packed_f32_shape(n, k).iter().product());
    for (i, weight) in packed.iter_mut().enumerate() {
        if i / (k * PANEL) * PANEL + i % PANEL >= n {
            *weight = 0.0;
        }
    }
    (packed, random.values(n))
}

fn on(device: &Device, (packed, bias): &(Vec<f32>, Vec<f32>), k: usize) -> Linear {
    let shape = packed_f32_shape(bias.len(), k);
    let weight = LinearWeight::F32(floats(packed.clone(), shape, device));
    Linear {
        weight,
        bias: vector(bias, device),
    }
}

fn flex<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    tensor.try_into_primitive::<Flex>().unwrap()
}

fn list<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    wait(read(tensor)).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
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

#[test]
fn linear_agrees_with_the_plain_body_on_odd_shapes() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(1);
    for n in SIZES {
        for k in SIZES {
            let m = [1, 2, 3, 5, 16, 17, 33][(n + k) % 7];
            let weights = linear(&mut random, n, k);
            let x = random.values(m * k);
            for activation in ACTIVATIONS {
                let layer = on(gpu.device(), &weights, k);
                let got = list(layer.forward(matrix(&x, m, gpu.device()), activation));
                let oracle = on(&cpu(), &weights, k);
                let LinearWeight::F32(weight) = oracle.weight else {
                    panic!("f32 expected")
                };
                let x = flex(matrix(&x, m, &cpu()));
                let expected =
                    plain::plain_f32::<Flex>(x, flex(weight), flex(oracle.bias), activation);
                // Sums of k products of magnitude below 1 in another order, and 1e-6 of the error function times a sum.
                let tolerance = 4e-6 + 8.0 * f32::EPSILON * k as f32;
                let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
                assert_close(
                    &format!("{m}x{k}x{n} {activation:?}"),
                    &got,
                    &expected,
                    tolerance,
                );
            }
        }
    }
    gpu.check().unwrap();
}

#[test]
fn gelu_is_within_1e6_from_end_to_end_of_its_range() {
    let Some(gpu) = gpu() else { return };
    // An identity of one by one hands the activation exact inputs, far beyond where it saturates too.
    let x: Vec<f32> = (-4000..=4000)
        .map(|i| i as f32 / 400.0)
        .chain([1e4, -1e4, 1e30, -1e30])
        .collect();
    let weights = ([vec![1.0], vec![0.0; 7]].concat(), vec![0.0]);
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        let got = list(
            on(gpu.device(), &weights, 1).forward(matrix(&x, x.len(), gpu.device()), activation),
        );
        for (x, got) in x.iter().zip(got) {
            let expected = gelu(f64::from(*x), activation);
            let error = (f64::from(got) - expected).abs();
            assert!(
                error <= 1e-6 * f64::from(x.abs()).max(1.0),
                "{activation:?} of {x} is {got}, expected {expected}"
            );
        }
    }
}

/// The activations in f64, with the error function by the series and, from 3 on, the continued fraction of Abramowitz & Stegun 7.1.6 and 7.1.14.
fn gelu(x: f64, activation: Activation) -> f64 {
    if activation == Activation::GeluTanh {
        return 0.5
            * x
            * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    }
    let z = (x / std::f64::consts::SQRT_2).abs();
    let erf = if z < 3.0 {
        let mut term = z;
        let mut sum = z;
        for n in 1..100 {
            term *= 2.0 * z * z / f64::from(2 * n + 1);
            sum += term;
        }
        sum * (-z * z).exp() * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let fraction = (1..60)
            .rev()
            .fold(z, |below, n| z + f64::from(n) / 2.0 / below);
        1.0 - (-z * z).exp() / fraction / std::f64::consts::PI.sqrt()
    };
    0.5 * x * (1.0 + erf.copysign(x))
}

#[test]
fn linear_takes_views_with_gaps() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(2);
    let weights = linear(&mut random, 9, 5);
    let wide = random.values(6 * 11);
    // The transpose of a part: neither rows nor columns are neighbours in memory.
    let view = |device: &Device| matrix(&wide, 6, device).slice([1..6, 2..9]).transpose();
    let got = list(on(gpu.device(), &weights, 5).forward(view(gpu.device()), Activation::Identity));
    let expected = list(on(&cpu(), &weights, 5).forward(view(&cpu()), Activation::Identity));
    assert_close("view", &got, &expected, 1e-5);
}

#[test]
fn attention_agrees_with_the_plain_body_on_ragged_batches() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(3);
    let cases = [
        (vec![1], 1, 4),
        (vec![3, 1, 7], 3, 20),
        (vec![33, 2, 31], 12, 32),
        (vec![0, 65, 0, 4], 2, 64),
        (vec![70, 5], 2, 128),
        (vec![520], 1, 32),
        (vec![9, 2], 1, 256),
        // These sizes run the plain body: no multiple of four, and too wide.
        (vec![5, 5, 6], 4, 3),
        (vec![5, 2], 1, 260),
    ];
    let both = cases.iter().flat_map(|case| [(case, false), (case, true)]);
    for ((lengths, heads, head), causal) in both {
        let (heads, head) = (*heads, *head);
        let t: usize = lengths.iter().sum();
        // Larger than usual, so that the softmax is peaked.
        let parts: [Vec<f32>; 3] = std::array::from_fn(|_| {
            random
                .values(t * heads * head)
                .iter()
                .map(|x| x * 4.0)
                .collect()
        });
        let spans = Spans::from_lengths(lengths.clone());
        let spans = if causal { spans.causal() } else { spans };
        let [q, k, v] = [0, 1, 2].map(|part| matrix(&parts[part], t, gpu.device()));
        let got = list(attend(q, k, v, &spans, heads));
        let [q, k, v] = [0, 1, 2].map(|part| flex(matrix(&parts[part], t, &cpu())));
        let expected = plain_attention::plain::<Flex>(q, k, v, spans, heads);
        let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
        assert_close(
            &format!("{lengths:?}, {heads} heads of {head}, causal: {causal}"),
            &got,
            &expected,
            5e-5,
        );
    }
    gpu.check().unwrap();
}

#[test]
fn attention_stays_finite_where_scores_are_huge() {
    let Some(gpu) = gpu() else { return };
    let row = |sign: f32| [sign * 1e4; 4];
    let q = matrix(&[row(1.0), row(-1.0), row(1.0)].concat(), 3, gpu.device());
    let v = matrix(
        &(0..12).map(|i| i as f32).collect::<Vec<_>>(),
        3,
        gpu.device(),
    );
    let got = list(attend(q.clone(), q, v, &Spans::from_lengths([3]), 1));
    let expected = [4.0, 5.0, 6.0, 7.0, 4.0, 5.0, 6.0, 7.0, 4.0, 5.0, 6.0, 7.0];
    assert_close("peaked", &got, &expected, 1e-5);
}

#[test]
fn add_layer_norm_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(4);
    for d in SIZES {
        let m = 5;
        // A large mean, which a one-pass variance would not survive.
        let x: Vec<f32> = random.values(m * d).iter().map(|x| x + 100.0).collect();
        let [residual, gamma, beta] = [m * d, d, d].map(|count| random.values(count));
        let norm = LayerNorm {
            weight: vector(&gamma, gpu.device()),
            bias: vector(&beta, gpu.device()),
            epsilon: 1e-5,
        };
        let got = list(norm.forward(
            matrix(&x, m, gpu.device()),
            matrix(&residual, m, gpu.device()),
        ));
        let [x, residual] = [x, residual].map(|part| flex(matrix(&part, m, &cpu())));
        let [gamma, beta] = [gamma, beta].map(|part| flex(vector(&part, &cpu())));
        let expected = norm::plain::<Flex>(x, residual, gamma, beta, 1e-5);
        let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
        // Random near 100 carry an error of 1e-5, which the division by a small deviation enlarges.
        assert_close(&format!("{d}"), &got, &expected, 2e-4);
    }
}

#[test]
fn nothing_in_gives_nothing_out() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.device();
    let none = floats(Vec::new(), [0, 8], device);
    let layer = on(device, &linear(&mut Random::new(5), 9, 8), 8);
    assert_eq!(layer.forward(none.clone(), Activation::Gelu).dims(), [0, 9]);
    let spans = Spans::from_lengths([]);
    assert_eq!(
        attend(none.clone(), none.clone(), none.clone(), &spans, 2).dims(),
        [0, 8]
    );
    let norm = LayerNorm {
        weight: vector(&[1.0; 8], device),
        bias: vector(&[0.0; 8], device),
        epsilon: 1e-5,
    };
    assert_eq!(norm.forward(none.clone(), none).dims(), [0, 8]);
    let none = images(&[], [0, 5, 5, 8], device);
    let three = window(3, 1, 1);
    let conv = convolution(device, &linear(&mut Random::new(5), 9, 9 * 8), three, 8);
    assert_eq!(conv.forward(none.clone()).dims(), [0, 5, 5, 9]);
    let norm = GroupNorm {
        weight: vector(&[1.0; 8], device),
        bias: vector(&[0.0; 8], device),
        groups: 2,
        epsilon: 1e-5,
    };
    assert_eq!(
        norm.forward(none.clone(), Activation::Silu).dims(),
        [0, 5, 5, 8]
    );
    assert_eq!(upsample(none, 2).dims(), [0, 10, 10, 8]);
    // A window that is larger than the image.
    let conv = convolution(
        device,
        &linear(&mut Random::new(5), 9, 9 * 8),
        window(3, 1, 0),
        8,
    );
    let small = images(&[1.0; 2 * 8], [1, 2, 1, 8], device);
    assert_eq!(conv.forward(small).dims(), [1, 0, 0, 9]);
    gpu.check().unwrap();
}

#[test]
fn a_row_gives_the_same_bits_wherever_it_stands_in_a_batch() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(6);
    let (n, k) = (41, 65);
    let layer = on(gpu.device(), &linear(&mut random, n, k), k);
    let row = random.values(k);
    let alone = list(layer.forward(matrix(&row, 1, gpu.device()), Activation::Gelu));
    for (m, position) in [(2, 1), (9, 4), (16, 15), (17, 16), (40, 33)] {
        let mut x = random.values(m * k);
        x[position * k..(position + 1) * k].copy_from_slice(&row);
        let batch = list(layer.forward(matrix(&x, m, gpu.device()), Activation::Gelu));
        assert_eq!(
            batch[position * n..(position + 1) * n],
            alone,
            "row {position} of {m}"
        );
    }
}

#[test]
fn the_gpu_passes_its_self_test() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        let difference = wait(gpu.test(dtype)).unwrap();
        println!("{:?}: {dtype:?}: {difference:e}", gpu.adapter());
        assert!(difference > 0.0);
        assert_eq!(wait(gpu.test(dtype)).unwrap(), difference);
    }
}
