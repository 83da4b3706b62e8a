//! Classes and seeds to pictures: loading the digit generator, and drawing with it.

use burn::tensor::Device;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::load::{Loading, Pretrained, Source, load};
use crate::error::{Error, Result};
use crate::models::{CLASSES, DigitUNet, EDGE};
use crate::scheduler::Scheduler;
use crate::weights::{Dtype, Tensors};

/// Pixels of a picture.
const PIXELS: usize = EDGE * EDGE;

/// Pictures that go through the network together, each twice where guidance acts: enough to fill the kernels and a GPU, few enough
/// to keep buffers in cache (0.8 MB the largest).
const AT_ONCE: usize = 8;

/// Most pictures of one call: their noise is in memory all the while, 3 KB each.
const MOST_PICTURES: usize = 10_000;
const MOST_STEPS: usize = 100;
const MOST_GUIDANCE: f32 = 20.0;

/// The times at which guidance acts, 0 being noise and 1 the picture: while the digit takes shape. Before, all that is seen is
/// the mean of its class; after, guidance would only harden the outline. *Source*: Kynkäänniemi et al., "Applying Guidance in a
/// Limited Interval", 2024; these bounds are of those tried that came near the least Fréchet distance with two steps guided.
const GUIDED: std::ops::Range<f64> = 0.2..0.5;

/// The row of the table of classes that stands for none.
const NO_CLASS: usize = CLASSES - 1;

/// Where a picture begins: the same start gives the same picture, whatever else is drawn with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// 0 to 9.
    pub digit: u8,
    /// Chooses the noise, together with `index`.
    pub seed: u64,
    /// Which of the pictures of this seed.
    pub index: u64,
}

/// One picture to draw: between two starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interpolation {
    /// What it is at `t` 0.
    pub from: Latent,
    /// What it is at `t` 1.
    pub to: Latent,
    /// 0 to 1.
    pub t: f32,
}

impl Interpolation {
    /// Of one start alone.
    pub fn new(start: Latent) -> Self {
        Self {
            from: start,
            to: start,
            t: 0.0,
        }
    }

    fn check(&self) -> Result<()> {
        for Latent { digit, .. } in [self.from, self.to] {
            if digit > 9 {
                return Err(Error::invalid_input(format!(
                    "digit is {digit}, expected 0 to 9"
                )));
            }
        }
        if !(0.0..=1.0).contains(&self.t) {
            return Err(Error::invalid_input(format!(
                "t is {}, expected 0 to 1",
                self.t
            )));
        }
        Ok(())
    }

    /// Standard normal values; those between two starts lie on the arc between theirs, so that they are standard normal too.
    fn noise(&self) -> Vec<f32> {
        let [from, to] = [self.from, self.to].map(|Latent { seed, index, .. }| (seed, index));
        if from == to || self.t == 0.0 {
            return noise(from);
        }
        if self.t == 1.0 {
            return noise(to);
        }
        let (sin, cos) = (self.t * std::f32::consts::FRAC_PI_2).sin_cos();
        let pairs = noise(from).into_iter().zip(noise(to));
        pairs.map(|(from, to)| cos * from + sin * to).collect()
    }

    fn classes(&self) -> [f32; CLASSES] {
        let mut classes = [0.0; CLASSES];
        classes[usize::from(self.from.digit)] += 1.0 - self.t;
        classes[usize::from(self.to.digit)] += self.t;
        classes
    }
}

fn noise((seed, index): (u64, u64)) -> Vec<f32> {
    // Each picture of a seed has a stream of its own.
    let mut generator = Pcg64::new(seed.into(), index.into());
    let normal = || StandardNormal.sample(&mut generator);
    std::iter::repeat_with(normal).take(PIXELS).collect()
}

/// How pictures are drawn.
#[derive(Clone, Copy, Debug)]
pub struct GenerateOptions {
    /// How often the network is asked, 1 to 100: more steps, finer pictures.
    pub steps: usize,
    /// 0 to 20: 1 draws digits as they are written, more makes them clearer and more alike.
    pub guidance: f32,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            steps: 7,
            guidance: 1.75,
        }
    }
}

