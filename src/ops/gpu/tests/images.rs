//! Tests of the operations on images: convolution, group norm and upsampling.

use super::*;

const WINDOWS: [Window; 8] = [
    window(3, 1, 1),
    window(3, 2, 1),
    window(1, 1, 0),
    window(1, 2, 0),
    window(2, 3, 2),
    window(4, 1, 0),
    window(5, 3, 4),
    window(7, 1, 3),
];

pub(super) const fn window(size: usize, stride: usize, padding: usize) -> Window {
    Window {
        size,
        stride,
        padding,
    }
}

/// Weights and bias as [`linear`] makes them.
pub(super) fn convolution(
    device: &Device,
    (packed, bias): &(Vec<f32>, Vec<f32>),
    window: Window,
    c: usize,
) -> Conv2d {
    let shape = packed_f32_shape(bias.len(), window.size * window.size * c);
    Conv2d {
        weight: floats(packed.clone(), shape, device),
        bias: vector(bias, device),
        window,
    }
}

pub(super) fn images(values: &[f32], shape: [usize; 4], device: &Device) -> Tensor<4> {
    floats(values.to_vec(), shape, device)
}

#[test]
fn conv2d_agrees_with_the_plain_body_on_odd_shapes() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(7);
    for window in WINDOWS {
        for [b, h, w, c, n] in [
            [1, 1, 1, 1, 1],
            [5, 14, 14, 48, 48],
            [2, 14, 14, 48, 4],
            [1, 7, 7, 96, 96],
            [3, 28, 28, 1, 48],
            [2, 3, 31, 7, 33],
            [1, 33, 5, 3, 9],
            [1, 6, 9, 5, 135],
        ] {
            let (high, wide) = (window.outputs(h), window.outputs(w));
            if high * wide == 0 {
                continue;
            }
            let k = window.size * window.size * c;
            let weights = linear(&mut random, n, k);
            let x = random.values(b * h * w * c);
            let conv = convolution(gpu.device(), &weights, window, c);
            let got = conv.forward(images(&x, [b, h, w, c], gpu.device()));
            assert_eq!(got.dims(), [b, high, wide, n]);
            let conv = convolution(&cpu(), &weights, window, c);
            let x = flex(images(&x, [b, h, w, c], &cpu()));
            let expected = conv::plain::<Flex>(x, flex(conv.weight), flex(conv.bias), window);
            let expected = list(Tensor::<4>::from_primitive::<Flex>(expected));
            // Sums of k products of magnitude below 1 and a bias, in another order.
            let tolerance = 8.0 * f32::EPSILON * (k + 1) as f32;
            let name = format!("{window:?} of {b} of {h} x {w}, {c} to {n}");
            assert_close(&name, &list(got), &expected, tolerance);
        }
    }
    gpu.check().unwrap();
}

#[test]
fn a_image_gives_the_same_bits_wherever_it_stands_in_a_batch() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(8);
    for window in WINDOWS {
        let (h, w, c, n) = (9, 5, 6, 10);
        let weights = linear(&mut random, n, window.size * window.size * c);
        let conv = convolution(gpu.device(), &weights, window, c);
        let one = random.values(h * w * c);
        let alone = list(conv.forward(images(&one, [1, h, w, c], gpu.device())));
        for (b, position) in [(2, 1), (9, 4), (17, 16)] {
            let mut x = random.values(b * h * w * c);
            x[position * one.len()..(position + 1) * one.len()].copy_from_slice(&one);
            let batch = list(conv.forward(images(&x, [b, h, w, c], gpu.device())));
            assert_eq!(
                batch[position * alone.len()..(position + 1) * alone.len()],
                alone,
                "{window:?}, image {position} of {b}"
            );
        }
    }
}

