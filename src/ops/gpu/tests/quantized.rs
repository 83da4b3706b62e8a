//! Linear layers and tables with f16, int8 and int4 weights.

use burn::tensor::Int;
use pilotlight_kernels::pack::pack_row_q8;

use super::*;
use crate::ops::{
    Embedding, Groups, LinearNorm, QueryKeyValue, group_sums, integers, packed_f16_shape,
    packed_q8_shape, q4_scale_shape,
};
use crate::weights::Dtype;

/// Rows of both sizes of tiles, and past their edges.
const ROWS_OF_X: [usize; 6] = [1, 3, 5, 17, 33, 130];

/// Values of a layer's tensors, from which it is made on any device.
#[derive(Clone)]
enum Weights {
    F16(Vec<i32>),
    Q8 {
        packed: Vec<i32>,
        scale: Vec<f32>,
        smooth: Vec<f32>,
    },
    Q4 {
        packed: Vec<i32>,
        scale: Vec<i32>,
        offset: Option<Vec<i32>>,
    },
}

fn f16(random: &mut Random, n: usize, k: usize) -> Weights {
    let layer = Linear::pack(&random.values(n * k), &vec![0.0; n], Dtype::F16, &cpu()).unwrap();
    let LinearWeight::F16(packed) = layer.weight else {
        panic!("the layer was packed as f16")
    };
    Weights::F16(words(packed))
}

fn q8(random: &mut Random, n: usize, k: usize) -> Weights {
    let mut packed = vec![0; packed_q8_shape(n, k).iter().product()];
    for output in 0..n {
        let row: Vec<i8> = random.values(k).iter().map(|w| (w * 127.0) as i8).collect();
        pack_row_q8(&mut packed, k, output, &row);
    }
    let scale = random.values(n).iter().map(|s| s / 127.0).collect();
    let smooth = random.values(k).iter().map(|s| 0.1 + s.abs()).collect();
    Weights::Q8 {
        packed,
        scale,
        smooth,
    }
}

fn q4(random: &mut Random, n: usize, k: usize, has_offsets: bool) -> Weights {
    let layer = Linear::pack(&random.values(n * k), &vec![0.0; n], Dtype::Q4, &cpu()).unwrap();
    let LinearWeight::Q4 { packed, scale, .. } = layer.weight else {
        panic!("the layer was packed as q4")
    };
    let count = q4_scale_shape(n, k).iter().product::<usize>();
    let offset = has_offsets.then(|| {
        let halves = random.values(2 * count);
        let pairs = halves.as_chunks::<2>().0.iter();
        pairs
            .map(|pair| {
                let [low, high] = pair.map(|x| i32::from(half::f16::from_f32(x / 4.0).to_bits()));
                low | high << 16
            })
            .collect()
    });
    Weights::Q4 {
        packed: words(packed),
        scale: words(scale),
        offset,
    }
}

fn words<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i32> {
    let tensor = tensor.try_into_primitive::<Flex>().unwrap();
    tensor.to_contiguous().storage::<i32>().to_vec()
}

fn layer(device: &Device, weights: &Weights, bias: &[f32], k: usize) -> Linear {
    let n = bias.len();
    let weight = match weights.clone() {
        Weights::F16(packed) => LinearWeight::f16(packed, packed_f16_shape(n, k), device),
        Weights::Q8 {
            packed,
            scale,
            smooth,
        } => {
            let sums = group_sums(&packed, Groups::of(k));
            LinearWeight::q8(packed, sums, scale, smooth, device)
        }
        Weights::Q4 {
            packed,
            scale,
            offset,
        } => {
            let halves = |halves| integers(halves, q4_scale_shape(n, k), device);
            LinearWeight::Q4 {
                packed: integers(packed, crate::ops::packed_q4_shape(n, k), device),
                scale: halves(scale),
                offset: offset.map(halves),
            }
        }
    };
    let bias = vector(bias, device);
    Linear { weight, bias }
}