impl GenerateOptions {
    fn check(&self) -> Result<()> {
        let Self { steps, guidance } = *self;
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(Error::invalid_input(format!(
                "steps is {steps}, expected 1 to {MOST_STEPS}"
            )));
        }
        if !(0.0..=MOST_GUIDANCE).contains(&guidance) {
            return Err(Error::invalid_input(format!(
                "guidance is {guidance}, expected 0 to {MOST_GUIDANCE}"
            )));
        }
        Ok(())
    }
}

/// Is handed the number of a step, from 1, how many there are, and the pictures as they are after it.
pub type OnStep<'a> = dyn FnMut(usize, usize, &[u8]) + 'a;

/// Draws handwritten digits.
pub struct DigitGenerator {
    unet: DigitUNet,
}

/// Pictures that are drawn together: values from about -1 to 1.
struct Batch {
    /// Noise at first.
    x: Vec<f32>,
    classes: Vec<[f32; CLASSES]>,
    /// The clean pictures that the step before saw.
    before: Option<Vec<f32>>,
}

impl Pretrained for DigitGenerator {
    const FILES: &'static [&'static str] = &[];

    type Config = ();
    type Prepared = ();
    type Network = DigitUNet;

    async fn config(_files: &mut Loading<'_, '_>) -> Result<()> {
        Ok(())
    }

    fn prefixes(_config: &()) -> &'static [&'static str] {
        &[""]
    }

    fn prepare(_config: &(), _file: &[u8]) -> Result<()> {
        Ok(())
    }

    fn network(_config: &(), tensors: &mut Tensors) -> Result<DigitUNet> {
        DigitUNet::new(tensors)
    }

    fn assemble(_config: (), _prepared: (), unet: DigitUNet, _device: &Device) -> Self {
        Self { unet }
    }
}

impl DigitGenerator {
    /// Loads the network, packed or as it was trained.
    ///
    /// *Errors*: as `TextEmbedder::load`.
    pub async fn load(source: &Source<'_>, device: &Device) -> Result<Self> {
        Ok(load::<Self>(source, Dtype::Q8, device).await?.model)
    }

    /// Draws pictures, one after the other in the result: 28 rows of 28 grey values, 0 paper and 255 ink, as in MNIST.
    ///
    /// `on_step` is called after each step, the last one too.
    /// *Errors*: `InvalidInput` naming the option and its range, `Aborted`.
    pub async fn generate(
        &self,
        sketches: &[Interpolation],
        options: &GenerateOptions,
        mut on_step: Option<&mut OnStep<'_>>,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<u8>> {
        options.check()?;
        if sketches.is_empty() || sketches.len() > MOST_PICTURES {
            return Err(Error::invalid_input(format!(
                "{} pictures are asked for, expected 1 to {MOST_PICTURES}",
                sketches.len()
            )));
        }
        sketches.iter().try_for_each(Interpolation::check)?;
        let mut batches = Vec::new();
        for sketches in sketches.chunks(AT_ONCE) {
            scheduler.yield_now().await?;
            batches.push(Batch {
                x: sketches.iter().flat_map(Interpolation::noise).collect(),
                classes: sketches.iter().map(Interpolation::classes).collect(),
                before: None,
            });
        }
        let GenerateOptions { steps, guidance } = *options;
        for step in 0..steps {
            for batch in &mut batches {
                self.step(batch, step, steps, guidance, scheduler).await?;
            }
            if let Some(on_step) = on_step.as_deref_mut() {
                on_step(step + 1, steps, &grey(&batches));
            }
        }
        Ok(grey(&batches))
    }

