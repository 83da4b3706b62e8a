//! Tests of the operations on images: convolution, group norm and upsampling.

use super::*;

fn images(values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn values_of(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// A convolution whose weights are packed row by row, as a checkpoint's are.
fn convolution(random: &mut Random, window: Window, c: usize, n: usize) -> Conv2d {
    let k = window.size * window.size * c;
    let shape = packed_f32_shape(n, k);
    let mut packed = vec![0.0; shape.iter().product()];
    for output in 0..n {
        pack_row_f32(&mut packed, k, output, &random.values(k));
    }
    Conv2d {
        weight: Tensor::from_data(TensorData::new(packed, shape), &Device::flex()),
        bias: vector(random.values(n)),
        window,
    }
}

const WINDOWS: [Window; 5] = [
    window(3, 1, 1),
    window(3, 2, 1),
    window(1, 1, 0),
    window(1, 2, 0),
    window(2, 3, 2),
];

const fn window(size: usize, stride: usize, padding: usize) -> Window {
    Window {
        size,
        stride,
        padding,
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn conv2d_agrees_with_the_plain_body_on_odd_shapes() {
    let mut random = Random::new(8);
    for window in WINDOWS {
        for [b, h, w, c, n] in [
            [1, 1, 1, 1, 1],
            [1, 7, 7, 96, 96],
            [2, 14, 14, 48, 4],
            [3, 28, 28, 1, 48],
            [2, 3, 31, 7, 33],
            [1, 33, 5, 3, 9],
        ] {
            let conv = convolution(&mut random, window, c, n);
            let x = images(random.values(b * h * w * c), [b, h, w, c]);
            let expected =
                super::conv::plain::<Flex>(flex(&x), flex(&conv.weight), flex(&conv.bias), window);
            let expected = Tensor::<4>::from_primitive::<Flex>(expected);
            let got = conv.forward(x);
            assert_eq!(got.dims(), expected.dims(), "{window:?} of {h} x {w}");
            assert_eq!(got.dims(), [b, window.outputs(h), window.outputs(w), n]);
            // Sums of up to 864 products below 1, in another order.
            let name = format!("{window:?} of {h} x {w}, {c} to {n}");
            assert_close(&name, &values_of(got), &values_of(expected), 1e-4);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn conv2d_is_what_burn_makes_of_a_checkpoint_s_weights() {
    let mut random = Random::new(9);
    for window in WINDOWS {
        let (h, w, c, n) = (9, 6, 5, 11);
        let conv = convolution(&mut random, window, c, n);
        let x = images(random.values(2 * h * w * c), [2, h, w, c]);
        let size = window.size;
        // [panels, size · size · c, 8] → [n, size, size, c] → [n, c, size, size]
        let weight = conv.weight.clone().permute([0, 2, 1]);
        let weight = weight.reshape([n.div_ceil(8) * 8, size, size, c]);
        let weight = weight.narrow(0, 0, n).permute([0, 3, 1, 2]);
        let (stride, padding) = ([window.stride; 2], [window.padding; 2]);
        let options = burn::tensor::ops::ConvOptions::new(stride, padding, [1, 1], 1);
        let expected = burn::tensor::module::conv2d(
            x.clone().permute([0, 3, 1, 2]),
            weight,
            Some(conv.bias.clone()),
            options,
        );
        let expected = values_of(expected.permute([0, 2, 3, 1]));
        let got = values_of(conv.forward(x));
        assert_close(&format!("{window:?}"), &got, &expected, 1e-4);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_image_gives_the_same_bits_wherever_it_stands_in_a_batch() {
    let mut random = Random::new(10);
    for window in WINDOWS {
        let shape = [1, 7, 5, 6];
        let conv = convolution(&mut random, window, 6, 10);
        let one = images(random.values(7 * 5 * 6), shape);
        let other = images(random.values(7 * 5 * 6), shape);
        let alone = values_of(conv.forward(one.clone()));
        let batch = Tensor::cat(vec![other.clone(), one, other], 0);
        let got = values_of(conv.forward(batch));
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let second = &got[alone.len()..2 * alone.len()];
        assert_eq!(bits(second), bits(&alone), "{window:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn group_norm_agrees_with_the_plain_body() {
    let mut random = Random::new(11);
    for [b, h, w, c, groups] in [
        [1, 1, 1, 1, 1],
        [2, 14, 14, 48, 8],
        [3, 7, 7, 96, 8],
        [2, 3, 5, 7, 7],
        [1, 31, 3, 33, 3],
        [2, 5, 5, 100, 1],
    ] {
        for (rows, activation) in [(1, Activation::Identity), (b, Activation::Silu)] {
            // A large mean, which a one-pass variance would not survive.
            let x = random
                .values(b * h * w * c)
                .iter()
                .map(|x| x + 30.0)
                .collect();
            let x = images(x, [b, h, w, c]);
            let (gain, offset) = (
                matrix(random.values(rows * c), rows),
                matrix(random.values(rows * c), rows),
            );
            let run = |x: &Tensor<4>, plain: bool| {
                let (x, gain, offset) = (flex(x), flex(&gain), flex(&offset));
                let y = if plain {
                    super::group_norm::plain::<Flex>(x, gain, offset, groups, 1e-5, activation)
                } else {
                    Flex::group_norm(x, gain, offset, groups, 1e-5, activation)
                };
                values_of(Tensor::from_primitive::<Flex>(y))
            };
            // Random near 30 carry an error of 2e-6, which the division by a deviation of a half enlarges. One value alone
            // is its own mean, up to that error over the root of epsilon.
            let name = format!("{b} of {h} x {w} x {c} in {groups}");
            assert_close(&name, &run(&x, false), &run(&x, true), 1e-3);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn upsampling_agrees_with_the_plain_body() {
    let mut random = Random::new(12);
    for ([b, h, w, c], factor) in [
        ([1, 1, 1, 1], 3),
        ([2, 7, 7, 96], 2),
        ([3, 5, 3, 7], 2),
        ([1, 2, 31, 3], 1),
    ] {
        let x = images(random.values(b * h * w * c), [b, h, w, c]);
        let expected = super::conv::plain_upsample::<Flex>(flex(&x), factor);
        let got = upsample(x, factor);
        assert_eq!(got.dims(), [b, h * factor, w * factor, c]);
        assert_eq!(
            values_of(got),
            values_of(Tensor::from_primitive::<Flex>(expected))
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn zeros_large_values_and_nan_go_through_images_as_they_should() {
    let mut random = Random::new(13);
    let conv = convolution(&mut random, window(3, 1, 1), 3, 5);
    let bias: Vec<f32> = conv.bias.clone().into_data().try_to_vec().unwrap();
    let zeros = values_of(conv.forward(images(vec![0.0; 5 * 5 * 3], [1, 5, 5, 3])));
    assert!(zeros.chunks_exact(5).all(|pixel| pixel == bias));
    let mut x = vec![1e30; 5 * 5 * 3];
    let large = values_of(conv.forward(images(x.clone(), [1, 5, 5, 3])));
    assert!(large.iter().all(|y| y.is_finite()));
    // A NaN reaches the windows that hold it, and no other.
    x[0] = f32::NAN;
    let y = values_of(conv.forward(images(x, [1, 5, 5, 3])));
    for (pixel, y) in y.chunks_exact(5).enumerate() {
        let near = pixel / 5 < 2 && pixel % 5 < 2;
        assert!(y.iter().all(|y| y.is_nan() == near), "pixel {pixel}");
    }
    let norm = GroupNorm {
        weight: vector(vec![1.0; 6]),
        bias: vector(vec![0.5; 6]),
        groups: 2,
        epsilon: 1e-5,
    };
    let constant = norm.forward(images(vec![7.0; 4 * 6], [1, 2, 2, 6]), Activation::Identity);
    assert!(values_of(constant).iter().all(|y| *y == 0.5));
    let mut x = random.values(2 * 4 * 6);
    x[0] = f32::NAN;
    let y = values_of(norm.forward(images(x, [2, 2, 2, 6]), Activation::Silu));
    for (i, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), i < 24 && i % 6 < 3, "value {i}");
    }
}
