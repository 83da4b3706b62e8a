//! Attention whose scores get a bias by distance, and gates.

use super::*;
use crate::ops::{RelativeBias, gated};

#[test]
fn attention_with_a_bias_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(31);
    for (lengths, heads, key_heads, d) in [
        (vec![1], 1, 1, 4),
        (vec![3, 1, 7], 6, 2, 20),
        (vec![33, 0, 2, 31], 12, 12, 32),
        // Several steps of keys, in some of which a window of 3 or 8 sees none.
        (vec![300, 5], 2, 2, 64),
        // This size runs the plain body.
        (vec![5, 6], 4, 2, 3),
    ] {
        let t: usize = lengths.iter().sum();
        let parts = [heads, key_heads, key_heads].map(|heads| {
            let values = random.values(t * heads * d);
            values.iter().map(|x| x * 4.0).collect::<Vec<_>>()
        });
        let spans = Spans::from_lengths(lengths.clone());
        let slopes = random.values(heads);
        for (name, bias) in [
            (
                "one row",
                RelativeBias::new(&spans, 1, |_, distance| (distance as f32 * 0.7).sin()),
            ),
            (
                "a row for each head",
                RelativeBias::new(&spans, heads, |head, distance| {
                    slopes[head] * distance as f32 + head as f32
                }),
            ),
            ("a window of itself", RelativeBias::window(&spans, 0)),
            ("a window of 3", RelativeBias::window(&spans, 3)),
            ("a window of 8", RelativeBias::window(&spans, 8)),
        ] {
            for causal in [false, true] {
                let spans = spans.clone().with_bias(bias.clone());
                let spans = if causal { spans.causal() } else { spans };
                let [q, k, v] = [0, 1, 2].map(|part| matrix(&parts[part], t, gpu.device()));
                let got = list(attend(q, k, v, &spans, heads));
                let [q, k, v] = [0, 1, 2].map(|part| flex(matrix(&parts[part], t, &cpu())));
                let expected = plain_attention::plain::<Flex>(q, k, v, spans, heads);
                let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
                let name =
                    format!("{name}, {lengths:?}, {heads} heads on {key_heads}, causal: {causal}");
                // Scores up to 300, of which f32 has steps of 3e-5, in the exponent of peaked weights.
                assert_close(&name, &got, &expected, 1e-4);
            }
        }
    }
    gpu.check().unwrap();
}

#[test]
fn gates_of_all_activations_agree_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(32);
    for (m, n) in [(1, 1), (3, 33), (17, 384)] {
        let gates: Vec<f32> = random.values(m * n).iter().map(|x| x * 6.0).collect();
        let up = random.values(m * n);
        for activation in ACTIVATIONS {
            let on = |values: &[f32]| matrix(values, m, gpu.device());
            let got = list(gated(on(&gates), on(&up), activation));
            let on = |values: &[f32]| flex(matrix(values, m, &cpu()));
            let expected = crate::ops::gated::plain::<Flex>(on(&gates), on(&up), activation);
            let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
            // The error of an activation is relative to gates of up to 6.
            assert_close(&format!("{m}x{n} {activation:?}"), &got, &expected, 1e-5);
        }
    }
    gpu.check().unwrap();
}