/// The result of the plain body, which does not quantize activations, on the CPU.
fn expected(
    weights: &Weights,
    bias: &[f32],
    x: &[f32],
    m: usize,
    activation: Activation,
) -> Vec<f32> {
    let layer = layer(&cpu(), weights, bias, x.len() / m);
    let (x, bias) = (flex(matrix(x, m, &cpu())), flex(layer.bias));
    let int = |tensor: Tensor<3, Int>| tensor.try_into_primitive::<Flex>().unwrap();
    let y = match layer.weight {
        LinearWeight::F16(packed) => plain::plain_f16::<Flex>(x, int(packed), bias, activation),
        LinearWeight::Q8 {
            packed,
            scale,
            smooth,
            ..
        } => {
            let (packed, scale) = (int(packed), flex(scale));
            plain::plain_q8::<Flex>(x, packed, scale, flex(smooth), bias, activation)
        }
        LinearWeight::Q4 {
            packed,
            scale,
            offset,
        } => {
            let (packed, scale, offset) = (int(packed), int(scale), offset.map(int));
            plain::plain_q4::<Flex>(x, packed, scale, offset, bias, activation)
        }
        LinearWeight::F32(_) => panic!("no quantized layer"),
    };
    list(Tensor::<2>::from_primitive::<Flex>(y))
}

type Make = fn(&mut Random, usize, usize) -> Weights;
const FORMATS: [(&str, Make); 4] = [
    ("f16", f16),
    ("q8", q8),
    ("q4", |random, n, k| q4(random, n, k, false)),
    ("q4 with offsets", |random, n, k| q4(random, n, k, true)),
];

#[test]
fn quantized_linear_agrees_with_the_plain_body_on_odd_shapes() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(41);
    for (format, make) in FORMATS {
        for n in SIZES {
            // Inputs that fill no word, no tile and no group too.
            for k in [1, 3, 7, 30, 31, 33, 66, 384, 390] {
                let m = ROWS_OF_X[(n + k) % ROWS_OF_X.len()];
                let weights = make(&mut random, n, k);
                let (bias, x) = (random.values(n), random.values(m * k));
                for activation in [Activation::Identity, Activation::Gelu, Activation::Silu] {
                    let got = list(
                        layer(gpu.device(), &weights, &bias, k)
                            .forward(matrix(&x, m, gpu.device()), activation),
                    );
                    let expected = expected(&weights, &bias, &x, m, activation);
                    // Sums of k products of magnitude below 2 in another order, and 1e-6 of the error function times a sum.
                    let tolerance = 4e-6 + 16.0 * f32::EPSILON * k as f32;
                    let name = format!("{format} {m}x{k}x{n} {activation:?}");
                    assert_close(&name, &got, &expected, tolerance);
                }
            }
        }
    }
    gpu.check().unwrap();
}

#[test]
fn quantized_linear_takes_panels_and_nothing() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(42);
    let (n, k) = (29, 70);
    for (format, make) in FORMATS {
        let (weights, bias) = (make(&mut random, n, k), random.values(n));
        let whole = layer(gpu.device(), &weights, &bias, k);
        let x = matrix(&random.values(5 * k), 5, gpu.device());
        // The last panel has five outputs.
        let part = whole.panels(1..4).forward(x.clone(), Activation::Relu);
        let all = whole.forward(x, Activation::Relu);
        assert_eq!(list(part), list(all.slice([0..5, 8..29])), "{format}");
        let none = floats(Vec::new(), [0, k], gpu.device());
        assert_eq!(whole.forward(none, Activation::Gelu).dims(), [0, n]);
    }
    gpu.check().unwrap();
}