    /// One step of DPM-Solver++(2M) along the straight path from noise to the picture, `x = t · picture + (1 - t) · noise`.
    ///
    /// *Source*: Lu et al., "DPM-Solver++", 2022, algorithm 2.
    async fn step(
        &self,
        batch: &mut Batch,
        step: usize,
        steps: usize,
        guidance: f32,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        let [before, now, then] =
            [step as f64 - 1.0, step as f64, step as f64 + 1.0].map(|step| step / steps as f64);
        let clean = self.clean(batch, now, guidance, scheduler).await?;
        // The solver's time is the logarithm of picture to noise, which is infinite at both ends.
        let log = |t: f64| (t / (1.0 - t)).ln();
        let length = log(then) - log(now);
        // What changed since the step before goes on changing; not where one of the two steps is infinite.
        let ratio = match step > 1 && step + 1 < steps {
            true => length / (2.0 * (log(now) - log(before))),
            false => 0.0,
        };
        let keep = (1.0 - then) / (1.0 - now);
        let share = -then * (-length).exp_m1();
        let seen = batch.before.as_ref().unwrap_or(&clean);
        for ((x, clean), seen) in batch.x.iter_mut().zip(&clean).zip(seen) {
            let guess = clean + (clean - seen) * ratio as f32;
            *x = *x * keep as f32 + guess * share as f32;
        }
        batch.before = Some(clean);
        Ok(())
    }

    /// The clean pictures, led away from those of no class: `free + guidance · (clean - free)`.
    ///
    /// *Source*: Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022.
    async fn clean(
        &self,
        batch: &Batch,
        time: f64,
        guidance: f32,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let Batch { x, classes, .. } = batch;
        if guidance == 1.0 || !GUIDED.contains(&time) {
            return self
                .unet
                .predict_clean(x.clone(), time as f32, classes, scheduler)
                .await;
        }
        let mut none = [0.0; CLASSES];
        none[NO_CLASS] = 1.0;
        let classes = [classes.clone(), vec![none; classes.len()]].concat();
        let both = self
            .unet
            .predict_clean(x.repeat(2), time as f32, &classes, scheduler)
            .await?;
        let (clean, free) = both.split_at(x.len());
        let pairs = clean.iter().zip(free);
        Ok(pairs
            .map(|(clean, free)| free + guidance * (clean - free))
            .collect())
    }
}

