//! Linear layers with int4 weights.

use super::*;

#[wasm_bindgen_test(unsupported = test)]
fn q4_linear_is_within_the_quantization_step_of_the_plain_body() {
    let mut random = Random::new(9);
    for n in SIZES {
        for k in SIZES {
            let m = [1, 2, 3, 4, 5, 7, 33][(n + k) % 7];
            let layer = Linear::pack(
                &random.values(n * k),
                &random.values(n),
                Dtype::Q4,
                &Device::flex(),
            )
            .unwrap();
            let x = matrix(random.values(m * k), m);
            for activation in [Activation::Identity, Activation::Silu] {
                let got = list(layer.forward(x.clone(), activation));
                // As for q8; weights are below 1, and SiLU at most 1.1 times as steep as the identity.
                let tolerance = 2.2 / ACTIVATION_MAX * k as f32 + 1e-5;
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
fn q4_linear_with_offsets_is_within_the_quantization_step_of_the_plain_body() {
    let mut random = Random::new(12);
    for n in SIZES {
        for k in SIZES {
            let m = [1, 2, 3, 4, 5, 7, 33, 130][(n + k) % 8];
            let layer = q4_linear_with_offsets(n, k, &mut random);
            let x = matrix(random.values(m * k), m);
            let got = list(layer.forward(x.clone(), Activation::Identity));
            let expected = plain(&layer, &x, Activation::Identity);
            // The tolerance is that of weights without offsets: these are multiplied with inputs that are not quantized.
            let tolerance = 2.2 / ACTIVATION_MAX * k as f32 + 1e-5;
            assert_close(&format!("{m}x{k}x{n}"), &got, &expected, tolerance);
            // The part that the offsets add would be off by far more if they were applied to wrong groups or outputs.
            let mut without = layer.clone();
            let LinearWeight::Q4 { offset, .. } = &mut without.weight else {
                panic!("the layer was packed as q4")
            };
            *offset = None;
            let difference = |a: Vec<f32>, b: Vec<f32>| -> Vec<f32> {
                a.iter().zip(b).map(|(a, b)| a - b).collect()
            };
            let added = difference(got, list(without.forward(x.clone(), Activation::Identity)));
            let expected = difference(expected, plain(&without, &x, Activation::Identity));
            assert_close(&format!("{m}x{k}x{n}"), &added, &expected, 2e-5 * k as f32);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn q4_weights_are_near_what_they_were_packed_from() {
    let mut random = Random::new(10);
    let (m, k, n) = (3, 70, 17);
    let (w, bias) = (random.values(n * k), random.values(n));
    let layer = Linear::pack(&w, &bias, Dtype::Q4, &Device::flex()).unwrap();
    let exact = Linear::pack(&w, &bias, Dtype::F32, &Device::flex()).unwrap();
    let x = matrix(random.values(m * k), m);
    let got = plain(&layer, &x, Activation::Identity);
    // Steps of an eighth, errors of half a step and of random sign, inputs below 1: a tenth per root of k is ample.
    let tolerance = 0.1 * (k as f32).sqrt();
    assert_close(
        "q4",
        &got,
        &plain(&exact, &x, Activation::Identity),
        tolerance,
    );
    // The outputs are large compared to the tolerance, so that zeros would fail.
    assert!(got.iter().any(|y| y.abs() > 4.0 * tolerance), "{got:?}");
}
