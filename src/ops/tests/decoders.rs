//! The operations of decoders.

use pilotlight_kernels::SIMD_LEVEL;

use super::*;

#[wasm_bindgen_test(unsupported = test)]
fn rms_norm_agrees_with_the_plain_body() {
    let mut random = Random::new(11);
    for d in SIZES {
        let m = 5;
        let norm = RmsNorm {
            weight: vector(random.values(d)),
            epsilon: 1e-5,
        };
        let x = matrix(random.values(m * d).iter().map(|x| x * 30.0).collect(), m);
        let got = list(norm.forward(x.clone()));
        let plain = crate::ops::norm::plain_rms::<Flex>(flex(&x), flex(&norm.weight), norm.epsilon);
        // Values of magnitude one, whose root mean square is summed in another order.
        assert_close(
            &format!("{d}"),
            &got,
            &list(Tensor::from_primitive::<Flex>(plain)),
            1e-6,
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn rotary_agrees_with_the_plain_body_and_starts_anew_with_each_text() {
    let mut random = Random::new(12);
    for (heads, half, lengths) in [
        (1, 1, vec![1]),
        (3, 5, vec![4, 1, 7]),
        (2, 8, vec![33]),
        (9, 32, vec![2, 3]),
    ] {
        let t: usize = lengths.iter().sum();
        let spans = Spans::from_lengths(lengths.clone());
        let rotary = Rotary::new(&spans, half * 2, 1e4, &Device::flex());
        let x = matrix(random.values(t * heads * half * 2), t);
        let got = list(rotary.forward(x.clone()));
        let plain =
            crate::ops::rotary::plain::<Flex>(flex(&x), flex(&rotary.cos), flex(&rotary.sin));
        let plain = list(Tensor::from_primitive::<Flex>(plain));
        // The fused multiply-add of the relaxed build rounds once.
        assert_close(&format!("{heads} heads of {half}"), &got, &plain, 5e-7);
        // The first row of each text is not rotated.
        let rows: Vec<&[f32]> = got.chunks_exact(heads * half * 2).collect();
        let inputs = list(x);
        for span in spans.iter() {
            let width = heads * half * 2;
            assert_eq!(rows[span.start], &inputs[span.start * width..][..width]);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn gates_agree_with_the_plain_body() {
    let mut random = Random::new(13);
    let both = [Activation::Silu, Activation::Gelu];
    for (n, activation) in SIZES
        .into_iter()
        .flat_map(|n| both.map(|activation| (n, activation)))
    {
        let [gate, up] = std::array::from_fn(|_| {
            matrix(random.values(3 * n).iter().map(|x| x * 20.0).collect(), 3)
        });
        let got = list(gated(gate.clone(), up.clone(), activation));
        let plain = crate::ops::gated::plain::<Flex>(flex(&gate), flex(&up), activation);
        // Products up to 400, with a sigmoid of relative error 1e-6.
        assert_close(
            &format!("{n}, {activation:?}"),
            &got,
            &list(Tensor::from_primitive::<Flex>(plain)),
            1e-3,
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn attention_of_grouped_heads_agrees_with_the_plain_body() {
    let mut random = Random::new(14);
    for (lengths, heads, key_heads, d) in [
        (vec![3, 1, 7], 6, 2, 5),
        (vec![33, 2, 31], 9, 3, 16),
        (vec![60], 4, 1, 8),
        (vec![25, 24], 2, 2, 3),
    ] {
        for causal in [false, true] {
            let spans = Spans::from_lengths(lengths.clone());
            let spans = if causal { spans.causal() } else { spans };
            let t: usize = lengths.iter().sum();
            let mut random_matrix = |heads: usize| {
                let values = random.values(t * heads * d);
                matrix(values.iter().map(|x| x * 4.0).collect(), t)
            };
            let (q, k, v) = (
                random_matrix(heads),
                random_matrix(key_heads),
                random_matrix(key_heads),
            );
            let got = list(attention(q.clone(), k.clone(), v.clone(), &spans, heads));
            let plain =
                crate::ops::attention::plain::<Flex>(flex(&q), flex(&k), flex(&v), spans, heads);
            assert_close(
                &format!("{lengths:?}, {heads} on {key_heads}, causal: {causal}"),
                &got,
                &list(Tensor::from_primitive::<Flex>(plain)),
                2e-5,
            );
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn rows_of_a_tied_table_are_the_weights_of_its_outputs() {
    let mut random = Random::new(15);
    for k in SIZES {
        let n = 19;
        let w = random.values(n * k);
        let ids: Vec<i32> = vec![18, 0, 7, 8, 8, 15, 16];
        let ids_tensor = integers(ids.clone(), [ids.len()], &Device::flex());
        let LinearWeight::F32(weight) = f32_linear(&w, n, k, vec![0.0; n]).weight else {
            panic!("f32 expected")
        };
        let plain = crate::ops::embedding::plain_panel_rows_f32::<Flex>(
            flex(&weight),
            flex_int(&ids_tensor),
        );
        let expected: Vec<f32> = ids
            .iter()
            .flat_map(|id| w[*id as usize * k..][..k].to_vec())
            .collect();
        assert_eq!(
            list(Embedding::TiedF32(weight).forward(ids_tensor.clone())),
            expected
        );
        assert_eq!(list(Tensor::from_primitive::<Flex>(plain)), expected);

        let bytes: Vec<i8> = w.iter().map(|w| (w * LARGEST) as i8).collect();
        let smooth: Vec<f32> = random.values(k).iter().map(|x| x.abs() + 0.1).collect();
        let scale: Vec<f32> = random.values(n);
        let linear = smooth_q8_linear(&bytes, n, smooth, scale, vec![0.0; n]);
        let LinearWeight::Q8 {
            packed,
            scale,
            smooth,
            ..
        } = linear.weight
        else {
            panic!("int8 expected")
        };
        let plain = crate::ops::embedding::plain_panel_rows_q8::<Flex>(
            flex_int(&packed),
            flex(&scale),
            flex(&smooth),
            flex_int(&ids_tensor),
        );
        let table = Embedding::TiedQ8 {
            packed,
            scale,
            smooth,
        };
        assert_close(
            &format!("{k}"),
            &list(table.forward(ids_tensor)),
            &list(Tensor::from_primitive::<Flex>(plain)),
            1e-4,
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn some_panels_of_a_layer_compute_its_outputs_to_the_bit() {
    let mut random = Random::new(16);
    let (m, k, n) = (5, 33, 29);
    let w = random.values(n * k);
    let bytes: Vec<i8> = w.iter().map(|w| (w * LARGEST) as i8).collect();
    let bias = random.values(n);
    let x = matrix(random.values(m * k), m);
    for layer in [
        f32_linear(&w, n, k, bias.clone()),
        q8_linear(&bytes, n, k, random.values(n), bias.clone()),
        Linear::pack(&w, &bias, Dtype::Q4, &Device::flex()).unwrap(),
    ] {
        let whole = list(layer.forward(x.clone(), Activation::Identity));
        for panels in [0..1, 1..3, 3..4, 0..4] {
            let outputs = panels.start * PANEL..n.min(panels.end * PANEL);
            let part = list(
                layer
                    .panels(panels)
                    .forward(x.clone(), Activation::Identity),
            );
            let expected: Vec<f32> = whole
                .chunks_exact(n)
                .flat_map(|row| row[outputs.clone()].to_vec())
                .collect();
            assert_eq!(part, expected, "{outputs:?}");
        }
    }
}

/// The same layer with fine groups.
fn fine(linear: &Linear, k: usize) -> Linear {
    let LinearWeight::Q8 {
        packed,
        scale,
        smooth,
        ..
    } = &linear.weight
    else {
        panic!("int8 expected")
    };
    let packed = packed.clone().into_data().try_to_vec().unwrap();
    let sums = group_sums(&packed, Groups::fine(k));
    let [scale, smooth] =
        [scale, smooth].map(|list| list.clone().into_data().try_to_vec().unwrap());
    Linear {
        weight: LinearWeight::q8(packed, sums, scale, smooth, &Device::flex()),
        bias: linear.bias.clone(),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn fine_groups_have_smaller_errors() {
    let mut random = Random::new(21);
    // 2560 inputs are padded to 2576, to which only larger groups fit.
    for k in SIZES.into_iter().chain([400, 576, 2560]) {
        let (m, n) = ([1, 2, 3, 4, 5, 7, 33][k % 7], [1, 8, 9, 31][k % 4]);
        let w: Vec<i8> = random
            .values(n * k)
            .iter()
            .map(|w| (w * LARGEST) as i8)
            .collect();
        let coarse = q8_linear(&w, n, k, vec![1.0 / LARGEST; n], random.values(n));
        // Some inputs are a hundred times as large as most.
        let mut x = random.values(m * k);
        for x in x.iter_mut().step_by(200) {
            *x *= 100.0;
        }
        let x = matrix(x, m);
        let expected = plain(&coarse, &x, Activation::Identity);
        let error = |layer: &Linear| {
            let got = list(layer.forward(x.clone(), Activation::Identity));
            let errors = got.iter().zip(&expected).map(|(a, b)| (a - b).powi(2));
            (errors.sum::<f32>() / got.len() as f32).sqrt()
        };
        let (coarse, fine) = (error(&coarse), error(&fine(&coarse, k)));
        println!("{m}x{k}x{n}: {coarse} and {fine}");
        let least = match (Groups::fine(k) == Groups::of(k), SIMD_LEVEL) {
            (true, _) => 1.0,
            (false, "relaxed-simd") => 0.75,
            // Seven bits more.
            (false, _) => 0.02,
        };
        assert!(
            fine <= least * coarse + 1e-5,
            "{m}x{k}x{n}: {coarse} and {fine}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn attention_of_the_last_rows_has_the_bits_of_all() {
    let mut random = Random::new(22);
    for (t, heads, key_heads, d) in [(130, 4, 2, 8), (97, 3, 1, 5), (49, 2, 2, 16)] {
        let mut random_matrix = |heads: usize| {
            let values = random.values(t * heads * d);
            matrix(values.iter().map(|x| x * 4.0).collect(), t)
        };
        let [q, k, v] = [heads, key_heads, key_heads].map(&mut random_matrix);
        let spans = Spans::from_lengths([t]);
        let bias = RelativeBias::new(&spans, heads, |row, distance| {
            row as f32 * 0.3 - distance as f32 * 0.01
        });
        let biased = spans.clone().with_bias(bias);
        for spans in [spans.clone(), spans.causal(), biased] {
            let whole = list(attention(q.clone(), k.clone(), v.clone(), &spans, heads));
            for first in (0..t).step_by(QUERY_BLOCK) {
                let end = if spans.is_causal() {
                    t.min(first + QUERY_BLOCK)
                } else {
                    t
                };
                let (q, k, v) = (part(&q, first..end), part(&k, 0..end), part(&v, 0..end));
                let of = spans.of(end);
                let got = list(attention(q.clone(), k.clone(), v.clone(), &of, heads));
                let width = heads * d;
                assert_eq!(
                    got,
                    whole[first * width..end * width],
                    "{t} rows from {first}"
                );
                let plain =
                    crate::ops::attention::plain::<Flex>(flex(&q), flex(&k), flex(&v), of, heads);
                let plain = list(Tensor::from_primitive::<Flex>(plain));
                assert_close(&format!("{t} rows from {first}"), &got, &plain, 2e-5);
            }
        }
    }
}