#[test]
fn group_norm_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(9);
    for [b, h, w, c, groups] in [
        [1, 1, 1, 1, 1],
        [3, 14, 14, 48, 8],
        [2, 7, 7, 96, 8],
        [2, 3, 5, 7, 7],
        [1, 31, 3, 33, 3],
        [2, 5, 5, 100, 1],
        // More channels in a group than invocations.
        [2, 3, 2, 300, 2],
    ] {
        let shape = [b, h, w, c];
        for (rows, activation) in [1, b]
            .into_iter()
            .flat_map(|rows| ACTIVATIONS.map(|activation| (rows, activation)))
        {
            // A mean that is large beside the deviation.
            let x: Vec<f32> = (random.values(b * h * w * c).iter().map(|x| x + 30.0)).collect();
            let [gain, offset] = [rows * c; 2].map(|count| random.values(count));
            let run = |device: &Device| {
                (
                    images(&x, shape, device),
                    matrix(&gain, rows, device),
                    matrix(&offset, rows, device),
                )
            };
            let (x, gain, offset) = run(gpu.device());
            let [x, gain, offset] = [
                x.into_dispatch(),
                gain.into_dispatch(),
                offset.into_dispatch(),
            ];
            let got = Dispatch::group_norm(x, gain, offset, groups, 1e-5, activation);
            let got = list(Tensor::<4>::from_dispatch(got));
            let (x, gain, offset) = run(&cpu());
            let (x, gain, offset) = (flex(x), flex(gain), flex(offset));
            let expected = group_norm::plain::<Flex>(x, gain, offset, groups, 1e-5, activation);
            let expected = list(Tensor::<4>::from_primitive::<Flex>(expected));
            // Means near 30 carry an error of 2e-6, which the division by a deviation of a half enlarges, or, where a
            // value is alone and so its own mean, the one by the root of epsilon.
            let name = format!("{shape:?} in {groups}, {rows} rows, {activation:?}");
            assert_close(&name, &got, &expected, 1e-3);
        }
    }
    gpu.check().unwrap();
}

#[test]
fn group_norm_keeps_the_digits_beside_a_large_mean_and_in_large_values() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(10);
    let (shape, groups) = ([2, 14, 14, 12], 2);
    let norm = GroupNorm {
        weight: vector(&[1.0; 12], gpu.device()),
        bias: vector(&[0.0; 12], gpu.device()),
        groups,
        epsilon: 1e-5,
    };
    // The mean of 1e4 is good to a unit in its last place, 1e-3, which the division by a deviation of a half enlarges.
    // Without such a mean, sums of 1,176 values are good to some units in the last place.
    for (mean, magnitude, tolerance) in [(1e4, 1.0, 3e-3), (0.0, 1e15, 1e-5)] {
        let x: Vec<f32> = (random.values(shape.iter().product()).iter())
            .map(|x| mean + magnitude * x)
            .collect();
        let got = norm.forward(images(&x, shape, gpu.device()), Activation::Identity);
        let expected = normal(&x, shape, groups);
        assert_close(&format!("{mean}"), &list(got), &expected, tolerance);
    }
}

/// Group norm in f64, without gain, offset and epsilon.
fn normal(x: &[f32], [_, h, w, c]: [usize; 4], groups: usize) -> Vec<f32> {
    let width = c / groups;
    let group_of = |i: usize| i / (h * w * c) * groups + i % c / width;
    let count = (h * w * width) as f64;
    let mean_of = |values: &dyn Fn(usize) -> f64| {
        let mut means = vec![0.0; x.len() / (h * w * width)];
        for i in 0..x.len() {
            means[group_of(i)] += values(i) / count;
        }
        means
    };
    let mean = mean_of(&|i| f64::from(x[i]));
    let centred = |i: usize| f64::from(x[i]) - mean[group_of(i)];
    let variance = mean_of(&|i| centred(i).powi(2));
    (0..x.len())
        .map(|i| (centred(i) / variance[group_of(i)].sqrt()) as f32)
        .collect()
}

#[test]
fn upsampling_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(11);
    for ([b, h, w, c], factor) in [
        ([1, 1, 1, 1], 3),
        ([2, 7, 7, 96], 2),
        ([3, 5, 3, 7], 2),
        ([1, 2, 31, 3], 1),
        ([2, 3, 2, 4], 5),
    ] {
        let x = random.values(b * h * w * c);
        let got = upsample(images(&x, [b, h, w, c], gpu.device()), factor);
        assert_eq!(got.dims(), [b, h * factor, w * factor, c]);
        let x = flex(images(&x, [b, h, w, c], &cpu()));
        let expected = conv::plain_upsample::<Flex>(x, factor);
        let expected = list(Tensor::<4>::from_primitive::<Flex>(expected));
        assert_eq!(list(got), expected, "{h} x {w} x {c} by {factor}");
    }
}

#[test]
fn images_may_be_views_with_gaps() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(12);
    let weights = linear(&mut random, 9, 9 * 4);
    let wide = random.values(2 * 7 * 6 * 5);
    let [gain, offset] = [6; 2].map(|count| random.values(count));
    // Channels first, and some of them: neighbours in no direction.
    let run = |device: &Device| {
        let view = images(&wide, [2, 7, 6, 5], device).slice([0..2, 2..6]);
        let view = view.permute([0, 2, 3, 1]);
        let conv = convolution(device, &weights, window(3, 1, 1), 4);
        // Every second value.
        let row = |values| {
            let both: Tensor<2> = matrix(values, 3, device).transpose();
            both.slice([0..1, 0..3]).squeeze()
        };
        let norm = GroupNorm {
            weight: row(&gain),
            bias: row(&offset),
            groups: 1,
            epsilon: 1e-5,
        };
        let part = view.clone().slice([0..2, 0..6, 0..5, 1..4]);
        [
            list(conv.forward(view.clone())),
            list(norm.forward(part, Activation::Silu)),
            list(upsample(view, 2)),
        ]
    };
    for (got, expected) in run(gpu.device()).iter().zip(run(&cpu())) {
        assert_close("view", got, &expected, 1e-5);
    }
}

