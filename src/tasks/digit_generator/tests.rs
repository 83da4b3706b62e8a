use std::cell::Cell;
use std::time::Duration;

use async_trait::async_trait;
use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::error::ErrorKind;
use crate::scheduler::NoYield;
use crate::tasks::goldens::{host, largest_difference, values, wait};

const WEIGHTS: &[u8] = include_bytes!("../../../weights/generator.safetensors");

fn generator() -> DigitGenerator {
    let host = host(WEIGHTS);
    wait(DigitGenerator::load(
        &Source::new(&host, &NoYield),
        &crate::device::cpu(),
    ))
    .unwrap()
}

fn latent(digit: u8, seed: u64, index: u64) -> Latent {
    Latent { digit, seed, index }
}

fn draw(generator: &DigitGenerator, interpolations: &[Interpolation]) -> Vec<u8> {
    let options = GenerateOptions::default();
    wait(generator.generate(interpolations, &options, None, &NoYield)).unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn the_network_predicts_what_it_predicts_in_pytorch() {
    let generator = generator();
    let mut mixtures = [[0.0; CLASSES]; 4];
    for (t, class) in mixtures.iter_mut().zip([3, 8, 0, NO_CLASS]) {
        t[class] = 1.0;
    }
    for time in ["0.0", "0.25", "0.875"] {
        let time_of = time.parse().unwrap();
        let predicted = generator
            .unet
            .predict_clean(values("noise"), time_of, &mixtures, &NoYield);
        let predicted = wait(predicted).unwrap();
        let error = largest_difference(&predicted, &values(&format!("clean_{time}")));
        // Values are at most about 1, from 17 layers of sums of up to 864 products, which are added in another order than in
        // PyTorch.
        assert!(error < 5e-5, "at {time}: {error:e}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn drawn_digits_equal_those_of_pytorch() {
    let generator = generator();
    let interpolations = [3, 8, 0].map(|digit| Interpolation::new(latent(digit, 0, 0)));
    for (steps, guidance) in [(7, 1.75), (12, 3.0), (3, 1.0), (1, 4.0)] {
        let mut batch = Batch {
            x: values("noise")[..3 * PIXELS].to_vec(),
            classes: interpolations.iter().map(Interpolation::classes).collect(),
            before: None,
        };
        let drawn = wait(async {
            for step in 0..steps {
                generator
                    .step(&mut batch, step, steps, guidance, &NoYield)
                    .await?;
            }
            Ok::<_, Error>(batch.x)
        });
        let drawn: Vec<f32> = drawn.unwrap().iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        let name = format!("drawn_{steps}_{guidance:?}");
        let error = largest_difference(&drawn, &values(&name));
        // A quarter of a grey level, of a range of 2: rounding errors add up over the steps.
        assert!(error < 2e-3, "{name}: {error:e}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_seed_gives_the_same_digit_whatever_is_drawn_with_it() {
    let generator = generator();
    let many: Vec<_> = (0..35)
        .map(|i| Interpolation::new(latent((i % 10) as u8, 7, i)))
        .collect();
    let all = draw(&generator, &many);
    assert_eq!(all, draw(&generator, &many));
    for i in [0, 31, 34] {
        let digit = &all[i * PIXELS..(i + 1) * PIXELS];
        assert_eq!(digit, draw(&generator, &many[i..=i]), "digit {i}");
    }
    let distinct: std::collections::HashSet<_> = all.chunks_exact(PIXELS).collect();
    assert_eq!(distinct.len(), many.len());
    let other = draw(&generator, &[Interpolation::new(latent(0, 8, 0))]);
    assert_ne!(other, all[..PIXELS]);
}

#[wasm_bindgen_test(unsupported = test)]
fn an_interpolation_begins_and_ends_at_its_latents() {
    let generator = generator();
    let (from, to) = (latent(2, 1, 0), latent(7, 9, 4));
    let between: Vec<_> = [0.0, 0.5, 1.0]
        .map(|t| Interpolation { from, to, t })
        .to_vec();
    let all = draw(&generator, &between);
    let ends = draw(
        &generator,
        &[Interpolation::new(from), Interpolation::new(to)],
    );
    assert_eq!(all[..PIXELS], ends[..PIXELS]);
    assert_eq!(all[2 * PIXELS..], ends[PIXELS..]);
    let noise = between[1].noise();
    let variance = noise.iter().map(|x| x * x).sum::<f32>() / PIXELS as f32;
    assert!(
        (variance - 1.0).abs() < 0.2,
        "noise between has variance {variance}"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn noise_is_standard_normal() {
    let all: Vec<f32> = (0..100).flat_map(|i| noise((3, i))).collect();
    let count = all.len() as f32;
    let mean = all.iter().sum::<f32>() / count;
    let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count;
    let fourth = all.iter().map(|x| (x - mean).powi(4)).sum::<f32>() / count;
    // The bounds are four standard errors of 78,400 values: 0.014, 0.02 and 0.14.
    assert!(mean.abs() < 0.015, "{mean}");
    assert!((variance - 1.0).abs() < 0.02, "{variance}");
    assert!((fourth - 3.0).abs() < 0.14, "{fourth}");
}

#[wasm_bindgen_test(unsupported = test)]
fn steps_are_shown_as_they_are_made() {
    let generator = generator();
    let options = GenerateOptions {
        steps: 3,
        ..GenerateOptions::default()
    };
    let mut shown = Vec::new();
    let interpolations = [Interpolation::new(latent(4, 1, 0))];
    let mut on_step =
        |step: usize, steps: usize, seen: &[u8]| shown.push((step, steps, seen.to_vec()));
    let drawn = wait(generator.generate(&interpolations, &options, Some(&mut on_step), &NoYield));
    let steps: Vec<_> = shown.iter().map(|(step, of, _)| (*step, *of)).collect();
    assert_eq!(steps, [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(shown[2].2, drawn.unwrap());
    assert_ne!(shown[1].2, shown[2].2);
}

#[wasm_bindgen_test(unsupported = test)]
fn bad_input_is_an_error_that_names_the_range() {
    let generator = generator();
    let good = Interpolation::new(latent(1, 0, 0));
    let usual = GenerateOptions::default();
    let wide = Interpolation {
        t: f32::NAN,
        ..good
    };
    let cases: [(&[Interpolation], GenerateOptions, &str); 8] = [
        (&[], usual, "0 digits are asked for, expected 1 to 10000"),
        (&vec![good; 10_001], usual, "10001 digits"),
        (
            &[Interpolation::new(latent(10, 0, 0))],
            usual,
            "digit is 10, expected 0 to 9",
        ),
        (&[wide], usual, "t is NaN, expected 0 to 1"),
        (
            &[good],
            GenerateOptions { steps: 0, ..usual },
            "steps is 0, expected 1 to 100",
        ),
        (
            &[good],
            GenerateOptions {
                steps: 101,
                ..usual
            },
            "steps is 101, expected 1 to 100",
        ),
        (
            &[good],
            GenerateOptions {
                guidance: f32::NAN,
                ..usual
            },
            "guidance is NaN, expected 0 to 20",
        ),
        (
            &[good],
            GenerateOptions {
                guidance: -0.1,
                ..usual
            },
            "guidance is -0.1, expected 0 to 20",
        ),
    ];
    for (interpolations, options, message) in cases {
        let error = wait(generator.generate(interpolations, &options, None, &NoYield)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// A scheduler that cancels at the twentieth yield.
struct CancelsLater(Cell<usize>);

#[async_trait(?Send)]
impl Scheduler for CancelsLater {
    async fn yield_now(&self) -> Result<()> {
        self.0.set(self.0.get() + 1);
        match self.0.get() {
            20 => Err(Error::new(ErrorKind::Aborted, "cancelled")),
            _ => Ok(()),
        }
    }

    async fn sleep(&self, _: Duration) -> Result<()> {
        Ok(())
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_call_that_is_cancelled_ends_within_the_step() {
    let generator = generator();
    let interpolations = [Interpolation::new(latent(5, 0, 0))];
    let options = GenerateOptions::default();
    let mut steps = 0;
    let mut on_step = |step: usize, _: usize, _: &[u8]| steps = step;
    let scheduler = CancelsLater(Cell::new(0));
    let ended = wait(generator.generate(&interpolations, &options, Some(&mut on_step), &scheduler));
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Aborted);
    // The noise yields once, and each step seven times.
    assert_eq!((scheduler.0.get(), steps), (20, 2));
    assert_eq!(draw(&generator, &interpolations).len(), PIXELS);
}

#[test]
fn damaged_weights_are_an_error_that_names_the_tensor() {
    let renamed = String::from_utf8_lossy(&WEIGHTS[8..20_000]).replace("head.bias", "dead.bias");
    let mut bytes = WEIGHTS.to_vec();
    let header = u64::from_le_bytes(*WEIGHTS.first_chunk().unwrap()) as usize;
    bytes[8..8 + header].copy_from_slice(&renamed.as_bytes()[..header]);
    for (weights, message) in [
        (&bytes[..], "tensor 'head.bias' is missing"),
        (&WEIGHTS[..WEIGHTS.len() - 1], "pilotlight-q8.safetensors"),
        (&b"<html>"[..], "pilotlight-q8.safetensors"),
    ] {
        let host = host(weights);
        let source = Source::new(&host, &NoYield);
        let loaded = wait(DigitGenerator::load(&source, &crate::device::cpu()));
        let error = loaded.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}