#[test]
fn nan_and_infinities_pass_through_quantized_layers() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(43);
    let (n, k) = (11, 37);
    for (format, make) in FORMATS {
        let (weights, bias) = (make(&mut random, n, k), random.values(n));
        let layer = layer(gpu.device(), &weights, &bias, k);
        let mut x = random.values(4 * k);
        x[5] = f32::NAN;
        x[k + 36] = f32::INFINITY;
        x[2 * k] = f32::NEG_INFINITY;
        let got = list(layer.forward(matrix(&x, 4, gpu.device()), Activation::Identity));
        let expected = expected(&weights, &bias, &x, 4, Activation::Identity);
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let same = match expected.is_finite() {
                true => (got - expected).abs() < 1e-4,
                false => got.is_nan() == expected.is_nan() && (got.is_nan() || got == expected),
            };
            assert!(same, "{format}: value {i} is {got}, expected {expected}");
        }
        assert!(got[..n].iter().all(|y| y.is_nan()), "{format}: {got:?}");
        assert!(
            got[n..3 * n].iter().all(|y| !y.is_finite()),
            "{format}: {got:?}"
        );
    }
}

#[test]
fn a_row_of_a_quantized_layer_has_the_same_bits_wherever_it_stands() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(44);
    let (n, k) = (41, 65);
    for (format, make) in FORMATS {
        let (weights, bias) = (make(&mut random, n, k), random.values(n));
        let layer = layer(gpu.device(), &weights, &bias, k);
        let row = random.values(k);
        let alone = list(layer.forward(matrix(&row, 1, gpu.device()), Activation::Gelu));
        for (m, position) in [(2, 1), (9, 4), (17, 16), (40, 33)] {
            let mut x = random.values(m * k);
            x[position * k..(position + 1) * k].copy_from_slice(&row);
            let batch = list(layer.forward(matrix(&x, m, gpu.device()), Activation::Gelu));
            let got = &batch[position * n..(position + 1) * n];
            assert_eq!(got, alone, "{format}: row {position} of {m}");
        }
    }
}

#[test]
fn int8_rows_are_those_of_the_cpu_to_the_bit() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(45);
    for (v, d) in [(1usize, 1usize), (9, 6), (20, 33), (17, 384)] {
        let ids: Vec<i32> = (0..2 * v as i32).map(|i| i * 7 % v as i32).collect();
        let quads = d.div_ceil(4);
        let table: Vec<i32> = (0..v * quads)
            .map(|_| (random.value() * 2e9) as i32)
            .collect();
        let scale = random.values(v);
        let Weights::Q8 {
            packed,
            scale: of_outputs,
            smooth,
        } = q8(&mut random, v, d)
        else {
            panic!("q8 expected")
        };
        let on = |device: &Device| {
            let plain = Embedding::Q8 {
                packed: integers(table.clone(), [v, quads], device),
                scale: vector(&scale, device),
                dimensions: d,
            };
            let tied = Embedding::TiedQ8 {
                packed: integers(packed.clone(), packed_q8_shape(v, d), device),
                scale: vector(&of_outputs, device),
                smooth: vector(&smooth, device),
            };
            [plain, tied]
                .map(|table| list(table.forward(integers(ids.clone(), [ids.len()], device))))
        };
        let ([plain, tied], [of_cpu, tied_of_cpu]) = (on(gpu.device()), on(&cpu()));
        assert_eq!(plain, of_cpu, "{v}x{d}");
        assert_eq!(tied, tied_of_cpu, "{v}x{d}, tied");
    }
    gpu.check().unwrap();
}

#[test]
fn f16_rows_are_those_of_the_plain_bodies_to_the_bit() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(48);
    for (v, d) in [(1usize, 1usize), (9, 6), (20, 33), (17, 384)] {
        let ids: Vec<i32> = (0..2 * v as i32).map(|i| i * 7 % v as i32).collect();
        let Weights::F16(packed) = f16(&mut random, v, d) else {
            panic!("f16 expected")
        };
        // Rows of a table begin with a word of their own.
        let pairs = d.div_ceil(2);
        let table: Vec<i32> = packed.iter().cycle().take(v * pairs).copied().collect();
        let on = |device: &Device| {
            let plain = Embedding::F16 {
                packed: integers(table.clone(), [v, pairs], device),
                dimensions: d,
            };
            let packed = integers(packed.clone(), packed_f16_shape(v, d), device);
            [plain, Embedding::TiedF16(packed)]
                .map(|table| list(table.forward(integers(ids.clone(), [ids.len()], device))))
        };
        let ([plain, tied], [of_cpu, tied_of_cpu]) = (on(gpu.device()), on(&cpu()));
        assert_eq!(plain, of_cpu, "{v}x{d}");
        assert_eq!(tied, tied_of_cpu, "{v}x{d}, tied");
        assert!(plain.iter().any(|x| *x != 0.0));
    }
    gpu.check().unwrap();
}