/// -1 is paper, 0, and 1 is ink, 255; what is beyond is cut.
fn grey(batches: &[Batch]) -> Vec<u8> {
    let values = batches.iter().flat_map(|batch| &batch.x);
    // The cast cuts to 0 and 255.
    values.map(|x| ((x + 1.0) * 127.5).round() as u8).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use async_trait::async_trait;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::error::ErrorKind;
    use crate::scheduler::NoYield;
    use crate::tasks::goldens::{host, largest_difference, values, wait};

    const WEIGHTS: &[u8] = include_bytes!("../../weights/generator.safetensors");

    fn generator() -> DigitGenerator {
        let host = host(WEIGHTS);
        wait(DigitGenerator::load(
            &Source::new(&host, &NoYield),
            &crate::device::cpu(),
        ))
        .unwrap()
    }

    fn start(digit: u8, seed: u64, index: u64) -> Latent {
        Latent { digit, seed, index }
    }

    fn draw(generator: &DigitGenerator, sketches: &[Interpolation]) -> Vec<u8> {
        let options = GenerateOptions::default();
        wait(generator.generate(sketches, &options, None, &NoYield)).unwrap()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_network_sees_what_it_sees_in_pytorch() {
        let generator = generator();
        let mut mixtures = [[0.0; CLASSES]; 4];
        for (t, class) in mixtures.iter_mut().zip([3, 8, 0, NO_CLASS]) {
            t[class] = 1.0;
        }
        for time in ["0.0", "0.25", "0.875"] {
            let time_of = time.parse().unwrap();
            let seen = generator
                .unet
                .predict_clean(values("noise"), time_of, &mixtures, &NoYield);
            let seen = wait(seen).unwrap();
            let error = largest_difference(&seen, &values(&format!("clean_{time}")));
            // Values up to 1, from 17 layers of sums of up to 864 products, each in another order than PyTorch's.
            assert!(error < 5e-5, "at {time}: {error:e}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_drawn_is_what_pytorch_draws() {
        let generator = generator();
        let sketches = [3, 8, 0].map(|digit| Interpolation::new(start(digit, 0, 0)));
        for (steps, guidance) in [(7, 1.75), (12, 3.0), (3, 1.0), (1, 4.0)] {
            let mut batch = Batch {
                x: values("noise")[..3 * PIXELS].to_vec(),
                classes: sketches.iter().map(Interpolation::classes).collect(),
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
            // Of a range of 2, a quarter of a grey level: steps build on each other's last bits.
            assert!(error < 2e-3, "{name}: {error:e}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_seed_gives_the_same_picture_whatever_is_drawn_with_it() {
        let generator = generator();
        let many: Vec<_> = (0..35)
            .map(|i| Interpolation::new(start((i % 10) as u8, 7, i)))
            .collect();
        let all = draw(&generator, &many);
        assert_eq!(all, draw(&generator, &many));
        for i in [0, 31, 34] {
            let picture = &all[i * PIXELS..(i + 1) * PIXELS];
            assert_eq!(picture, draw(&generator, &many[i..=i]), "picture {i}");
        }
        let pictures: std::collections::HashSet<_> = all.chunks_exact(PIXELS).collect();
        assert_eq!(pictures.len(), many.len());
        let other = draw(&generator, &[Interpolation::new(start(0, 8, 0))]);
        assert_ne!(other, all[..PIXELS]);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_morph_begins_and_ends_at_its_starts() {
        let generator = generator();
        let (from, to) = (start(2, 1, 0), start(7, 9, 4));
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
        // Four standard errors of 78,400 values: 0.014, 0.02 and 0.14.
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
        let sketches = [Interpolation::new(start(4, 1, 0))];
        let mut on_step =
            |step: usize, steps: usize, seen: &[u8]| shown.push((step, steps, seen.to_vec()));
        let drawn = wait(generator.generate(&sketches, &options, Some(&mut on_step), &NoYield));
        let steps: Vec<_> = shown.iter().map(|(step, of, _)| (*step, *of)).collect();
        assert_eq!(steps, [(1, 3), (2, 3), (3, 3)]);
        assert_eq!(shown[2].2, drawn.unwrap());
        assert_ne!(shown[1].2, shown[2].2);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn bad_input_is_an_error_that_names_the_range() {
        let generator = generator();
        let good = Interpolation::new(start(1, 0, 0));
        let usual = GenerateOptions::default();
        let wide = Interpolation {
            t: f32::NAN,
            ..good
        };
        let cases: [(&[Interpolation], GenerateOptions, &str); 8] = [
            (&[], usual, "0 pictures are asked for, expected 1 to 10000"),
            (&vec![good; 10_001], usual, "10001 pictures"),
            (
                &[Interpolation::new(start(10, 0, 0))],
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
        for (sketches, options, message) in cases {
            let error = wait(generator.generate(sketches, &options, None, &NoYield)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    /// Cancels after so many breaths.
    struct Impatient(Cell<usize>);

    #[async_trait(?Send)]
    impl Scheduler for Impatient {
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
        let sketches = [Interpolation::new(start(5, 0, 0))];
        let options = GenerateOptions::default();
        let mut steps = 0;
        let mut on_step = |step: usize, _: usize, _: &[u8]| steps = step;
        let scheduler = Impatient(Cell::new(0));
        let ended = wait(generator.generate(&sketches, &options, Some(&mut on_step), &scheduler));
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Aborted);
        // One breath for the noise and seven in each step.
        assert_eq!((scheduler.0.get(), steps), (20, 2));
        assert_eq!(draw(&generator, &sketches).len(), PIXELS);
    }

    #[test]
    fn damaged_weights_are_an_error_that_names_the_tensor() {
        let renamed =
            String::from_utf8_lossy(&WEIGHTS[8..20_000]).replace("head.bias", "dead.bias");
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
}