#[test]
fn a_convolution_of_nothing_is_its_bias() {
    let Some(gpu) = gpu() else { return };
    let weights = |k: usize| linear(&mut Random::new(13), 3, k);
    for (shape, window) in [
        ([1, 3, 2, 0], window(3, 1, 1)),
        // Nothing but padding.
        ([3, 0, 0, 2], window(1, 1, 1)),
    ] {
        let c = shape[3];
        let weights = weights(window.size * window.size * c);
        let conv = convolution(gpu.device(), &weights, window, c);
        let y = conv.forward(images(&[], shape, gpu.device()));
        let pixels = y.dims()[..3].iter().product();
        assert_eq!(list(y), weights.1.repeat(pixels), "{shape:?}");
    }
}

#[test]
fn zeros_large_values_and_nan_go_through_images_as_they_should() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.device();
    let mut random = Random::new(13);
    let weights = linear(&mut random, 5, 9 * 3);
    let conv = convolution(device, &weights, window(3, 1, 1), 3);
    let run = |x: &[f32]| list(conv.forward(images(x, [1, 5, 5, 3], device)));
    let zeros = run(&[0.0; 5 * 5 * 3]);
    assert!(zeros.chunks_exact(5).all(|pixel| pixel == weights.1));
    let large = [1e30; 5 * 5 * 3];
    assert!(run(&large).iter().all(|y| y.is_finite()));
    // A NaN reaches the windows that hold it, and no other: not by the inputs that fill the last step either.
    for place in 0..5 * 5 {
        let mut x = large;
        x[place * 3] = f32::NAN;
        for (pixel, y) in run(&x).chunks_exact(5).enumerate() {
            let near = (pixel / 5).abs_diff(place / 5) < 2 && (pixel % 5).abs_diff(place % 5) < 2;
            let all = y.iter().all(|y| y.is_nan() == near);
            assert!(all, "pixel {pixel}, NaN at {place}");
        }
    }
    let norm = GroupNorm {
        weight: vector(&[1.0; 6], device),
        bias: vector(&[0.5; 6], device),
        groups: 2,
        epsilon: 1e-5,
    };
    let constant = images(&[7.0; 4 * 6], [1, 2, 2, 6], device);
    let constant = list(norm.forward(constant, Activation::Identity));
    // A GPU may divide with an error of 2.5 ulp, and this is one of the mean over the root of epsilon.
    assert_close("constant", &constant, &[0.5; 4 * 6], 4e-4);
    let mut x = random.values(2 * 4 * 6);
    x[0] = f32::NAN;
    let y = list(norm.forward(images(&x, [2, 2, 2, 6], device), Activation::Silu));
    for (i, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), i < 24 && i % 6 < 3, "value {i}");
    }
}

#[test]
fn images_may_need_more_workgroups_than_one_dimension_has() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(14);
    // 65,537 tiles of 128 pixels, the last one cut.
    let shape = [257, 255, 128, 1];
    let x = random.values(shape.iter().product());
    let (packed, bias) = linear(&mut random, 1, 1);
    let conv = convolution(
        gpu.device(),
        &(packed.clone(), bias.clone()),
        window(1, 1, 0),
        1,
    );
    let got = list(conv.forward(images(&x, shape, gpu.device())));
    let expected: Vec<f32> = x.iter().map(|x| x * packed[0] + bias[0]).collect();
    // Two roundings where the GPU may have one.
    assert_close("conv2d", &got, &expected, 3.0 * f32::EPSILON);

    // 70,000 groups of two values: each is as far from the mean as the deviation.
    let x: Vec<f32> = random
        .values(70_000)
        .iter()
        .flat_map(|x| [x + 2.0, 0.0])
        .collect();
    let norm = GroupNorm {
        weight: vector(&[1.0], gpu.device()),
        bias: vector(&[0.0], gpu.device()),
        groups: 1,
        epsilon: 0.0,
    };
    let x = images(&x, [70_000, 1, 2, 1], gpu.device());
    let got = list(norm.forward(x, Activation::Identity));
    // An inverse root with an error of 2 ulp, and the mean's.
    assert_close("group norm", &got, &[1.0, -1.0].repeat(70_000), 1e-6);
    gpu.check().unwrap();
}