#[test]
fn joined_queries_keys_and_values_attend_as_apart() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(46);
    // Parts of three panels, which no tile divides, and of one tile; of each, heads that the kernel of joined ones takes and does not take.
    for (d, heads) in [(24, 2), (24, 4), (64, 2)] {
        let x = random.values(38 * d);
        for format in ["f32", "f16", "q8", "q4", "q4 with offsets"] {
            let spans = Spans::from_lengths([3, 1, 34]);
            let parts = [0, 1, 2].map(|_| {
                let bias = random.values(d);
                match format {
                    "f32" => Linear::pack(&random.values(d * d), &bias, Dtype::F32, gpu.device()),
                    "f16" => Linear::pack(&random.values(d * d), &bias, Dtype::F16, gpu.device()),
                    "q8" => Ok(layer(gpu.device(), &q8(&mut random, d, d), &bias, d)),
                    _ => {
                        let weights = q4(&mut random, d, d, format != "q4");
                        Ok(layer(gpu.device(), &weights, &bias, d))
                    }
                }
                .unwrap()
            });
            let x = matrix(&x, 38, gpu.device());
            let [query, key, value] = parts
                .each_ref()
                .map(|part| part.forward(x.clone(), Activation::Identity));
            for spans in [spans.clone(), spans.causal()] {
                let (q, k, v) = (query.clone(), key.clone(), value.clone());
                let apart = list(attend(q, k, v, &spans, heads));
                let joined = QueryKeyValue::new(parts.clone(), gpu.device());
                let joined = list(joined.attention(x.clone(), &spans, heads));
                assert_eq!(joined, apart, "{format}, {heads} heads of {d}");
            }
        }
    }
    gpu.check().unwrap();
}

#[test]
fn a_layer_with_its_norm_agrees_with_both_apart() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(47);
    // Wider layers, and those whose outputs fill no panel, are computed apart.
    for n in [8, 24, 40, 384, 392, 9] {
        for (m, k) in [(1, 33), (3, 384), (5, 70), (17, 7), (130, 31)] {
            let (bias, gain, offset) = (random.values(n), random.values(n), random.values(n));
            // A large mean, which a one-pass variance would not survive.
            let residual: Vec<f32> = random.values(m * n).iter().map(|x| x + 100.0).collect();
            let residual = matrix(&residual, m, gpu.device());
            let x = matrix(&random.values(m * k), m, gpu.device());
            let f32 = Linear::pack(&random.values(n * k), &bias, Dtype::F32, gpu.device());
            let formats = FORMATS.map(|(name, make)| {
                let weights = make(&mut random, n, k);
                (name, layer(gpu.device(), &weights, &bias, k))
            });
            for (name, linear) in formats.into_iter().chain([("f32", f32.unwrap())]) {
                let norm = LayerNorm {
                    weight: vector(&gain, gpu.device()),
                    bias: vector(&offset, gpu.device()),
                    epsilon: 1e-5,
                };
                let y = linear.forward(x.clone(), Activation::Identity);
                let apart = list(norm.forward(y, residual.clone()));
                let joined = LinearNorm::new(linear, norm);
                let joined = list(joined.forward(x.clone(), residual.clone()));
                // Values near 100 carry an error of 1e-5, which the division by a small deviation enlarges.
                assert_close(&format!("{name}, {m}x{k}x{n}"), &joined, &apart, 2e-4);
            }
        }
    }
    gpu.check().unwrap();
}
