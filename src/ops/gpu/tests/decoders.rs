//! The operations of decoders.

use super::*;
use crate::ops::{Activation, RmsNorm, Rotary, gated};

#[test]
fn rms_norm_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(21);
    for d in SIZES {
        let [x, gain] = [5 * d, d].map(|count| random.values(count));
        let norm = RmsNorm {
            weight: vector(&gain, gpu.device()),
            epsilon: 1e-5,
        };
        let got = list(norm.forward(matrix(&x, 5, gpu.device())));
        let expected = norm::plain_rms::<Flex>(
            flex(matrix(&x, 5, &cpu())),
            flex(vector(&gain, &cpu())),
            1e-5,
        );
        let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
        // The inverse square root of WGSL may be off by two units in the last place.
        assert_close(&format!("{d}"), &got, &expected, 2e-6);
    }
}

#[test]
fn rotary_and_gate_agree_with_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(22);
    for (heads, half, lengths) in [(1, 1, vec![1]), (3, 5, vec![4, 1, 7]), (9, 32, vec![33, 2])] {
        let t: usize = lengths.iter().sum();
        let width = heads * half * 2;
        let [x, up] = [0, 1].map(|_| random.values(t * width));
        let on = |device: &Device| {
            let spans = Spans::from_lengths(lengths.clone());
            let rotated = Rotary::new(&spans, half * 2, 1e4, device).forward(matrix(&x, t, device));
            list(gated(rotated, matrix(&up, t, device), Activation::Silu))
        };
        let name = format!("{heads} heads of {half}");
        assert_close(&name, &on(gpu.device()), &on(&cpu()), 2e-6);
    }
}

#[test]
fn attention_of_grouped_heads_agrees_with_the_plain_body() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random::new(23);
    for (lengths, heads, key_heads, d) in [
        (vec![3, 1, 7], 6, 2, 20),
        (vec![33, 2, 31], 9, 3, 64),
        (vec![70], 14, 2, 64),
        // This size runs the plain body.
        (vec![5, 6], 4, 2, 3),
    ] {
        let t: usize = lengths.iter().sum();
        let parts = [heads, key_heads, key_heads].map(|heads| {
            random
                .values(t * heads * d)
                .iter()
                .map(|x| x * 4.0)
                .collect::<Vec<_>>()
        });
        for causal in [false, true] {
            let spans = Spans::from_lengths(lengths.clone());
            let spans = if causal { spans.causal() } else { spans };
            let [q, k, v] = [0, 1, 2].map(|part| matrix(&parts[part], t, gpu.device()));
            let got = list(attend(q, k, v, &spans, heads));
            let [q, k, v] = [0, 1, 2].map(|part| flex(matrix(&parts[part], t, &cpu())));
            let expected = plain_attention::plain::<Flex>(q, k, v, spans, heads);
            let expected = list(Tensor::<2>::from_primitive::<Flex>(expected));
            let name = format!("{lengths:?}, {heads} on {key_heads}, causal: {causal}");
            assert_close(&name, &got, &expected, 5e-5);
        }
    }
    gpu.check().unwrap();
}
